/* SPDX-License-Identifier: Apache-2.0 */

/*
 * vireo-enroll: how a host gets and keeps its certificate.  vireo-agentd runs
 * it for its commands `enroll` and `register` and once a day; a process of its
 * own, because it needs libraries that the agent does without.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/enroll/http.h"
#include "agent/enroll/identity.h"
#include "agent/enroll/register.h"

#define DEFAULT_CONFIG "/etc/vireo/agent.conf"
#define RENEW_PATH "/ovirt-engine/services/host-renew"

static char *config_path, *manager, *fingerprint, *name, *address;
static char **known_by;
static gboolean new_key, force;
static int port, ssh_port = 22;

static const GOptionEntry entries[] = {
    { "config", 'c', 0, G_OPTION_ARG_FILENAME, &config_path,
      "the agent's configuration (" DEFAULT_CONFIG ")", "FILE" },
    { "manager", 'm', 0, G_OPTION_ARG_STRING, &manager,
      "register, accept: name or address of the Manager, with its port if that is not 443",
      "ADDRESS" },
    { "known-by", 0, 0, G_OPTION_ARG_STRING_ARRAY, &known_by,
      "accept: what the Manager's certificate towards hosts is known by", "OU=…|CN=…" },
    { "fingerprint", 'f', 0, G_OPTION_ARG_STRING, &fingerprint,
      "register: SHA-256 of the certificate of the Manager's authority", "SHA256:…" },
    { "name", 'n', 0, G_OPTION_ARG_STRING, &name, "register: what the host is to be called",
      "NAME" },
    { "address", 'a', 0, G_OPTION_ARG_STRING, &address,
      "register: where the Manager reaches this host", "ADDRESS" },
    { "ssh-port", 0, 0, G_OPTION_ARG_INT, &ssh_port, "register: where sshd listens (22)", "PORT" },
    { "port", 0, 0, G_OPTION_ARG_INT, &port, "accept: where the agent is to listen", "PORT" },
    { "new-key", 0, 0, G_OPTION_ARG_NONE, &new_key, "request: of a new key", NULL },
    { "force", 0, 0, G_OPTION_ARG_NONE, &force, "renew: also a certificate that is still good",
      NULL },
    G_OPTION_ENTRY_NULL,
};

static bool usage_error(struct vr_error **error, const char *why)
{
    vr_error_set(error, &vr_fault_bad_request, "%s", why);
    return false;
}

/* --- the commands --- */

static bool do_request(const struct vr_agent_config *config, struct vr_error **error)
{
    g_autofree char *request = vr_identity_request(config, new_key, error);
    if (!request)
        return false;
    fputs(request, stdout);
    return fflush(stdout) == 0;
}

static char *read_stdin(struct vr_error **error)
{
    GString *text = g_string_new(NULL);
    char buffer[4096];
    ssize_t got;
    while ((got = read(0, buffer, sizeof(buffer))) > 0 && text->len <= VR_IDENTITY_INPUT_MAX)
        g_string_append_len(text, buffer, got);
    if (got < 0 || text->len > VR_IDENTITY_INPUT_MAX)
        vr_error_set(error, &vr_fault_bad_request, "The certificate on stdin is too long.");
    return g_string_free(text, FALSE);
}

/* An administrator's file: only the port changes in it, and only when it has to. */
static bool set_port(const char *path, const struct vr_agent_config *config,
                     struct vr_error **error)
{
    if (port == 0 || (unsigned)port == config->port)
        return true;
    if (port < 1 || port > 65535)
        return usage_error(error, "A port is a number from 1 to 65535.");
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autoptr(GError) failure = NULL;
    g_key_file_load_from_file(file, path,
                              G_KEY_FILE_KEEP_COMMENTS | G_KEY_FILE_KEEP_TRANSLATIONS, NULL);
    g_key_file_set_integer(file, "agent", "port", port);
    if (g_key_file_save_to_file(file, path, &failure))
        return true;
    vr_error_set(error, &vr_fault_system, "%s", failure->message);
    return false;
}

