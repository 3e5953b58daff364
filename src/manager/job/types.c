/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/job/job.h"

extern const struct vr_job_type vr_job_run_vm, vr_job_suspend_vm, vr_job_change_disc;
extern const struct vr_job_type vr_job_add_disk, vr_job_extend_disk, vr_job_remove_disk;
extern const struct vr_job_type vr_job_deploy_host, vr_job_enroll_host;
extern const struct vr_job_type vr_job_fence_host;
extern const struct vr_job_type vr_job_add_storage_domain, vr_job_remove_storage_domain,
    vr_job_attach_storage_domain, vr_job_activate_storage_domain,
    vr_job_deactivate_storage_domain, vr_job_detach_storage_domain;

/*
 * Every kind of job.  A type that has been released keeps its name: jobs in
 * the database refer to it.  A test that wants others defines vr_job_types
 * itself.
 */
const struct vr_job_type *const vr_job_types[] = {
    &vr_job_run_vm,
    &vr_job_suspend_vm,
    &vr_job_change_disc,
    &vr_job_add_disk,
    &vr_job_extend_disk,
    &vr_job_remove_disk,
    &vr_job_add_storage_domain,
    &vr_job_remove_storage_domain,
    &vr_job_attach_storage_domain,
    &vr_job_activate_storage_domain,
    &vr_job_deactivate_storage_domain,
    &vr_job_detach_storage_domain,
    &vr_job_fence_host,
    &vr_job_deploy_host,
    &vr_job_enroll_host,
    NULL,
};
