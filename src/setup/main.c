/* SPDX-License-Identifier: Apache-2.0 */

/*
 * vireo-setup: makes what the Manager and this machine's agent need before
 * their first start.
 *
 *   vireo-setup init --state DIR --host-name NAME...
 *   vireo-setup enrol-host --state DIR --name NAME --out DIR
 */

#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"
#include "setup/layout.h"

static char *state, *name, *out;
static char **host_names, **addresses, **manager_set, **agent_set;
static gboolean no_database;

static GOptionEntry entries[] = {
    { "state", 's', 0, G_OPTION_ARG_FILENAME, &state, "The state folder", "DIR" },
    { "host-name", 'H', 0, G_OPTION_ARG_STRING_ARRAY, &host_names,
      "init: a name or address of the Manager; the first is its main name", "NAME" },
    { "manager", 0, 0, G_OPTION_ARG_STRING_ARRAY, &manager_set,
      "init: a setting of manager.conf", "SECTION.KEY=VALUE" },
    { "agent", 0, 0, G_OPTION_ARG_STRING_ARRAY, &agent_set, "init: a setting of agent.conf",
      "SECTION.KEY=VALUE" },
    { "no-database", 0, 0, G_OPTION_ARG_NONE, &no_database,
      "init: leave the embedded database alone", NULL },
    { "name", 'n', 0, G_OPTION_ARG_STRING, &name, "enrol-host: the host's name", "NAME" },
    { "address", 'a', 0, G_OPTION_ARG_STRING_ARRAY, &addresses,
      "enrol-host: another name or address of the host", "NAME" },
    { "out", 'o', 0, G_OPTION_ARG_FILENAME, &out, "enrol-host: the folder for key and certificate",
      "DIR" },
    { 0 },
};

static int usage(const char *why)
{
    fprintf(stderr, "vireo-setup: %s; see vireo-setup --help\n", why);
    return 2;
}

static char *absolute(const char *path)
{
    return g_canonicalize_filename(path, NULL);
}

static int init(void)
{
    if (!state || !host_names)
        return usage("init needs --state and --host-name");
    g_autofree char *path = absolute(state);
    const struct vr_layout_options options = {
        .state = path,
        .host_names = (const char *const *)host_names,
        .manager_set = (const char *const *)manager_set,
        .agent_set = (const char *const *)agent_set,
        .database = !no_database,
    };
    vr_auto_error struct vr_error *error = NULL;
    if (vr_layout_init(&options, &error))
        return 0;
    g_autofree char *text = vr_error_text(error);
    fprintf(stderr, "vireo-setup: %s\n", text);
    return error->fault->exit;
}

static int enrol_host(void)
{
    if (!state || !name || !out)
        return usage("enrol-host needs --state, --name and --out");
    g_autofree char *path = absolute(state);
    g_autofree char *folder = absolute(out);
    vr_auto_error struct vr_error *error = NULL;
    if (vr_layout_enrol_host(path, name, (const char *const *)addresses, folder, 0, &error))
        return 0;
    g_autofree char *text = vr_error_text(error);
    fprintf(stderr, "vireo-setup: %s\n", text);
    return error->fault->exit;
}

int main(int argc, char **argv)
{
    g_autoptr(GOptionContext) context = g_option_context_new("init | enrol-host");
    g_autoptr(GError) error = NULL;
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error))
        return usage(error->message);
    if (argc != 2)
        return usage("one command is needed");
    if (g_str_equal(argv[1], "init"))
        return init();
    if (g_str_equal(argv[1], "enrol-host"))
        return enrol_host();
    return usage("unknown command");
}
