/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/storage/internal.h"

#include "gen/routes.h"

/* /storagedomains and /datacenters/{d}/storagedomains (facts/rest-api.md 8.2). */

#define MAX_NAME 50

static const struct vr_host *up_host(struct vr_call *call, const struct vr_host *wanted,
                                     struct vr_error **error) VR_REQUIRES(vr_role_engine);
static const struct vr_host *up_host(struct vr_call *call, const struct vr_host *wanted,
                                     struct vr_error **error)
{
    const struct vr_host *host = VR_RESOLVE(call->engine, HOST, host, wanted, "Host", error);
    if (!host)
        return NULL;
    if (VR_GET(host, status, VR_HOST_STATUS_UNASSIGNED) != VR_HOST_STATUS_UP) {
        vr_error_set(error, &vr_fault_host_not_up, "Host %s is not up.", host->name);
        return NULL;
    }
    return host;
}

static bool unique_name(struct vr_call *call, const char *name, const char *own_id,
                        struct vr_error **error) VR_REQUIRES(vr_role_engine);
static bool unique_name(struct vr_call *call, const char *name, const char *own_id,
                        struct vr_error **error)
{
    if (!vr_check_name("Storage Domain", name, VR_NAME_SIMPLE, MAX_NAME, error))
        return false;
    vr_auto_objects struct vr_objects same = { 0 };
    vr_inventory_list_named(vr_engine_head(call->engine), VR_KIND_STORAGE_DOMAIN, name, &same);
    for (unsigned i = 0; i < same.count; i++)
        if (g_strcmp0(vr_id(same.items[i]), own_id) != 0) {
            vr_error_set(error, &vr_fault_name_in_use,
                         "Cannot add Storage. The name %s is already in use.", name);
            return false;
        }
    return true;
}

/* A path that names a place below /, without tricks. */
static bool check_path(const char *path, struct vr_error **error)
{
    if (path && path[0] == '/' && strlen(path) <= 1024 && !strstr(path, "/../") &&
        !g_str_has_suffix(path, "/.."))
        for (const char *c = path;; c++) {
            if (!*c)
                return true;
            if ((unsigned char)*c < 0x20)
                break;
        }
    vr_error_set(error, &vr_fault_invalid_value, "storage.path must be an absolute path.");
    return false;
}

static bool check_storage(struct vr_call *call, const struct vr_storage_domain *wanted,
                          struct vr_error **error) VR_REQUIRES(vr_role_engine);
static bool check_storage(struct vr_call *call, const struct vr_storage_domain *wanted,
                          struct vr_error **error)
{
    const struct vr_host_storage *storage = wanted->storage;
    if (!storage || !VR_HAS(storage, type)) {
        vr_error_set(error, &vr_fault_incomplete_parameters,
                     "StorageDomain [storage.type] required for add");
        return false;
    }
    if (VR_GET(wanted, type, VR_STORAGE_DOMAIN_TYPE_DATA) != VR_STORAGE_DOMAIN_TYPE_DATA ||
        !storage_type_code(storage->type)) {
        vr_error_set(error, &vr_fault_not_built,
                     "This version makes data domains on local, POSIX and NFS storage.");
        return false;
    }
    if (storage->type == VR_STORAGE_TYPE_NFS && (!storage->address || !storage->address[0])) {
        vr_error_set(error, &vr_fault_incomplete_parameters,
                     "StorageDomain [storage.address] required for add");
        return false;
    }
    if (storage->type == VR_STORAGE_TYPE_POSIXFS && (!storage->vfs_type || !storage->vfs_type[0])) {
        vr_error_set(error, &vr_fault_incomplete_parameters,
                     "StorageDomain [storage.vfs_type] required for add");
        return false;
    }
    if (!check_path(storage->path, error))
        return false;
    g_autofree char *text = connection_text(storage);
    vr_auto_objects struct vr_objects others = { 0 };
    vr_inventory_list(vr_engine_head(call->engine), VR_KIND_STORAGE_DOMAIN, &others);
    VR_OBJECTS (struct vr_storage_domain, other, &others) {
        g_autofree char *theirs = other->storage ? connection_text(other->storage) : NULL;
        if (g_strcmp0(text, theirs) == 0) {
            vr_error_set(error, &vr_fault_already_exists,
                         "Cannot add Storage Connection. Storage domain %s uses %s already.",
                         other->name, text);
            return false;
        }
    }
    return true;
}

