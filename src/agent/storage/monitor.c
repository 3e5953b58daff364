/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/storage/storage_private.h"

#include "net/loop.h"

/*
 * One thread a domain asks its vireo-iod for a check at each interval
 * (facts/storage-format.md 17).  A check without an answer leaves lastCheck
 * growing; the second in a row gives the process up.
 */

/* A check's deadline; three intervals, but never so long that the Manager notices it first: it
 * reacts to a lastCheck above 30 s. */
#define CHECK_MAX_MS 25000

/* Stands by itself: the storage may be gone when it is delivered. */
struct change {
    void (*changed)(const char *sd, bool valid, void *arg);
    void *arg;
    char sd[37];
    bool valid;
};

static void deliver(void *data)
{
    struct change *change = data;
    change->changed(change->sd, change->valid, change->arg);
    g_free(change);
}

/* Lock held. */
static void set_valid(struct vr_st_monitor *m, bool valid, int code, const char *why)
{
    struct vr_storage *s = m->storage;
    bool changed = m->actual ? m->valid != valid : true;
    if (changed && !valid)
        vr_log_warning("Domain %s has a problem, code %d: %s", m->sd, code, why);
    else if (changed)
        vr_log_info("Domain %s is reachable.", m->sd);
    m->valid = valid;
    m->code = code;
    m->actual = true;
    if (changed && s->o.domain_changed) {
        struct change *change = g_new0(struct change, 1);
        change->changed = s->o.domain_changed;
        change->arg = s->o.arg;
        g_strlcpy(change->sd, m->sd, sizeof(change->sd));
        change->valid = valid;
        vr_loop_post(s->o.loop, deliver, change);
    }
}

/* Lock held. */
static void take_result(struct vr_st_monitor *m, json_object *result)
{
    m->delay = (double)g_ascii_strtoll(vr_st_member(result, "delay_us"), NULL, 10) / 1e6;
    m->version = (int)g_ascii_strtoll(vr_st_member(result, "version"), NULL, 10);
    m->total = g_ascii_strtoull(vr_st_member(result, "disktotal"), NULL, 10);
    m->free = g_ascii_strtoull(vr_st_member(result, "diskfree"), NULL, 10);
    m->last = g_get_monotonic_time();
    set_valid(m, true, 0, "");
}

/* One check; returns whether an answer came. */
static bool check(struct vr_st_monitor *m)
{
    struct vr_storage *s = m->storage;
    vr_auto_domain struct vr_st_domain domain = { 0 };
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_st_request how = { .deadline_ms = MIN(s->o.monitor_ms * 3, CHECK_MAX_MS),
                                       .even_when_hung = true };
    bool found = vr_st_find(s, m->sd, &domain, &error);
    gint64 asked = g_get_monotonic_time();
    json_object *result = found ? vr_st_ask(s, domain.connection, "domain_check",
                                            vr_st_args(&domain, NULL), &how, &error)
                                : NULL;
    bool hung =
        found && !result && g_get_monotonic_time() - asked >= (gint64)how.deadline_ms * 1000;
    if (found && !hung)
        g_atomic_int_set(&domain.connection->hung, 0);
    else if (found && !g_atomic_int_get(&domain.connection->hung))
        g_atomic_int_set(&domain.connection->hung, 1);
    else if (found)
        vr_helper_abandon(domain.connection->helper);
    g_mutex_lock(&s->lock);
    if (result) {
        take_result(m, result);
    } else {
        if (!hung)
            m->last = g_get_monotonic_time();
        g_autofree char *why = vr_error_text(error);
        set_valid(m, false, hung ? vr_storage_fault_read_failed.rpc : error->fault->rpc, why);
    }
    g_mutex_unlock(&s->lock);
    json_object_put(result);
    return !hung;
}

static gpointer watch(gpointer data)
{
    struct vr_st_monitor *m = data;
    struct vr_storage *s = m->storage;
    g_mutex_lock(&s->lock);
    while (!m->stop) {
        gint64 next = g_get_monotonic_time() + (gint64)s->o.monitor_ms * 1000;
        g_mutex_unlock(&s->lock);
        (void)check(m);
        g_mutex_lock(&s->lock);
        while (!m->stop && g_cond_wait_until(&s->changed, &s->lock, next))
            ;
    }
    g_mutex_unlock(&s->lock);
    return NULL;
}

