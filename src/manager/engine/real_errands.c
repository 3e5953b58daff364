/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "engine"
#include "manager/engine/real_private.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Hosts that are installed at the same time; the others wait for their turn. */
#define SLOW_THREADS 16
/* The rest takes milliseconds and never waits behind an installation. */
#define QUICK_THREADS 2

struct out {
    struct vr_real *real;
    uint64_t number;
    struct vr_errand *errand;
};

static void deliver_errand(struct vr_engine *engine, void *arg) VR_REQUIRES(vr_role_engine)
{
    struct out *out = arg;
    if (engine)
        vr_engine_errand_done(engine, out->number, out->errand);
    else
        vr_errand_free(out->errand);
    g_free(out);
}

static void run(gpointer data, gpointer arg)
{
    struct out *out = data;
    struct vr_real *real = arg;
    vr_thread_acquire(out);
    vr_role_enter(&vr_role_worker);
    if (real->run_errand)
        real->run_errand(out->errand, real->cancel_fd, real->errand_arg);
    else
        vr_errand_refuse(out->errand, "This Manager has no threads for such work.");
    vr_role_leave(&vr_role_worker);
    real_post(real, deliver_errand, out);
}

void real_errand(struct vr_world *world, uint64_t number, struct vr_errand *errand)
{
    struct vr_real *real = real_of(world);
    struct out *out = g_new(struct out, 1);
    *out = (struct out){ real, number, errand };
    vr_thread_release(out);
    g_thread_pool_push(errand->kind == VR_ERRAND_SSH ? real->slow_errands : real->quick_errands,
                       out, NULL);
}

void real_errands_init(struct vr_real *real, const struct vr_real_options *options)
{
    real->run_errand = options->errand;
    real->errand_arg = options->errand_arg;
    real->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    real->slow_errands = g_thread_pool_new(run, real, SLOW_THREADS, FALSE, NULL);
    real->quick_errands = g_thread_pool_new(run, real, QUICK_THREADS, FALSE, NULL);
}

void real_errands_stop(struct vr_real *real)
{
    const uint64_t one = 1;
    if (write(real->cancel_fd, &one, sizeof(one)) < 0)
        vr_log_warning("Errands cannot be cancelled: %s.", g_strerror(errno));
    /* What waits for a thread runs as well, to see at once that it is cancelled: all are freed. */
    g_thread_pool_free(real->slow_errands, FALSE, TRUE);
    g_thread_pool_free(real->quick_errands, FALSE, TRUE);
    close(real->cancel_fd);
}
