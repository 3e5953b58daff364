/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/deploy/internal.h"

/*
 * Passwords of hosts that are being installed: in memory, by job, until the
 * job has used them or ends.  A Manager that is killed forgets them.
 */
struct deploy {
    struct vr_engine *engine;
    GHashTable *passwords; /* job id -> text, wiped when it goes */
};

static void wipe(gpointer data)
{
    char *password = data;
    explicit_bzero(password, strlen(password));
    g_free(password);
}

static GHashTable *table(struct vr_engine *engine) VR_REQUIRES(vr_role_engine)
{
    struct deploy *deploy = vr_engine_module(engine, &vr_deploy_module);
    return deploy ? deploy->passwords : NULL;
}

const char *deploy_password(struct vr_engine *engine, const char *job_id)
{
    GHashTable *passwords = table(engine);
    return passwords ? g_hash_table_lookup(passwords, job_id) : NULL;
}

void deploy_keep_password(struct vr_engine *engine, const char *job_id, const char *password)
{
    g_hash_table_insert(table(engine), g_strdup(job_id), g_strdup(password));
}

void deploy_drop_password(struct vr_engine *engine, const char *job_id)
{
    GHashTable *passwords = table(engine);
    if (passwords)
        g_hash_table_remove(passwords, job_id);
}

static void *start(struct vr_engine *engine)
{
    struct deploy *deploy = g_new0(struct deploy, 1);
    deploy->engine = engine;
    deploy->passwords = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, wipe);
    return deploy;
}

static void stop(void *state)
{
    struct deploy *deploy = state;
    g_hash_table_destroy(deploy->passwords);
    g_free(deploy);
}

static void begin(void *state) VR_REQUIRES(vr_role_engine);
static void begin(void *state)
{
    deploy_watch_expiry(((struct deploy *)state)->engine);
}

const struct vr_module vr_deploy_module = {
    .name = "deploy", .start = start, .begin = begin, .stop = stop
};
