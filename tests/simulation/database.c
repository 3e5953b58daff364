/* SPDX-License-Identifier: Apache-2.0 */
#include "sim.h"

#include "codec/codec.h"

/* One row: what a crash leaves. */
struct row {
    int kind;
    char *id;
    char *doc;
    int64_t rev;
};

/* A change set on its way. */
struct sent {
    uint64_t sequence;
    GArray *changes; /* struct vr_change, owned */
};

struct sim_database {
    struct sim *sim;
    GTree *rows;       /* "kind id" -> struct row */
    GQueue on_the_way; /* struct sent */
    bool down;
    bool busy; /* a transaction is under way */
    uint64_t durable; /* sequence number that the database has, as the store would ask for it */
};

static void row_free(gpointer data)
{
    struct row *row = data;
    g_free(row->id);
    g_free(row->doc);
    g_free(row);
}

static void change_clear(gpointer data)
{
    struct vr_change *change = data;
    vr_unref(change->after);
    g_free(change->id);
}

static void sent_free(gpointer data)
{
    struct sent *sent = data;
    g_array_free(sent->changes, TRUE);
    g_free(sent);
}

static gint compare_keys(gconstpointer a, gconstpointer b, gpointer nothing)
{
    return strcmp(a, b);
}

struct sim_database *sim_database_new(struct sim *sim)
{
    struct sim_database *database = g_new0(struct sim_database, 1);
    database->sim = sim;
    database->rows = g_tree_new_full(compare_keys, NULL, g_free, row_free);
    return database;
}

void sim_database_free(struct sim_database *database)
{
    g_tree_destroy(database->rows);
    g_queue_clear_full(&database->on_the_way, sent_free);
    g_free(database);
}

static void put_row(struct sim_database *database, int kind, const char *id, const void *object,
                    int64_t rev)
{
    char *key = g_strdup_printf("%d %s", kind, id);
    if (!object) {
        g_tree_remove(database->rows, key);
        g_free(key);
        return;
    }
    struct row *row = g_new(struct row, 1);
    GString *doc = g_string_new(NULL);
    vr_json_write(doc, object, VR_JSON_STORE, NULL);
    *row = (struct row){ kind, g_strdup(id), g_string_free(doc, FALSE), rev };
    g_tree_replace(database->rows, key, row);
}

void sim_database_put(struct sim_database *database, int kind, void *object)
{
    put_row(database, kind, vr_id(object), object, 1);
    vr_unref(object);
}

/* Makes the oldest @count change sets durable; the sequence number of the last one. */
static uint64_t apply(struct sim_database *database, unsigned count)
{
    uint64_t sequence = 0;
    for (unsigned i = 0; i < count; i++) {
        struct sent *sent = g_queue_pop_head(&database->on_the_way);
        for (unsigned k = 0; k < sent->changes->len; k++) {
            const struct vr_change *change = &g_array_index(sent->changes, struct vr_change, k);
            put_row(database, change->kind, change->id, change->after, change->rev);
        }
        sequence = sent->sequence;
        sent_free(sent);
    }
    return sequence;
}

static void acknowledged(struct sim *sim, void *arg) VR_REQUIRES(vr_role_engine)
{
    vr_engine_committed(sim->engine, *(uint64_t *)arg);
}

static void acknowledge(struct sim *sim, uint64_t sequence)
{
    sim_after(sim, sim_below(sim, 4), sim->incarnation, "acknowledged", acknowledged,
              g_memdup2(&sequence, sizeof(sequence)), g_free);
}

static void come_back(struct sim *sim, void *nothing) VR_REQUIRES(vr_role_engine);

static void go_down(struct sim_database *database) VR_REQUIRES(vr_role_engine)
{
    struct sim *sim = database->sim;
    database->down = true;
    /* Now and then for longer than calls wait. */
    unsigned away = sim_below(sim, 4) ? 2000 : 40000;
    sim_after(sim, 1 + sim_below(sim, away), 0, "database comes back", come_back, NULL, NULL);
    vr_engine_database(sim->engine, false);
}

