/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/doctor/internal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/helper/run.h"

#define DEFAULT_CONFIG "/etc/vireo/agent.conf"

/* What has to be right for the next to be worth a look comes first. */
static const struct {
    const char *name;
    vr_doctor_check *run;
    unsigned seconds; /* with mending: a renewal waits for the Manager */
} checks[] = {
    { "configuration", vr_doctor_configuration, 10 },
    { "programs", vr_doctor_programs, 10 },
    { "user", vr_doctor_user, 30 },
    { "folders", vr_doctor_folders, 10 },
    { "space", vr_doctor_space, 10 },
    { "clock", vr_doctor_clock, 10 },
    { "certificate", vr_doctor_certificate, 240 },
    { "processor", vr_doctor_processor, 20 },
    { "libvirt", vr_doctor_libvirt, 60 },
    { "sanlock", vr_doctor_sanlock, 60 },
    { "networks", vr_doctor_networks, 60 },
    { "storage", vr_doctor_storage, 300 },
    { "ports", vr_doctor_ports, 20 },
    { "service", vr_doctor_service, 120 },
};

/* --- findings --- */

static void print(enum vr_finding finding, const char *check, const char *text, const char *remedy)
{
    static const char *const words[] = { "ok", "note", "mended", "WRONG" };
    printf("%-7s %-14s %s\n", words[finding], check, text);
    if (remedy)
        printf("%-22s -> %s\n", "", remedy);
}

static void tell(struct vr_doctor *doctor, enum vr_finding finding, const char *text,
                 const char *remedy)
{
    if (finding == VR_FINDING_WRONG)
        doctor->wrong++;
    if (doctor->tell)
        doctor->tell(finding, doctor->check, text, remedy, doctor->arg);
    else
        print(finding, doctor->check, text, remedy);
}

void vr_doctor_ok(struct vr_doctor *doctor, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    tell(doctor, VR_FINDING_OK, text, NULL);
}

void vr_doctor_note(struct vr_doctor *doctor, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    tell(doctor, VR_FINDING_NOTE, text, NULL);
}

void vr_doctor_wrong(struct vr_doctor *doctor, vr_doctor_fix *fix, const char *what,
                     const char *remedy, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    vr_auto_error struct vr_error *error = NULL;
    if (!fix) {
        tell(doctor, VR_FINDING_WRONG, text, remedy);
    } else if (!doctor->mend) {
        g_autofree char *offer = g_strdup_printf("%s (--mend does that)", remedy);
        tell(doctor, VR_FINDING_WRONG, text, offer);
    } else if (fix(doctor, what, &error)) {
        tell(doctor, VR_FINDING_MENDED, text, remedy);
    } else {
        g_autofree char *why = vr_error_text(error);
        g_autofree char *failed = g_strdup_printf("%s (--mend could not: %s)", remedy, why);
        tell(doctor, VR_FINDING_WRONG, text, failed);
    }
}

/* --- processes --- */

bool vr_doctor_try(struct vr_doctor *doctor, vr_doctor_check *check, unsigned seconds)
{
    fflush(NULL);
    pid_t parent = getpid();
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(2);
        doctor->wrong = 0;
        check(doctor);
        fflush(NULL);
        _exit(doctor->wrong ? 1 : 0);
    }
    int fd = child > 0 ? pidfd_open(child, 0) : -1;
    struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
    int came = -1;
    if (fd >= 0) {
        do
            came = poll(&poll_fd, 1, (int)seconds * 1000);
        while (came < 0 && errno == EINTR);
        close(fd);
    }
    int status = 0;
    if (came <= 0 && child > 0)
        kill(child, SIGKILL);
    /* One that a dead server holds ends when the server answers, and is not waited for. */
    if (child > 0 && waitpid(child, &status, came > 0 ? 0 : WNOHANG) == child && came > 0 &&
        WIFEXITED(status)) {
        doctor->wrong += WEXITSTATUS(status) ? 1 : 0;
        return true;
    }
    return false;
}

bool vr_doctor_run(const char *const *argv, unsigned seconds, struct vr_error **error)
{
    struct vr_run run = { .argv = argv, .deadline_ms = (uint64_t)seconds * 1000 };
    bool good = vr_run(&run, error);
    vr_run_done(&run);
    return good;
}

/* --- the command --- */

/* Without a configuration that can be read there is nothing to compare the host with. */
static struct vr_agent_config *read_config(struct vr_doctor *doctor)
{
    vr_auto_error struct vr_error *error = NULL;
    struct vr_agent_config *config = vr_agent_config_read(doctor->path, &error);
    if (config)
        return config;
    g_autofree char *text = vr_error_text(error);
    doctor->check = "configuration";
    vr_doctor_wrong(doctor, NULL, NULL, "mend the file; agent.conf(5) explains every key", "%s",
                    text);
    return NULL;
}

static int examine(struct vr_doctor *doctor)
{
    struct vr_agent_config *config = read_config(doctor);
    if (!config)
        return 1;
    doctor->config = config;
    if (geteuid() != 0)
        printf("You are not root: not everything can be looked at.\n");
    for (unsigned i = 0; i < G_N_ELEMENTS(checks); i++) {
        doctor->check = checks[i].name;
        if (!vr_doctor_try(doctor, checks[i].run, checks[i].seconds))
            vr_doctor_wrong(doctor, NULL, NULL, "what it looks at does not answer; look there",
                            "The check did not come to an end.");
    }
    vr_agent_config_free(config);
    if (doctor->wrong == 0)
        return 0;
    printf("\nNot everything is well.\n");
    return 1;
}

int vr_doctor_main(int argc, char **argv)
{
    g_autofree char *path = NULL;
    gboolean mend = FALSE;
    const GOptionEntry entries[] = {
        { "config", 'c', 0, G_OPTION_ARG_FILENAME, &path,
          "the agent's configuration (" DEFAULT_CONFIG ")", "FILE" },
        { "mend", 'm', 0, G_OPTION_ARG_NONE, &mend, "mend what can be mended here", NULL },
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GOptionContext) context = g_option_context_new("- what is wrong with this host");
    g_autoptr(GError) wrong = NULL;
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &wrong) || argc > 1) {
        fprintf(stderr, "vireo-agentd: %s\n", wrong ? wrong->message : "doctor takes no arguments");
        return 2;
    }
    if (mend && geteuid() != 0) {
        fprintf(stderr, "vireo-agentd: --mend needs root\n");
        return 2;
    }
    struct vr_doctor doctor = { .mend = mend, .root = "" };
    doctor.path = path                                                    ? path
                  : g_file_test(DEFAULT_CONFIG, G_FILE_TEST_EXISTS) ? DEFAULT_CONFIG
                                                                    : NULL;
    return examine(&doctor);
}
