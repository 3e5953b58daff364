/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/hosts/internal.h"

#include "manager/hosts/fitness.h"

#include <stdio.h>

/* More than any host has; a host says what it likes. */
#define MAX_MEMORY_MIB (INT64_C(1) << 40)

static int64_t number(const char *text)
{
    return text ? g_ascii_strtoll(text, NULL, 10) : 0;
}

static bool listed(const struct vr_list *list, const char *word)
{
    for (unsigned i = 0; i < list->len; i++)
        if (strcmp(list->items[i], word) == 0)
            return true;
    return false;
}

static void apply_cpu(struct vr_host *host, const struct vr_rpc_vdsm_capabilities *caps)
{
    struct vr_cpu *cpu = VR_SUB(host, cpu, cpu);
    struct vr_cpu_topology *topology = VR_SUB(cpu, topology, cpu_topology);
    int64_t sockets = MAX(1, number(caps->cpu_sockets));
    int64_t cores = MAX(1, number(caps->cpu_cores) / sockets);
    int64_t threads = MAX(1, number(caps->cpu_threads) / (sockets * cores));

    VR_SET_STRING(cpu, name, caps->cpu_model);
    if (caps->cpu_speed)
        VR_SET(cpu, speed, g_ascii_strtod(caps->cpu_speed, NULL));
    VR_SET(topology, sockets, sockets);
    VR_SET(topology, cores, cores);
    VR_SET(topology, threads, threads);
}

static void apply_version(struct vr_host *host, const struct vr_rpc_vdsm_capabilities *caps)
{
    struct vr_version *version = VR_SUB(host, version, version);
    int major = 0, minor = 0, build = 0;
    if (caps->software_version)
        sscanf(caps->software_version, "%9d.%9d.%9d", &major, &minor, &build);
    VR_SET(version, major, major);
    VR_SET(version, minor, minor);
    VR_SET(version, build, build);
    VR_SET(version, revision, 0);
    VR_SET_STRING(version, full_version, caps->software_version);

    if (caps->operating_system) {
        struct vr_operating_system *os = VR_SUB(host, os, operating_system);
        VR_SET_STRING(os, type, caps->operating_system->name);
        VR_SET_STRING(os, description, caps->operating_system->pretty_name);
        struct vr_version *os_version = VR_SUB(os, version, version);
        VR_SET_STRING(os_version, full_version, caps->operating_system->version);
        VR_SET(os_version, major, number(caps->operating_system->version));
        VR_SET_STRING(os, reported_kernel_cmdline, caps->kernel_args);
    }
    const struct vr_rpc_software_package_info *libvirt =
        vr_map_get(&caps->packages2, "libvirt");
    if (libvirt) {
        struct vr_version *v = VR_SUB(host, libvirt_version, version);
        g_autofree char *full = g_strdup_printf("libvirt-%s", libvirt->version);
        VR_SET_STRING(v, full_version, full);
        if (libvirt->version && sscanf(libvirt->version, "%9d.%9d.%9d", &major, &minor, &build) == 3) {
            VR_SET(v, major, major);
            VR_SET(v, minor, minor);
            VR_SET(v, build, build);
        }
    }
}

static void apply_rest(struct vr_host *host, const struct vr_rpc_vdsm_capabilities *caps)
{
    VR_SET(host, memory, CLAMP(number(caps->mem_size), 0, MAX_MEMORY_MIB) * (int64_t)MiB(1));
    VR_SET(host, reserved_memory, number(caps->reserved_mem));
    VR_SET(host, guest_overhead, number(caps->guest_overhead));
    VR_SET(host, kdump_status,
           caps->kdump_status == 1   ? VR_KDUMP_STATUS_ENABLED
           : caps->kdump_status == 0 ? VR_KDUMP_STATUS_DISABLED
                                     : VR_KDUMP_STATUS_UNKNOWN);
    VR_SET(host, numa_supported, caps->numa_nodes.len > 1);
    if (caps->selinux) {
        int64_t mode = number(caps->selinux->mode);
        VR_SET(VR_SUB(host, se_linux, se_linux), mode,
               mode == 1   ? VR_SE_LINUX_MODE_ENFORCING
               : mode == 0 ? VR_SE_LINUX_MODE_PERMISSIVE
                           : VR_SE_LINUX_MODE_DISABLED);
    }
    static const struct {
        const char *word;
        enum vr_rng_source source;
    } sources[] = { { "random", VR_RNG_SOURCE_RANDOM },
                    { "urandom", VR_RNG_SOURCE_URANDOM },
                    { "hwrng", VR_RNG_SOURCE_HWRNG } };
    struct vr_hardware_information *hardware =
        VR_SUB(host, hardware_information, hardware_information);
    VR_CLEAR(hardware, supported_rng_sources);
    for (unsigned i = 0; i < G_N_ELEMENTS(sources); i++)
        if (listed(&caps->rng_sources, sources[i].word))
            VR_APPEND(hardware, supported_rng_sources, VR_ITEM(sources[i].source));
    if (caps->iscsi_initiator_name && caps->iscsi_initiator_name[0])
        VR_SET_STRING(VR_SUB(host, iscsi, iscsi_details), initiator, caps->iscsi_initiator_name);
    VR_SET(VR_SUB(host, transparent_huge_pages, transparent_huge_pages), enabled, true);
    VR_SET_STRING(host, online_cpus, caps->online_cpus);
    VR_SET_STRING(host, boot_id, caps->boot_uuid);
    g_auto(GStrv) flags = g_strsplit(caps->cpu_flags ? caps->cpu_flags : "", ",", 4096);
    VR_CLEAR(host, cpu_flags);
    for (unsigned i = 0; flags[i]; i++)
        if (flags[i][0])
            VR_APPEND(host, cpu_flags, g_strdup(flags[i]));
    VR_CLEAR(host, network_names);
    for (unsigned i = 0; i < caps->networks.len; i++)
        VR_APPEND(host, network_names, g_strdup(caps->networks.keys[i]));
    VR_SET_STRING(hardware, uuid, caps->uuid);
}

