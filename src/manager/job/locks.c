/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/job/internal.h"

/*
 * The table of locks lives in memory only: a lock is there because an
 * unfinished job lists it, and for no other reason.
 */
struct held {
    struct job *exclusive;
    GPtrArray *shared; /* struct job */
};

static void held_free(gpointer data)
{
    struct held *held = data;
    g_ptr_array_free(held->shared, TRUE);
    g_free(held);
}

void locks_init(struct jobs *jobs)
{
    jobs->locked = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, held_free);
}

void locks_done(struct jobs *jobs)
{
    g_hash_table_destroy(jobs->locked);
}

static char *key_of(const struct vr_lock *lock)
{
    return g_strdup_printf("%d %s", lock->kind, lock->id);
}

/* Who is in the way, or NULL. */
static const struct job *blocker(const struct jobs *jobs, const struct vr_lock *lock)
{
    g_autofree char *key = key_of(lock);
    const struct held *held = g_hash_table_lookup(jobs->locked, key);
    if (!held)
        return NULL;
    if (held->exclusive)
        return held->exclusive;
    return lock->exclusive && held->shared->len ? g_ptr_array_index(held->shared, 0) : NULL;
}

struct job *locks_holder(const struct jobs *jobs, int kind, const char *id)
{
    const struct vr_lock lock = { kind, id, true };
    g_autofree char *key = key_of(&lock);
    const struct held *held = g_hash_table_lookup(jobs->locked, key);
    return held ? held->exclusive : NULL;
}

/* "VM web1": what a person calls the entity. */
static char *name_of(struct vr_engine *engine, const struct vr_lock *lock)
{
    const struct vr_type *type = vr_kinds[lock->kind].type;
    const struct vr_field *field = vr_type_field(type, "name");
    const void *object = vr_inventory_peek(engine->head, lock->kind, lock->id);
    const char *name = object && field ? *(char **)vr_member(object, field) : NULL;
    return g_strdup_printf("%s %s", vr_kinds[lock->kind].name, name ? name : lock->id);
}

static int find_kind(const char *name)
{
    for (int kind = 0; name && kind < VR_KIND_COUNT; kind++) {
        if (strcmp(vr_kinds[kind].name, name) == 0)
            return kind;
    }
    return -1;
}

struct vr_lock locks_of_record(const struct vr_job_lock *record)
{
    return (struct vr_lock){ find_kind(record->kind), record->target, record->exclusive };
}

char *locks_names(struct vr_engine *engine, const struct vr_job *entity)
{
    GString *names = g_string_new(NULL);
    VR_EACH(const struct vr_job_lock, record, &entity->locks)
    {
        const struct vr_lock lock = locks_of_record(record);
        if (lock.kind < 0 || !lock.id)
            continue;
        g_autofree char *name = name_of(engine, &lock);
        g_string_append_printf(names, "%s%s", names->len ? ", " : "", name);
    }
    return g_string_free(names, FALSE);
}

bool vr_locks_free(struct vr_engine *engine, const struct vr_lock *locks, unsigned count,
                   struct vr_error **error)
{
#ifdef VR_BREAK_SKIP_LOCK_CHECK
    count = 0;
#endif
    for (unsigned i = 0; i < count; i++) {
        const struct job *job = blocker(engine->jobs, &locks[i]);
        if (!job)
            continue;
        g_autofree char *name = name_of(engine, &locks[i]);
        vr_error_set(error, &vr_fault_operation_in_progress,
                     "The %s is locked by job %s (%s).", name, job->id,
                     job->description ? job->description : job->type->name);
        return false;
    }
    return true;
}

bool locks_can_take(const struct job *job)
{
#ifdef VR_BREAK_SKIP_LOCK_CHECK
    return true;
#endif
    for (unsigned i = 0; i < job->locks->len; i++) {
        if (blocker(job->jobs, &g_array_index(job->locks, struct vr_lock, i)))
            return false;
    }
    return true;
}

