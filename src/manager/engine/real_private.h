/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What real.c and real_hosts.c share. */

#include "manager/engine/real.h"
#include "net/loop.h"

struct vr_real {
    struct vr_world world; /* first: the engine's pointer to it is ours */
    struct vr_engine *engine; /* NULL once it is freed */
    bool stopped;
    const struct vr_config *config;
    struct vr_statistics *statistics;
    struct vr_store *store;
    struct vr_tls *tls;
    struct vr_loop *loop; /* the engine thread's */
    struct vr_timer *timer;
    GArray *loaded; /* struct vr_change, until the engine has them */

    struct vr_loop **io_loops;
    unsigned io_count, next_io;
    void (*run_errand)(struct vr_errand *errand, int cancel_fd, void *arg);
    void *errand_arg;
    GThreadPool *slow_errands, *quick_errands;
    int cancel_fd; /* readable once the world stops */

    GHashTable *hosts; /* host id -> struct host; the engine thread's */
};

static inline struct vr_real *real_of(struct vr_world *world)
{
    return (struct vr_real *)(void *)world;
}

/* As vr_engine_post(), but @fn also runs, with a NULL engine, when the world has stopped, to free
 * @arg. */
void real_post(struct vr_real *real, vr_timer_fn *fn, void *arg);

/* real_hosts.c: the rows of the world's table; engine thread. */
void real_hosts_init(struct vr_real *real, unsigned io_threads);
void real_hosts_start(struct vr_real *real);
/* After the engine thread has ended: joins the I/O threads and frees the connections. */
void real_hosts_stop(struct vr_real *real, bool started);
void real_host_connect(struct vr_world *world, const struct vr_host_target *target);
void real_host_disconnect(struct vr_world *world, const char *host_id);
void real_host_call(struct vr_world *world, uint64_t call, const char *host_id,
                    const struct vr_verb *verb, const void *params, unsigned timeout_ms,
                    const char *correlation_id);

/* real_errands.c */
void real_errands_init(struct vr_real *real, const struct vr_real_options *options);
/* Cancels and waits for what runs; after the engine thread has ended. */
void real_errands_stop(struct vr_real *real);
void real_errand(struct vr_world *world, uint64_t number, struct vr_errand *errand);