static const char *add_connection(struct vr_txn *txn, const struct vr_storage_domain *domain,
                                  const struct vr_host *host) VR_REQUIRES(vr_role_engine);
static const char *add_connection(struct vr_txn *txn, const struct vr_storage_domain *domain,
                                  const struct vr_host *host)
{
    const struct vr_host_storage *storage = domain->storage;
    struct vr_storage_connection *connection = VR_NEW(storage_connection);
    VR_SET(connection, type, storage->type);
    VR_SET_STRING(connection, address, storage->address);
    VR_SET_STRING(connection, path, storage->path);
    VR_SET_STRING(connection, vfs_type, storage->vfs_type);
    VR_SET_STRING(connection, mount_options, storage->mount_options);
    if (VR_HAS(storage, nfs_version))
        VR_SET(connection, nfs_version, storage->nfs_version);
    if (storage->type == VR_STORAGE_TYPE_LOCALFS)
        VR_SET_LINK(connection, host, host, host->id);
    vr_txn_add(txn, VR_KIND_STORAGE_CONNECTION, connection);
    return connection->id;
}

static struct vr_storage_job_context *context_new(const char *domain_id, const char *dc_id,
                                                  const char *host_id, bool first)
{
    struct vr_storage_job_context *context = VR_NEW(storage_job_context);
    VR_SET_STRING(context, domain_id, domain_id);
    VR_SET_STRING(context, data_center_id, dc_id);
    VR_SET_STRING(context, host_id, host_id);
    VR_SET(context, first, first);
    VR_SET(context, format, true);
    return context;
}

/* Starts a job on one domain, which the caller has checked to be free; the id is owned. */
static char *start_job(struct vr_call *call, struct vr_txn *txn, const struct vr_job_type *type,
                       struct vr_storage_job_context *context, const char *what,
                       const struct vr_storage_domain *domain) VR_REQUIRES(vr_role_engine);
static char *start_job(struct vr_call *call, struct vr_txn *txn, const struct vr_job_type *type,
                       struct vr_storage_job_context *context, const char *what,
                       const struct vr_storage_domain *domain)
{
    struct vr_lock locks[] = { { VR_KIND_STORAGE_DOMAIN, context->domain_id, true },
                               { VR_KIND_DATA_CENTER, context->data_center_id, true } };
    g_autofree char *description = g_strdup_printf("%s Storage Domain %s", what, domain->name);
    return g_strdup(vr_job_start(
        txn, &(struct vr_job_start){ .type = type,
                                     .context = context,
                                     .description = description,
                                     .locks = locks,
                                     .lock_count = context->data_center_id ? 2 : 1,
                                     .user_id = call->caller ? call->caller->user_id : NULL,
                                     .correlation_id = call->correlation_id }));
}

