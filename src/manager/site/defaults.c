/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/site/tables.h"

/* The objects of a fresh installation.  Each is made only when it is missing, so what an
 * administrator changed or renamed stays as it is. */

static void set_version(struct vr_version *version, int major, int minor)
{
    VR_SET(version, major, major);
    VR_SET(version, minor, minor);
}

static void add_mac_pool(struct vr_txn *txn) VR_REQUIRES(vr_role_engine);
static void add_mac_pool(struct vr_txn *txn)
{
    if (shipped_already(txn, VR_KIND_MAC_POOL, VR_ID_DEFAULT_MAC_POOL))
        return;
    uint8_t chance[2];
    char text[18];
    vr_engine_random(vr_txn_engine(txn), chance, sizeof(chance));
    struct vr_mac_pool *pool = VR_NEW(mac_pool);
    VR_SET_STRING(pool, id, VR_ID_DEFAULT_MAC_POOL);
    VR_SET_STRING(pool, name, "Default");
    VR_SET_STRING(pool, description, "Default MAC pool");
    VR_SET(pool, allow_duplicates, false);
    VR_SET(pool, default_pool, true);
    VR_SET(pool, predefined, true);
    struct vr_range *range = VR_NEW(range);
    g_snprintf(text, sizeof(text), "56:6f:%02x:%02x:00:00", chance[0], chance[1]);
    VR_SET_STRING(range, from, text);
    g_snprintf(text, sizeof(text), "56:6f:%02x:%02x:ff:ff", chance[0], chance[1]);
    VR_SET_STRING(range, to, text);
    VR_APPEND(pool, ranges, range);
    vr_txn_add(txn, VR_KIND_MAC_POOL, pool);
}

static void add_network(struct vr_txn *txn, const char *id, const char *profile_id,
                        const char *data_center_id) VR_REQUIRES(vr_role_engine);
static void add_network(struct vr_txn *txn, const char *id, const char *profile_id,
                        const char *data_center_id)
{
    struct vr_network *network = VR_NEW(network);
    VR_SET_STRING(network, id, id);
    VR_SET_STRING(network, name, "ovirtmgmt");
    VR_SET_STRING(network, description, "Management Network");
    VR_SET_STRING(network, comment, "");
    VR_SET_LINK(network, data_center, data_center, data_center_id);
    VR_SET(network, mtu, 0);
    VR_SET(network, stp, false);
    VR_SET(network, port_isolation, false);
    VR_SET(network, management, true);
    VR_SET_STRING(network, vdsm_name, "ovirtmgmt");
    VR_APPEND(network, usages, GSIZE_TO_POINTER((gsize)VR_NETWORK_USAGE_VM));
    vr_txn_add(txn, VR_KIND_NETWORK, network);

    struct vr_vnic_profile *profile = VR_NEW(vnic_profile);
    VR_SET_STRING(profile, id, profile_id);
    VR_SET_STRING(profile, name, "ovirtmgmt");
    VR_SET_STRING(profile, description, "");
    VR_SET_LINK(profile, network, network, network->id);
    VR_SET_LINK(profile, network_filter, network_filter, VR_ID_NO_MAC_SPOOFING);
    VR_SET(profile, port_mirroring, false);
    VR_SET(VR_SUB(profile, pass_through, vnic_pass_through), mode,
           VR_VNIC_PASS_THROUGH_MODE_DISABLED);
    VR_SET(profile, predefined, profile_id != NULL);
    vr_txn_add(txn, VR_KIND_VNIC_PROFILE, profile);
}

void vr_site_equip_data_center(struct vr_txn *txn, const struct vr_data_center *data_center)
{
    bool is_default = strcmp(data_center->id, VR_ID_DEFAULT_DATA_CENTER) == 0;
    add_network(txn, is_default ? VR_ID_MANAGEMENT_NETWORK : NULL,
                is_default ? VR_ID_MANAGEMENT_PROFILE : NULL, data_center->id);
}

static const char *management_network(struct vr_txn *txn, const struct vr_cluster *cluster)
    VR_REQUIRES(vr_role_engine);
