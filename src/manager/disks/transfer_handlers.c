/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/disks/internal.h"
#include "manager/disks/transfer.h"

#include <json-c/json.h>

#include "gen/routes.h"

/* /imagetransfers (facts/rest-api.md 9.1 and 9.2). */

/* Bytes of the ticket: of the guest's view for raw, of the file for qcow2. */
static int64_t ticket_size(const struct vr_disk *disk, bool raw)
{
    int64_t size = VR_GET(disk, provisioned_size, 0);
    return raw ? size : size + size / 10 + (int64_t)MiB(1);
}

static const struct vr_disk *disk_of(struct vr_call *call, const struct vr_image_transfer *wanted,
                                     struct vr_error **error) VR_REQUIRES(vr_role_engine);
static const struct vr_disk *disk_of(struct vr_call *call, const struct vr_image_transfer *wanted,
                                     struct vr_error **error)
{
    const char *id = VR_LINK_ID(wanted, disk) ? VR_LINK_ID(wanted, disk) : VR_LINK_ID(wanted, image);
    if (wanted->snapshot || wanted->backup || VR_GET(wanted, shallow, false)) {
        vr_error_set(error, &vr_fault_not_built,
                     "This version transfers whole disks, not snapshots, backups or layers.");
        return NULL;
    }
    if (!id) {
        vr_error_set(error, &vr_fault_incomplete_parameters,
                     "ImageTransfer [disk.id] required for add");
        return NULL;
    }
    const struct vr_disk *disk = VR_PEEK(vr_engine_head(call->engine), DISK, disk, id);
    if (!disk)
        vr_error_set(error, &vr_fault_reference_not_found, "There is no disk with the id %s.", id);
    return disk;
}

void vr_image_transfers_add(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    struct vr_image_transfer *body = call->body;
    const struct vr_disk *disk = disk_of(call, body, &error);
    struct disk_place place = { 0 };
    g_autofree char *id = NULL;
    if (!disk)
        goto fail;
    bool upload = transfer_is_upload(body);
    const struct vr_vm *user = disk_user(call->engine, disk->id, true);
    if (!disk_is_free(call->engine, disk, "transfer", &error) ||
        !disk_place(call->engine, disk, &place, &error))
        goto fail;
    if (!upload && VR_GET(disk, status, VR_DISK_STATUS_OK) != VR_DISK_STATUS_OK) {
        vr_error_set(&error, &vr_fault_disk_illegal, "Disk %s has no valid content.", disk->alias);
        goto fail;
    }
    if (user) {
        vr_error_set(&error, &vr_fault_disk_in_use,
                     "Cannot transfer Virtual Disk. Virtual machine %s runs with it.", user->name);
        goto fail;
    }
    const struct vr_host *host = place.host;
    if (body->host && !(host = VR_RESOLVE(call->engine, HOST, host, body->host, "Host", &error)))
        goto fail;
    bool raw_disk = VR_GET(disk, format, VR_DISK_FORMAT_COW) == VR_DISK_FORMAT_RAW;
    bool raw = VR_GET(body, format, raw_disk ? VR_DISK_FORMAT_RAW : VR_DISK_FORMAT_COW) ==
               VR_DISK_FORMAT_RAW;
    if (!raw && raw_disk) {
        vr_error_set(&error, &vr_fault_validation_failed,
                     "A raw disk is transferred as raw, not as qcow2.");
        goto fail;
    }

    struct vr_txn *txn = vr_txn_new(call->engine);
    struct vr_image_transfer *transfer = vr_call_take_body(call);
    VR_CLEAR(transfer, id);
    vr_txn_add(txn, VR_KIND_IMAGE_TRANSFER, transfer);
    VR_SET_LINK(transfer, disk, disk, disk->id);
    VR_SET_LINK(transfer, image, image, disk->id);
    VR_SET_LINK(transfer, host, host, host->id);
    VR_SET(transfer, direction, upload ? VR_IMAGE_TRANSFER_DIRECTION_UPLOAD
                                       : VR_IMAGE_TRANSFER_DIRECTION_DOWNLOAD);
    VR_SET(transfer, phase, VR_IMAGE_TRANSFER_PHASE_INITIALIZING);
    VR_SET(transfer, format, raw ? VR_DISK_FORMAT_RAW : VR_DISK_FORMAT_COW);
    VR_SET(transfer, timeout_policy,
           VR_GET(transfer, timeout_policy, VR_IMAGE_TRANSFER_TIMEOUT_POLICY_LEGACY));
    VR_SET(transfer, inactivity_timeout,
           CLAMP(VR_GET(transfer, inactivity_timeout,
                        vr_engine_config(call->engine)->ImageTransferInactivityTimeoutInSeconds),
                 0, 24 * 3600));
    VR_SET(transfer, active, false);
    VR_SET(transfer, shallow, false);
    VR_SET(transfer, transferred, 0);
    VR_SET(transfer, size, ticket_size(disk, raw));
    VR_SET(transfer, started, vr_engine_wall_ms(call->engine));
    VR_SET(transfer, last_active, transfer->started);
    VR_TAKE_STRING(transfer, ticket_id, vr_engine_uuid(call->engine));
    VR_SET(VR_EDIT(txn, DISK, disk, disk->id), status, VR_DISK_STATUS_LOCKED);
    vr_event_add(txn,
                 upload ? VR_EVENT_UPLOAD_IMAGE_INITIATED : VR_EVENT_DOWNLOAD_IMAGE_INITIATED,
                 &(struct vr_event_about){ .user = vr_call_user(call),
                                           .correlation_id = call->correlation_id },
                 "DiskAlias", disk->alias, NULL);
    id = g_strdup(transfer->id);
    struct vr_engine *engine = call->engine;
    vr_call_commit(call, txn, VR_KIND_IMAGE_TRANSFER, id);
    transfer_watch(engine, id);
    return;
fail:
    vr_call_fail(call, &error);
}