void vr_storage_domains_add(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    struct vr_storage_domain *body = call->body;
    if (body->id || VR_GET(body, import, false)) {
        vr_error_set(&error, &vr_fault_not_built,
                     "Existing storage domains are not imported by this version.");
        vr_call_fail(call, &error);
        return;
    }
    if (!body->name)
        vr_error_set(&error, &vr_fault_incomplete_parameters,
                     "StorageDomain [name] required for add");
    const struct vr_host *host = error ? NULL : up_host(call, body->host, &error);
    if (!host || !unique_name(call, body->name, NULL, &error) ||
        !check_storage(call, body, &error)) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_storage_domain *domain = vr_call_take_body(call);
    struct vr_txn *txn = vr_txn_new(call->engine);
    vr_txn_add(txn, VR_KIND_STORAGE_DOMAIN, domain);
    const char *connection = add_connection(txn, domain, host);
    VR_CLEAR(domain, host);
    VR_CLEAR(domain, data_center);
    VR_CLEAR(domain, data_centers);
    VR_SET_LINK(domain, agent_connection, storage_connection, connection);
    VR_SET(domain, type, VR_STORAGE_DOMAIN_TYPE_DATA);
    VR_SET(domain, domain_class, DOMAIN_CLASS_DATA);
    VR_SET(domain, status, VR_STORAGE_DOMAIN_STATUS_LOCKED);
    VR_SET(domain, external_status, VR_EXTERNAL_STATUS_OK);
    VR_SET(domain, storage_format, VR_STORAGE_FORMAT_V5);
    VR_SET(domain, master, false);
    VR_SET(domain, block_size, 512);
    VR_SET(domain, backup, VR_GET(domain, backup, false));
    VR_SET(domain, wipe_after_delete, VR_GET(domain, wipe_after_delete, false));
    VR_SET(domain, discard_after_delete, VR_GET(domain, discard_after_delete, false));
    VR_SET(domain, warning_low_space_indicator, VR_GET(domain, warning_low_space_indicator, 10));
    VR_SET(domain, critical_space_action_blocker,
           VR_GET(domain, critical_space_action_blocker, 5));
    if (!domain->description)
        VR_SET_STRING(domain, description, "");
    if (!domain->comment)
        VR_SET_STRING(domain, comment, "");
    g_autofree char *id = g_strdup(domain->id);
    g_autofree char *job = start_job(call, txn, &vr_job_add_storage_domain,
                                     context_new(id, NULL, host->id, false), "Adding", domain);
    vr_call_wait_by_default(call); /* clients attach it at once */
    vr_call_commit_job(call, txn, job, VR_KIND_STORAGE_DOMAIN, id);
}

void vr_storage_domain_update(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    struct vr_storage_domain *wanted = call->body;
    const struct vr_storage_domain *domain =
        vr_call_target(call, VR_KIND_STORAGE_DOMAIN, &error);
    if (!domain || (wanted->name && !unique_name(call, wanted->name, domain->id, &error))) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    g_autofree char *id = g_strdup(domain->id);
    struct vr_storage_domain *edit = VR_EDIT(txn, STORAGE_DOMAIN, storage_domain, id);
    if (wanted->name)
        VR_SET_STRING(edit, name, wanted->name);
    if (wanted->description)
        VR_SET_STRING(edit, description, wanted->description);
    if (wanted->comment)
        VR_SET_STRING(edit, comment, wanted->comment);
    if (VR_HAS(wanted, wipe_after_delete))
        VR_SET(edit, wipe_after_delete, wanted->wipe_after_delete);
    if (VR_HAS(wanted, warning_low_space_indicator))
        VR_SET(edit, warning_low_space_indicator,
               CLAMP(wanted->warning_low_space_indicator, 0, 100));
    if (VR_HAS(wanted, critical_space_action_blocker))
        VR_SET(edit, critical_space_action_blocker, MAX(0, wanted->critical_space_action_blocker));
    vr_event_add(txn, VR_EVENT_USER_UPDATE_STORAGE_DOMAIN,
                 &(struct vr_event_about){ .user = vr_call_user(call),
                                           .storage_domain = edit,
                                           .correlation_id = call->correlation_id },
                 NULL);
    vr_call_commit(call, txn, VR_KIND_STORAGE_DOMAIN, id);
}

static bool is_empty(struct vr_call *call, const char *domain_id, struct vr_error **error)
    VR_REQUIRES(vr_role_engine);
static bool is_empty(struct vr_call *call, const char *domain_id, struct vr_error **error)
{
    unsigned disks = vr_inventory_count_by(vr_engine_head(call->engine), VR_KIND_DISK,
                                           "storage_domain", domain_id);
    if (disks == 0)
        return true;
    vr_error_set(error, &vr_fault_domain_has_disks, "The storage domain holds %u disks.", disks);
    return false;
}