static const char *management_network(struct vr_txn *txn, const struct vr_cluster *cluster)
{
    if (VR_LINK_ID(cluster, management_network))
        return VR_LINK_ID(cluster, management_network);
    if (g_strcmp0(VR_LINK_ID(cluster, data_center), VR_ID_DEFAULT_DATA_CENTER) == 0 &&
        vr_txn_peek(txn, VR_KIND_NETWORK, VR_ID_MANAGEMENT_NETWORK))
        return VR_ID_MANAGEMENT_NETWORK;
    vr_auto_objects struct vr_objects networks = { 0 };
    vr_inventory_list_by(vr_engine_head(vr_txn_engine(txn)), VR_KIND_NETWORK, "data_center",
                         VR_LINK_ID(cluster, data_center), &networks);
    VR_OBJECTS (struct vr_network, network, &networks)
        if (VR_GET(network, management, false)) {
            const struct vr_network *head = vr_txn_peek(txn, VR_KIND_NETWORK, network->id);
            return head ? head->id : NULL;
        }
    return NULL;
}

void vr_site_equip_cluster(struct vr_txn *txn, const struct vr_cluster *cluster)
{
    static const enum vr_network_usage usages[] = {
        VR_NETWORK_USAGE_DEFAULT_ROUTE, VR_NETWORK_USAGE_DISPLAY, VR_NETWORK_USAGE_MANAGEMENT,
        VR_NETWORK_USAGE_MIGRATION, VR_NETWORK_USAGE_VM,
    };
    bool is_default = strcmp(cluster->id, VR_ID_DEFAULT_CLUSTER) == 0;
    struct vr_cpu_profile *profile = VR_NEW(cpu_profile);
    VR_SET_STRING(profile, id, is_default ? VR_ID_DEFAULT_CPU_PROFILE : NULL);
    VR_SET_STRING(profile, name, cluster->name);
    VR_SET_LINK(profile, cluster, cluster, cluster->id);
    vr_txn_add(txn, VR_KIND_CPU_PROFILE, profile);

    const char *network_id = management_network(txn, cluster);
    if (!network_id)
        return;
    struct vr_cluster_network *link = VR_NEW(cluster_network);
    VR_SET_LINK(link, cluster, cluster, cluster->id);
    VR_SET_LINK(link, network, network, network_id);
    VR_SET(link, required, true);
    VR_SET(link, display, true);
    VR_SET(link, migration, true);
    VR_SET(link, management, true);
    VR_SET(link, default_route, true);
    VR_SET(link, status, VR_NETWORK_STATUS_OPERATIONAL);
    for (unsigned i = 0; i < G_N_ELEMENTS(usages); i++)
        VR_APPEND(link, usages, GSIZE_TO_POINTER((gsize)usages[i]));
    vr_txn_add(txn, VR_KIND_CLUSTER_NETWORK, link);
}

static void add_data_center(struct vr_txn *txn) VR_REQUIRES(vr_role_engine);
static void add_data_center(struct vr_txn *txn)
{
    vr_auto_objects struct vr_objects any = { 0 };
    vr_inventory_list(vr_engine_head(vr_txn_engine(txn)), VR_KIND_DATA_CENTER, &any);
    if (any.count > 0)
        return; /* the default one may have been removed for good */
    struct vr_data_center *dc = VR_NEW(data_center);
    VR_SET_STRING(dc, id, VR_ID_DEFAULT_DATA_CENTER);
    VR_SET_STRING(dc, name, "Default");
    VR_SET_STRING(dc, description, "The default Data Center");
    VR_SET_STRING(dc, comment, "");
    VR_SET(dc, local, false);
    VR_SET(dc, status, VR_DATA_CENTER_STATUS_UNINITIALIZED);
    VR_SET(dc, quota_mode, VR_QUOTA_MODE_TYPE_DISABLED);
    VR_SET(dc, storage_format, VR_STORAGE_FORMAT_V5);
    set_version(VR_SUB(dc, version, version), 4, 7);
    vr_txn_add(txn, VR_KIND_DATA_CENTER, dc);
    vr_site_equip_data_center(txn, dc);

    struct vr_cluster *cluster = VR_NEW(cluster);
    VR_SET_STRING(cluster, id, VR_ID_DEFAULT_CLUSTER);
    VR_SET_STRING(cluster, name, "Default");
    VR_SET_STRING(cluster, description, "The default server cluster");
    VR_SET_LINK(cluster, data_center, data_center, dc->id);
    vr_site_fill_cluster(cluster, dc);
    vr_txn_add(txn, VR_KIND_CLUSTER, cluster);
    vr_site_equip_cluster(txn, cluster);
}

