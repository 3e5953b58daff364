/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "store"
#include "codec/codec.h"
#include "manager/store/internal.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void change_clear(gpointer data)
{
    struct vr_change *change = data;
    g_free(change->id);
    vr_unref(change->after);
}

static GArray *changes_new(void)
{
    GArray *changes = g_array_new(FALSE, FALSE, sizeof(struct vr_change));
    g_array_set_clear_func(changes, change_clear);
    return changes;
}

struct vr_store *vr_store_open(const char *conninfo, const struct vr_store_ops *ops, void *arg,
                               struct vr_error **error)
{
    struct vr_store *store = g_new0(struct vr_store, 1);
    store->conninfo = g_strdup(conninfo);
    store->ops = ops;
    store->arg = arg;
    vr_mutex_init(&store->lock);
    vr_mutex_lock(&store->lock);
    store->up = true;
    store->since = g_get_monotonic_time() / 1000;
    vr_mutex_unlock(&store->lock);
    store->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (store->wake < 0)
        g_error("store: eventfd: %s", g_strerror(errno));
    if (!store_connect(store, true, error)) {
        vr_store_free(store);
        return NULL;
    }
    return store;
}

/* --- load --- */

struct loading {
    GArray *changes;
    struct vr_error **error;
};

static void read_rows(unsigned kind, PGresult *result, void *arg)
{
    struct loading *loading = arg;
    int rows = PQntuples(result);
    for (int i = 0; i < rows && !*loading->error; i++) {
        const char *id = PQgetvalue(result, i, 0);
        void *object =
            vr_json_read(vr_kinds[kind].type, PQgetvalue(result, i, 2),
                         (size_t)PQgetlength(result, i, 2), VR_JSON_STORE, &vr_codec_caps_host,
                         loading->error);
        if (!object || g_strcmp0(vr_id(object), id) != 0) {
            if (object && !*loading->error)
                vr_error_set(loading->error, &vr_fault_internal, "The document has another id.");
            vr_error_prefix(loading->error, "%s %s in the database", vr_kinds[kind].name, id);
            vr_unref(object);
            return;
        }
        vr_share_parts(object, NULL);
        const struct vr_change change = {
            (int)kind, g_strdup(id), object, g_ascii_strtoll(PQgetvalue(result, i, 1), NULL, 10)
        };
        g_array_append_val(loading->changes, change);
    }
}

GArray *vr_store_load(struct vr_store *store, struct vr_error **error)
{
    g_assert(!store->thread);
    struct loading loading = { changes_new(), error };
    bool good = PQenterPipelineMode(store->conn) == 1;
    for (unsigned kind = 0; good && kind < VR_KIND_COUNT; kind++) {
        g_autofree char *sql =
            g_strdup_printf("select id, rev, doc from \"%s\" order by id", vr_kinds[kind].name);
        good = pipeline_send(store, &(struct statement){ .sql = sql });
    }
    good = good && pipeline_finish(store, read_rows, &loading) == OUTCOME_OK &&
           PQexitPipelineMode(store->conn);
    if (!good && !*error)
        vr_error_set(error, &vr_fault_database_unavailable, "%s", PQerrorMessage(store->conn));
    if (*error)
        g_clear_pointer(&loading.changes, g_array_unref);
    return loading.changes;
}

/* --- life --- */

void vr_store_start(struct vr_store *store)
{
    store->thread = g_thread_new("store", store_thread, store);
}

static void wake(struct vr_store *store)
{
    const uint64_t one = 1;
    if (write(store->wake, &one, sizeof(one)) < 0 && errno != EAGAIN)
        g_error("store: eventfd: %s", g_strerror(errno));
}

void vr_store_commit(struct vr_store *store, const struct vr_change_set *set)
{
    struct queued *queued = g_new0(struct queued, 1);
    queued->sequence = set->sequence;
    queued->changes = changes_new();
    for (unsigned i = 0; i < set->count; i++) {
        const struct vr_change *from = &set->changes[i];
        const struct vr_change change = { from->kind, g_strdup(from->id), vr_ref(from->after),
                                          from->rev };
        g_array_append_val(queued->changes, change);
    }
    vr_mutex_lock(&store->lock);
    bool first = g_queue_is_empty(&store->queue);
    g_queue_push_tail(&store->queue, queued);
    vr_mutex_unlock(&store->lock);
    if (first) /* else the thread looks at the queue again before it waits */
        wake(store);
}

bool vr_store_up(struct vr_store *store, int64_t *ret_since)
{
    vr_mutex_lock(&store->lock);
    bool up = store->up;
    if (ret_since)
        *ret_since = store->since;
    vr_mutex_unlock(&store->lock);
    return up;
}

const char *vr_store_instance_id(const struct vr_store *store)
{
    return store->instance_id;
}

void vr_store_free(struct vr_store *store)
{
    if (!store)
        return;
    vr_mutex_lock(&store->lock);
    store->stop = true;
    vr_mutex_unlock(&store->lock);
    if (store->thread) {
        wake(store);
        g_thread_join(store->thread);
    }
    store_disconnect(store);
    vr_mutex_lock(&store->lock);
    g_queue_clear_full(&store->queue, queued_free);
    vr_mutex_unlock(&store->lock);
    vr_mutex_done(&store->lock);
    close(store->wake);
    g_free(store->conninfo);
    g_free(store->instance_id);
    g_free(store->run_id);
    g_free(store);
}