void vr_storage_domain_remove(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    g_autofree char *job = NULL;
    const struct vr_storage_domain *domain =
        vr_call_target(call, VR_KIND_STORAGE_DOMAIN, &error);
    bool destroy = vr_call_flag(call, "destroy", false);
    const char *named = vr_call_param(call, "host");
    const struct vr_host *host = NULL;
    if (!domain)
        goto fail;
    if (VR_LINK_ID(domain, data_center)) {
        vr_error_set(&error, &vr_fault_domain_wrong_state,
                     "Cannot remove Storage. Detach the storage domain from its data center first.");
        goto fail;
    }
    struct vr_lock lock = { VR_KIND_STORAGE_DOMAIN, domain->id, true };
    if (!vr_locks_free(call->engine, &lock, 1, &error) || !is_empty(call, domain->id, &error))
        goto fail;
    if (!destroy && (!named || !named[0])) {
        vr_error_set(&error, &vr_fault_missing_parameter, "host parameter is missing");
        goto fail;
    }
    if (!destroy) {
        vr_auto struct vr_host *wanted = VR_NEW(host);
        if (vr_uuid_valid(named))
            VR_SET_STRING(wanted, id, named);
        else
            VR_SET_STRING(wanted, name, named);
        host = up_host(call, wanted, &error);
        if (!host)
            goto fail;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    if (destroy) {
        vr_auto_objects struct vr_objects profiles = { 0 };
        vr_inventory_list_by(vr_engine_head(call->engine), VR_KIND_DISK_PROFILE, "storage_domain",
                             domain->id, &profiles);
        VR_OBJECTS (struct vr_disk_profile, profile, &profiles)
            vr_txn_remove(txn, VR_KIND_DISK_PROFILE, profile->id);
        vr_txn_remove(txn, VR_KIND_STORAGE_DOMAIN, domain->id);
        vr_call_commit_remove(call, txn, NULL);
        return;
    }
    struct vr_storage_job_context *context = context_new(domain->id, NULL, host->id, false);
    VR_SET(context, format, vr_call_flag(call, "format", false));
    VR_SET(VR_EDIT(txn, STORAGE_DOMAIN, storage_domain, domain->id), status,
           VR_STORAGE_DOMAIN_STATUS_LOCKED);
    job = start_job(call, txn, &vr_job_remove_storage_domain, context, "Removing", domain);
    vr_call_commit_remove(call, txn, job);
    return;
fail:
    vr_call_fail(call, &error);
}

/* --- attached domains --- */

void vr_attached_storage_domains_add(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    g_autofree char *id = NULL, *job = NULL;
    const struct vr_data_center *dc = vr_call_target(call, VR_KIND_DATA_CENTER, &error);
    const struct vr_storage_domain *domain =
        dc ? VR_RESOLVE(call->engine, STORAGE_DOMAIN, storage_domain, call->body, "Storage Domain",
                        &error)
           : NULL;
    if (!domain)
        goto fail;
    struct vr_lock locks[] = { { VR_KIND_STORAGE_DOMAIN, domain->id, true },
                               { VR_KIND_DATA_CENTER, dc->id, true } };
    if (VR_LINK_ID(domain, data_center)) {
        vr_error_set(&error, &vr_fault_domain_already_attached, NULL);
        goto fail;
    }
    if (!vr_locks_free(call->engine, locks, 2, &error))
        goto fail;
    if (VR_GET(domain, status, VR_STORAGE_DOMAIN_STATUS_UNKNOWN) !=
        VR_STORAGE_DOMAIN_STATUS_UNATTACHED) {
        vr_error_set(&error, &vr_fault_domain_wrong_state,
                     "Cannot attach Storage. The storage domain is not unattached.");
        goto fail;
    }
    const struct vr_host *host = vr_hosts_pick(call->engine, dc->id);
    if (!host) {
        vr_error_set(&error, &vr_fault_no_host_available,
                     "Cannot attach Storage. No host of the data center is up.");
        goto fail;
    }
    bool first = !VR_GET(dc, pool_created, false);
    struct vr_txn *txn = vr_txn_new(call->engine);
    struct vr_storage_domain *edit = VR_EDIT(txn, STORAGE_DOMAIN, storage_domain, domain->id);
    VR_SET_LINK(edit, data_center, data_center, dc->id);
    VR_SET(edit, pool_status, VR_STORAGE_DOMAIN_STATUS_LOCKED);
    id = g_strdup(domain->id);
    job = start_job(call, txn, &vr_job_attach_storage_domain,
                  context_new(id, dc->id, host->id, first), "Attaching", domain);
    vr_call_commit_job(call, txn, job, VR_KIND_STORAGE_DOMAIN, id);
    return;
fail:
    vr_call_fail(call, &error);
}

/* The attached domain of the path in one of two statuses, with its locks free. */
static const struct vr_storage_domain *attached(struct vr_call *call, unsigned allowed,
                                                const char *verb, struct vr_error **error)
    VR_REQUIRES(vr_role_engine);
static const struct vr_storage_domain *attached(struct vr_call *call, unsigned allowed,
                                                const char *verb, struct vr_error **error)
{
    const struct vr_storage_domain *domain =
        vr_call_target(call, VR_KIND_STORAGE_DOMAIN, error);
    if (domain && g_strcmp0(VR_LINK_ID(domain, data_center), vr_call_parent_id(call)) != 0) {
        vr_error_set(error, &vr_fault_not_found, NULL);
        return NULL;
    }
    if (!domain)
        return NULL;
    enum vr_storage_domain_status status =
        VR_GET(domain, pool_status, VR_STORAGE_DOMAIN_STATUS_UNKNOWN);
    if (!(allowed & 1U << status)) {
        vr_error_set(error, &vr_fault_domain_wrong_state,
                     "Cannot %s Storage. The storage domain is %s.", verb,
                     vr_enum_word(&vr_enum_storage_domain_status, (int)status));
        return NULL;
    }
    struct vr_lock locks[] = { { VR_KIND_STORAGE_DOMAIN, domain->id, true },
                               { VR_KIND_DATA_CENTER, VR_LINK_ID(domain, data_center), true } };
    return vr_locks_free(call->engine, locks, 2, error) ? domain : NULL;
}

static bool is_last(struct vr_engine *engine, const struct vr_storage_domain *domain, bool active)
    VR_REQUIRES(vr_role_engine);
static bool is_last(struct vr_engine *engine, const struct vr_storage_domain *domain, bool active)
{
    vr_auto_objects struct vr_objects all = { 0 };
    vr_inventory_list_by(vr_engine_head(engine), VR_KIND_STORAGE_DOMAIN, "data_center",
                         VR_LINK_ID(domain, data_center), &all);
    VR_OBJECTS (struct vr_storage_domain, other, &all)
        if (strcmp(other->id, domain->id) != 0 &&
            (!active || VR_GET(other, pool_status, VR_STORAGE_DOMAIN_STATUS_UNKNOWN) ==
                            VR_STORAGE_DOMAIN_STATUS_ACTIVE))
            return false;
    return true;
}

static const struct vr_host *worker(struct vr_call *call, const struct vr_storage_domain *domain,
                                    struct vr_error **error) VR_REQUIRES(vr_role_engine);
static const struct vr_host *worker(struct vr_call *call, const struct vr_storage_domain *domain,
                                    struct vr_error **error)
{
    const struct vr_host *host = vr_hosts_pick(call->engine, VR_LINK_ID(domain, data_center));
    if (!host)
        vr_error_set(error, &vr_fault_no_host_available, "No host of the data center is up.");
    return host;
}

static void act(struct vr_call *call, const struct vr_job_type *type, const char *what,
                const struct vr_storage_domain *domain, bool first,
                enum vr_storage_domain_status status, bool remove) VR_REQUIRES(vr_role_engine);
static void act(struct vr_call *call, const struct vr_job_type *type, const char *what,
                const struct vr_storage_domain *domain, bool first,
                enum vr_storage_domain_status status, bool remove)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_host *host = worker(call, domain, &error);
    if (!host) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    VR_SET(VR_EDIT(txn, STORAGE_DOMAIN, storage_domain, domain->id), pool_status, status);
    g_autofree char *job = start_job(
        call, txn, type,
        context_new(domain->id, VR_LINK_ID(domain, data_center), host->id, first), what, domain);
    if (remove)
        vr_call_commit_remove(call, txn, job);
    else
        vr_call_commit_action(call, txn, job);
}

