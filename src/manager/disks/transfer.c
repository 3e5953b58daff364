/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "disks"
#include "manager/disks/transfer.h"

#include <json-c/json.h>

/*
 * Image transfers: a ticket at the image daemon of a host, and a state
 * machine around it (facts/rest-api.md 9).
 *
 * The phase is the truth and is committed before the host is asked, so after
 * a crash every transfer is driven on from its phase: one in `initializing`
 * installs its ticket (again), one in a finalizing phase removes it.  One
 * timer a transfer renews the ticket and watches its progress.
 */

#define TICK_MS 2000
/* ImageTransferHostTicketValidityInSeconds; renewed when half of it has passed. */
#define TICKET_SECONDS 300

static const struct vr_image_transfer *find(struct vr_engine *engine, const char *id)
    VR_REQUIRES(vr_role_engine);
static const struct vr_image_transfer *find(struct vr_engine *engine, const char *id)
{
    return VR_PEEK(vr_engine_head(engine), IMAGE_TRANSFER, image_transfer, id);
}

enum vr_image_transfer_phase transfer_phase(const struct vr_image_transfer *transfer)
{
    return VR_GET(transfer, phase, VR_IMAGE_TRANSFER_PHASE_UNKNOWN);
}

bool transfer_is_upload(const struct vr_image_transfer *transfer)
{
    return VR_GET(transfer, direction, VR_IMAGE_TRANSFER_DIRECTION_UPLOAD) ==
           VR_IMAGE_TRANSFER_DIRECTION_UPLOAD;
}

static bool is_over(enum vr_image_transfer_phase phase)
{
    return phase == VR_IMAGE_TRANSFER_PHASE_FINISHED_SUCCESS ||
           phase == VR_IMAGE_TRANSFER_PHASE_FINISHED_FAILURE ||
           phase == VR_IMAGE_TRANSFER_PHASE_FINISHED_CLEANUP;
}

static void set_phase(struct vr_engine *engine, const char *id, enum vr_image_transfer_phase phase)
    VR_REQUIRES(vr_role_engine);
static void set_phase(struct vr_engine *engine, const char *id, enum vr_image_transfer_phase phase)
{
    struct vr_txn *txn = vr_txn_new(engine);
    struct vr_image_transfer *transfer = VR_EDIT(txn, IMAGE_TRANSFER, image_transfer, id);
    if (transfer)
        VR_SET(transfer, phase, phase);
    vr_txn_commit(txn, NULL, NULL);
}

void transfer_fail(struct vr_engine *engine, const char *id, const char *why)
{
    vr_log_warning("Image transfer %s failed: %s", id, why);
    struct vr_txn *txn = vr_txn_new(engine);
    struct vr_image_transfer *transfer = VR_EDIT(txn, IMAGE_TRANSFER, image_transfer, id);
    if (transfer) {
        VR_SET(transfer, phase, VR_IMAGE_TRANSFER_PHASE_FINALIZING_FAILURE);
        VR_SET_STRING(transfer, failure, why);
    }
    vr_txn_commit(txn, NULL, NULL);
    transfer_drive(engine, id);
}

/* --- installing the ticket --- */

static void set_urls(struct vr_image_transfer *transfer, const struct vr_host *host)
{
    const char *address = host->address;
    bool v6 = strchr(address, ':') != NULL;
    /* The image daemon listens one port above the agent (54321 and 54322). */
    g_autofree char *url = g_strdup_printf("https://%s%s%s:%d/images/%s", v6 ? "[" : "", address,
                                           v6 ? "]" : "", (int)VR_GET(host, port, 54321) + 1,
                                           transfer->ticket_id);
    VR_SET_STRING(transfer, transfer_url, url);
}

static void ticket_installed(struct vr_engine *engine, const void *result, int code,
                             const char *message, void *arg) VR_REQUIRES(vr_role_engine);
