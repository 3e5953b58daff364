/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/lease/lease.h"

/* What a lone host remembers of a domain; a restart forgets it, as it ends the SPM role. */
struct held {
    int host_id; /* 0: none */
    bool spm;
    int64_t version;
};

static GMutex lock;
static GHashTable *domains;

/* Lock held. */
static struct held *find(const char *sd)
{
    if (!domains)
        domains = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    struct held *held = g_hash_table_lookup(domains, sd);
    if (!held) {
        held = g_new0(struct held, 1);
        g_hash_table_insert(domains, g_strdup(sd), held);
    }
    return held;
}

static bool acquire_host_id(const char *sd, const char *domain_dir VR_UNUSED, int host_id,
                            struct vr_error **error VR_UNUSED)
{
    g_mutex_lock(&lock);
    find(sd)->host_id = host_id;
    g_mutex_unlock(&lock);
    return true;
}

static void release_host_id(const char *sd)
{
    g_mutex_lock(&lock);
    find(sd)->host_id = 0;
    g_mutex_unlock(&lock);
}

static bool holds_host_id(const char *sd)
{
    g_mutex_lock(&lock);
    bool holds = find(sd)->host_id > 0;
    g_mutex_unlock(&lock);
    return holds;
}

static bool acquire_spm(const char *sd, const char *domain_dir VR_UNUSED, int host_id,
                        struct vr_error **error VR_UNUSED)
{
    g_mutex_lock(&lock);
    struct held *held = find(sd);
    if (!held->spm)
        held->version++;
    held->spm = true;
    held->host_id = host_id;
    g_mutex_unlock(&lock);
    return true;
}

static void release_spm(const char *sd)
{
    g_mutex_lock(&lock);
    find(sd)->spm = false;
    g_mutex_unlock(&lock);
}

static bool inquire_spm(const char *sd, const char *domain_dir VR_UNUSED, struct vr_lease_spm *spm,
                        struct vr_error **error VR_UNUSED)
{
    g_mutex_lock(&lock);
    const struct held *held = find(sd);
    *spm = (struct vr_lease_spm){ held->spm, held->spm ? held->host_id : -1,
                                  held->spm ? held->version : -1 };
    g_mutex_unlock(&lock);
    return true;
}

const struct vr_lease_driver vr_lease_single = {
    "single",    acquire_host_id, release_host_id, holds_host_id,
    acquire_spm, release_spm,     inquire_spm,
};
