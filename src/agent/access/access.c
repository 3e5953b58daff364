/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "access"
#include "agent/access/access.h"

#include "agent/enroll/identity.h"
#include "base/mark.h"

/* A line a host and minute.  Names are the authority's, so that nobody makes up many of them; the
 * limit is for sites with more hosts than that, which forget who was told about. */
#define LOG_EVERY_US ((int64_t)60 * G_USEC_PER_SEC)
#define LOG_NAMES_MAX 256

struct told {
    int64_t at;      /* of the last line */
    unsigned silent; /* refusals since then */
};

struct vr_access {
    const struct vr_agent_config *config;
    char **known_by;
    GHashTable *told; /* common name -> struct told */
};

static void warn_if_open(const struct vr_access *access)
{
    if (access->config->certificate && !*access->known_by)
        vr_log_warning("Nothing is recorded about the Manager's certificate: every host of its "
                       "authority may command this one, until a Manager with the mark connects.");
}

struct vr_access *vr_access_new(const struct vr_agent_config *config)
{
    struct vr_access *access = g_new0(struct vr_access, 1);
    access->config = config;
    access->known_by = vr_identity_known_by(config);
    access->told = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    warn_if_open(access);
    return access;
}

void vr_access_free(struct vr_access *access)
{
    if (!access)
        return;
    g_strfreev(access->known_by);
    g_hash_table_destroy(access->told);
    g_free(access);
}

void vr_access_reload(struct vr_access *access)
{
    g_strfreev(access->known_by);
    access->known_by = vr_identity_known_by(access->config);
    warn_if_open(access);
}

/* The mark never goes away again: the authority's owner alone makes it, and every Manager since then
 * has it.  A record that cannot be written counts until the agent ends. */
static void record_mark(struct vr_access *access)
{
    static const char *const mark[] = { "OU=" VR_MANAGER_UNIT, NULL };
    vr_auto_error struct vr_error *error = NULL;
    g_strfreev(access->known_by);
    access->known_by = g_strdupv((char **)mark);
    vr_log_info("The Manager is known by the mark in its certificate from now on; other hosts may "
                "command this one no more.");
    if (vr_identity_set_known_by(access->config, mark, &error))
        return;
    g_autofree char *text = vr_error_text(error);
    vr_log_warning("What the Manager is known by was not recorded: %s", text);
}

bool vr_access_is_visitor(struct vr_access *access, const struct vr_tls_peer *peer)
{
    enum vr_peer_role role = vr_access_role((const char *const *)access->known_by, peer);
    if (role == VR_PEER_MANAGER && !*access->known_by)
        record_mark(access);
    return role == VR_PEER_HOST;
}

bool vr_access_tell(struct vr_access *access, const struct vr_verb *verb,
                    const struct vr_tls_peer *peer, const char *address, int64_t now)
{
    const char *name = peer->name ? peer->name : "";
    struct told *told = g_hash_table_lookup(access->told, name);
    if (told && now - told->at < LOG_EVERY_US) {
        told->silent++;
        return false;
    }
    if (!told) {
        if (g_hash_table_size(access->told) >= LOG_NAMES_MAX)
            g_hash_table_remove_all(access->told);
        told = g_new0(struct told, 1);
        g_hash_table_insert(access->told, g_strdup(name), told);
    }
    g_autofree char *more = told->silent ? g_strdup_printf(", and %u times more since the last line",
                                                           told->silent)
                                         : NULL;
    vr_log_warning("Host %s (%s) was refused %s, which is the Manager's to order%s.", name, address,
                   verb->name, more ? more : "");
    *told = (struct told){ now, 0 };
    return true;
}