static void ticket_installed(struct vr_engine *engine, const void *result, int code,
                             const char *message, void *arg)
{
    g_autofree char *id = arg;
    const struct vr_image_transfer *transfer = find(engine, id);
    if (!transfer || transfer_phase(transfer) != VR_IMAGE_TRANSFER_PHASE_INITIALIZING)
        return;
    if (code == VR_RPC_NETWORK_ERROR || code == VR_RPC_RECOVERING)
        return; /* the timer tries again */
    if (code != 0) {
        g_autofree char *why = g_strdup_printf("the host refused the ticket: %s (%d)",
                                               message ? message : "", code);
        transfer_fail(engine, id, why);
        return;
    }
    const struct vr_host *host =
        VR_PEEK(vr_engine_head(engine), HOST, host, VR_LINK_ID(transfer, host));
    struct vr_txn *txn = vr_txn_new(engine);
    struct vr_image_transfer *edit = VR_EDIT(txn, IMAGE_TRANSFER, image_transfer, id);
    int64_t now = vr_engine_wall_ms(engine);
    if (host)
        set_urls(edit, host);
    VR_SET(edit, phase, VR_IMAGE_TRANSFER_PHASE_TRANSFERRING);
    VR_SET(edit, ticket_expires, now + TICKET_SECONDS * 1000);
    VR_SET(edit, last_active, now);
    vr_txn_commit(txn, NULL, NULL);
}

static const struct vr_disk *disk_behind(struct vr_engine *engine,
                                         const struct vr_image_transfer *transfer)
    VR_REQUIRES(vr_role_engine);
static const struct vr_disk *disk_behind(struct vr_engine *engine,
                                         const struct vr_image_transfer *transfer)
{
    return VR_PEEK(vr_engine_head(engine), DISK, disk, VR_LINK_ID(transfer, disk));
}

static const struct vr_storage_domain *domain_of(struct vr_engine *engine,
                                                 const struct vr_disk *disk)
    VR_REQUIRES(vr_role_engine);
static const struct vr_storage_domain *domain_of(struct vr_engine *engine,
                                                 const struct vr_disk *disk)
{
    return disk ? VR_PEEK(vr_engine_head(engine), STORAGE_DOMAIN, storage_domain,
                          VR_LINK_ID(disk, storage_domain))
                : NULL;
}

/* A raw view of a qcow2 image is served by the host through NBD. */
static bool needs_nbd(struct vr_engine *engine, const struct vr_image_transfer *transfer)
    VR_REQUIRES(vr_role_engine);
static bool needs_nbd(struct vr_engine *engine, const struct vr_image_transfer *transfer)
{
    const struct vr_disk *disk = disk_behind(engine, transfer);
    return disk && VR_GET(disk, format, VR_DISK_FORMAT_COW) == VR_DISK_FORMAT_COW &&
           VR_GET(transfer, format, VR_DISK_FORMAT_RAW) == VR_DISK_FORMAT_RAW;
}

static void add_ticket(struct vr_engine *engine, const struct vr_image_transfer *transfer,
                       const char *url) VR_REQUIRES(vr_role_engine);
static void add_ticket(struct vr_engine *engine, const struct vr_image_transfer *transfer,
                       const char *url)
{
    const struct vr_disk *disk = disk_behind(engine, transfer);
    vr_auto struct vr_rpc_host_add_image_ticket_params *params =
        VR_NEW(rpc_host_add_image_ticket_params);
    struct vr_rpc_image_ticket *ticket = VR_SUB(params, ticket, rpc_image_ticket);
    VR_SET_STRING(ticket, uuid, transfer->ticket_id);
    VR_SET(ticket, size, VR_GET(transfer, size, 0));
    VR_SET_STRING(ticket, url, url);
    VR_SET(ticket, timeout, TICKET_SECONDS);
    VR_SET(ticket, inactivity_timeout, VR_GET(transfer, inactivity_timeout, 60));
    VR_SET_STRING(ticket, transfer_id, transfer->id);
    VR_SET(ticket, sparse, disk ? VR_GET(disk, sparse, true) : true);
    VR_APPEND(ticket, ops, g_strdup(transfer_is_upload(transfer) ? "write" : "read"));
    vr_engine_host_call(engine, VR_LINK_ID(transfer, host), &vr_verb_host_add_image_ticket, params,
                        0, NULL, ticket_installed, g_strdup(transfer->id));
}

