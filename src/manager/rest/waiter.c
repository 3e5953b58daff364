/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/rest/waiter.h"

#include <microhttpd.h>

struct vr_waiters {
    GMutex mutex;
    GCond changed;
    GSequence *deadlines; /* of struct vr_waiter *, soonest first */
    GThread *thread;
    bool stopping;
};

struct vr_waiter {
    gint refs; /* atomic */
    struct vr_waiters *waiters;
    struct MHD_Connection *connection; /* NULL once woken */
    int64_t deadline_us;               /* monotonic */
    GSequenceIter *place;              /* in deadlines, or NULL */
    void *data;
    GDestroyNotify data_free;
};

static void waiter_unref(struct vr_waiter *waiter)
{
    if (!g_atomic_int_dec_and_test(&waiter->refs))
        return;
    if (waiter->data && waiter->data_free)
        waiter->data_free(waiter->data);
    g_free(waiter);
}

static gint compare(gconstpointer a, gconstpointer b, gpointer arg)
{
    const struct vr_waiter *left = a, *right = b;
    return left->deadline_us < right->deadline_us ? -1 : left->deadline_us > right->deadline_us;
}

/* The mutex is held. */
static void resume(struct vr_waiter *waiter)
{
    struct MHD_Connection *connection = g_steal_pointer(&waiter->connection);
    if (waiter->place)
        g_sequence_remove(g_steal_pointer(&waiter->place));
    MHD_resume_connection(connection);
}

static gpointer run(gpointer arg)
{
    struct vr_waiters *waiters = arg;
    g_mutex_lock(&waiters->mutex);
    while (!waiters->stopping) {
        GSequenceIter *first = g_sequence_get_begin_iter(waiters->deadlines);
        if (g_sequence_iter_is_end(first)) {
            g_cond_wait(&waiters->changed, &waiters->mutex);
            continue;
        }
        struct vr_waiter *waiter = g_sequence_get(first);
        if (waiter->deadline_us <= g_get_monotonic_time())
            resume(waiter);
        else
            g_cond_wait_until(&waiters->changed, &waiters->mutex, waiter->deadline_us);
    }
    g_mutex_unlock(&waiters->mutex);
    return NULL;
}

struct vr_waiters *vr_waiters_new(void)
{
    struct vr_waiters *waiters = g_new0(struct vr_waiters, 1);
    g_mutex_init(&waiters->mutex);
    g_cond_init(&waiters->changed);
    waiters->deadlines = g_sequence_new(NULL);
    waiters->thread = g_thread_new("rest-timer", run, waiters);
    return waiters;
}

void vr_waiters_free(struct vr_waiters *waiters)
{
    g_mutex_lock(&waiters->mutex);
    waiters->stopping = true;
    g_cond_signal(&waiters->changed);
    g_mutex_unlock(&waiters->mutex);
    g_thread_join(waiters->thread);
    g_sequence_free(waiters->deadlines);
    g_cond_clear(&waiters->changed);
    g_mutex_clear(&waiters->mutex);
    g_free(waiters);
}

struct vr_waiter *vr_waiter_new(struct vr_waiters *waiters, struct vr_request *request,
                                int64_t timeout_ms)
{
    struct vr_waiter *waiter = g_new0(struct vr_waiter, 1);
    waiter->refs = 2;
    waiter->waiters = waiters;
    waiter->connection = request->connection;
    request->waiter = waiter;
    /* Suspended before anybody can wake it. */
    MHD_suspend_connection(request->connection);
    if (timeout_ms > 0) {
        waiter->deadline_us = g_get_monotonic_time() + timeout_ms * 1000;
        g_mutex_lock(&waiters->mutex);
        waiter->place = g_sequence_insert_sorted(waiters->deadlines, waiter, compare, NULL);
        if (g_sequence_iter_is_begin(waiter->place))
            g_cond_signal(&waiters->changed);
        g_mutex_unlock(&waiters->mutex);
    }
    return waiter;
}

bool vr_waiter_wake(struct vr_waiter *waiter, void *data, GDestroyNotify data_free)
{
    struct vr_waiters *waiters = waiter->waiters;
    g_mutex_lock(&waiters->mutex);
    bool waiting = waiter->connection != NULL;
    if (waiting) {
        waiter->data = data;
        waiter->data_free = data_free;
        resume(waiter);
    }
    g_mutex_unlock(&waiters->mutex);
    if (!waiting && data && data_free)
        data_free(data);
    waiter_unref(waiter);
    return waiting;
}

void vr_waiter_collect(struct vr_request *request)
{
    struct vr_waiter *waiter = g_steal_pointer(&request->waiter);
    if (!waiter)
        return;
    g_mutex_lock(&waiter->waiters->mutex);
    request->data = g_steal_pointer(&waiter->data);
    request->data_free = waiter->data_free;
    g_mutex_unlock(&waiter->waiters->mutex);
    waiter_unref(waiter);
}

void vr_waiter_forget(struct vr_waiter *waiter)
{
    waiter_unref(waiter);
}
