/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>

const struct vr_cli_option vr_cli_options[VR_CLI_OPTION_COUNT] = {
    [VR_CLI_OUTPUT] = { "output", 'o', true, "FORMAT", "table, json, yaml or name" },
    [VR_CLI_SEARCH] = { "search", 's', false, "QUERY", "only what matches, as in 'status=up'" },
    [VR_CLI_MAX] = { "max", 'm', false, "N", "at most so many" },
    [VR_CLI_URL] = { "url", 0, true, "URL", "address of the Manager ($VIREO_URL)" },
    [VR_CLI_USER] = { "user", 0, true, "USER", "as in admin@internal ($VIREO_USER)" },
    [VR_CLI_PASSWORD_FILE] = { "password-file", 0, true, "FILE",
                               "first line is the password ($VIREO_PASSWORD_FILE)" },
    [VR_CLI_CA_FILE] = { "ca-file", 0, true, "FILE",
                         "certificate authority to trust ($VIREO_CA_FILE)" },
    [VR_CLI_FINGERPRINT] = { "fingerprint", 0, false, "SHA256",
                             "trust the Manager's own authority when it has this fingerprint" },
    [VR_CLI_FOLLOW] = { "follow", 'f', false, NULL, "go on with new ones until stopped" },
    [VR_CLI_WAIT] = { "wait", 'w', false, NULL, "until the work is done" },
    [VR_CLI_TIMEOUT] = { "timeout", 't', false, "SECONDS", "longest wait, 600 unless given" },
    [VR_CLI_CLUSTER] = { "cluster", 0, false, "CLUSTER", "the only one unless given" },
    [VR_CLI_TEMPLATE] = { "template", 0, false, "TEMPLATE", "Blank unless given" },
    [VR_CLI_MEMORY] = { "memory", 0, false, "SIZE", "as in 2G" },
    [VR_CLI_CPUS] = { "cpus", 0, false, "N", "virtual processors" },
    [VR_CLI_DESCRIPTION] = { "description", 0, false, "TEXT", "free text" },
    [VR_CLI_DISK] = { "disk", 0, false, "DISK", "attach this disk; the first one boots" },
    [VR_CLI_NIC] = { "nic", 0, false, "PROFILE", "add a NIC with this vNIC profile" },
    [VR_CLI_START] = { "start", 0, false, NULL, "start it at once" },
    [VR_CLI_FORCE] = { "force", 0, false, NULL, "even where the Manager would rather not" },
    [VR_CLI_KEEP_DISKS] = { "keep-disks", 0, false, NULL, "detach the disks, do not remove them" },
    [VR_CLI_TYPE] = { "type", 0, false, "PROTOCOL", "vnc or spice" },
    [VR_CLI_PRINT] = { "print", 0, false, NULL, "write the viewer's file to stdout" },
    [VR_CLI_FILE] = { "file", 0, false, "FILE", "write the viewer's file there" },
    [VR_CLI_STORAGE_DOMAIN] = { "storage-domain", 0, false, "DOMAIN",
                                "the only data domain unless given" },
    [VR_CLI_NAME] = { "name", 0, false, "NAME", "the file's name unless given" },
    [VR_CLI_PREALLOCATED] = { "preallocated", 0, false, NULL, "reserve all of its space" },
    [VR_CLI_ISO] = { "iso", 0, false, NULL, "the file is a CD image" },
    [VR_CLI_QUIET] = { "quiet", 'q', true, NULL, "no progress" },
    [VR_CLI_HELP] = { "help", 'h', true, NULL, "this text" },
    [VR_CLI_VERSION] = { "version", 0, true, NULL, "print the version" },
};

/* How many names one command takes. */
#define MANY 1000