/* The transfer that an answer of its installation belongs to; NULL when there is nothing to do with
 * it: the phase is another by now, the host could not be asked (the timer asks again), or it said
 * no, which ends the transfer. */
static const struct vr_image_transfer *installing(struct vr_engine *engine, const char *id,
                                                  const char *what, int code, const char *message)
    VR_REQUIRES(vr_role_engine);
static const struct vr_image_transfer *installing(struct vr_engine *engine, const char *id,
                                                  const char *what, int code, const char *message)
{
    const struct vr_image_transfer *transfer = find(engine, id);
    if (!transfer || transfer_phase(transfer) != VR_IMAGE_TRANSFER_PHASE_INITIALIZING ||
        code == VR_RPC_NETWORK_ERROR || code == VR_RPC_RECOVERING)
        return NULL;
    if (code == 0)
        return transfer;
    g_autofree char *why = g_strdup_printf("%s: %s (%d)", what, message ? message : "", code);
    transfer_fail(engine, id, why);
    return NULL;
}

static void nbd_started(struct vr_engine *engine, const void *result, int code,
                        const char *message, void *arg) VR_REQUIRES(vr_role_engine);
static void nbd_started(struct vr_engine *engine, const void *result, int code,
                        const char *message, void *arg)
{
    g_autofree char *id = arg;
    const struct vr_rpc_nbd_start_server_result *answer = result;
    const struct vr_image_transfer *transfer =
        installing(engine, id, "the image cannot be served", code, message);
    if (transfer && answer->value)
        add_ticket(engine, transfer, answer->value);
}

static void start_nbd(struct vr_engine *engine, const struct vr_image_transfer *transfer)
    VR_REQUIRES(vr_role_engine);
static void start_nbd(struct vr_engine *engine, const struct vr_image_transfer *transfer)
{
    const struct vr_disk *disk = disk_behind(engine, transfer);
    vr_auto struct vr_rpc_nbd_start_server_params *params = VR_NEW(rpc_nbd_start_server_params);
    VR_SET_STRING(params, server_id, transfer->ticket_id);
    struct vr_rpc_nbd_server_config *config = VR_SUB(params, config, rpc_nbd_server_config);
    VR_SET_STRING(config, sd_id, VR_LINK_ID(disk, storage_domain));
    VR_SET_STRING(config, img_id, disk->id);
    VR_SET_STRING(config, vol_id, disk->image_id);
    VR_SET(config, readonly, !transfer_is_upload(transfer));
    VR_SET(config, discard, transfer_is_upload(transfer));
    vr_engine_host_call(engine, VR_LINK_ID(transfer, host), &vr_verb_nbd_start_server, params, 0,
                        NULL, nbd_started, g_strdup(transfer->id));
}

static void prepared(struct vr_engine *engine, const void *result, int code, const char *message,
                     void *arg) VR_REQUIRES(vr_role_engine);
static void prepared(struct vr_engine *engine, const void *result, int code, const char *message,
                     void *arg)
{
    g_autofree char *id = arg;
    const struct vr_rpc_prepared_image_info *info = result;
    const struct vr_image_transfer *transfer =
        installing(engine, id, "the image cannot be prepared", code, message);
    if (!transfer || !info->path)
        return;
    if (needs_nbd(engine, transfer)) {
        start_nbd(engine, transfer);
        return;
    }
    g_autofree char *url = g_strdup_printf("file://%s", info->path);
    add_ticket(engine, transfer, url);
}

static void install(struct vr_engine *engine, const struct vr_image_transfer *transfer)
    VR_REQUIRES(vr_role_engine);
static void install(struct vr_engine *engine, const struct vr_image_transfer *transfer)
{
    const struct vr_disk *disk = disk_behind(engine, transfer);
    const struct vr_storage_domain *domain = domain_of(engine, disk);
    if (!domain || !VR_LINK_ID(domain, data_center)) {
        transfer_fail(engine, transfer->id, "the disk or its storage domain is gone");
        return;
    }
    vr_auto struct vr_rpc_image_prepare_params *params = VR_NEW(rpc_image_prepare_params);
    VR_SET_STRING(params, storagepool_id, VR_LINK_ID(domain, data_center));
    VR_SET_STRING(params, storagedomain_id, domain->id);
    VR_SET_STRING(params, image_id, disk->id);
    VR_SET_STRING(params, volume_id, disk->image_id);
    VR_SET(params, allow_illegal, true);
    vr_engine_host_call(engine, VR_LINK_ID(transfer, host), &vr_verb_image_prepare, params, 0, NULL,
                        prepared, g_strdup(transfer->id));
}

