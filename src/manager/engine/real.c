/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "engine"
#include "manager/engine/real_private.h"

#include <errno.h>
#include <malloc.h>
#include <sys/random.h>

/* --- the mailbox --- */

struct post {
    struct vr_real *real;
    vr_timer_fn *fn;
    void *arg;
    bool always; /* also when the world has stopped: it frees what it carries */
};

static void deliver(void *arg)
{
    struct post post = *(struct post *)arg;
    g_free(arg);
    if (post.real->stopped && !post.always)
        return;
    vr_role_enter(&vr_role_engine);
    post.fn(post.real->engine, post.arg);
    vr_role_leave(&vr_role_engine);
}

static void add_post(struct vr_real *real, vr_timer_fn *fn, void *arg, bool always)
{
    struct post *post = g_new(struct post, 1);
    *post = (struct post){ real, fn, arg, always };
    vr_loop_post(real->loop, deliver, post);
}

void vr_engine_post(struct vr_engine *engine, vr_timer_fn *fn, void *arg)
{
    add_post(real_of(vr_engine_world(engine)), fn, arg, false);
}

void real_post(struct vr_real *real, vr_timer_fn *fn, void *arg)
{
    add_post(real, fn, arg, true);
}

/* --- clock and chance --- */

static int64_t wall_ms(struct vr_world *world)
{
    return g_get_real_time() / 1000;
}

static int64_t monotonic_ms(struct vr_world *world)
{
    return g_get_monotonic_time() / 1000;
}

static void get_random(struct vr_world *world, void *out, size_t size)
{
    uint8_t *at = out;
    while (size > 0) {
        ssize_t got = getrandom(at, size, 0);
        if (got < 0 && errno != EINTR)
            g_error("engine: getrandom: %s", g_strerror(errno));
        if (got > 0) {
            at += got;
            size -= (size_t)got;
        }
    }
}

static void wake_at(struct vr_world *world, int64_t at)
{
    struct vr_real *real = real_of(world);
    vr_timer_arm(real->timer, (uint64_t)MAX(0, at - monotonic_ms(world)), 0);
}

static void timer_ran(void *arg)
{
    struct vr_real *real = arg;
    vr_role_enter(&vr_role_engine);
    vr_engine_tick(real->engine);
    vr_role_leave(&vr_role_engine);
}

/* --- database --- */

static void commit(struct vr_world *world, const struct vr_change_set *set)
{
    vr_store_commit(real_of(world)->store, set);
}

static void deliver_committed(struct vr_engine *engine, void *arg) VR_REQUIRES(vr_role_engine)
{
    uint64_t *sequence = arg;
    if (engine)
        vr_engine_committed(engine, *sequence);
    g_free(sequence);
}

static void store_committed(uint64_t sequence, void *arg)
{
    struct vr_real *real = arg;
    real_post(real, deliver_committed, g_memdup2(&sequence, sizeof(sequence)));
}

static void deliver_up(struct vr_engine *engine, void *arg) VR_REQUIRES(vr_role_engine)
{
    vr_engine_database(engine, true);
}

static void deliver_down(struct vr_engine *engine, void *arg) VR_REQUIRES(vr_role_engine)
{
    vr_engine_database(engine, false);
}

static void store_state(bool up, void *arg)
{
    struct vr_real *real = arg;
    vr_engine_post(real->engine, up ? deliver_up : deliver_down, NULL);
}

static const struct vr_store_ops store_ops = { .committed = store_committed, .state = store_state };

/* --- statistics --- */

static void put_statistics(struct vr_world *world, int kind, const char *id, const void *object)
{
    vr_statistics_put(real_of(world)->statistics, kind, id, object);
}

static const struct vr_world_ops ops = {
    .wall_ms = wall_ms,
    .monotonic_ms = monotonic_ms,
    .random = get_random,
    .wake_at = wake_at,
    .commit = commit,
    .host_connect = real_host_connect,
    .host_disconnect = real_host_disconnect,
    .host_call = real_host_call,
    .errand = real_errand,
    .statistics = put_statistics,
};

/* --- life --- */

struct vr_real *vr_real_new(const struct vr_real_options *options, struct vr_error **error)
{
    struct vr_real *real = g_new0(struct vr_real, 1);
    real->world.ops = &ops;
    real->config = options->config;
    real->statistics = options->statistics;
    real->tls = options->tls ? vr_tls_ref(options->tls) : NULL;
    real->loop = vr_loop_new("engine");
    real->timer = vr_timer_new(real->loop, timer_ran, real);
    real->engine = vr_engine_new(&real->world, options->config, options->committed);
    real_errands_init(real, options);
    real_hosts_init(real, options->io_threads ? options->io_threads : 2);
    real->store = vr_store_open(options->database, &store_ops, real, error);
    if (real->store)
        real->loaded = vr_store_load(real->store, error);
    if (!real->loaded) {
        vr_real_free(real);
        return NULL;
    }
    return real;
}

struct starting {
    struct vr_real *real;
    GMutex lock;
    GCond cond;
    bool done;
};

static void start_engine(struct vr_engine *engine, void *arg) VR_REQUIRES(vr_role_engine)
{
    struct starting *starting = arg;
    GArray *loaded = g_steal_pointer(&starting->real->loaded);
    vr_engine_load(engine, (const struct vr_change *)(void *)loaded->data, loaded->len);
    g_array_unref(loaded);
    malloc_trim(0); /* the documents as the database sent them: as much again as the inventory */
    vr_engine_start(engine);
    g_mutex_lock(&starting->lock);
    starting->done = true;
    g_cond_signal(&starting->cond);
    g_mutex_unlock(&starting->lock);
}

void vr_real_start(struct vr_real *real)
{
    struct starting starting = { .real = real };
    g_mutex_init(&starting.lock);
    g_cond_init(&starting.cond);
    vr_store_start(real->store);
    real_hosts_start(real);
    vr_engine_post(real->engine, start_engine, &starting);
    vr_loop_start_thread(real->loop, "engine");
    g_mutex_lock(&starting.lock);
    while (!starting.done)
        g_cond_wait(&starting.cond, &starting.lock);
    g_mutex_unlock(&starting.lock);
    g_mutex_clear(&starting.lock);
    g_cond_clear(&starting.cond);
}

void vr_real_free(struct vr_real *real)
{
    if (!real)
        return;
    bool started = real->store && !real->loaded;
    if (started)
        vr_loop_stop_thread(real->loop); /* from here on nothing is decided */
    vr_store_free(real->store);
    real_hosts_stop(real, started);
    real_errands_stop(real);
    vr_engine_free(g_steal_pointer(&real->engine));
    real->stopped = true;
    vr_timer_free(real->timer);
    vr_loop_unref(real->loop); /* frees the posts that nobody read */
    vr_tls_unref(real->tls);
    g_clear_pointer(&real->loaded, g_array_unref);
    g_free(real);
}

struct vr_engine *vr_real_engine(struct vr_real *real)
{
    return real->engine;
}

struct vr_store *vr_real_store(struct vr_real *real)
{
    return real->store;
}