const struct vr_cli_command vr_cli_commands[] = {
    { "login", "[URL]", 0, 1, "fingerprint", "log in and remember it", vr_cli_login_run },
    { "logout", "", 0, 0, "", "end the session and forget it", vr_cli_logout_run },
    { "vm list", "", 0, 0, "search max", "list virtual machines", vr_cli_vm_list },
    { "vm show", "VM", 1, 1, "", "show everything about one", vr_cli_vm_show },
    { "vm create", "NAME", 1, 1,
      "cluster template memory cpus description disk nic start wait timeout",
      "make a virtual machine", vr_cli_vm_create },
    { "vm start", "VM...", 1, MANY, "wait timeout", "start", vr_cli_vm_start },
    { "vm stop", "VM...", 1, MANY, "wait timeout force", "cut the power", vr_cli_vm_stop },
    { "vm shutdown", "VM...", 1, MANY, "wait timeout force", "ask the guest to shut down",
      vr_cli_vm_shutdown },
    { "vm reboot", "VM...", 1, MANY, "force", "ask the guest to reboot",
      vr_cli_vm_reboot },
    { "vm remove", "VM...", 1, MANY, "keep-disks force wait timeout", "remove with its disks",
      vr_cli_vm_remove },
    { "vm console", "VM", 1, 1, "type print file", "open the screen in remote-viewer",
      vr_cli_vm_console },
    { "host list", "", 0, 0, "search max", "list hosts", vr_cli_host_list },
    { "host show", "HOST", 1, 1, "", "show everything about one", vr_cli_host_show },
    { "disk list", "", 0, 0, "search max", "list disks", vr_cli_disk_list },
    { "disk upload", "FILE", 1, 1,
      "storage-domain name description preallocated iso timeout", "make a disk of an image file",
      vr_cli_disk_upload },
    { "event list", "", 0, 0, "search max follow", "list events, the newest last",
      vr_cli_event_list },
    { "job list", "", 0, 0, "search max", "list the work of the Manager", vr_cli_job_list },
    { "api GET", "PATH", 1, 1, "", "read any resource", vr_cli_api },
    { "api POST", "PATH [BODY|-]", 1, 2, "", "add a resource, or act", vr_cli_api },
    { "api PUT", "PATH [BODY|-]", 1, 2, "", "change a resource", vr_cli_api },
    { "api DELETE", "PATH [BODY|-]", 1, 2, "", "remove a resource", vr_cli_api },
    { "help", "[COMMAND...|--table]", 0, 2, "", "explain a command", vr_cli_help },
};
const unsigned vr_cli_command_count = G_N_ELEMENTS(vr_cli_commands);

static bool takes(const struct vr_cli_command *command, const struct vr_cli_option *option)
{
    g_auto(GStrv) own = g_strsplit(command->options, " ", -1);
    return option->everywhere || g_strv_contains((const char *const *)own, option->name);
}

static void print_options(const struct vr_cli_command *command, bool everywhere)
{
    for (unsigned i = 0; i < VR_CLI_OPTION_COUNT; i++) {
        const struct vr_cli_option *option = &vr_cli_options[i];
        if (option->everywhere != everywhere || (!everywhere && !takes(command, option)))
            continue;
        g_autofree char *left =
            g_strdup_printf("%c%c --%s%s%s", option->letter ? '-' : ' ',
                            option->letter ? option->letter : ' ', option->name,
                            option->value ? " " : "", option->value ? option->value : "");
        printf("  %-28s %s\n", left, option->help);
    }
}

void vr_cli_print_help(const struct vr_cli_command *command)
{
    if (command) {
        printf("Usage: vireo %s%s%s [OPTIONS]\n%c%s.\n", command->name,
               command->args[0] ? " " : "", command->args, g_ascii_toupper(command->help[0]),
               command->help + 1);
        if (command->options[0]) {
            printf("\nOptions:\n");
            print_options(command, false);
        }
        printf("\nOptions of every command:\n");
        print_options(command, true);
        return;
    }
    printf("Usage: vireo COMMAND [OPTIONS]\n\nCommands:\n");
    for (unsigned i = 0; i < vr_cli_command_count; i++) {
        g_autofree char *left = g_strdup_printf("%s %s", vr_cli_commands[i].name,
                                                vr_cli_commands[i].args);
        printf("  %-28s %s\n", left, vr_cli_commands[i].help);
    }
    printf("\nOptions of every command:\n");
    print_options(NULL, true);
    printf("\nObjects are given by name or id.  Exit codes: 0 done, 1 failed, 2 usage, 3 not\n"
           "found, 4 log in first, 5 no connection or no trust, 6 conflict.  More: man vireo\n");
}

/* What the test compares with the completion and the manual: kind, name, arguments, options. */
static void print_table(void)
{
    for (unsigned i = 0; i < vr_cli_command_count; i++)
        printf("command\t%s\t%s\t%s\n", vr_cli_commands[i].name, vr_cli_commands[i].args,
               vr_cli_commands[i].options);
    for (unsigned i = 0; i < VR_CLI_OPTION_COUNT; i++)
        printf("option\t%s\t%s\t%s\n", vr_cli_options[i].name,
               vr_cli_options[i].value ? vr_cli_options[i].value : "",
               vr_cli_options[i].everywhere ? "everywhere" : "");
}