#define IS(status) (1U << VR_STORAGE_DOMAIN_STATUS_##status)

void vr_attached_storage_domain_activate(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_storage_domain *domain =
        attached(call, IS(MAINTENANCE) | IS(INACTIVE), "activate", &error);
    const struct vr_storage_domain *master =
        domain ? master_of(call->engine, VR_LINK_ID(domain, data_center)) : NULL;
    if (!domain) {
        vr_call_fail(call, &error);
        return;
    }
    bool is_master = master && strcmp(master->id, domain->id) == 0;
    if (!is_master && master && VR_GET(master, pool_status, VR_STORAGE_DOMAIN_STATUS_UNKNOWN) !=
                                    VR_STORAGE_DOMAIN_STATUS_ACTIVE) {
        vr_error_set(&error, &vr_fault_domain_wrong_state,
                     "Activate storage domain %s, the master of the data center, first.",
                     master->name);
        vr_call_fail(call, &error);
        return;
    }
    act(call, &vr_job_activate_storage_domain, "Activating", domain, is_master,
        VR_STORAGE_DOMAIN_STATUS_ACTIVATING, false);
}

/* No machine that runs has a disk there. */
static bool check_unused(struct vr_call *call, const struct vr_storage_domain *domain,
                         struct vr_error **error) VR_REQUIRES(vr_role_engine);
