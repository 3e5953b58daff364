/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * real: the engine in the real world.
 *
 *     REST threads, workers -- vr_engine_post() --+
 *     store thread ---- committed, up, down ------+--> engine thread (one loop)
 *     I/O threads ----- answers, events, states --+       |        |
 *          ^------------------ host calls ----------------+        +--> store thread
 *
 * It owns the engine, its thread, the store and the I/O threads.
 */

#include "manager/engine/engine.h"
#include "manager/rest/reading.h"
#include "manager/store/store.h"
#include "net/tls.h"

struct vr_real;

struct vr_real_options {
    const struct vr_config *config;   /* borrowed */
    struct vr_inventory *committed;   /* borrowed; made with `shared` */
    struct vr_statistics *statistics; /* borrowed */
    const char *database;             /* libpq connection string */
    struct vr_tls *tls;               /* towards hosts; a reference is taken; NULL: bare TCP */
    unsigned io_threads;              /* 0: two */
    /* Fills in @errand, on one of a few worker threads; gives up when @cancel_fd is readable.  NULL:
     * every errand is refused. */
    void (*errand)(struct vr_errand *errand, int cancel_fd, void *arg);
    void *errand_arg;
};

/* Opens the database and loads it.  All borrowed things outlive the world. */
struct vr_real *vr_real_new(const struct vr_real_options *options, struct vr_error **error);
/* Starts every thread; returns when the engine has started and readers see what is committed. */
void vr_real_start(struct vr_real *real);
/* Stops and joins every thread, then frees.  No shutdown work: the same as a crash.  Takes NULL. */
void vr_real_free(struct vr_real *real);

struct vr_engine *vr_real_engine(struct vr_real *real);
/* For its state and the instance id. */
struct vr_store *vr_real_store(struct vr_real *real);

/*
 * Runs @fn(@engine, @arg) on the engine thread, in the order of the posts.  Any thread; the engine
 * thread may post to itself.  What is posted while the world stops is dropped.
 */
void vr_engine_post(struct vr_engine *engine, vr_timer_fn *fn, void *arg);
