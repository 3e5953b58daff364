/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/doctor/internal.h"

#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <unistd.h>

/* The machine itself: files, users, space, time, processor. */

#define SYSUSERS "/usr/lib/sysusers.d/vireo-agent.conf"
/* A log line, a record of a machine, a certificate: below this the agent's writes soon fail. */
#define SPACE_MIN MiB(100)
#define INODES_MIN 1000

static bool failed(struct vr_error **error, const char *path)
{
    vr_error_set(error, &vr_fault_system, "%s: %s", path, g_strerror(errno));
    return false;
}

/* --- configuration --- */

static bool protect(struct vr_doctor *doctor, const char *path, struct vr_error **error)
{
    struct stat st;
    return (stat(path, &st) == 0 && chmod(path, st.st_mode & 07755) == 0) || failed(error, path);
}

void vr_doctor_configuration(struct vr_doctor *doctor)
{
    const struct vr_agent_config *config = doctor->config;
    struct stat st;
    if (!doctor->path)
        vr_doctor_note(doctor, "There is no /etc/vireo/agent.conf; the defaults count.");
    else if (stat(doctor->path, &st) == 0 && (st.st_mode & 022))
        vr_doctor_wrong(doctor, protect, doctor->path, "only root may write it",
                        "%s can be written by others than its owner.", doctor->path);
    else
        vr_doctor_ok(doctor, "%s", doctor->path);
    if (!config->certificate)
        vr_doctor_wrong(doctor, NULL, NULL,
                        "set ca, certificate and key in [agent], as the package has them",
                        "TLS is off: anybody who reaches the port rules this host.");
}

/* --- programs --- */

void vr_doctor_programs(struct vr_doctor *doctor)
{
    const struct vr_agent_config *config = doctor->config;
    const struct {
        const char *program, *or, *package;
    } rows[] = {
        { config->iod, NULL, "vireo-agent" },
        { config->imaged, NULL, "vireo-agent" },
        { config->enroll, NULL, "vireo-agent" },
        { "ip", NULL, "iproute2" },
        { "qemu-img", NULL, "qemu-utils" },
        { "qemu-nbd", NULL, "qemu-utils" },
        { "qemu-system-x86_64", "kvm", "qemu-system-x86" },
        { "genisoimage", "xorriso", "genisoimage" },
        { "mount.nfs", NULL, "nfs-common" },
    };
    unsigned found = 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *path = g_find_program_in_path(rows[i].program);
        g_autofree char *other = rows[i].or ? g_find_program_in_path(rows[i].or) : NULL;
        g_autofree char *remedy = g_strdup_printf("apt install --reinstall %s", rows[i].package);
        if (path || other)
            found++;
        else
            vr_doctor_wrong(doctor, NULL, NULL, remedy, "%s is missing.", rows[i].program);
    }
    if (found == G_N_ELEMENTS(rows))
        vr_doctor_ok(doctor, "all %u are there", found);
}

/* --- the user whom storage belongs to --- */

static bool make_users(struct vr_doctor *doctor, const char *what, struct vr_error **error)
{
    const char *const argv[] = { "systemd-sysusers", SYSUSERS, NULL };
    return vr_doctor_run(argv, 20, error);
}

static bool is_member(const char *user, gid_t gid)
{
    const struct passwd *entry = getpwnam(user);
    gid_t groups[256];
    int count = G_N_ELEMENTS(groups);
    if (!entry || getgrouplist(user, entry->pw_gid, groups, &count) < 0)
        return false;
    for (int i = 0; i < count; i++)
        if (groups[i] == gid)
            return true;
    return false;
}

void vr_doctor_user(struct vr_doctor *doctor)
{
    const struct vr_agent_config *config = doctor->config;
    static const char *const others[] = { "libvirt-qemu", "sanlock" };
    vr_doctor_fix *fix =
        config->uid == 36 && config->gid == 36 && access(SYSUSERS, F_OK) == 0 ? make_users : NULL;
    if (!config->uid) {
        vr_doctor_note(doctor, "Storage belongs to root here; hosts that share storage have uid=36 "
                               "and gid=36.");
        return;
    }
    const struct passwd *user = getpwuid(config->uid);
    if (!user) {
        vr_doctor_wrong(doctor, fix, NULL, "make it, with that number", "There is no user %u.",
                        config->uid);
        return;
    }
    g_autofree char *name = g_strdup(user->pw_name);
    unsigned before = doctor->wrong;
    if (!getgrgid(config->gid))
        vr_doctor_wrong(doctor, fix, NULL, "make it, with that number", "There is no group %u.",
                        config->gid);
    for (unsigned i = 0; i < G_N_ELEMENTS(others); i++)
        if (!is_member(others[i], config->gid))
            vr_doctor_wrong(doctor, fix, NULL, "make it a member, and restart what runs as it",
                            "%s is no member of group %u and cannot open what is on storage.",
                            others[i], config->gid);
    if (doctor->wrong == before)
        vr_doctor_ok(doctor, "storage belongs to %s (%u:%u)", name, config->uid, config->gid);
}