static bool check_unused(struct vr_call *call, const struct vr_storage_domain *domain,
                         struct vr_error **error)
{
    struct vr_inventory *head = vr_engine_head(call->engine);
    vr_auto_objects struct vr_objects disks = { 0 };
    vr_inventory_list_by(head, VR_KIND_DISK, "storage_domain", domain->id, &disks);
    VR_OBJECTS (struct vr_disk, disk, &disks) {
        vr_auto_objects struct vr_objects attachments = { 0 };
        vr_inventory_list_by(head, VR_KIND_DISK_ATTACHMENT, "disk", disk->id, &attachments);
        VR_OBJECTS (struct vr_disk_attachment, attachment, &attachments) {
            const struct vr_vm *vm = VR_PEEK(head, VM, vm, VR_LINK_ID(attachment, vm));
            if (vm && VR_LINK_ID(vm, host)) {
                vr_error_set(error, &vr_fault_domain_active,
                             "Cannot deactivate Storage. Virtual machine %s runs from it.",
                             vm->name);
                return false;
            }
        }
        if (VR_GET(disk, status, VR_DISK_STATUS_OK) == VR_DISK_STATUS_LOCKED) {
            vr_error_set(error, &vr_fault_disk_is_locked,
                         "Cannot deactivate Storage. Disk %s is locked.", disk->alias);
            return false;
        }
    }
    return true;
}

void vr_attached_storage_domain_deactivate(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_storage_domain *domain =
        attached(call, IS(ACTIVE) | IS(INACTIVE), "deactivate", &error);
    if (!domain || !check_unused(call, domain, &error)) {
        vr_call_fail(call, &error);
        return;
    }
    bool last = is_last(call->engine, domain, true);
    const struct vr_storage_domain *master = master_of(call->engine, VR_LINK_ID(domain, data_center));
    if (!last && master && strcmp(master->id, domain->id) == 0) {
        vr_error_set(&error, &vr_fault_not_built,
                     "The master role is not handed to another domain by this version: deactivate "
                     "the other storage domains first.");
        vr_call_fail(call, &error);
        return;
    }
    act(call, &vr_job_deactivate_storage_domain, "Deactivating", domain, last,
        VR_STORAGE_DOMAIN_STATUS_PREPARING_FOR_MAINTENANCE, false);
}

void vr_attached_storage_domain_remove(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_storage_domain *domain = attached(call, IS(MAINTENANCE), "detach", &error);
    if (!domain || !is_empty(call, domain->id, &error)) {
        vr_call_fail(call, &error);
        return;
    }
    const struct vr_storage_domain *master = master_of(call->engine, VR_LINK_ID(domain, data_center));
    bool is_master = master && strcmp(master->id, domain->id) == 0;
    if (is_master && !is_last(call->engine, domain, false)) {
        vr_error_set(&error, &vr_fault_domain_wrong_state,
                     "The master is detached last: detach the other storage domains first.");
        vr_call_fail(call, &error);
        return;
    }
    act(call, &vr_job_detach_storage_domain, "Detaching", domain, is_master,
        VR_STORAGE_DOMAIN_STATUS_DETACHING, true);
}
