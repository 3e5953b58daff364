/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "storage"
#include "manager/storage/internal.h"

/*
 * What is done to storage domains.  Every step can run again: an answer that
 * says "it is so already" is success (codes in facts/host-rpc.md 5).
 */

#define CODE_MISSING 358
#define CODE_EXISTS 365

struct vr_storage_domain *storage_job_edit(struct vr_job_run *run)
{
    const struct vr_storage_job_context *context = run->context;
    return VR_EDIT(run->txn, STORAGE_DOMAIN, storage_domain, context->domain_id);
}

const struct vr_storage_domain *storage_job_peek(struct vr_job_run *run)
{
    const struct vr_storage_job_context *context = run->context;
    return vr_txn_peek(run->txn, VR_KIND_STORAGE_DOMAIN, context->domain_id);
}

const struct vr_data_center *storage_job_center(struct vr_job_run *run)
{
    const struct vr_storage_job_context *context = run->context;
    return context->data_center_id
               ? vr_txn_peek(run->txn, VR_KIND_DATA_CENTER, context->data_center_id)
               : NULL;
}

void storage_job_fail(struct vr_job_run *run, const char *what, int code, const char *message)
{
    vr_auto_error struct vr_error *error = NULL;
    vr_job_host_error(&error, what, code, message);
    vr_job_fail(run, &error);
}

/* --- connecting --- */

static void connected(struct vr_job_run *run, const void *result, int code, const char *message)
    VR_REQUIRES(vr_role_engine);
static void connected(struct vr_job_run *run, const void *result, int code, const char *message)
{
    if (code == 0)
        code = connect_status(result);
    if (code != 0)
        storage_job_fail(run, "The storage cannot be connected", code, message ? message : "storage error");
    else
        vr_job_done(run);
}

void storage_connect_server(struct vr_job_run *run)
{
    const struct vr_storage_job_context *context = run->context;
    vr_auto struct vr_rpc_storage_pool_connect_storage_server_params *params =
        connect_params(context->data_center_id, storage_job_peek(run));
    vr_job_call(run, context->host_id, &vr_verb_storage_pool_connect_storage_server, params, 0,
                connected);
}

static void disconnected(struct vr_job_run *run, const void *result, int code,
                         const char *message) VR_REQUIRES(vr_role_engine);
static void disconnected(struct vr_job_run *run, const void *result, int code,
                         const char *message)
{
    vr_job_done(run); /* a connection that stays does no harm */
}