bool vr_cli_help(struct vr_cli *cli, struct vr_error **error)
{
    const char *first = vr_cli_arg(cli, 0), *second = vr_cli_arg(cli, 1);
    if (g_strcmp0(first, "--table") == 0) {
        print_table();
        return true;
    }
    if (!first) {
        vr_cli_print_help(NULL);
        return true;
    }
    g_autofree char *name = second ? g_strdup_printf("%s %s", first, second) : g_strdup(first);
    bool found = false;
    for (unsigned i = 0; i < vr_cli_command_count; i++) {
        const char *full = vr_cli_commands[i].name;
        size_t length = strlen(name);
        if (strncmp(full, name, length) != 0 || (full[length] && full[length] != ' '))
            continue;
        if (found)
            printf("\n");
        vr_cli_print_help(&vr_cli_commands[i]);
        found = true;
    }
    if (!found)
        vr_error_set(error, &vr_cli_usage,
                     "There is no command '%s'; 'vireo help' lists them all.", name);
    return found;
}

/* ---- the command line ---- */

static int find_option(const char *name, size_t length, char letter)
{
    for (int i = 0; i < VR_CLI_OPTION_COUNT; i++)
        if (name ? strlen(vr_cli_options[i].name) == length &&
                       strncmp(vr_cli_options[i].name, name, length) == 0
                 : vr_cli_options[i].letter == letter)
            return i;
    return -1;
}

static void add_value(struct vr_cli *cli, int id, const char *value)
{
    if (!cli->values[id])
        cli->values[id] = g_ptr_array_new();
    g_ptr_array_add(cli->values[id], (void *)value);
}

/* Takes the option at argv[*at]; moves *at when the value is the next word. */
static bool take_option(struct vr_cli *cli, int argc, char **argv, int *at, struct vr_error **error)
{
    const char *word = argv[*at];
    const char *value = NULL;
    int id;
    if (word[1] == '-') {
        const char *equals = strchr(word, '=');
        id = find_option(word + 2, equals ? (size_t)(equals - word - 2) : strlen(word + 2), 0);
        value = equals ? equals + 1 : NULL;
    } else {
        id = find_option(NULL, 0, word[1]);
        value = word[2] ? word + 2 : NULL;
    }
    if (id < 0) {
        vr_error_set(error, &vr_cli_usage, "There is no option '%.40s'; 'vireo help' lists them.",
                     word);
        return false;
    }
    const struct vr_cli_option *option = &vr_cli_options[id];
    if (!option->value && value) {
        vr_error_set(error, &vr_cli_usage, "--%s takes no value.", option->name);
        return false;
    }
    if (option->value && !value && *at + 1 < argc)
        value = argv[++*at];
    if (option->value && !value) {
        vr_error_set(error, &vr_cli_usage, "--%s needs a value: %s.", option->name, option->value);
        return false;
    }
    add_value(cli, id, value ? value : "");
    return true;
}

static const struct vr_cli_command *find_command(GPtrArray *words, unsigned *ret_used)
{
    for (unsigned used = MIN(words->len, 2u); used > 0; used--) {
        g_autofree char *name =
            used == 2 ? g_strdup_printf("%s %s", (char *)words->pdata[0], (char *)words->pdata[1])
                      : g_strdup(words->pdata[0]);
        for (unsigned i = 0; i < vr_cli_command_count; i++)
            if (strcmp(vr_cli_commands[i].name, name) == 0) {
                *ret_used = used;
                return &vr_cli_commands[i];
            }
    }
    return NULL;
}

