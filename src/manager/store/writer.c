/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "store"
#include "codec/codec.h"
#include "manager/store/internal.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

/* Changes of one transaction; a longer queue goes in several. */
#define GROUP_CHANGES 5000
/* Pauses between tries to reach the database: doubled from the first to the last. */
#define RETRY_FIRST_MS 50
#define RETRY_LAST_MS 2000

void queued_free(gpointer data)
{
    struct queued *queued = data;
    g_array_free(queued->changes, TRUE);
    g_free(queued);
}

/* --- one transaction --- */

static guint change_hash(gconstpointer p)
{
    const struct vr_change *change = p;
    return g_str_hash(change->id) * 31 + (guint)change->kind;
}

static gboolean change_equal(gconstpointer a, gconstpointer b)
{
    const struct vr_change *x = a, *y = b;
    return x->kind == y->kind && strcmp(x->id, y->id) == 0;
}

/* The last change of each entity in the group: a transaction shows nothing in between. */
static GHashTable *last_changes(GPtrArray *group)
{
    GHashTable *last = g_hash_table_new(change_hash, change_equal);
    for (unsigned i = 0; i < group->len; i++) {
        const struct queued *queued = group->pdata[i];
        for (unsigned k = 0; k < queued->changes->len; k++)
            g_hash_table_add(last, &g_array_index(queued->changes, struct vr_change, k));
    }
    return last;
}

static bool prepare(struct vr_store *store, int kind)
{
    if (store->prepared[kind])
        return true;
    const char *table = vr_kinds[kind].name;
    g_autofree char *put_name = g_strdup_printf("put_%d", kind);
    g_autofree char *put = g_strdup_printf(
        "insert into \"%s\" as t (id, rev, doc) values ($1, $2::bigint, $3::jsonb)"
        " on conflict (id) do update set rev = excluded.rev, doc = excluded.doc"
        " where t.rev < excluded.rev", table);
    g_autofree char *drop_name = g_strdup_printf("drop_%d", kind);
    g_autofree char *drop = g_strdup_printf("delete from \"%s\" where id = $1", table);
    store->prepared[kind] = PQsendPrepare(store->conn, put_name, put, 0, NULL) == 1 &&
                            PQsendPrepare(store->conn, drop_name, drop, 0, NULL) == 1;
    return store->prepared[kind];
}

static bool send_change(struct vr_store *store, const struct vr_change *change)
{
    if (!prepare(store, change->kind))
        return false;
    g_autofree char *name =
        g_strdup_printf("%s_%d", change->after ? "put" : "drop", change->kind);
    if (!change->after)
        return pipeline_send(store, &(struct statement){ name, NULL, 1, { change->id } });
    g_autofree char *rev = g_strdup_printf("%" G_GINT64_FORMAT, change->rev);
    g_autoptr(GString) doc = g_string_new(NULL);
    vr_json_write(doc, change->after, VR_JSON_STORE, NULL);
    return pipeline_send(store, &(struct statement){ name, NULL, 3, { change->id, rev, doc->str } });
}

static bool send_group(struct vr_store *store, GPtrArray *group)
{
    const struct queued *newest = group->pdata[group->len - 1];
    g_autofree char *sequence = g_strdup_printf("%" G_GUINT64_FORMAT, newest->sequence);
    g_autoptr(GHashTable) last = last_changes(group);
    if (!pipeline_send(store, &(struct statement){ .sql = "begin" }))
        return false;
    GHashTableIter iter;
    gpointer change;
    g_hash_table_iter_init(&iter, last);
    while (g_hash_table_iter_next(&iter, &change, NULL)) {
        if (!send_change(store, change))
            return false;
    }
    return pipeline_send(store, &(struct statement){
                                    .sql = "update vireo_meta set value = $1 where key = 'sequence'",
                                    .count = 1,
                                    .values = { sequence } }) &&
           pipeline_send(store, &(struct statement){ .sql = "commit" });
}

enum outcome store_write(struct vr_store *store, GPtrArray *group)
{
    if (!PQenterPipelineMode(store->conn) || !send_group(store, group))
        return OUTCOME_LOST;
    enum outcome outcome = pipeline_finish(store, NULL, NULL);
    if (outcome == OUTCOME_OK && !PQexitPipelineMode(store->conn))
        return OUTCOME_LOST;
    return outcome;
}

/* --- the queue --- */

