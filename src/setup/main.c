/* SPDX-License-Identifier: Apache-2.0 */

/*
 * vireo-setup: makes what the Manager and this machine's agent need before
 * their first start.
 *
 *   vireo-setup init --state DIR [--host-name NAME...]
 *   vireo-setup init --state DIR --manager-alone --config FILE      (vireo-manager.service)
 *   vireo-setup enrol-host --state DIR --name NAME --out DIR
 */

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "setup/layout.h"

static char *state, *name, *out, *config;
static char **host_names, **addresses, **manager_set, **agent_set;
static gboolean no_database, manager_alone;

static GOptionEntry entries[] = {
    { "state", 's', 0, G_OPTION_ARG_FILENAME, &state, "The state folder", "DIR" },
    { "host-name", 'H', 0, G_OPTION_ARG_STRING_ARRAY, &host_names,
      "init: a name or address of the Manager; the first is its main name; this machine's own "
      "ones when absent",
      "NAME" },
    { "config", 'c', 0, G_OPTION_ARG_FILENAME, &config,
      "init: a manager.conf whose https.host-names are names of the Manager too", "FILE" },
    { "manager-alone", 0, 0, G_OPTION_ARG_NONE, &manager_alone,
      "init: no configuration files, and nothing for an agent on this machine", NULL },
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

/* Once each, in their order. */
static void add_name(GPtrArray *names, const char *text)
{
    g_autofree char *plain = g_strstrip(g_strdup(text));
    if (*plain && !g_ptr_array_find_with_equal_func(names, plain, g_str_equal, NULL))
        g_ptr_array_add(names, g_steal_pointer(&plain));
}

/* The full name first, when the resolver knows one. */
static void add_own_names(GPtrArray *names)
{
    const char *host = g_get_host_name();
    const struct addrinfo hints = { .ai_flags = AI_CANONNAME, .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;
    if (getaddrinfo(host, NULL, &hints, &found) == 0) {
        if (found->ai_canonname && strchr(found->ai_canonname, '.'))
            add_name(names, found->ai_canonname);
        freeaddrinfo(found);
    }
    add_name(names, host);
}

static bool add_configured_names(GPtrArray *names)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autoptr(GError) error = NULL;
    if (!g_key_file_load_from_file(file, config, G_KEY_FILE_NONE, &error)) {
        fprintf(stderr, "vireo-setup: %s: %s\n", config, error->message);
        return false;
    }
    g_auto(GStrv) list = g_key_file_get_string_list(file, "https", "host-names", NULL, NULL);
    for (char **entry = list; entry && *entry; entry++)
        add_name(names, *entry);
    return true;
}

static int init(void)
{
    if (!state)
        return usage("init needs --state");
    g_autofree char *path = absolute(state);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    for (char **entry = host_names; entry && *entry; entry++)
        add_name(names, *entry);
    if (config && !add_configured_names(names))
        return 2;
    if (!host_names)
        add_own_names(names);
    g_ptr_array_add(names, NULL);
    const struct vr_layout_options options = {
        .state = path,
        .host_names = (const char *const *)names->pdata,
        .manager_alone = manager_alone,
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