void vr_site_fill_cluster(struct vr_cluster *cluster, const struct vr_data_center *dc)
{
    if (!cluster->description)
        VR_SET_STRING(cluster, description, "");
    if (!cluster->comment)
        VR_SET_STRING(cluster, comment, "");
    if (!cluster->version) {
        struct vr_version *version = VR_SUB(cluster, version, version);
        VR_SET(version, major, dc->version ? VR_GET(dc->version, major, 4) : 4);
        VR_SET(version, minor, dc->version ? VR_GET(dc->version, minor, 7) : 7);
    }
    struct vr_cpu *cpu = VR_SUB(cluster, cpu, cpu);
    VR_SET(cpu, architecture, VR_GET(cpu, architecture, VR_ARCHITECTURE_X86_64));
    struct vr_memory_policy *memory = VR_SUB(cluster, memory_policy, memory_policy);
    struct vr_memory_over_commit *over = VR_SUB(memory, over_commit, memory_over_commit);
    VR_SET(over, percent, VR_GET(over, percent, 100));
    VR_SET(VR_SUB(memory, transparent_huge_pages, transparent_huge_pages), enabled, true);
    struct vr_ksm *ksm = VR_SUB(cluster, ksm, ksm);
    VR_SET(ksm, enabled, VR_GET(ksm, enabled, true));
    VR_SET(ksm, merge_across_nodes, VR_GET(ksm, merge_across_nodes, true));
    struct vr_error_handling *handling = VR_SUB(cluster, error_handling, error_handling);
    VR_SET(handling, on_error, VR_GET(handling, on_error, VR_MIGRATE_ON_ERROR_MIGRATE));
    struct vr_fencing_policy *fencing = VR_SUB(cluster, fencing_policy, fencing_policy);
    VR_SET(fencing, enabled, VR_GET(fencing, enabled, true));
    VR_SET(VR_SUB(fencing, skip_if_sd_active, skip_if_sd_active), enabled, false);
    struct vr_skip_if_connectivity_broken *broken =
        VR_SUB(fencing, skip_if_connectivity_broken, skip_if_connectivity_broken);
    VR_SET(broken, enabled, VR_GET(broken, enabled, false));
    VR_SET(broken, threshold, VR_GET(broken, threshold, 50));
    VR_SET(cluster, virt_service, VR_GET(cluster, virt_service, true));
    VR_SET(cluster, gluster_service, VR_GET(cluster, gluster_service, false));
    VR_SET(cluster, threads_as_cores, VR_GET(cluster, threads_as_cores, false));
    VR_SET(cluster, tunnel_migration, VR_GET(cluster, tunnel_migration, false));
    VR_SET(cluster, trusted_service, VR_GET(cluster, trusted_service, false));
    VR_SET(cluster, ha_reservation, VR_GET(cluster, ha_reservation, false));
    VR_SET(cluster, ballooning_enabled, VR_GET(cluster, ballooning_enabled, true));
    VR_SET(cluster, vnc_encryption, VR_GET(cluster, vnc_encryption, false));
    VR_SET(cluster, optional_reason, VR_GET(cluster, optional_reason, false));
    VR_SET(cluster, bios_type, VR_GET(cluster, bios_type, VR_BIOS_TYPE_Q35_SEA_BIOS));
    VR_SET(cluster, switch_type, VR_GET(cluster, switch_type, VR_SWITCH_TYPE_LEGACY));
    VR_SET(cluster, firewall_type, VR_GET(cluster, firewall_type, VR_FIREWALL_TYPE_FIREWALLD));
    VR_SET(cluster, fips_mode, VR_GET(cluster, fips_mode, VR_FIPS_MODE_DISABLED));
    VR_SET(cluster, upgrade_in_progress, false);
    VR_SET(cluster, log_max_memory_used_threshold,
           VR_GET(cluster, log_max_memory_used_threshold, 95));
    VR_SET(cluster, log_max_memory_used_threshold_type,
           VR_GET(cluster, log_max_memory_used_threshold_type,
                  VR_LOG_MAX_MEMORY_USED_THRESHOLD_TYPE_PERCENTAGE));
    struct vr_migration_options *migration = VR_SUB(cluster, migration, migration_options);
    VR_SET(migration, auto_converge,
           VR_GET(migration, auto_converge, VR_INHERITABLE_BOOLEAN_INHERIT));
    VR_SET(migration, compressed, VR_GET(migration, compressed, VR_INHERITABLE_BOOLEAN_INHERIT));
    VR_SET(VR_SUB(migration, bandwidth, migration_bandwidth), assignment_method,
           VR_MIGRATION_BANDWIDTH_ASSIGNMENT_METHOD_AUTO);
    if (!VR_HAS(cluster, required_rng_sources))
        VR_APPEND(cluster, required_rng_sources, GSIZE_TO_POINTER((gsize)VR_RNG_SOURCE_URANDOM));
    if (!VR_LINK_ID(cluster, scheduling_policy))
        VR_SET_LINK(cluster, scheduling_policy, scheduling_policy, VR_ID_POLICY_NONE);
    if (!VR_LINK_ID(cluster, mac_pool))
        VR_SET_LINK(cluster, mac_pool, mac_pool, VR_ID_DEFAULT_MAC_POOL);
}