/* The oldest change sets, enough for one transaction; they stay queued until they are durable. */
static GPtrArray *peek_group(struct vr_store *store)
{
    GPtrArray *group = g_ptr_array_new();
    unsigned changes = 0;
    vr_mutex_lock(&store->lock);
    for (GList *link = store->queue.head; link && changes < GROUP_CHANGES; link = link->next) {
        const struct queued *queued = link->data;
        changes += queued->changes->len;
        g_ptr_array_add(group, link->data);
    }
    vr_mutex_unlock(&store->lock);
    return group;
}

/* Drops what is durable.  Objects are freed outside the lock. */
static void acknowledge(struct vr_store *store, uint64_t sequence)
{
    g_autoptr(GPtrArray) done = g_ptr_array_new_with_free_func(queued_free);
    vr_mutex_lock(&store->lock);
    for (const struct queued *queued;
         (queued = g_queue_peek_head(&store->queue)) && queued->sequence <= sequence;)
        g_ptr_array_add(done, g_queue_pop_head(&store->queue));
    vr_mutex_unlock(&store->lock);
    if (done->len)
        store->ops->committed(sequence, store->arg);
}

static bool stopping(struct vr_store *store)
{
    vr_mutex_lock(&store->lock);
    bool stop = store->stop;
    vr_mutex_unlock(&store->lock);
    return stop;
}

static void set_up(struct vr_store *store, bool up)
{
    vr_mutex_lock(&store->lock);
    bool news = store->up != up;
    store->up = up;
    if (news)
        store->since = g_get_monotonic_time() / 1000;
    vr_mutex_unlock(&store->lock);
    if (news)
        store->ops->state(up, store->arg);
}

/* Until something is queued, stop, or @timeout_ms (-1: for ever); or until the server hangs up. */
static void wait_work(struct vr_store *store, int timeout_ms)
{
    struct pollfd fds[2] = { { .fd = store->wake, .events = POLLIN },
                             { .fd = store->conn ? PQsocket(store->conn) : -1, .events = POLLIN } };
    if (poll(fds, 2, timeout_ms) < 0 && errno != EINTR)
        g_error("store: poll: %s", g_strerror(errno));
    uint64_t ignored;
    if (fds[0].revents & POLLIN && read(store->wake, &ignored, sizeof(ignored)) < 0 &&
        errno != EAGAIN)
        g_error("store: eventfd: %s", g_strerror(errno));
    /* Nothing is asked, so what comes is a notice or the end of the connection. */
    if (fds[1].revents && (!PQconsumeInput(store->conn) || PQstatus(store->conn) != CONNECTION_OK))
        store_disconnect(store);
}

/* Connects again and finds out what the database has.  False: not now. */
static bool reconnect(struct vr_store *store)
{
    vr_auto_error struct vr_error *error = NULL;
    uint64_t sequence;
    if (!store_connect(store, false, &error))
        return false;
    if (PQsetnonblocking(store->conn, 0) != 0 ||
        store_read_sequence(store, &sequence) != OUTCOME_OK ||
        PQsetnonblocking(store->conn, 1) != 0) {
        store_disconnect(store);
        return false;
    }
    acknowledge(store, sequence);
    return true;
}

static void keep_connected(struct vr_store *store)
{
    int pause = RETRY_FIRST_MS;
    while (!store->conn && !stopping(store)) {
        set_up(store, false);
        if (reconnect(store)) {
            vr_log_info("the database is back");
            break;
        }
        /* Commits wake the thread, but must not make it try more often. */
        int64_t until = g_get_monotonic_time() / 1000 + pause;
        for (int64_t left; (left = until - g_get_monotonic_time() / 1000) > 0 && !stopping(store);)
            wait_work(store, (int)left);
        pause = MIN(pause * 2, RETRY_LAST_MS);
    }
    if (store->conn)
        set_up(store, true);
}

gpointer store_thread(gpointer data)
{
    struct vr_store *store = data;
    vr_role_enter(&vr_role_worker);
    while (!stopping(store)) {
        keep_connected(store);
        g_autoptr(GPtrArray) group = peek_group(store);
        if (group->len == 0 || !store->conn) {
            wait_work(store, -1);
            continue;
        }
        const struct queued *newest = group->pdata[group->len - 1];
        uint64_t sequence = newest->sequence;
        if (store_write(store, group) == OUTCOME_OK) {
            acknowledge(store, sequence);
        } else {
            vr_log_warning("the database is lost; changes wait");
            store_disconnect(store);
        }
    }
    vr_role_leave(&vr_role_worker);
    return NULL;
}