/* The first host that fits gives an empty cluster its CPU type and its machine. */
static void teach_cluster(struct vr_txn *txn, struct vr_cluster *cluster,
                          const struct vr_rpc_vdsm_capabilities *caps)
{
    struct vr_cpu *cpu = VR_SUB(cluster, cpu, cpu);
    if (!VR_HAS(cpu, architecture) || cpu->architecture == VR_ARCHITECTURE_UNDEFINED)
        VR_SET(cpu, architecture, VR_ARCHITECTURE_X86_64);
    if (cluster->emulated_machine && listed(&caps->emulated_machines, cluster->emulated_machine))
        return;
    if (cluster->emulated_machine)
        return;
    static const char *const wanted[] = { "pc-q35-rhel8.6.0", "pc-q35-7.2", "pc-q35-6.2", "q35",
                                          "pc-i440fx-7.2",    "pc" };
    for (unsigned i = 0; i < G_N_ELEMENTS(wanted); i++)
        if (listed(&caps->emulated_machines, wanted[i])) {
            VR_SET_STRING(cluster, emulated_machine, wanted[i]);
            return;
        }
}

/* A required network of the cluster that the host lacks; owned text, or NULL. */
static char *missing_networks(struct vr_txn *txn, const char *cluster_id,
                              const struct vr_rpc_vdsm_capabilities *caps)
    VR_REQUIRES(vr_role_engine);
static char *missing_networks(struct vr_txn *txn, const char *cluster_id,
                              const struct vr_rpc_vdsm_capabilities *caps)
{
    struct vr_inventory *head = vr_engine_head(vr_txn_engine(txn));
    g_autoptr(GString) missing = g_string_new(NULL);
    vr_auto_objects struct vr_objects attached = { 0 };
    vr_inventory_list_by(head, VR_KIND_CLUSTER_NETWORK, "cluster", cluster_id, &attached);
    VR_OBJECTS (struct vr_cluster_network, link, &attached) {
        const struct vr_network *network = VR_PEEK(head, NETWORK, network, VR_LINK_ID(link, network));
        /* The management network is there when the host answers at all (1.3). */
        if (!network || !VR_GET(link, required, true) || VR_GET(link, management, false) ||
            VR_GET(link, status, VR_NETWORK_STATUS_OPERATIONAL) != VR_NETWORK_STATUS_OPERATIONAL)
            continue;
        const char *name = network->host_name ? network->host_name : network->name;
        if (!vr_map_get(&caps->networks, name))
            g_string_append_printf(missing, "%s%s", missing->len ? ", " : "", network->name);
    }
    return missing->len ? g_strdup(missing->str) : NULL;
}

enum vr_unfit capabilities_apply(struct vr_txn *txn, struct vr_host *host,
                                 const struct vr_rpc_vdsm_capabilities *caps, char **ret_detail)
{
    apply_cpu(host, caps);
    apply_version(host, caps);
    apply_rest(host, caps);

    const char *cluster_id = VR_LINK_ID(host, cluster);
    const struct vr_cluster *cluster = cluster_id ? vr_txn_peek(txn, VR_KIND_CLUSTER, cluster_id)
                                                  : NULL;
    if (!cluster) {
        *ret_detail = g_strdup("the host has no cluster");
        return VR_UNFIT_GENERAL;
    }
    char *missing = missing_networks(txn, cluster_id, caps);
    if (missing) {
        *ret_detail = missing;
        return VR_UNFIT_NETWORK;
    }
    enum vr_unfit unfit = vr_host_fitness(cluster, caps, ret_detail);
    if (unfit)
        return unfit;
    teach_cluster(txn, VR_EDIT(txn, CLUSTER, cluster, cluster_id), caps);
    return VR_UNFIT_NONE;
}

void hardware_apply(struct vr_host *host, const struct vr_rpc_hardware_information *hardware)
{
    struct vr_hardware_information *info =
        VR_SUB(host, hardware_information, hardware_information);
    VR_SET_STRING(info, manufacturer, hardware->system_manufacturer);
    VR_SET_STRING(info, product_name, hardware->system_product_name);
    VR_SET_STRING(info, version, hardware->system_version);
    VR_SET_STRING(info, serial_number, hardware->system_serial_number);
    VR_SET_STRING(info, uuid, hardware->system_uuid);
    VR_SET_STRING(info, family, hardware->system_family);
}