/* --- folders --- */

static bool make_folder(struct vr_doctor *doctor, const char *path, struct vr_error **error)
{
    return g_mkdir_with_parents(path, 0755) == 0 || failed(error, path);
}

static void check_folder(struct vr_doctor *doctor, const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0 && errno == ENOENT)
        vr_doctor_wrong(doctor, make_folder, path, "make it", "%s is missing.", path);
    else if (stat(path, &st) < 0)
        vr_doctor_wrong(doctor, NULL, NULL, "mend the file system", "%s: %s.", path,
                        g_strerror(errno));
    else if (!S_ISDIR(st.st_mode))
        vr_doctor_wrong(doctor, NULL, NULL, "move it away", "%s is no folder.", path);
    else if (st.st_mode & 022)
        vr_doctor_wrong(doctor, protect, path, "only its owner may write in it",
                        "Others than its owner can write in %s.", path);
    else
        vr_doctor_ok(doctor, "%s", path);
}

void vr_doctor_folders(struct vr_doctor *doctor)
{
    check_folder(doctor, doctor->config->state);
    check_folder(doctor, doctor->config->run_root);
}

/* --- space, time --- */

void vr_doctor_space(struct vr_doctor *doctor)
{
    const char *const places[] = { doctor->config->state, "/var/log", "/var/tmp", "/run" };
    unsigned before = doctor->wrong;
    for (unsigned i = 0; i < G_N_ELEMENTS(places); i++) {
        struct statvfs fs;
        if (statvfs(places[i], &fs) < 0)
            continue;
        uint64_t free = (uint64_t)fs.f_bavail * fs.f_frsize;
        if (free < SPACE_MIN && i < 3)
            vr_doctor_wrong(doctor, NULL, NULL, "make room", "%s has %" PRIu64 " MiB left.",
                            places[i], free >> 20);
        if (fs.f_files && fs.f_favail < INODES_MIN)
            vr_doctor_wrong(doctor, NULL, NULL, "delete files that nobody needs",
                            "%s has room for %" PRIu64 " more files.", places[i],
                            (uint64_t)fs.f_favail);
    }
    if (doctor->wrong == before)
        vr_doctor_ok(doctor, "there is room for state and logs");
}

/* Certificates and leases of hosts that disagree about the time do not work. */
void vr_doctor_clock(struct vr_doctor *doctor)
{
    struct timex state = { 0 };
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_autofree char *text = g_date_time_format(now, "%F %T UTC");
    if (adjtimex(&state) == TIME_ERROR || (state.status & STA_UNSYNC))
        vr_doctor_note(doctor, "It is %s; no time server sets this clock.", text);
    else
        vr_doctor_ok(doctor, "it is %s, by a time server", text);
}

/* --- processor --- */

static bool load_kvm(struct vr_doctor *doctor, const char *module, struct vr_error **error)
{
    const char *const argv[] = { "modprobe", module, NULL };
    return vr_doctor_run(argv, 15, error) && (access("/dev/kvm", F_OK) == 0 ||
                                              failed(error, "/dev/kvm"));
}

void vr_doctor_processor(struct vr_doctor *doctor)
{
    g_autofree char *cpuinfo = NULL;
    g_autofree char *path = g_strconcat(doctor->root, "/proc/cpuinfo", NULL);
    g_autofree char *device = g_strconcat(doctor->root, "/dev/kvm", NULL);
    if (!g_file_get_contents(path, &cpuinfo, NULL, NULL))
        return;
    bool able = vr_cpuinfo_has_virtualization(cpuinfo);
    if (!able && doctor->config->accel == VR_ACCEL_KVM)
        vr_doctor_wrong(doctor, NULL, NULL,
                        "turn virtualization on in the firmware, or set accel=auto",
                        "agent.conf wants KVM and the processor shows neither vmx nor svm.");
    else if (!able)
        vr_doctor_note(doctor, "The processor shows neither vmx nor svm; machines run slowly, "
                               "by TCG.");
    else if (access(device, F_OK) < 0)
        vr_doctor_wrong(doctor, load_kvm, strstr(cpuinfo, " vmx") ? "kvm_intel" : "kvm_amd",
                        "load the module of KVM", "There is no /dev/kvm; machines run slowly.");
    else
        vr_doctor_ok(doctor, "it runs virtual machines by KVM");
}
