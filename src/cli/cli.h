/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * cli: the program `vireo`, a client of the REST interface.
 *
 * commands.c holds the one table of commands and the one of options; help, the completion and the
 * manual page are checked against what it prints.  A command is a function that gets the parsed
 * line, talks through struct vr_client and prints on stdout; it returns false with an error, whose
 * fault carries the exit code.  One thread; everything may block.
 */

#include <json-c/json.h>

#include "base/base.h"

struct vr_client;
struct vr_cli;

enum vr_cli_option_id {
    VR_CLI_OUTPUT,
    VR_CLI_SEARCH,
    VR_CLI_MAX,
    VR_CLI_URL,
    VR_CLI_USER,
    VR_CLI_PASSWORD_FILE,
    VR_CLI_CA_FILE,
    VR_CLI_FINGERPRINT,
    VR_CLI_FOLLOW,
    VR_CLI_WAIT,
    VR_CLI_TIMEOUT,
    VR_CLI_CLUSTER,
    VR_CLI_TEMPLATE,
    VR_CLI_MEMORY,
    VR_CLI_CPUS,
    VR_CLI_DESCRIPTION,
    VR_CLI_DISK,
    VR_CLI_NIC,
    VR_CLI_START,
    VR_CLI_FORCE,
    VR_CLI_KEEP_DISKS,
    VR_CLI_TYPE,
    VR_CLI_PRINT,
    VR_CLI_FILE,
    VR_CLI_STORAGE_DOMAIN,
    VR_CLI_NAME,
    VR_CLI_PREALLOCATED,
    VR_CLI_ISO,
    VR_CLI_QUIET,
    VR_CLI_HELP,
    VR_CLI_VERSION,
    VR_CLI_OPTION_COUNT
};

struct vr_cli_option {
    const char *name;  /* without the dashes */
    char letter;       /* 0: no short form */
    bool everywhere;   /* every command takes it */
    const char *value; /* what it takes, for the help; NULL: a switch */
    const char *help;
};

typedef bool vr_cli_run(struct vr_cli *cli, struct vr_error **error);

struct vr_cli_command {
    const char *name;    /* "vm list" */
    const char *args;    /* for the help */
    unsigned least, most; /* number of arguments */
    const char *options; /* its own, names with a blank between */
    const char *help;
    vr_cli_run *run;
};

extern const struct vr_cli_option vr_cli_options[VR_CLI_OPTION_COUNT];
extern const struct vr_cli_command vr_cli_commands[];
extern const unsigned vr_cli_command_count;

/* One parsed command line. */
struct vr_cli {
    const struct vr_cli_command *command;
    GPtrArray *values[VR_CLI_OPTION_COUNT]; /* of borrowed strings; NULL: not given */
    GPtrArray *args;                        /* of borrowed strings */
};

/* One exit code each. */
extern const struct vr_fault vr_cli_failed;    /* 1 */
extern const struct vr_fault vr_cli_usage;     /* 2 */
extern const struct vr_fault vr_cli_not_found; /* 3 */
extern const struct vr_fault vr_cli_login;     /* 4 */
extern const struct vr_fault vr_cli_connect;   /* 5 */
extern const struct vr_fault vr_cli_conflict;  /* 6 */
extern const struct vr_fault vr_cli_stopped;   /* 130, by Ctrl-C */

/* Set by the first SIGINT, SIGTERM or SIGHUP; waits and transfers then end early. */
bool vr_cli_interrupted(void);
/* For tidying up after the signal; the next one counts again. */
void vr_cli_clear_interrupt(void);
/* Sleeps; false, with an error, when a signal came. */
bool vr_cli_sleep(unsigned milliseconds, struct vr_error **error);

/* Reads the command line into @cli.  Borrows @argv. */
bool vr_cli_parse(struct vr_cli *cli, int argc, char **argv, struct vr_error **error);
void vr_cli_done(struct vr_cli *cli);

/* The last value of an option, "" for a switch, NULL when it is not given. */
const char *vr_cli_value(const struct vr_cli *cli, enum vr_cli_option_id id);
/* A number of @least to @most, @fallback when the option is not given. */
bool vr_cli_number(const struct vr_cli *cli, enum vr_cli_option_id id, uint64_t least,
                   uint64_t most, uint64_t fallback, uint64_t *ret, struct vr_error **error);
/* "2G", "512MiB", "1048576": bytes. */
bool vr_cli_size(const char *text, uint64_t *ret, struct vr_error **error);
const char *vr_cli_arg(const struct vr_cli *cli, unsigned index);

/* Help of one command, or of all when @command is NULL. */
void vr_cli_print_help(const struct vr_cli_command *command);

vr_cli_run vr_cli_help;
vr_cli_run vr_cli_login_run, vr_cli_logout_run;
vr_cli_run vr_cli_vm_list, vr_cli_vm_show, vr_cli_vm_create, vr_cli_vm_start, vr_cli_vm_stop;
vr_cli_run vr_cli_vm_shutdown, vr_cli_vm_reboot, vr_cli_vm_remove, vr_cli_vm_console;
vr_cli_run vr_cli_host_list, vr_cli_host_show;
vr_cli_run vr_cli_disk_list, vr_cli_disk_upload;
vr_cli_run vr_cli_event_list, vr_cli_job_list, vr_cli_api;

static inline void vr_json_freep(json_object **object)
{
    if (*object)
        json_object_put(*object);
}
#define vr_auto_json __attribute__((cleanup(vr_json_freep)))