/* --- ending --- */

static void finish(struct vr_engine *engine, const char *id, enum vr_image_transfer_phase phase,
                   enum vr_disk_status disk_status) VR_REQUIRES(vr_role_engine);
static void finish(struct vr_engine *engine, const char *id, enum vr_image_transfer_phase phase,
                   enum vr_disk_status disk_status)
{
    const struct vr_image_transfer *transfer = find(engine, id);
    if (!transfer || is_over(transfer_phase(transfer)))
        return;
    struct vr_txn *txn = vr_txn_new(engine);
    struct vr_image_transfer *edit = VR_EDIT(txn, IMAGE_TRANSFER, image_transfer, id);
    struct vr_disk *disk = VR_EDIT(txn, DISK, disk, VR_LINK_ID(edit, disk));
    VR_SET(edit, phase, phase);
    VR_SET(edit, active, false);
    VR_SET(edit, ended, vr_engine_wall_ms(engine));
    if (disk)
        VR_SET(disk, status, disk_status);
    vr_txn_commit(txn, NULL, NULL);
}

/* The disk is as it should be, and its size is known. */
static void measured(struct vr_engine *engine, void *arg) VR_REQUIRES(vr_role_engine);
static void measured(struct vr_engine *engine, void *arg)
{
    g_autofree char *id = arg;
    const struct vr_image_transfer *transfer = find(engine, id);
    if (transfer && transfer_phase(transfer) == VR_IMAGE_TRANSFER_PHASE_FINALIZING_SUCCESS)
        finish(engine, id, VR_IMAGE_TRANSFER_PHASE_FINISHED_SUCCESS, VR_DISK_STATUS_OK);
}

/* What an upload left: qcow2 must hold a disk of the size that was promised. */
static void verified(struct vr_engine *engine, const void *result, int code, const char *message,
                     void *arg) VR_REQUIRES(vr_role_engine);
static void verified(struct vr_engine *engine, const void *result, int code, const char *message,
                     void *arg)
{
    g_autofree char *id = arg;
    const struct vr_rpc_qemu_image_info *info = result;
    const struct vr_image_transfer *transfer = find(engine, id);
    if (!transfer || transfer_phase(transfer) != VR_IMAGE_TRANSFER_PHASE_FINALIZING_SUCCESS ||
        code == VR_RPC_NETWORK_ERROR || code == VR_RPC_RECOVERING)
        return;
    const struct vr_disk *disk =
        VR_PEEK(vr_engine_head(engine), DISK, disk, VR_LINK_ID(transfer, disk));
    bool cow = disk && VR_GET(disk, format, VR_DISK_FORMAT_COW) == VR_DISK_FORMAT_COW;
    g_autofree char *why = NULL;
    if (!disk)
        why = g_strdup("the disk is gone");
    else if (code != 0)
        why = g_strdup_printf("the image cannot be read: %s (%d)", message ? message : "", code);
    else if (cow && g_strcmp0(info->format, "qcow2") != 0)
        why = g_strdup_printf("the image is %s and the disk is qcow2", info->format);
    else if (cow && info->backingfile && info->backingfile[0])
        why = g_strdup("the image has a backing file");
    else if (VR_GET(info, virtualsize, 0) != VR_GET(disk, provisioned_size, 0))
        why = g_strdup_printf("the image holds %" G_GINT64_FORMAT " bytes and the disk %"
                              G_GINT64_FORMAT, VR_GET(info, virtualsize, 0),
                              VR_GET(disk, provisioned_size, 0));
    if (why)
        transfer_fail(engine, id, why);
    else
        disk_measure(engine, VR_LINK_ID(transfer, host), disk, measured, g_steal_pointer(&id));
}