static bool check_line(struct vr_cli *cli, struct vr_error **error)
{
    const struct vr_cli_command *command = cli->command;
    if (cli->args->len < command->least || cli->args->len > command->most) {
        vr_error_set(error, &vr_cli_usage, "Usage: vireo %s%s%s", command->name,
                     command->args[0] ? " " : "", command->args);
        return false;
    }
    for (unsigned i = 0; i < VR_CLI_OPTION_COUNT; i++)
        if (cli->values[i] && !takes(command, &vr_cli_options[i])) {
            vr_error_set(error, &vr_cli_usage,
                         "'vireo %s' does not take --%s; 'vireo help %s' says what it takes.",
                         command->name, vr_cli_options[i].name, command->name);
            return false;
        }
    const char *output = vr_cli_value(cli, VR_CLI_OUTPUT);
    static const char *const formats[] = { "table", "json", "yaml", "name", NULL };
    if (output && !g_strv_contains(formats, output)) {
        vr_error_set(error, &vr_cli_usage, "--output is one of table, json, yaml, name.");
        return false;
    }
    uint64_t number;
    return vr_cli_number(cli, VR_CLI_MAX, 1, G_MAXINT32, 1, &number, error) &&
           vr_cli_number(cli, VR_CLI_TIMEOUT, 1, 86400, 1, &number, error);
}

bool vr_cli_parse(struct vr_cli *cli, int argc, char **argv, struct vr_error **error)
{
    *cli = (struct vr_cli){ .args = g_ptr_array_new() };
    bool plain = false; /* after "--" */
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        bool raw = plain || word[0] != '-' || !word[1] ||
                   (strcmp(word, "--table") == 0 && cli->args->len == 1);
        if (raw) {
            g_ptr_array_add(cli->args, argv[i]);
        } else if (strcmp(word, "--") == 0) {
            plain = true;
        } else if (!take_option(cli, argc, argv, &i, error)) {
            return false;
        }
    }
    if (cli->values[VR_CLI_VERSION] || !cli->args->len)
        return true;
    unsigned used = 0;
    cli->command = find_command(cli->args, &used);
    if (!cli->command && cli->values[VR_CLI_HELP])
        return true;
    if (!cli->command) {
        vr_error_set(error, &vr_cli_usage,
                     "There is no command '%.40s%s%.40s'; 'vireo help' lists them.",
                     (char *)cli->args->pdata[0], cli->args->len > 1 ? " " : "",
                     cli->args->len > 1 ? (char *)cli->args->pdata[1] : "");
        return false;
    }
    g_ptr_array_remove_range(cli->args, 0, used);
    return cli->values[VR_CLI_HELP] || check_line(cli, error);
}

void vr_cli_done(struct vr_cli *cli)
{
    for (unsigned i = 0; i < VR_CLI_OPTION_COUNT; i++)
        if (cli->values[i])
            g_ptr_array_unref(cli->values[i]);
    if (cli->args)
        g_ptr_array_unref(cli->args);
}

const char *vr_cli_value(const struct vr_cli *cli, enum vr_cli_option_id id)
{
    const GPtrArray *values = cli->values[id];
    return values ? values->pdata[values->len - 1] : NULL;
}

const char *vr_cli_arg(const struct vr_cli *cli, unsigned index)
{
    return index < cli->args->len ? cli->args->pdata[index] : NULL;
}

bool vr_cli_number(const struct vr_cli *cli, enum vr_cli_option_id id, uint64_t least,
                   uint64_t most, uint64_t fallback, uint64_t *ret, struct vr_error **error)
{
    const char *text = vr_cli_value(cli, id);
    if (!text) {
        *ret = fallback;
        return true;
    }
    guint64 number = 0;
    if (!g_ascii_string_to_unsigned(text, 10, least, most, &number, NULL)) {
        vr_error_set(error, &vr_cli_usage,
                     "--%s is a number of %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT ".",
                     vr_cli_options[id].name, least, most);
        return false;
    }
    *ret = number;
    return true;
}

bool vr_cli_size(const char *text, uint64_t *ret, struct vr_error **error)
{
    static const char units[] = "KMGTP";
    char *end = NULL;
    errno = 0;
    guint64 number = g_ascii_isdigit(text[0]) ? g_ascii_strtoull(text, &end, 10) : 0;
    bool good = end && errno == 0;
    unsigned shift = 0;
    const char *unit = good && *end ? strchr(units, g_ascii_toupper(*end)) : NULL;
    if (unit) {
        shift = 10 * (unsigned)(unit - units + 1);
        end++;
        if (g_ascii_strcasecmp(end, "iB") == 0 || g_ascii_strcasecmp(end, "B") == 0)
            end = (char *)"";
    }
    if (!good || *end || !number || number > ((guint64)G_MAXINT64 >> shift)) {
        vr_error_set(error, &vr_cli_usage, "'%.40s' is no size; write it as in 512M or 2G.", text);
        return false;
    }
    *ret = number << shift;
    return true;
}
