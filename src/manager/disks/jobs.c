/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "disks"
#include "manager/disks/internal.h"

/*
 * What is done to a disk's volume on storage, by tasks of the SPM.  A task
 * that was started is recorded before it is waited for; where a crash lost
 * its id, the verb is sent again and answers that it is done already.
 */

#define POLL_MS 500
#define CODE_VOLUME_EXISTS 212
#define CODE_VOLUME_MISSING 201
#define CODE_IMAGE_MISSING 268
#define CODE_TASK_UNKNOWN 401

static struct vr_disk *edit(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static struct vr_disk *edit(struct vr_job_run *run)
{
    const struct vr_disk_job_context *context = run->context;
    return VR_EDIT(run->txn, DISK, disk, context->disk_id);
}

static const struct vr_disk *peek(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static const struct vr_disk *peek(struct vr_job_run *run)
{
    const struct vr_disk_job_context *context = run->context;
    return vr_txn_peek(run->txn, VR_KIND_DISK, context->disk_id);
}

static void fail(struct vr_job_run *run, const char *what, int code, const char *message)
    VR_REQUIRES(vr_role_engine);
static void fail(struct vr_job_run *run, const char *what, int code, const char *message)
{
    vr_auto_error struct vr_error *error = NULL;
    vr_job_host_error(&error, what, code, message);
    vr_job_fail(run, &error);
}

/* --- waiting for a task --- */

static void wait_task(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static void forget_and_go_on(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);

static void task_cleared(struct vr_job_run *run, const void *result, int code,
                         const char *message) VR_REQUIRES(vr_role_engine);
static void task_cleared(struct vr_job_run *run, const void *result, int code,
                         const char *message)
{
    struct vr_disk_job_context *context = run->context;
    VR_CLEAR(context, task_id);
    if (VR_GET(context, removing, false))
        forget_and_go_on(run);
    else
        vr_job_done(run);
}

static void task_answer(struct vr_job_run *run, const void *result, int code, const char *message)
    VR_REQUIRES(vr_role_engine);
static void task_answer(struct vr_job_run *run, const void *result, int code, const char *message)
{
    struct vr_disk_job_context *context = run->context;
    const struct vr_rpc_task_status *status = result;
    if (code == VR_RPC_NETWORK_ERROR || code == VR_RPC_RECOVERING) {
        vr_job_after(run, 3000, wait_task); /* the task goes on without us */
        return;
    }
    if (code == CODE_TASK_UNKNOWN) {
        VR_CLEAR(context, task_id);
        fail(run, "The storage task was lost", code, message);
        return;
    }
    if (code != 0) {
        fail(run, "Task.getStatus", code, message);
        return;
    }
    if (VR_GET(status, task_state, VR_RPC_TASK_STATE_RUNNING) != VR_RPC_TASK_STATE_FINISHED) {
        vr_job_after(run, POLL_MS, wait_task);
        return;
    }
    int task_code = (int)VR_GET(status, code, 0);
    bool well = task_code == 0 && g_strcmp0(status->task_result, "success") == 0;
    bool so_already = task_code == CODE_VOLUME_EXISTS;
    vr_auto struct vr_rpc_task_clear_params *params = VR_NEW(rpc_task_clear_params);
    VR_SET_STRING(params, task_id, context->task_id);
    if (well || so_already) {
        vr_job_call(run, context->host_id, &vr_verb_task_clear, params, 0, task_cleared);
        return;
    }
    vr_engine_host_call(run->engine, context->host_id, &vr_verb_task_clear, params, 0,
                        run->correlation_id, NULL, NULL);
    fail(run, "The storage task failed", task_code ? task_code : 100, status->message);
}

static void wait_task(struct vr_job_run *run)
{
    const struct vr_disk_job_context *context = run->context;
    vr_auto struct vr_rpc_task_get_status_params *params = VR_NEW(rpc_task_get_status_params);
    VR_SET_STRING(params, task_id, context->task_id);
    vr_job_call(run, context->host_id, &vr_verb_task_get_status, params, 0, task_answer);
}

/* The answer of a verb that starts a task: a plain string in `value`. */
static void task_started(struct vr_job_run *run, const char *task_id) VR_REQUIRES(vr_role_engine);
static void task_started(struct vr_job_run *run, const char *task_id)
{
    struct vr_disk_job_context *context = run->context;
    if (!task_id) {
        fail(run, "The host named no storage task", 100, NULL);
        return;
    }
    VR_SET_STRING(context, task_id, task_id);
    vr_job_record(run, wait_task);
}

/* --- making --- */

static void created(struct vr_job_run *run, const void *result, int code, const char *message)
    VR_REQUIRES(vr_role_engine);
static void created(struct vr_job_run *run, const void *result, int code, const char *message)
{
    const struct vr_rpc_volume_create_result *answer = result;
    if (code == CODE_VOLUME_EXISTS)
        vr_job_done(run);
    else if (code != 0)
        fail(run, "Volume.create", code, message);
    else
        task_started(run, answer->value);
}

/* DISKTYPE of a volume (facts/storage-format.md 6). */
static const char *type_word(enum vr_disk_content_type type)
{
    switch (type) {
    case VR_DISK_CONTENT_TYPE_MEMORY_DUMP_VOLUME:
        return "MEMD";
    case VR_DISK_CONTENT_TYPE_MEMORY_METADATA_VOLUME:
        return "MEMM";
    case VR_DISK_CONTENT_TYPE_ISO:
        return "ISOF";
    default:
        return "DATA";
    }
}

static void create(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static void create(struct vr_job_run *run)
{
    const struct vr_disk_job_context *context = run->context;
    const struct vr_disk *disk = peek(run);
    if (!disk) {
        fail(run, "The disk is gone", CODE_IMAGE_MISSING, NULL);
        return;
    }
    if (context->task_id) {
        wait_task(run);
        return;
    }
    bool raw = VR_GET(disk, format, VR_DISK_FORMAT_COW) == VR_DISK_FORMAT_RAW;
    g_autofree char *size = g_strdup_printf("%" G_GINT64_FORMAT, VR_GET(disk, provisioned_size, 0));
    vr_auto struct vr_rpc_volume_create_params *params = VR_NEW(rpc_volume_create_params);
    VR_SET_STRING(params, volume_id, context->volume_id);
    VR_SET_STRING(params, storagepool_id, context->pool_id);
    VR_SET_STRING(params, storagedomain_id, context->domain_id);
    VR_SET_STRING(params, image_id, disk->id);
    VR_SET_STRING(params, size, size);
    VR_SET(params, vol_format, raw ? VR_RPC_FORMAT_RAW : VR_RPC_FORMAT_COW);
    VR_SET(params, preallocate,
           VR_GET(disk, sparse, true) ? VR_RPC_SPARSE : VR_RPC_PREALLOCATED);
    VR_SET_STRING(params, disk_type,
                  type_word(VR_GET(disk, content_type, VR_DISK_CONTENT_TYPE_DATA)));
    VR_SET_STRING(params, desc, "{}");
    VR_SET_STRING(params, src_img_uuid, VR_UUID_ZERO);
    VR_SET_STRING(params, src_vol_uuid, VR_UUID_ZERO);
    vr_job_call(run, context->host_id, &vr_verb_volume_create, params, 0, created);
}

static void add_ended(struct vr_job_run *run, bool failed, const struct vr_error *error)
    VR_REQUIRES(vr_role_engine);
static void add_ended(struct vr_job_run *run, bool failed, const struct vr_error *error)
{
    const struct vr_disk_job_context *context = run->context;
    const struct vr_disk *disk = peek(run);
    if (!disk)
        return;
    vr_event_add(run->txn,
                 failed ? VR_EVENT_USER_ADD_DISK_FINISHED_FAILURE
                        : VR_EVENT_USER_ADD_DISK_FINISHED_SUCCESS,
                 &(struct vr_event_about){ .vm = context->vm_id
                                                     ? vr_txn_peek(run->txn, VR_KIND_VM,
                                                                   context->vm_id)
                                                     : NULL,
                                           .correlation_id = run->correlation_id },
                 "DiskAlias", disk->alias, NULL);
    /* In the last transaction, so that who sees it ok finds its locks free.  What a failure may have
     * left on storage is known by name and marked, so that it can be removed. */
    VR_SET(edit(run), status, failed ? VR_DISK_STATUS_ILLEGAL : VR_DISK_STATUS_OK);
    if (!failed)
        disk_measure(run->engine, context->host_id, disk, NULL, NULL);
}

static const struct vr_job_step add_steps[] = {
    { "create volume", create, NULL },
};
const struct vr_job_type vr_job_add_disk = { .name = "AddDisk",
                                             .context = &vr_type_disk_job_context,
                                             .steps = add_steps,
                                             .step_count = G_N_ELEMENTS(add_steps),
                                             .ended = add_ended };

/* --- growing --- */

static void extended(struct vr_job_run *run, const void *result, int code, const char *message)
    VR_REQUIRES(vr_role_engine);
static void extended(struct vr_job_run *run, const void *result, int code, const char *message)
{
    const struct vr_rpc_volume_extend_size_result *answer = result;
    if (code != 0)
        fail(run, "Volume.extendSize", code, message);
    else
        task_started(run, answer->value);
}

static void extend(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static void extend(struct vr_job_run *run)
{
    const struct vr_disk_job_context *context = run->context;
    if (context->task_id) {
        wait_task(run);
        return;
    }
    g_autofree char *size = g_strdup_printf("%" G_GINT64_FORMAT, context->size);
    vr_auto struct vr_rpc_volume_extend_size_params *params = VR_NEW(rpc_volume_extend_size_params);
    VR_SET_STRING(params, volume_id, context->volume_id);
    VR_SET_STRING(params, storagepool_id, context->pool_id);
    VR_SET_STRING(params, storagedomain_id, context->domain_id);
    VR_SET_STRING(params, image_id, context->disk_id);
    VR_SET_STRING(params, new_size, size);
    vr_job_call(run, context->host_id, &vr_verb_volume_extend_size, params, 0, extended);
}

static void grown(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static void grown(struct vr_job_run *run)
{
    const struct vr_disk_job_context *context = run->context;
    struct vr_disk *disk = edit(run);
    if (disk) {
        VR_SET(disk, provisioned_size, context->size);
        VR_SET(disk, status, VR_DISK_STATUS_OK);
        g_autofree char *gib = g_strdup_printf("%g", (double)context->size / (double)GiB(1));
        vr_event_add(run->txn, VR_EVENT_USER_EXTEND_DISK_SIZE_SUCCESS,
                     &(struct vr_event_about){ .user = vr_job_user(run),
                                               .correlation_id = run->correlation_id },
                     "DiskAlias", disk->alias, "NewSize", gib, NULL);
    }
}

static void extend_ended(struct vr_job_run *run, bool failed, const struct vr_error *error)
    VR_REQUIRES(vr_role_engine);
static void extend_ended(struct vr_job_run *run, bool failed, const struct vr_error *error)
{
    if (failed && peek(run))
        VR_SET(edit(run), status, VR_DISK_STATUS_OK); /* as it was */
    else
        grown(run);
    if (!failed && peek(run))
        disk_measure(run->engine, ((const struct vr_disk_job_context *)run->context)->host_id,
                     peek(run), NULL, NULL);
}

static const struct vr_job_step extend_steps[] = {
    { "extend volume", extend, NULL },
};
const struct vr_job_type vr_job_extend_disk = { .name = "ExtendDisk",
                                                .context = &vr_type_disk_job_context,
                                                .steps = extend_steps,
                                                .step_count = G_N_ELEMENTS(extend_steps),
                                                .ended = extend_ended };

/* --- removing --- */

static void removed(struct vr_job_run *run, const void *result, int code, const char *message)
    VR_REQUIRES(vr_role_engine);
static void removed(struct vr_job_run *run, const void *result, int code, const char *message)
{
    const struct vr_rpc_image_delete_result *answer = result;
    if (code == CODE_IMAGE_MISSING || code == CODE_VOLUME_MISSING)
        forget_and_go_on(run);
    else if (code != 0)
        fail(run, "Image.delete", code, message);
    else
        task_started(run, answer->value);
}

static void delete_image(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static void delete_image(struct vr_job_run *run)
{
    const struct vr_disk_job_context *context = run->context;
    if (context->task_id) {
        wait_task(run);
        return;
    }
    vr_auto struct vr_rpc_image_delete_params *params = VR_NEW(rpc_image_delete_params);
    VR_SET_STRING(params, image_id, context->disk_id);
    VR_SET_STRING(params, storagepool_id, context->pool_id);
    VR_SET_STRING(params, storagedomain_id, context->domain_id);
    VR_SET(params, post_zero, false);
    VR_SET(params, force, false);
    vr_job_call(run, context->host_id, &vr_verb_image_delete, params, 0, removed);
}

static void forget_disk(struct vr_txn *txn, const char *disk_id) VR_REQUIRES(vr_role_engine);
static void forget_disk(struct vr_txn *txn, const char *disk_id)
{
    static const int owned[] = { VR_KIND_DISK_ATTACHMENT, VR_KIND_VOLUME, VR_KIND_PERMISSION };
    struct vr_inventory *head = vr_engine_head(vr_txn_engine(txn));
    for (unsigned i = 0; i < G_N_ELEMENTS(owned); i++) {
        vr_auto_objects struct vr_objects objects = { 0 };
        vr_inventory_list_by(head, owned[i], "disk", disk_id, &objects);
        for (unsigned n = 0; n < objects.count; n++)
            vr_txn_remove(txn, owned[i], vr_id(objects.items[n]));
    }
    if (vr_txn_peek(txn, VR_KIND_DISK, disk_id))
        vr_txn_remove(txn, VR_KIND_DISK, disk_id);
}

/* The disk is gone from storage, so from the inventory; then the next one, if there is one. */
static void forget_and_go_on(struct vr_job_run *run)
{
    struct vr_disk_job_context *context = run->context;
    const struct vr_disk *disk = peek(run);
    vr_event_add(run->txn, VR_EVENT_USER_FINISHED_REMOVE_DISK,
                 &(struct vr_event_about){ .user = vr_job_user(run),
                                           .storage_domain = vr_txn_peek(run->txn,
                                                                         VR_KIND_STORAGE_DOMAIN,
                                                                         context->domain_id),
                                           .correlation_id = run->correlation_id },
                 "DiskAlias",
                 disk && disk->alias ? disk->alias : context->disk_id, NULL);
    forget_disk(run->txn, context->disk_id);
    while (context->more.len > 0) {
        g_autofree char *next = context->more.items[--context->more.len];
        const struct vr_disk *other = vr_txn_peek(run->txn, VR_KIND_DISK, next);
        if (!other)
            continue;
        VR_SET_STRING(context, disk_id, next);
        VR_SET_STRING(context, volume_id, other->image_id);
        VR_SET_STRING(context, domain_id, VR_LINK_ID(other, storage_domain));
        vr_job_record(run, delete_image);
        return;
    }
    vr_job_done(run);
}

static void remove_ended(struct vr_job_run *run, bool failed, const struct vr_error *error)
    VR_REQUIRES(vr_role_engine);
static void remove_ended(struct vr_job_run *run, bool failed, const struct vr_error *error)
{
    const struct vr_disk_job_context *context = run->context;
    if (!failed)
        return;
    /* It may be half gone: it can only be removed again. */
    if (peek(run))
        VR_SET(edit(run), status, VR_DISK_STATUS_ILLEGAL);
    for (unsigned i = 0; i < context->more.len; i++) {
        struct vr_disk *disk = VR_EDIT(run->txn, DISK, disk, context->more.items[i]);
        if (disk)
            VR_SET(disk, status, VR_DISK_STATUS_OK);
    }
}

static const struct vr_job_step remove_steps[] = {
    { "delete image", delete_image, NULL },
};
const struct vr_job_type vr_job_remove_disk = { .name = "RemoveDisk",
                                                .context = &vr_type_disk_job_context,
                                                .steps = remove_steps,
                                                .step_count = G_N_ELEMENTS(remove_steps),
                                                .ended = remove_ended };