static void transaction(struct sim *sim, void *nothing) VR_REQUIRES(vr_role_engine);

static void begin_transaction(struct sim_database *database)
{
    struct sim *sim = database->sim;
    if (database->busy || database->down || g_queue_is_empty(&database->on_the_way))
        return;
    database->busy = true;
    sim_after(sim, sim_below(sim, 6), sim->incarnation, "transaction", transaction, NULL, NULL);
}

static void transaction(struct sim *sim, void *nothing)
{
    struct sim_database *database = sim->database;
    database->busy = false;
    bool lost = sim_fault(sim, 0.4);
    /* Lost before the commit, or after it and before its answer: then the store finds out when it
     * asks for the sequence number, and acknowledges late. */
    if (!lost || sim_below(sim, 2)) {
        unsigned count = 1 + sim_below(sim, database->on_the_way.length);
        uint64_t sequence = apply(database, count);
        sim_note(sim, "durable up to %" G_GUINT64_FORMAT, sequence);
        database->durable = sequence;
        if (!lost)
            acknowledge(sim, sequence);
    }
    if (lost)
        go_down(database);
    else
        begin_transaction(database);
}

static void come_back(struct sim *sim, void *nothing)
{
    sim->database->down = false;
    if (sim->engine) {
        acknowledge(sim, sim->database->durable);
        vr_engine_database(sim->engine, true);
    }
    begin_transaction(sim->database);
}

void sim_database_commit(struct sim_database *database, const struct vr_change_set *set)
{
    struct sent *sent = g_new(struct sent, 1);
    sent->sequence = set->sequence;
    sent->changes = g_array_new(FALSE, FALSE, sizeof(struct vr_change));
    g_array_set_clear_func(sent->changes, change_clear);
    for (unsigned i = 0; i < set->count; i++) {
        const struct vr_change *from = &set->changes[i];
        const struct vr_change change = { from->kind, g_strdup(from->id), vr_ref(from->after),
                                          from->rev };
        g_array_append_val(sent->changes, change);
    }
    g_queue_push_tail(&database->on_the_way, sent);
    begin_transaction(database);
}

void sim_database_crash(struct sim_database *database)
{
    struct sim *sim = database->sim;
    unsigned length = database->on_the_way.length;
    /* While it is down nothing of what waits can have arrived. */
    unsigned count = database->down ? 0 : sim_below(sim, length + 1);
    apply(database, count);
    sim_note(sim, "of %u change sets on their way %u arrived", length, count);
    g_queue_clear_full(&database->on_the_way, sent_free);
    database->busy = false;
    database->durable = 0; /* the next Manager counts anew */
}

static gboolean add_change(gpointer key, gpointer value, gpointer changes)
{
    const struct row *row = value;
    vr_auto_error struct vr_error *error = NULL;
    void *object = vr_json_read(vr_kinds[row->kind].type, row->doc, strlen(row->doc), VR_JSON_STORE,
                                &vr_codec_caps_host, &error);
    if (!object)
        g_error("%s does not read: %s", row->doc, error->detail);
    const struct vr_change change = { row->kind, row->id, object, row->rev };
    g_array_append_val((GArray *)changes, change);
    return FALSE;
}

void sim_database_load(struct sim_database *database, struct vr_engine *engine)
{
    g_autoptr(GArray) changes = g_array_new(FALSE, FALSE, sizeof(struct vr_change));
    g_tree_foreach(database->rows, add_change, changes);
    vr_engine_load(engine, (const struct vr_change *)(void *)changes->data, changes->len);
    for (unsigned i = 0; i < changes->len; i++)
        vr_unref(g_array_index(changes, struct vr_change, i).after);
    if (database->down)
        vr_engine_database(engine, false);
}
