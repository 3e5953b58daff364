/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/engine/internal.h"

/* One entity of a transaction. */
struct edit {
    int kind;
    char *id;
    const void *before; /* the version that was copied; NULL: added here */
    void *after;        /* NULL: removed here */
};

struct end_hook {
    txn_end_fn *fn;
    void *arg;
};

struct durable_hook {
    vr_commit_fn *fn;
    void *arg;
};

struct vr_txn {
    struct vr_engine *engine;
    GPtrArray *edits;    /* struct edit, in the order they came */
    GHashTable *by_id;   /* set of struct edit */
    GArray *end_hooks;   /* struct end_hook */
    GArray *durable;     /* struct durable_hook */
    bool committing;     /* who is woken by its commit may end with it, and commits it once more */
};

/* Decided and shown in the head, not yet acknowledged by the database. */
struct pending_commit {
    struct vr_change_set set;
    GArray *durable; /* struct durable_hook */
    /* Parts for which equal ones stand now: who committed may still hold a text of one. */
    GPtrArray *dropped;
};

static guint edit_hash(gconstpointer p)
{
    const struct edit *edit = p;
    return g_str_hash(edit->id) * 31 + (guint)edit->kind;
}

static gboolean edit_equal(gconstpointer a, gconstpointer b)
{
    const struct edit *x = a, *y = b;
    return x->kind == y->kind && strcmp(x->id, y->id) == 0;
}

static void edit_free(gpointer p)
{
    struct edit *edit = p;
    vr_unref(edit->before);
    vr_unref(edit->after);
    g_free(edit->id);
    g_free(edit);
}

static struct edit *find_edit(struct vr_txn *txn, int kind, const char *id)
{
    const struct edit probe = { .kind = kind, .id = (char *)(uintptr_t)id };
    return g_hash_table_lookup(txn->by_id, &probe);
}

/* @before and @after are taken. */
static struct edit *add_edit(struct vr_txn *txn, int kind, const char *id, const void *before,
                             void *after)
{
    struct edit *edit = g_new0(struct edit, 1);
    *edit = (struct edit){ kind, g_strdup(id), before, after };
    g_ptr_array_add(txn->edits, edit);
    g_hash_table_add(txn->by_id, edit);
    return edit;
}

struct vr_txn *vr_txn_new(struct vr_engine *engine)
{
    struct vr_txn *txn = g_new0(struct vr_txn, 1);
    txn->engine = engine;
    txn->edits = g_ptr_array_new_with_free_func(edit_free);
    txn->by_id = g_hash_table_new(edit_hash, edit_equal);
    txn->end_hooks = g_array_new(FALSE, FALSE, sizeof(struct end_hook));
    txn->durable = g_array_new(FALSE, FALSE, sizeof(struct durable_hook));
    return txn;
}

struct vr_engine *vr_txn_engine(struct vr_txn *txn)
{
    return txn->engine;
}

void txn_at_end(struct vr_txn *txn, txn_end_fn *fn, void *arg)
{
    const struct end_hook hook = { fn, arg };
    g_array_append_val(txn->end_hooks, hook);
}

void txn_when_durable(struct vr_txn *txn, vr_commit_fn *fn, void *arg)
{
    const struct durable_hook hook = { fn, arg };
    g_array_append_val(txn->durable, hook);
}

bool txn_touches(struct vr_txn *txn, unsigned n, int *ret_kind, const char **ret_id)
{
    if (n >= txn->edits->len)
        return false;
    const struct edit *edit = g_ptr_array_index(txn->edits, n);
    *ret_kind = edit->kind;
    *ret_id = edit->id;
    return true;
}

const void *vr_txn_peek(struct vr_txn *txn, int kind, const char *id)
{
    if (!id)
        return NULL;
    const struct edit *edit = find_edit(txn, kind, id);
    return edit ? edit->after : vr_inventory_peek(txn->engine->head, kind, id);
}

void *vr_txn_edit(struct vr_txn *txn, int kind, const char *id)
{
    if (!id)
        return NULL;
    struct edit *edit = find_edit(txn, kind, id);
    if (edit)
        return edit->after;
    const void *before = vr_inventory_peek(txn->engine->head, kind, id);
    if (!before)
        return NULL;
    return add_edit(txn, kind, id, vr_ref(before), vr_copy(before))->after;
}

void *vr_txn_add(struct vr_txn *txn, int kind, void *object)
{
    g_assert(object && ((struct vr_object *)object)->type == vr_kinds[kind].type);
    if (!vr_id(object)) {
        g_autofree char *id = vr_engine_uuid(txn->engine);
        vr_set_id(object, id);
    }
    const char *id = vr_id(object);
    struct edit *edit = find_edit(txn, kind, id);
    if (edit) {
        if (edit->after)
            g_error("txn: %s %s is added twice", vr_kinds[kind].name, id);
        edit->after = object; /* removed and added again: a new version of the old */
        return object;
    }
    if (vr_inventory_peek(txn->engine->head, kind, id))
        g_error("txn: %s %s exists and is added", vr_kinds[kind].name, id);
    return add_edit(txn, kind, id, NULL, object)->after;
}

void vr_txn_remove(struct vr_txn *txn, int kind, const char *id)
{
    struct edit *edit = find_edit(txn, kind, id);
    if (edit) {
        vr_unref(g_steal_pointer(&edit->after));
        return;
    }
    const void *before = vr_inventory_peek(txn->engine->head, kind, id);
    if (before)
        add_edit(txn, kind, id, vr_ref(before), NULL);
}