static int compare_locks(gconstpointer a, gconstpointer b)
{
    const struct vr_lock *x = a, *y = b;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    int order = strcmp(x->id, y->id);
    return order ? order : (int)y->exclusive - (int)x->exclusive; /* the stronger one first */
}

void locks_assign(struct job *job, const struct vr_lock *locks, unsigned count)
{
    g_autoptr(GArray) sorted = g_array_new(FALSE, FALSE, sizeof(struct vr_lock));
    if (count)
        g_array_append_vals(sorted, locks, count);
    g_array_sort(sorted, compare_locks);
    job->locks = g_array_new(FALSE, FALSE, sizeof(struct vr_lock));
    for (unsigned i = 0; i < sorted->len; i++) {
        struct vr_lock lock = g_array_index(sorted, struct vr_lock, i);
        const struct vr_lock *last =
            job->locks->len ? &g_array_index(job->locks, struct vr_lock, job->locks->len - 1) : NULL;
        if (last && last->kind == lock.kind && strcmp(last->id, lock.id) == 0)
            continue;
        lock.id = g_strdup(lock.id);
        g_array_append_val(job->locks, lock);
    }
}

void locks_clear(struct job *job)
{
    for (unsigned i = 0; i < job->locks->len; i++)
        g_free((char *)(uintptr_t)g_array_index(job->locks, struct vr_lock, i).id);
    g_array_free(job->locks, TRUE);
    job->locks = NULL;
}

void locks_take(struct job *job)
{
    for (unsigned i = 0; i < job->locks->len; i++) {
        const struct vr_lock *lock = &g_array_index(job->locks, struct vr_lock, i);
        char *key = key_of(lock);
        struct held *held = g_hash_table_lookup(job->jobs->locked, key);
        if (held) {
            g_free(key);
        } else {
            held = g_new0(struct held, 1);
            held->shared = g_ptr_array_new();
            g_hash_table_insert(job->jobs->locked, key, held);
        }
#ifndef VR_BREAK_SKIP_LOCK_CHECK
        if (held->exclusive || (lock->exclusive && held->shared->len))
            g_error("job: %s takes a lock on %s %s that another job holds", job->type->name,
                    vr_kinds[lock->kind].name, lock->id);
#endif
        if (lock->exclusive)
            held->exclusive = job;
        else
            g_ptr_array_add(held->shared, job);
    }
}

void locks_release(struct job *job)
{
    for (unsigned i = 0; i < job->locks->len; i++) {
        const struct vr_lock *lock = &g_array_index(job->locks, struct vr_lock, i);
        g_autofree char *key = key_of(lock);
        struct held *held = g_hash_table_lookup(job->jobs->locked, key);
        if (!held)
            continue;
        if (held->exclusive == job)
            held->exclusive = NULL;
        g_ptr_array_remove_fast(held->shared, job);
        if (!held->exclusive && held->shared->len == 0)
            g_hash_table_remove(job->jobs->locked, key);
    }
    locks_clear(job);
    locks_assign(job, NULL, 0);
}

/* Every lock has a living owner: what the simulation checks after every event. */
bool vr_locks_check(struct vr_engine *engine, char **ret_what)
{
    GHashTableIter iter;
    gpointer key, value;
    g_hash_table_iter_init(&iter, engine->jobs->locked);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        const struct held *held = value;
        unsigned owners = held->shared->len + (held->exclusive ? 1 : 0);
        for (unsigned i = 0; i < owners; i++) {
            const struct job *job = i < held->shared->len ? g_ptr_array_index(held->shared, i)
                                                          : held->exclusive;
            const struct vr_job *entity = VR_PEEK(engine->head, JOB, job, job->id);
            if (!entity || entity->status == VR_JOB_STATUS_STARTED)
                continue; /* not there: its transaction is still open */
            *ret_what = g_strdup_printf("the lock on %s has no living owner", (char *)key);
            return false;
        }
        if (held->exclusive && held->shared->len) {
            *ret_what = g_strdup_printf("the lock on %s is exclusive and shared", (char *)key);
            return false;
        }
    }
    return true;
}
