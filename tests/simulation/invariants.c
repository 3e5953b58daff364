/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/job/job.h"
#include "sim.h"

/* No machine runs on two hosts at once. */
static void check_guests(struct sim *sim)
{
    for (unsigned i = 0; i < SIM_HOSTS; i++) {
        GHashTableIter iter;
        gpointer id;
        g_hash_table_iter_init(&iter, sim->hosts[i].guests);
        while (g_hash_table_iter_next(&iter, &id, NULL)) {
            for (unsigned k = i + 1; k < SIM_HOSTS; k++) {
                if (sim_guest_runs(&sim->hosts[i], id) && sim_guest_runs(&sim->hosts[k], id))
                    sim_broken(sim, "machine %s runs on two hosts", (char *)id);
            }
        }
    }
}

static void check_locks(struct sim *sim) VR_REQUIRES(vr_role_engine)
{
    g_autofree char *what = NULL;
    if (sim->engine && !vr_locks_check(sim->engine, &what))
        sim_broken(sim, "%s", what);
}

void sim_check(struct sim *sim)
{
    check_guests(sim);
    check_locks(sim);
    if (sim->engine)
        sim_clients_check(sim);
}

/* Every job has ended, and nothing of one is left half done. */
static void check_jobs(struct sim *sim)
{
    vr_auto_objects struct vr_objects jobs = { 0 }, steps = { 0 };
    vr_inventory_list(sim->committed, VR_KIND_JOB, &jobs);
    VR_OBJECTS(struct vr_job, job, &jobs)
    {
        if (job->status != VR_JOB_STATUS_FINISHED && job->status != VR_JOB_STATUS_FAILED)
            sim_broken(sim, "job %s has not ended", job->id);
        if (job->has.context || job->has.locks)
            sim_broken(sim, "job %s ended and keeps its context", job->id);
    }
    vr_inventory_list(sim->committed, VR_KIND_STEP, &steps);
    VR_OBJECTS(struct vr_step, step, &steps)
    {
        if (step->status == VR_STEP_STATUS_STARTED)
            sim_broken(sim, "step %s of an ended job runs", step->id);
        if (!vr_inventory_peek(sim->committed, VR_KIND_JOB, VR_LINK_ID(step, job)))
            sim_broken(sim, "step %s belongs to no job", step->id);
    }
}

void sim_check_end(struct sim *sim)
{
    if (!sim->engine) {
        sim_broken(sim, "the Manager is not there");
        return;
    }
    check_jobs(sim);
    sim_clients_check_end(sim);
}
