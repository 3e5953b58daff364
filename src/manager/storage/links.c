/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/storage/internal.h"

int storage_type_code(enum vr_storage_type type)
{
    switch (type) {
    case VR_STORAGE_TYPE_NFS:
        return 1;
    case VR_STORAGE_TYPE_LOCALFS:
        return 4;
    case VR_STORAGE_TYPE_POSIXFS:
        return 6;
    default:
        return 0;
    }
}

char *connection_text(const struct vr_host_storage *storage)
{
    if (storage->address && storage->address[0] && storage->path)
        return g_strdup_printf("%s:%s", storage->address, storage->path);
    return g_strdup(storage->path ? storage->path : "");
}

static void set_nfs(struct vr_rpc_connection_ref_parameters *c, const struct vr_host_storage *storage)
{
    static const char *const versions[] = { [VR_NFS_VERSION_AUTO] = "auto",
                                            [VR_NFS_VERSION_V3] = "3",
                                            [VR_NFS_VERSION_V4] = "4",
                                            [VR_NFS_VERSION_V4_0] = "4.0",
                                            [VR_NFS_VERSION_V4_1] = "4.1",
                                            [VR_NFS_VERSION_V4_2] = "4.2" };
    VR_SET_STRING(c, protocol_version,
                  versions[VR_GET(storage, nfs_version, VR_NFS_VERSION_AUTO)]);
    if (VR_HAS(storage, nfs_timeo))
        VR_SET(c, timeout, storage->nfs_timeo);
    if (VR_HAS(storage, nfs_retrans))
        VR_SET(c, retrans, storage->nfs_retrans);
}

struct vr_rpc_storage_pool_connect_storage_server_params *connect_params(
    const char *pool_id, const struct vr_storage_domain *domain)
{
    const struct vr_host_storage *storage = domain->storage;
    enum vr_storage_type type = VR_GET(storage, type, VR_STORAGE_TYPE_LOCALFS);
    struct vr_rpc_storage_pool_connect_storage_server_params *params =
        VR_NEW(rpc_storage_pool_connect_storage_server_params);
    VR_SET_STRING(params, storagepool_id, pool_id ? pool_id : VR_UUID_ZERO);
    VR_SET(params, domain_type, storage_type_code(type));

    struct vr_rpc_connection_ref_parameters *c = VR_NEW(rpc_connection_ref_parameters);
    const char *connection_id = VR_LINK_ID(domain, agent_connection);
    VR_SET_STRING(c, id, connection_id ? connection_id : domain->id);
    VR_TAKE_STRING(c, connection, connection_text(storage));
    VR_SET_STRING(c, vfs_type, storage->vfs_type);
    VR_SET_STRING(c, mnt_options, storage->mount_options);
    if (type == VR_STORAGE_TYPE_NFS)
        set_nfs(c, storage);
    VR_APPEND(params, connection_params, c);
    return params;
}

struct vr_rpc_storage_pool_disconnect_storage_server_params *disconnect_params(
    const char *pool_id, const struct vr_storage_domain *domain)
{
    vr_auto struct vr_rpc_storage_pool_connect_storage_server_params *same =
        connect_params(pool_id, domain);
    struct vr_rpc_storage_pool_disconnect_storage_server_params *params =
        VR_NEW(rpc_storage_pool_disconnect_storage_server_params);
    VR_SET_STRING(params, storagepool_id, same->storagepool_id);
    VR_SET(params, domain_type, same->domain_type);
    VR_APPEND(params, connection_params, vr_ref(same->connection_params.items[0]));
    return params;
}

struct vr_rpc_storage_pool_disconnect_params *pool_disconnect_params(const char *pool_id,
                                                                     const struct vr_host *host)
{
    struct vr_rpc_storage_pool_disconnect_params *params = VR_NEW(rpc_storage_pool_disconnect_params);
    VR_SET_STRING(params, storagepool_id, pool_id);
    VR_SET(params, host_id, host ? VR_GET(host, host_id, 1) : 1);
    VR_SET_STRING(params, scsi_key, pool_id);
    return params;
}

int connect_status(const void *result)
{
    const struct vr_rpc_storage_pool_connect_storage_server_result *answer = result;
    if (!answer || answer->value.len == 0)
        return 451;
    const struct vr_rpc_connect_storage_server_status *status = answer->value.items[0];
    return (int)VR_GET(status, status, 451);
}

struct vr_rpc_storage_pool_connect_params *pool_params(struct vr_txn *txn, struct vr_engine *engine,
                                                       const struct vr_data_center *dc,
                                                       const struct vr_host *host)
{
    const char *master = VR_LINK_ID(dc, master_storage_domain);
    if (!master || !VR_GET(dc, pool_created, false))
        return NULL;
    struct vr_rpc_storage_pool_connect_params *params = VR_NEW(rpc_storage_pool_connect_params);
    VR_SET_STRING(params, storagepool_id, dc->id);
    VR_SET(params, host_id, VR_GET(host, host_id, 1));
    VR_SET_STRING(params, scsi_key, dc->id);
    VR_SET_STRING(params, master_sd_uuid, master);
    VR_SET(params, master_version, VR_GET(dc, master_version, 1));
    params->has.domain_dict = true;
    vr_auto_objects struct vr_objects domains = { 0 };
    vr_inventory_list_by(vr_engine_head(engine), VR_KIND_STORAGE_DOMAIN, "data_center", dc->id,
                         &domains);
    VR_OBJECTS (struct vr_storage_domain, listed, &domains) {
        const struct vr_storage_domain *domain =
            txn ? vr_txn_peek(txn, VR_KIND_STORAGE_DOMAIN, listed->id) : listed;
        if (!domain || g_strcmp0(VR_LINK_ID(domain, data_center), dc->id) != 0)
            continue;
        bool active = VR_GET(domain, pool_status, VR_STORAGE_DOMAIN_STATUS_UNKNOWN) ==
                          VR_STORAGE_DOMAIN_STATUS_ACTIVE ||
                      strcmp(domain->id, master) == 0;
        vr_map_set(&params->domain_dict, domain->id, g_strdup(active ? "active" : "attached"));
    }
    if (!vr_map_get(&params->domain_dict, master))
        vr_map_set(&params->domain_dict, master, g_strdup("active"));
    return params;
}

const struct vr_storage_domain *master_of(struct vr_engine *engine, const char *data_center_id)
{
    struct vr_inventory *head = vr_engine_head(engine);
    const struct vr_data_center *dc = VR_PEEK(head, DATA_CENTER, data_center, data_center_id);
    return dc ? VR_PEEK(head, STORAGE_DOMAIN, storage_domain, VR_LINK_ID(dc, master_storage_domain))
              : NULL;
}