static bool do_accept(const struct vr_agent_config *config, struct vr_error **error)
{
    const char *const *known = (const char *const *)known_by;
    if (known && (!manager || !vr_agent_known_by_fits(known)))
        return usage_error(error, "--known-by is OU=unit or CN=name and goes with --manager.");
    g_autofree char *pem = read_stdin(error);
    return !*error && vr_identity_accept(config, pem, error) &&
           (!manager || vr_identity_set_manager(config, manager, known, error)) &&
           set_port(config_path ? config_path : DEFAULT_CONFIG, config, error);
}

/* The Manager knows the key, whatever became of the certificate.  Says "renewed" when it did. */
static bool do_renew(const struct vr_agent_config *config, struct vr_error **error)
{
    bool due = false;
    g_autofree char *authority = NULL;
    if (!vr_identity_is_due(config, &due, error))
        return false;
    if (!due && !force)
        return true;
    g_autofree char *base = vr_identity_manager(config);
    if (!base)
        return usage_error(error, "The Manager's address is not known: the host was not enrolled "
                                  "by a Manager; it can be with vireo-agentd register.");
    if (!g_file_get_contents(config->ca, &authority, NULL, NULL))
        return usage_error(error, "The Manager's authority cannot be read.");
    g_autofree char *request = vr_identity_request(config, false, error);
    if (!request)
        return false;
    g_autofree char *url = g_strconcat(base, RENEW_PATH, NULL);
    const struct vr_enroll_http order = { .authority = authority, .url = url, .body = request };
    g_autofree char *pem = vr_enroll_http(&order, error);
    if (!pem || !vr_identity_accept(config, pem, error))
        return false;
    puts("renewed");
    return true;
}

static bool do_register(const struct vr_agent_config *config, struct vr_error **error)
{
    if (!manager || !fingerprint)
        return usage_error(error, "register needs --manager and --fingerprint.");
    if (ssh_port < 1 || ssh_port > 65535)
        return usage_error(error, "A port is a number from 1 to 65535.");
    if (geteuid() != 0)
        return usage_error(error, "register needs root.");
    const struct vr_register how = {
        .manager = manager,
        .fingerprint = fingerprint,
        .name = name,
        .address = address,
        .ssh_port = (unsigned)ssh_port,
    };
    return vr_register(config, &how, error);
}

static const struct {
    const char *name;
    bool (*run)(const struct vr_agent_config *config, struct vr_error **error);
} commands[] = {
    { "request", do_request },
    { "accept", do_accept },
    { "renew", do_renew },
    { "register", do_register },
};

static bool run(int argc, char **argv, struct vr_error **error)
{
    for (unsigned i = 0; argc == 2 && i < G_N_ELEMENTS(commands); i++) {
        if (strcmp(argv[1], commands[i].name) != 0)
            continue;
        const char *path = config_path ? config_path
                           : g_file_test(DEFAULT_CONFIG, G_FILE_TEST_EXISTS) ? DEFAULT_CONFIG
                                                                             : NULL;
        struct vr_agent_config *config = vr_agent_config_read(path, error);
        bool good = config && commands[i].run(config, error);
        vr_agent_config_free(config);
        return good;
    }
    return usage_error(error, "one command is needed: request, accept, renew or register.");
}

int main(int argc, char **argv)
{
    g_autoptr(GOptionContext) context = g_option_context_new("request|accept|renew|register");
    g_autoptr(GError) wrong = NULL;
    vr_auto_error struct vr_error *error = NULL;
    g_option_context_set_summary(
        context, "request   prints a certificate request of this host's key\n"
                 "accept    takes the certificate from stdin, followed by the Manager's authority\n"
                 "renew     has the Manager renew the certificate when that is due\n"
                 "register  asks a Manager to take this machine as a host");
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &wrong)) {
        fprintf(stderr, "vireo-agentd: %s\n", wrong->message);
        return 2;
    }
    if (run(argc, argv, &error))
        return 0;
    g_autofree char *text = vr_error_text(error);
    fprintf(stderr, "vireo-agentd: %s\n", text);
    return error->fault->exit;
}