static void verify(struct vr_engine *engine, const struct vr_image_transfer *transfer)
    VR_REQUIRES(vr_role_engine);
static void verify(struct vr_engine *engine, const struct vr_image_transfer *transfer)
{
    const struct vr_disk *disk = disk_behind(engine, transfer);
    const struct vr_storage_domain *domain = domain_of(engine, disk);
    if (!domain) {
        transfer_fail(engine, transfer->id, "the disk is gone");
        return;
    }
    vr_auto struct vr_rpc_volume_get_qemu_image_info_params *params =
        VR_NEW(rpc_volume_get_qemu_image_info_params);
    VR_SET_STRING(params, storagepool_id, VR_LINK_ID(domain, data_center));
    VR_SET_STRING(params, storagedomain_id, domain->id);
    VR_SET_STRING(params, image_id, disk->id);
    VR_SET_STRING(params, volume_id, disk->image_id);
    vr_engine_host_call(engine, VR_LINK_ID(transfer, host), &vr_verb_volume_get_qemu_image_info,
                        params, 0, NULL, verified, g_strdup(transfer->id));
}

static void nbd_stopped(struct vr_engine *engine, const void *result, int code,
                        const char *message, void *arg)
{
}

/* The host runs its verbs on one server in order, so what comes next finds it stopped. */
static void stop_nbd(struct vr_engine *engine, const struct vr_image_transfer *transfer)
    VR_REQUIRES(vr_role_engine);
static void stop_nbd(struct vr_engine *engine, const struct vr_image_transfer *transfer)
{
    vr_auto struct vr_rpc_nbd_stop_server_params *params = VR_NEW(rpc_nbd_stop_server_params);
    VR_SET_STRING(params, server_id, transfer->ticket_id);
    vr_engine_host_call(engine, VR_LINK_ID(transfer, host), &vr_verb_nbd_stop_server, params, 0,
                        NULL, nbd_stopped, NULL);
}

static void ticket_removed(struct vr_engine *engine, const void *result, int code,
                           const char *message, void *arg) VR_REQUIRES(vr_role_engine);
static void ticket_removed(struct vr_engine *engine, const void *result, int code,
                           const char *message, void *arg)
{
    g_autofree char *id = arg;
    const struct vr_image_transfer *transfer = find(engine, id);
    if (!transfer || code == VR_RPC_NETWORK_ERROR || code == VR_RPC_RECOVERING)
        return; /* the timer tries again: no disk is given back while a client may write it */
    bool upload = transfer_is_upload(transfer);
    if (needs_nbd(engine, transfer))
        stop_nbd(engine, transfer);
    switch (transfer_phase(transfer)) {
    case VR_IMAGE_TRANSFER_PHASE_FINALIZING_SUCCESS:
        if (upload)
            verify(engine, transfer);
        else
            finish(engine, id, VR_IMAGE_TRANSFER_PHASE_FINISHED_SUCCESS, VR_DISK_STATUS_OK);
        break;
    case VR_IMAGE_TRANSFER_PHASE_FINALIZING_FAILURE:
        finish(engine, id, VR_IMAGE_TRANSFER_PHASE_FINISHED_FAILURE,
               upload ? VR_DISK_STATUS_ILLEGAL : VR_DISK_STATUS_OK);
        break;
    case VR_IMAGE_TRANSFER_PHASE_FINALIZING_CLEANUP:
        finish(engine, id, VR_IMAGE_TRANSFER_PHASE_FINISHED_CLEANUP,
               upload ? VR_DISK_STATUS_ILLEGAL : VR_DISK_STATUS_OK);
        break;
    default:
        break;
    }
}

static void remove_ticket(struct vr_engine *engine, const struct vr_image_transfer *transfer)
    VR_REQUIRES(vr_role_engine);
static void remove_ticket(struct vr_engine *engine, const struct vr_image_transfer *transfer)
{
    vr_auto struct vr_rpc_host_remove_image_ticket_params *params =
        VR_NEW(rpc_host_remove_image_ticket_params);
    VR_SET_STRING(params, uuid, transfer->ticket_id);
    vr_engine_host_call(engine, VR_LINK_ID(transfer, host), &vr_verb_host_remove_image_ticket,
                        params, 0, NULL, ticket_removed, g_strdup(transfer->id));
}

