/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/enroll/register.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/devices/devices.h"
#include "agent/enroll/http.h"
#include "agent/enroll/identity.h"

#define SERVICE "/ovirt-engine/services/host-register?version=1&command="
#define KEYS_MAX (1 << 20)

static const struct vr_fault fault_register = {
    .name = "register", .http = 500, .exit = 1, .text = "The host is not registered."
};

/* "https://NAME:PORT" of whatever a person writes.  Owned. */
static char *base_url(const char *manager, struct vr_error **error)
{
    const char *rest = g_str_has_prefix(manager, "https://") ? manager + 8 : manager;
    size_t length = strcspn(rest, "/");
    if (length == 0 || length > 255 || strpbrk(rest, " \t\r\n\"'\\?#@")) {
        vr_error_set(error, &fault_register, "\"%s\" is no address of a Manager.", manager);
        return NULL;
    }
    return g_strdup_printf("https://%.*s", (int)length, rest);
}

static char *ask(const char *base, const char *authority, const char *command,
                 struct vr_error **error)
{
    g_autofree char *url = g_strconcat(base, SERVICE, command, NULL);
    const struct vr_enroll_http request = { .authority = authority, .url = url };
    return vr_enroll_http(&request, error);
}

/* The Manager's authority, which has the fingerprint that a person gave. */
static char *fetch_authority(const char *base, const char *fingerprint, struct vr_error **error)
{
    g_autofree char *pem = ask(base, NULL, "get-pki-trust", error);
    if (!pem)
        return NULL;
    g_autofree char *found = vr_identity_fingerprint(pem);
    if (!found) {
        vr_error_set(error, &fault_register, "%s shows no certificate authority.", base);
        return NULL;
    }
    if (!vr_identity_fingerprint_is(found, fingerprint)) {
        vr_error_set(error, &fault_register,
                     "The authority of %s has the fingerprint SHA256:%s and not the one that was "
                     "given: it is another Manager, or somebody in between.", base, found);
        return NULL;
    }
    return g_steal_pointer(&pem);
}

static bool is_key_line(const char *line)
{
    return (g_str_has_prefix(line, "ssh-") || g_str_has_prefix(line, "ecdsa-")) &&
           strlen(line) < 16384 && !strpbrk(line, "\r\n") && g_str_is_ascii(line);
}

/* Adds @line to root's authorized_keys unless it is there. */
static bool let_in(const char *line, struct vr_error **error)
{
    const struct passwd *root = getpwuid(0);
    g_autofree char *folder = g_build_filename(root ? root->pw_dir : "/root", ".ssh", NULL);
    g_autofree char *path = g_build_filename(folder, "authorized_keys", NULL);
    g_autofree char *text = NULL;
    gsize size = 0;
    g_autoptr(GError) failure = NULL;
    if (!is_key_line(line)) {
        vr_error_set(error, &fault_register, "The Manager shows no SSH key.");
        return false;
    }
    if (g_mkdir(folder, 0700) < 0 && errno != EEXIST) {
        vr_error_set(error, &fault_register, "Cannot make %s: %s.", folder, g_strerror(errno));
        return false;
    }
    if (g_file_get_contents(path, &text, &size, NULL) && size > KEYS_MAX) {
        vr_error_set(error, &fault_register, "%s is too long.", path);
        return false;
    }
    g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);
    if (g_strv_contains((const char *const *)lines, line))
        return true;
    bool ended = !text || !*text || g_str_has_suffix(text, "\n");
    g_autofree char *all = g_strconcat(text ? text : "", ended ? "" : "\n", line, "\n", NULL);
    if (g_file_set_contents_full(path, all, -1,
                                 G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600,
                                 &failure))
        return true;
    vr_error_set(error, &fault_register, "%s", failure->message);
    return false;
}