/* Moves to @to when the phase is one of @from (a bit each), and drives on. */
static void change(struct vr_call *call, unsigned from, enum vr_image_transfer_phase to,
                   const char *verb) VR_REQUIRES(vr_role_engine);
static void change(struct vr_call *call, unsigned from, enum vr_image_transfer_phase to,
                   const char *verb)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_image_transfer *transfer =
        vr_call_target(call, VR_KIND_IMAGE_TRANSFER, &error);
    if (transfer && !(from & 1U << transfer_phase(transfer)))
        vr_error_set(&error, &vr_fault_transfer_wrong_phase,
                     "Cannot %s the image transfer in phase %s.", verb,
                     vr_enum_word(&vr_enum_image_transfer_phase, (int)transfer_phase(transfer)));
    if (error) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_engine *engine = call->engine;
    g_autofree char *id = g_strdup(transfer->id);
    struct vr_txn *txn = vr_txn_new(engine);
    struct vr_image_transfer *edit = VR_EDIT(txn, IMAGE_TRANSFER, image_transfer, id);
    VR_SET(edit, phase, to);
    VR_SET(edit, last_active, vr_engine_wall_ms(engine));
    vr_call_commit_action(call, txn, NULL);
    transfer_drive(engine, id);
}

#define IN(phase) (1U << VR_IMAGE_TRANSFER_PHASE_##phase)
#define LIVE                                                                                       \
    (IN(INITIALIZING) | IN(TRANSFERRING) | IN(RESUMING) | IN(PAUSED_USER) | IN(PAUSED_SYSTEM))

static void complete(struct vr_engine *engine, const void *result, int code, const char *message,
                     void *arg) VR_REQUIRES(vr_role_engine);
static void complete(struct vr_engine *engine, const void *result, int code, const char *message,
                     void *arg)
{
    struct vr_call *call = arg;
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_image_transfer *transfer =
        vr_call_target(call, VR_KIND_IMAGE_TRANSFER, &error);
    const struct vr_rpc_host_get_image_ticket_result *answer = result;
    struct json_object *ticket =
        code == 0 && answer->value ? json_tokener_parse(answer->value) : NULL;
    struct json_object *member;
    int64_t transferred = transfer ? VR_GET(transfer, transferred, 0) : 0;
    if (json_object_object_get_ex(ticket, "transferred", &member))
        transferred = MAX(transferred, json_object_get_int64(member));
    json_object_put(ticket);
    bool raw = transfer && VR_GET(transfer, format, VR_DISK_FORMAT_RAW) == VR_DISK_FORMAT_RAW;
    if (transfer && transfer_is_upload(transfer) && raw &&
        transferred < VR_GET(transfer, size, 0) - (DISK_BLOCK - 1)) {
        /* A raw image that ends early would be a disk with an end of old or no data; that the last
         * block is not full is our own rounding. */
        vr_error_set(&error, &vr_fault_transfer_incomplete,
                     "%" G_GINT64_FORMAT " of %" G_GINT64_FORMAT
                     " bytes were transferred: the image is shorter than the disk.",
                     transferred, VR_GET(transfer, size, 0));
        transfer_fail(call->engine, transfer->id, error->detail);
    }
    if (error) {
        vr_call_fail(call, &error);
        return;
    }
    change(call, LIVE, VR_IMAGE_TRANSFER_PHASE_FINALIZING_SUCCESS, "finalize");
}

void vr_image_transfer_finalize(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_image_transfer *transfer =
        vr_call_target(call, VR_KIND_IMAGE_TRANSFER, &error);
    if (!transfer) {
        vr_call_fail(call, &error);
        return;
    }
    vr_auto struct vr_rpc_host_get_image_ticket_params *params =
        VR_NEW(rpc_host_get_image_ticket_params);
    VR_SET_STRING(params, uuid, transfer->ticket_id);
    vr_engine_host_call(call->engine, VR_LINK_ID(transfer, host), &vr_verb_host_get_image_ticket,
                        params, 0, call->correlation_id, complete, call);
}

void vr_image_transfer_cancel(struct vr_call *call)
{
    change(call, LIVE, VR_IMAGE_TRANSFER_PHASE_FINALIZING_CLEANUP, "cancel");
}

void vr_image_transfer_extend(struct vr_call *call)
{
    change(call, IN(TRANSFERRING), VR_IMAGE_TRANSFER_PHASE_TRANSFERRING, "extend");
}

void vr_image_transfer_pause(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_image_transfer *transfer =
        vr_call_target(call, VR_KIND_IMAGE_TRANSFER, &error);
    if (transfer && !transfer_is_upload(transfer))
        vr_error_set(&error, &vr_fault_not_supported, "Only uploads are paused.");
    if (error)
        vr_call_fail(call, &error);
    else
        change(call, IN(TRANSFERRING), VR_IMAGE_TRANSFER_PHASE_PAUSED_USER, "pause");
}

void vr_image_transfer_resume(struct vr_call *call)
{
    change(call, IN(PAUSED_USER) | IN(PAUSED_SYSTEM), VR_IMAGE_TRANSFER_PHASE_INITIALIZING,
           "resume");
}