/* --- watching --- */

static void renewed(struct vr_engine *engine, const void *result, int code, const char *message,
                    void *arg) VR_REQUIRES(vr_role_engine);
static void renewed(struct vr_engine *engine, const void *result, int code, const char *message,
                    void *arg)
{
    g_autofree char *id = arg;
    if (code != 0 || !find(engine, id))
        return;
    struct vr_txn *txn = vr_txn_new(engine);
    struct vr_image_transfer *transfer = VR_EDIT(txn, IMAGE_TRANSFER, image_transfer, id);
    VR_SET(transfer, ticket_expires, vr_engine_wall_ms(engine) + TICKET_SECONDS * 1000);
    vr_txn_commit(txn, NULL, NULL);
}

static void renew(struct vr_engine *engine, const struct vr_image_transfer *transfer)
    VR_REQUIRES(vr_role_engine);
static void renew(struct vr_engine *engine, const struct vr_image_transfer *transfer)
{
    vr_auto struct vr_rpc_host_extend_image_ticket_params *params =
        VR_NEW(rpc_host_extend_image_ticket_params);
    VR_SET_STRING(params, uuid, transfer->ticket_id);
    VR_SET(params, timeout, TICKET_SECONDS);
    vr_engine_host_call(engine, VR_LINK_ID(transfer, host), &vr_verb_host_extend_image_ticket,
                        params, 0, NULL, renewed, g_strdup(transfer->id));
}

/* A client that went away: uploads wait for it, downloads end (facts/rest-api.md 9.2). */
static void inactive(struct vr_engine *engine, const struct vr_image_transfer *transfer)
    VR_REQUIRES(vr_role_engine);
static void inactive(struct vr_engine *engine, const struct vr_image_transfer *transfer)
{
    enum vr_image_transfer_timeout_policy policy =
        VR_GET(transfer, timeout_policy, VR_IMAGE_TRANSFER_TIMEOUT_POLICY_LEGACY);
    bool pause = policy == VR_IMAGE_TRANSFER_TIMEOUT_POLICY_PAUSE ||
                 (policy == VR_IMAGE_TRANSFER_TIMEOUT_POLICY_LEGACY && transfer_is_upload(transfer));
    g_autofree char *id = g_strdup(transfer->id);
    if (pause)
        set_phase(engine, id, VR_IMAGE_TRANSFER_PHASE_PAUSED_SYSTEM);
    else
        transfer_fail(engine, id, "the client was inactive");
}

static void progress(struct vr_engine *engine, const void *result, int code, const char *message,
                     void *arg) VR_REQUIRES(vr_role_engine);
static void progress(struct vr_engine *engine, const void *result, int code, const char *message,
                     void *arg)
{
    g_autofree char *id = arg;
    const struct vr_image_transfer *transfer = find(engine, id);
    const struct vr_rpc_host_get_image_ticket_result *answer = result;
    if (!transfer || transfer_phase(transfer) != VR_IMAGE_TRANSFER_PHASE_TRANSFERRING)
        return;
    if (code == 404 || code == 481 || code == 482) { /* the daemon was restarted: install it again */
        set_phase(engine, id, VR_IMAGE_TRANSFER_PHASE_INITIALIZING);
        return;
    }
    struct json_object *ticket =
        code == 0 && answer->value ? json_tokener_parse(answer->value) : NULL;
    struct json_object *member;
    int64_t transferred = VR_GET(transfer, transferred, 0);
    bool active = false;
    if (json_object_object_get_ex(ticket, "transferred", &member))
        transferred = MAX(0, json_object_get_int64(member));
    if (json_object_object_get_ex(ticket, "active", &member))
        active = json_object_get_boolean(member);
    json_object_put(ticket);
    int64_t now = vr_engine_wall_ms(engine);
    bool moved = transferred != VR_GET(transfer, transferred, 0) || active;
    struct vr_txn *txn = vr_txn_new(engine);
    struct vr_image_transfer *edit = VR_EDIT(txn, IMAGE_TRANSFER, image_transfer, id);
    VR_SET(edit, transferred, transferred);
    VR_SET(edit, active, active);
    if (moved)
        VR_SET(edit, last_active, now);
    vr_txn_commit(txn, NULL, NULL);
    transfer = find(engine, id);
    int64_t limit = VR_GET(transfer, inactivity_timeout, 60) * 1000;
    if (limit > 0 && now - VR_GET(transfer, last_active, now) > limit)
        inactive(engine, transfer);
    else if (VR_GET(transfer, ticket_expires, 0) - now < TICKET_SECONDS * 500)
        renew(engine, transfer);
}