/* "SHA256:…" of the host's own SSH key that a Manager would be shown, or NULL.  Owned. */
static char *own_ssh_fingerprint(void)
{
    static const char *const files[] = { "/etc/ssh/ssh_host_ed25519_key.pub",
                                         "/etc/ssh/ssh_host_ecdsa_key.pub",
                                         "/etc/ssh/ssh_host_rsa_key.pub" };
    for (unsigned i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *line = NULL;
        gsize size = 0;
        if (!g_file_get_contents(files[i], &line, NULL, NULL))
            continue;
        g_auto(GStrv) words = g_strsplit(line, " ", 3);
        if (!words[0] || !words[1])
            continue;
        g_autofree guchar *blob = g_base64_decode(words[1], &size);
        guint8 digest[32];
        gsize length = sizeof(digest);
        GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA256);
        g_checksum_update(sum, blob, (gssize)size);
        g_checksum_get_digest(sum, digest, &length);
        g_checksum_free(sum);
        g_autofree char *base64 = g_base64_encode(digest, length);
        base64[strcspn(base64, "=")] = '\0';
        return g_strconcat("SHA256:", base64, NULL);
    }
    return NULL;
}

static void add_parameter(GString *query, const char *name, const char *value)
{
    if (!value)
        return;
    g_autofree char *escaped = vr_enroll_escape(value);
    g_string_append_printf(query, "&%s=%s", name, escaped);
}

static bool send_request(const struct vr_agent_config *config, const struct vr_register *how,
                         const char *base, const char *authority, struct vr_error **error)
{
    g_autoptr(GString) query = g_string_new("register");
    g_autofree char *uuid = vr_devices_uuid(config);
    g_autofree char *fingerprint = own_ssh_fingerprint();
    g_autofree char *port = g_strdup_printf("%u", config->port);
    g_autofree char *ssh_port = g_strdup_printf("%u", how->ssh_port);
    add_parameter(query, "uniqueId", uuid);
    add_parameter(query, "name", how->name ? how->name : g_get_host_name());
    add_parameter(query, "address", how->address);
    add_parameter(query, "vdsPort", port);
    add_parameter(query, "sshUser", "root");
    add_parameter(query, "sshPort", ssh_port);
    add_parameter(query, "sshKeyFingerprint", fingerprint);
    g_autofree char *answer = ask(base, authority, query->str, error);
    if (answer && g_str_has_prefix(answer, "OK"))
        return true;
    if (!*error)
        vr_error_set(error, &fault_register, "The Manager does not say OK.");
    return false;
}

static void say(const char *text)
{
    puts(text);
    fflush(stdout);
}

/* A host that registers with its Manager again still knows it. */
static bool set_manager(const struct vr_agent_config *config, const char *base,
                        struct vr_error **error)
{
    g_autofree char *before = vr_identity_manager(config);
    g_auto(GStrv) known_by = g_strcmp0(before, base) == 0 ? vr_identity_known_by(config) : NULL;
    return vr_identity_set_manager(config, base, (const char *const *)known_by, error);
}

bool vr_register(const struct vr_agent_config *config, const struct vr_register *how,
                 struct vr_error **error)
{
    g_autofree char *base = base_url(how->manager, error);
    g_autofree char *authority = base ? fetch_authority(base, how->fingerprint, error) : NULL;
    if (!authority)
        return false;
    say("The Manager is the one that was meant.");
    /* From here on nobody else is believed. */
    g_autofree char *version = ask(base, authority, "get-version", error);
    if (!version)
        return false;
    if (g_ascii_strtoll(version, NULL, 10) < 1) {
        vr_error_set(error, &fault_register, "The Manager speaks no version of the protocol.");
        return false;
    }
    g_autofree char *key = ask(base, authority, "get-ssh-trust", error);
    if (!key)
        return false;
    g_strchomp(key);
    if (!vr_identity_trust(config, authority, error) ||
        !set_manager(config, base, error) || !let_in(key, error))
        return false;
    say("Its authority and its SSH key are trusted.");
    if (!send_request(config, how, base, authority, error))
        return false;
    say("The host is registered; an administrator approves it.");
    return true;
}