static void disconnect_server(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static void disconnect_server(struct vr_job_run *run)
{
    const struct vr_storage_job_context *context = run->context;
    const struct vr_storage_domain *domain = storage_job_peek(run);
    if (!domain) {
        vr_job_done(run);
        return;
    }
    vr_auto struct vr_rpc_storage_pool_disconnect_storage_server_params *params =
        disconnect_params(context->data_center_id, domain);
    vr_job_call(run, context->host_id, &vr_verb_storage_pool_disconnect_storage_server, params, 0,
                disconnected);
}

/* --- making a domain --- */

static void created(struct vr_job_run *run, const void *result, int code, const char *message)
    VR_REQUIRES(vr_role_engine);
static void created(struct vr_job_run *run, const void *result, int code, const char *message)
{
    if (code != 0 && code != CODE_EXISTS)
        storage_job_fail(run, "StorageDomain.create", code, message);
    else
        vr_job_done(run);
}

static void create(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static void create(struct vr_job_run *run)
{
    const struct vr_storage_job_context *context = run->context;
    const struct vr_storage_domain *domain = storage_job_peek(run);
    g_autofree char *text = connection_text(domain->storage);
    g_autofree char *quoted = NULL;
    g_autoptr(GString) json = g_string_new("\"");
    for (const char *c = text; *c; c++) {
        if (*c == '"' || *c == '\\')
            g_string_append_c(json, '\\');
        g_string_append_c(json, *c);
    }
    g_string_append_c(json, '"');
    quoted = g_strdup(json->str);
    vr_auto struct vr_rpc_storage_domain_create_params *params =
        VR_NEW(rpc_storage_domain_create_params);
    VR_SET_STRING(params, storagedomain_id, domain->id);
    VR_SET(params, domain_type,
           storage_type_code(VR_GET(domain->storage, type, VR_STORAGE_TYPE_LOCALFS)));
    VR_SET_STRING(params, type_args, quoted);
    VR_SET_STRING(params, name, domain->name);
    VR_SET(params, domain_class, DOMAIN_CLASS_DATA);
    VR_SET(params, version, 5);
    VR_SET(params, block_size, 512);
    VR_SET(params, max_hosts, MAX_HOST_ID);
    vr_job_call(run, context->host_id, &vr_verb_storage_domain_create, params, 0, created);
}

static void formatted(struct vr_job_run *run, const void *result, int code, const char *message)
    VR_REQUIRES(vr_role_engine);
static void formatted(struct vr_job_run *run, const void *result, int code, const char *message)
{
    if (code != 0 && code != CODE_MISSING)
        storage_job_fail(run, "StorageDomain.format", code, message);
    else
        vr_job_done(run);
}

static void format(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static void format(struct vr_job_run *run)
{
    const struct vr_storage_job_context *context = run->context;
    if (!VR_GET(context, format, true)) {
        vr_job_done(run);
        return;
    }
    vr_auto struct vr_rpc_storage_domain_format_params *params =
        VR_NEW(rpc_storage_domain_format_params);
    VR_SET_STRING(params, storagedomain_id, context->domain_id);
    VR_SET(params, auto_detach, false);
    vr_job_call(run, context->host_id, &vr_verb_storage_domain_format, params, 0, formatted);
}

/* What belongs to a domain alone, and the domain. */
static void forget(struct vr_txn *txn, const char *domain_id) VR_REQUIRES(vr_role_engine);
static void forget(struct vr_txn *txn, const char *domain_id)
{
    static const int owned[] = { VR_KIND_DISK_PROFILE, VR_KIND_PERMISSION };
    struct vr_inventory *head = vr_engine_head(vr_txn_engine(txn));
    const struct vr_storage_domain *domain = vr_txn_peek(txn, VR_KIND_STORAGE_DOMAIN, domain_id);
    const char *connection = domain ? VR_LINK_ID(domain, agent_connection) : NULL;
    for (unsigned i = 0; i < G_N_ELEMENTS(owned); i++) {
        vr_auto_objects struct vr_objects objects = { 0 };
        vr_inventory_list_by(head, owned[i], "storage_domain", domain_id, &objects);
        for (unsigned n = 0; n < objects.count; n++)
            vr_txn_remove(txn, owned[i], vr_id(objects.items[n]));
    }
    if (connection && vr_inventory_count_by(head, VR_KIND_STORAGE_DOMAIN, "agent_connection",
                                            connection) <= 1 &&
        vr_txn_peek(txn, VR_KIND_STORAGE_CONNECTION, connection))
        vr_txn_remove(txn, VR_KIND_STORAGE_CONNECTION, connection);
    if (domain)
        vr_txn_remove(txn, VR_KIND_STORAGE_DOMAIN, domain_id);
}

/* Inside the job's last transaction: who sees the status finds the locks free. */
static void publish(struct vr_job_run *run) VR_REQUIRES(vr_role_engine);
static void publish(struct vr_job_run *run)
{
    struct vr_storage_domain *domain = storage_job_edit(run);
    VR_SET(domain, status, VR_STORAGE_DOMAIN_STATUS_UNATTACHED);
    struct vr_disk_profile *profile = VR_NEW(disk_profile);
    VR_SET_STRING(profile, name, domain->name);
    VR_SET_LINK(profile, storage_domain, storage_domain, domain->id);
    vr_txn_add(run->txn, VR_KIND_DISK_PROFILE, profile);
    vr_event_add(run->txn, VR_EVENT_USER_ADD_STORAGE_DOMAIN,
                 &(struct vr_event_about){ .user = vr_job_user(run),
                                           .storage_domain = domain,
                                           .data_center = storage_job_center(run),
                                           .correlation_id = run->correlation_id },
                 NULL);
}

static void add_ended(struct vr_job_run *run, bool failed, const struct vr_error *error)
    VR_REQUIRES(vr_role_engine);
static void add_ended(struct vr_job_run *run, bool failed, const struct vr_error *error)
{
    const struct vr_storage_job_context *context = run->context;
    if (!failed) {
        publish(run);
        return;
    }
    vr_event_add(run->txn, VR_EVENT_USER_ADD_STORAGE_DOMAIN_FAILED,
                 &(struct vr_event_about){ .user = vr_job_user(run),
                                           .storage_domain = storage_job_peek(run),
                                           .data_center = storage_job_center(run),
                                           .correlation_id = run->correlation_id },
                 "Reason", error && error->detail ? error->detail : "", NULL);
    forget(run->txn, context->domain_id);
}

static const struct vr_job_step add_steps[] = {
    { "connect", storage_connect_server, disconnect_server },
    { "create", create, format },
};
const struct vr_job_type vr_job_add_storage_domain = { .name = "AddStorageDomain",
                                                       .context = &vr_type_storage_job_context,
                                                       .steps = add_steps,
                                                       .step_count = G_N_ELEMENTS(add_steps),
                                                       .ended = add_ended };

static void remove_ended(struct vr_job_run *run, bool failed, const struct vr_error *error)
    VR_REQUIRES(vr_role_engine);
static void remove_ended(struct vr_job_run *run, bool failed, const struct vr_error *error)
{
    const struct vr_storage_job_context *context = run->context;
    if (failed) {
        if (storage_job_peek(run))
            VR_SET(storage_job_edit(run), status, VR_STORAGE_DOMAIN_STATUS_UNATTACHED);
        return;
    }
    vr_event_add(run->txn, VR_EVENT_USER_REMOVE_STORAGE_DOMAIN,
                 &(struct vr_event_about){ .user = vr_job_user(run),
                                           .storage_domain = storage_job_peek(run),
                                           .data_center = storage_job_center(run),
                                           .correlation_id = run->correlation_id },
                 NULL);
    forget(run->txn, context->domain_id);
}

static const struct vr_job_step remove_steps[] = {
    { "connect", storage_connect_server, NULL },
    { "format", format, NULL },
    { "disconnect", disconnect_server, NULL },
};
const struct vr_job_type vr_job_remove_storage_domain = { .name = "RemoveStorageDomain",
                                                          .context = &vr_type_storage_job_context,
                                                          .steps = remove_steps,
                                                          .step_count = G_N_ELEMENTS(remove_steps),
                                                          .ended = remove_ended };