void vr_st_monitor_start(struct vr_storage *s, const char *sd)
{
    g_mutex_lock(&s->lock);
    if (!s->closing && !g_hash_table_contains(s->monitors, sd)) {
        struct vr_st_monitor *m = g_new0(struct vr_st_monitor, 1);
        m->storage = s;
        g_strlcpy(m->sd, sd, sizeof(m->sd));
        m->last = g_get_monotonic_time();
        m->version = -1;
        g_hash_table_insert(s->monitors, m->sd, m);
        m->thread = g_thread_new("monitor", watch, m);
    }
    g_mutex_unlock(&s->lock);
}

void vr_st_monitor_stop(struct vr_storage *s, const char *sd)
{
    g_autoptr(GPtrArray) gone = g_ptr_array_new_with_free_func(g_free);
    GHashTableIter iter;
    gpointer value;
    g_mutex_lock(&s->lock);
    g_hash_table_iter_init(&iter, s->monitors);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        struct vr_st_monitor *m = value;
        if (sd && strcmp(m->sd, sd) != 0)
            continue;
        m->stop = true;
        g_hash_table_iter_remove(&iter);
        g_ptr_array_add(gone, m);
    }
    g_cond_broadcast(&s->changed);
    g_mutex_unlock(&s->lock);
    for (unsigned i = 0; i < gone->len; i++)
        g_thread_join(((struct vr_st_monitor *)gone->pdata[i])->thread);
}

/* Lock held. */
static struct vr_rpc_storage_domain_vitals *vitals_of(struct vr_storage *s,
                                                      const struct vr_st_monitor *m)
{
    struct vr_rpc_storage_domain_vitals *v = VR_NEW(rpc_storage_domain_vitals);
    double since = (double)(g_get_monotonic_time() - m->last) / G_USEC_PER_SEC;
    char number[G_ASCII_DTOSTR_BUF_SIZE];
    VR_SET(v, code, m->code);
    VR_SET(v, valid, m->valid);
    VR_SET(v, actual, m->actual);
    VR_SET(v, version, m->version);
    VR_SET(v, acquired, s->o.lease->holds_host_id(m->sd));
    VR_SET_STRING(v, last_check, g_ascii_formatd(number, sizeof(number), "%.1f", since));
    VR_SET_STRING(v, delay, g_ascii_formatd(number, sizeof(number), "%.6f", m->delay));
    return v;
}

void vr_storage_vitals(struct vr_storage *s, struct vr_map *map)
{
    GHashTableIter iter;
    gpointer value;
    g_mutex_lock(&s->lock);
    g_hash_table_iter_init(&iter, s->monitors);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const struct vr_st_monitor *m = value;
        vr_map_set(map, m->sd, vitals_of(s, m));
    }
    g_mutex_unlock(&s->lock);
}

char *vr_st_host_get_storage_repo_stats(struct vr_storage *s, const void *params,
                                        struct vr_error **error VR_UNUSED)
{
    const struct vr_rpc_host_get_storage_repo_stats_params *p = params;
    json_object *all = json_object_new_object();
    GHashTableIter iter;
    gpointer value;
    g_mutex_lock(&s->lock);
    g_hash_table_iter_init(&iter, s->monitors);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const struct vr_st_monitor *m = value;
        bool wanted = p->domains.len == 0;
        for (unsigned i = 0; i < p->domains.len; i++)
            wanted = wanted || g_strcmp0(p->domains.items[i], m->sd) == 0;
        if (!wanted)
            continue;
        vr_auto struct vr_rpc_storage_domain_vitals *v = vitals_of(s, m);
        json_object *o = json_object_new_object();
        json_object_object_add(o, "code", json_object_new_int64(v->code));
        json_object_object_add(o, "valid", json_object_new_boolean(v->valid));
        json_object_object_add(o, "actual", json_object_new_boolean(v->actual));
        json_object_object_add(o, "version", json_object_new_int64(v->version));
        json_object_object_add(o, "acquired", json_object_new_boolean(v->acquired));
        json_object_object_add(o, "lastCheck", json_object_new_string(v->last_check));
        json_object_object_add(o, "delay", json_object_new_string(v->delay));
        json_object_object_add(all, m->sd, o);
    }
    g_mutex_unlock(&s->lock);
    char *text = g_strdup(json_object_to_json_string(all));
    json_object_put(all);
    return text;
}