static void add_blank_template(struct vr_txn *txn) VR_REQUIRES(vr_role_engine);
static void add_blank_template(struct vr_txn *txn)
{
    if (shipped_already(txn, VR_KIND_TEMPLATE, VR_UUID_ZERO))
        return;
    struct vr_template *blank = VR_NEW(template);
    VR_SET_STRING(blank, id, VR_UUID_ZERO);
    VR_SET_STRING(blank, name, "Blank");
    VR_SET_STRING(blank, description, "Blank template");
    VR_SET_STRING(blank, comment, "");
    VR_SET(blank, status, VR_TEMPLATE_STATUS_OK);
    VR_SET(blank, predefined, true);
    VR_SET(blank, type, VR_VM_TYPE_DESKTOP);
    VR_SET(blank, creation_time, 1206878400000); /* 2008-03-31, as every installation shows it */
    VR_SET(blank, memory, (int64_t)GiB(1));
    struct vr_memory_policy *policy = VR_SUB(blank, memory_policy, memory_policy);
    VR_SET(policy, guaranteed, (int64_t)GiB(1));
    VR_SET(policy, max, (int64_t)GiB(4));
    VR_SET(policy, ballooning, true);
    struct vr_cpu *cpu = VR_SUB(blank, cpu, cpu);
    VR_SET(cpu, architecture, VR_ARCHITECTURE_UNDEFINED);
    struct vr_cpu_topology *topology = VR_SUB(cpu, topology, cpu_topology);
    VR_SET(topology, sockets, 1);
    VR_SET(topology, cores, 1);
    VR_SET(topology, threads, 1);
    VR_SET(blank, cpu_shares, 0);
    struct vr_operating_system *os = VR_SUB(blank, os, operating_system);
    VR_SET_STRING(os, type, "other");
    VR_APPEND(VR_SUB(os, boot, boot), devices, GSIZE_TO_POINTER((gsize)VR_BOOT_DEVICE_HD));
    struct vr_display *display = VR_SUB(blank, display, display);
    VR_SET(display, type, VR_DISPLAY_TYPE_VNC);
    VR_SET(display, monitors, 1);
    VR_SET(display, allow_override, false);
    struct vr_high_availability *ha = VR_SUB(blank, high_availability, high_availability);
    VR_SET(ha, enabled, false);
    VR_SET(ha, priority, 0);
    VR_SET(blank, stateless, false);
    VR_SET(blank, delete_protected, false);
    struct vr_template_version *version = VR_SUB(blank, version, template_version);
    VR_SET(version, version_number, 1);
    VR_SET_STRING(version, version_name, "base version");
    vr_txn_add(txn, VR_KIND_TEMPLATE, blank);
}

static void add_root_tag(struct vr_txn *txn) VR_REQUIRES(vr_role_engine);
static void add_root_tag(struct vr_txn *txn)
{
    if (shipped_already(txn, VR_KIND_TAG, VR_UUID_ZERO))
        return;
    struct vr_tag *root = VR_NEW(tag);
    VR_SET_STRING(root, id, VR_UUID_ZERO);
    VR_SET_STRING(root, name, "root");
    VR_SET_STRING(root, description, "root");
    vr_txn_add(txn, VR_KIND_TAG, root);
}

static void defaults(struct vr_txn *txn) VR_REQUIRES(vr_role_engine);
static void defaults(struct vr_txn *txn)
{
    shipped_systems(txn);
    shipped_policies(txn);
    add_mac_pool(txn);
    add_data_center(txn);
    add_blank_template(txn);
    add_root_tag(txn);
}

const struct vr_module vr_site_module = { .name = "site", .defaults = defaults };
