/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <curl/curl.h>
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "cli/output.h"

#define FAULT(code, status, sentence) \
    { .name = "cli", .http = status, .exit = code, .text = sentence }

const struct vr_fault vr_cli_failed = FAULT(1, 500, "The operation failed.");
const struct vr_fault vr_cli_usage = FAULT(2, 400, "The command line is wrong.");
const struct vr_fault vr_cli_not_found = FAULT(3, 404, "Not found.");
const struct vr_fault vr_cli_login = FAULT(4, 401, "Not logged in.");
const struct vr_fault vr_cli_connect = FAULT(5, 503, "No connection to the Manager.");
const struct vr_fault vr_cli_conflict = FAULT(6, 409, "The present state does not allow this.");
const struct vr_fault vr_cli_stopped = FAULT(130, 500, "Stopped.");

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

bool vr_cli_interrupted(void)
{
    return interrupted;
}

void vr_cli_clear_interrupt(void)
{
    interrupted = 0;
}

bool vr_cli_sleep(unsigned milliseconds, struct vr_error **error)
{
    struct timespec left = { .tv_sec = milliseconds / 1000,
                             .tv_nsec = (long)(milliseconds % 1000) * 1000000 };
    while (!interrupted && nanosleep(&left, &left) < 0 && errno == EINTR)
        ;
    if (interrupted)
        vr_error_set(error, &vr_cli_stopped, NULL);
    return !interrupted;
}

static void catch_signals(void)
{
    /* No SA_RESTART: a prompt or a wait must end. */
    struct sigaction action = { .sa_handler = on_signal };
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    signal(SIGPIPE, SIG_IGN); /* stdout's end is seen when it is flushed */
}

static bool run(int argc, char **argv, struct vr_error **error)
{
    struct vr_cli cli;
    bool done = vr_cli_parse(&cli, argc, argv, error);
    if (done && cli.values[VR_CLI_VERSION])
        printf("vireo %s\n", VR_VERSION);
    else if (done && (!cli.command || cli.values[VR_CLI_HELP]))
        vr_cli_print_help(cli.command);
    else if (done)
        done = cli.command->run(&cli, error);
    vr_cli_done(&cli);
    return done;
}

int main(int argc, char **argv)
{
    vr_auto_error struct vr_error *error = NULL;
    int code = 0;

    setlocale(LC_ALL, "");
    catch_signals();
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        fprintf(stderr, "vireo: libcurl does not start.\n");
        return 1;
    }
    if (!run(argc, argv, &error)) {
        g_autofree char *text = vr_error_text(error);
        g_autofree char *clean = vr_cli_clean(text);
        fprintf(stderr, "vireo: %s\n", clean);
        code = error->fault->exit;
    }
    if (fflush(stdout) != 0 && errno != EPIPE && !code) {
        fprintf(stderr, "vireo: cannot write the output: %s\n", g_strerror(errno));
        code = 1;
    }
    curl_global_cleanup();
    return code;
}
