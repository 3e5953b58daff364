/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/verbs/lane.h"

struct job {
    void (*run)(void *arg);
    void *arg;
};

struct vr_lane {
    GThreadPool *pool;
    unsigned waiting;
};

static void run_job(gpointer data, gpointer user)
{
    struct job *job = data;
    vr_role_enter(&vr_role_worker);
    job->run(job->arg);
    vr_role_leave(&vr_role_worker);
    g_free(job);
}

struct vr_lane *vr_lane_new(const char *name, unsigned threads, unsigned waiting)
{
    struct vr_lane *lane = g_new0(struct vr_lane, 1);
    lane->pool = g_thread_pool_new(run_job, NULL, (gint)threads, FALSE, NULL);
    lane->waiting = waiting;
    return lane;
}

void vr_lane_free(struct vr_lane *lane)
{
    if (!lane)
        return;
    g_thread_pool_free(lane->pool, FALSE, TRUE);
    g_free(lane);
}

bool vr_lane_push(struct vr_lane *lane, void (*run)(void *arg), void *arg)
{
    if (g_thread_pool_unprocessed(lane->pool) >= lane->waiting)
        return false;
    struct job *job = g_new(struct job, 1);
    job->run = run;
    job->arg = arg;
    g_thread_pool_push(lane->pool, job, NULL);
    return true;
}