static void txn_free(struct vr_txn *txn)
{
    g_hash_table_destroy(txn->by_id);
    g_ptr_array_free(txn->edits, TRUE);
    g_array_free(txn->end_hooks, TRUE);
    if (txn->durable)
        g_array_free(txn->durable, TRUE);
    g_free(txn);
}

static void run_end_hooks(struct vr_txn *txn, bool committed)
{
    for (unsigned i = 0; i < txn->end_hooks->len; i++) {
        const struct end_hook hook = g_array_index(txn->end_hooks, struct end_hook, i);
        hook.fn(txn->engine, committed, hook.arg);
    }
}

void vr_txn_abandon(struct vr_txn *txn)
{
    if (!txn)
        return;
    run_end_hooks(txn, false);
    txn_free(txn);
}

/* --- commit --- */

/*
 * The new version that @edit makes of what the head shows now, or NULL with *ret_skip when it makes
 * none.  A transaction may have been open while others committed (a job's step waits for its host):
 * its edits are then carried over onto the newer version, member by member.
 */
static void *settle(struct vr_txn *txn, struct edit *edit, bool *ret_skip)
{
    const void *now = vr_inventory_peek(txn->engine->head, edit->kind, edit->id);
    if (!edit->after) {
        *ret_skip = !now;
        return NULL;
    }
    if (!edit->before) {
        if (now)
            g_error("txn: %s %s was added twice", vr_kinds[edit->kind].name, edit->id);
        return edit->after;
    }
    if (now && now != edit->before)
        vr_rebase(edit->after, edit->before, now);
    *ret_skip = !now || vr_equal(edit->after, now); /* removed by another meanwhile; no change */
    return edit->after;
}

static void unref_part(gpointer part)
{
    vr_unref(part);
}

static struct pending_commit *decide(struct vr_txn *txn)
{
    struct vr_engine *engine = txn->engine;
    struct pending_commit *pending = g_new0(struct pending_commit, 1);
    pending->set.changes = g_new0(struct vr_change, txn->edits->len);
    pending->dropped = g_ptr_array_new_with_free_func(unref_part);
    int64_t rev = engine->last_rev + 1;
    for (unsigned i = 0; i < txn->edits->len; i++) {
        struct edit *edit = g_ptr_array_index(txn->edits, i);
        bool skip = false;
        void *after = settle(txn, edit, &skip);
        if (skip)
            continue;
        if (after)
            vr_share_parts(after, pending->dropped);
        pending->set.changes[pending->set.count++] =
            (struct vr_change){ edit->kind, g_strdup(edit->id), vr_ref(after), rev };
    }
    return pending;
}

static void pending_free(struct pending_commit *pending)
{
    for (unsigned i = 0; i < pending->set.count; i++) {
        vr_unref(pending->set.changes[i].after);
        g_free(pending->set.changes[i].id);
    }
    g_free(pending->set.changes);
    g_ptr_array_unref(pending->dropped);
    g_array_free(pending->durable, TRUE);
    g_free(pending);
}

static void run_durable_hooks(struct vr_engine *engine, const GArray *hooks)
{
    for (unsigned i = 0; i < hooks->len; i++) {
        const struct durable_hook hook = g_array_index(hooks, struct durable_hook, i);
        hook.fn(engine, hook.arg);
    }
}

/* Nothing changed, so there is nothing to wait for but what was decided before. */
static void commit_nothing(struct vr_engine *engine, const GArray *durable)
    VR_REQUIRES(vr_role_engine)
{
    struct pending_commit *last = g_queue_peek_tail(&engine->pending);
    if (last) {
        g_array_append_vals(last->durable, durable->data, durable->len);
        return;
    }
    for (unsigned i = 0; i < durable->len; i++) {
        const struct durable_hook hook = g_array_index(durable, struct durable_hook, i);
        vr_engine_after(engine, 0, hook.fn, hook.arg);
    }
}

void vr_txn_commit(struct vr_txn *txn, vr_commit_fn *done, void *arg)
{
    struct vr_engine *engine = txn->engine;
    if (done)
        txn_when_durable(txn, done, arg);
    if (txn->committing)
        return; /* a job that noticed this commit ends with it */
    txn->committing = true;
    jobs_notice(engine, txn);
    struct pending_commit *pending = decide(txn);
    pending->durable = g_steal_pointer(&txn->durable);
    if (pending->set.count == 0) {
        commit_nothing(engine, pending->durable);
        pending_free(pending);
    } else {
        engine->last_rev++;
        pending->set.sequence = ++engine->last_sequence;
        g_queue_push_tail(&engine->pending, pending);
        vr_inventory_apply(engine->head, pending->set.changes, pending->set.count);
        engine->world->ops->commit(engine->world, &pending->set);
    }
    run_end_hooks(txn, true);
    txn_free(txn);
}

void vr_engine_committed(struct vr_engine *engine, uint64_t sequence)
{
    struct pending_commit *pending;
    while ((pending = g_queue_peek_head(&engine->pending)) && pending->set.sequence <= sequence) {
        g_queue_pop_head(&engine->pending);
        vr_inventory_apply(engine->committed, pending->set.changes, pending->set.count);
        run_durable_hooks(engine, pending->durable);
        pending_free(pending);
    }
}

void commits_done(struct vr_engine *engine)
{
    struct pending_commit *pending;
    while ((pending = g_queue_pop_head(&engine->pending)))
        pending_free(pending);
}