static void ask_progress(struct vr_engine *engine, const struct vr_image_transfer *transfer)
    VR_REQUIRES(vr_role_engine);
static void ask_progress(struct vr_engine *engine, const struct vr_image_transfer *transfer)
{
    vr_auto struct vr_rpc_host_get_image_ticket_params *params =
        VR_NEW(rpc_host_get_image_ticket_params);
    VR_SET_STRING(params, uuid, transfer->ticket_id);
    vr_engine_host_call(engine, VR_LINK_ID(transfer, host), &vr_verb_host_get_image_ticket, params,
                        0, NULL, progress, g_strdup(transfer->id));
}

/* --- the machine --- */

void transfer_drive(struct vr_engine *engine, const char *id)
{
    const struct vr_image_transfer *transfer = find(engine, id);
    if (!transfer)
        return;
    switch (transfer_phase(transfer)) {
    case VR_IMAGE_TRANSFER_PHASE_INITIALIZING:
    case VR_IMAGE_TRANSFER_PHASE_RESUMING:
        install(engine, transfer);
        break;
    case VR_IMAGE_TRANSFER_PHASE_TRANSFERRING:
        ask_progress(engine, transfer);
        break;
    case VR_IMAGE_TRANSFER_PHASE_FINALIZING_SUCCESS:
    case VR_IMAGE_TRANSFER_PHASE_FINALIZING_FAILURE:
    case VR_IMAGE_TRANSFER_PHASE_FINALIZING_CLEANUP:
        remove_ticket(engine, transfer);
        break;
    default:
        break;
    }
}

static void tick(struct vr_engine *engine, void *arg) VR_REQUIRES(vr_role_engine);

static void tick_after(struct vr_engine *engine, int64_t ms, const char *id)
    VR_REQUIRES(vr_role_engine)
{
    vr_engine_after_with(engine, ms, tick, g_strdup(id), g_free);
}

static void tick(struct vr_engine *engine, void *arg)
{
    const char *id = arg;
    const struct vr_image_transfer *transfer = find(engine, id);
    const struct vr_config *config = vr_engine_config(engine);
    if (!transfer)
        return;
    enum vr_image_transfer_phase phase = transfer_phase(transfer);
    if (is_over(phase)) {
        int64_t minutes = phase == VR_IMAGE_TRANSFER_PHASE_FINISHED_SUCCESS
                              ? config->ImageTransferSucceededKeepMinutes
                              : config->ImageTransferFailedKeepMinutes;
        int64_t left = VR_GET(transfer, ended, 0) + minutes * 60000 - vr_engine_wall_ms(engine);
        if (left > 0) {
            tick_after(engine, left, id);
            return;
        }
        struct vr_txn *txn = vr_txn_new(engine);
        vr_txn_remove(txn, VR_KIND_IMAGE_TRANSFER, id);
        vr_txn_commit(txn, NULL, NULL);
        return;
    }
    transfer_drive(engine, id);
    tick_after(engine, TICK_MS, id);
}

void transfer_watch(struct vr_engine *engine, const char *id)
{
    tick_after(engine, 0, id);
}

void transfers_begin(struct vr_engine *engine)
{
    vr_auto_objects struct vr_objects all = { 0 };
    vr_inventory_list(vr_engine_head(engine), VR_KIND_IMAGE_TRANSFER, &all);
    VR_OBJECTS (struct vr_image_transfer, transfer, &all)
        tick_after(engine, 0, transfer->id);
}
