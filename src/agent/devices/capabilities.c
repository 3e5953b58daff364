/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "devices"
#include "agent/devices/devices.h"

#include <stdio.h>
#include <sys/utsname.h>

#include "agent/stats/proc.h"
#include "codec/codec.h"

#ifndef VR_VERSION
#define VR_VERSION "0.1.0"
#endif

/* Memory the host keeps for itself, and what a machine costs beyond its own (facts 7). */
#define RESERVED_MIB 321
#define GUEST_OVERHEAD_MIB 65

#define NUMBER(object, member, value)                                                              \
    VR_TAKE_STRING(object, member, g_strdup_printf("%" G_GINT64_FORMAT, (gint64)(value)))

/* The value of "model name" in /proc/cpuinfo's text; owned, or NULL. */
static char *cpuinfo_value(const char *cpuinfo, const char *name)
{
    g_auto(GStrv) lines = g_strsplit(cpuinfo, "\n", -1);
    for (char **line = lines; *line; line++) {
        char *colon = strchr(*line, ':');
        if (!colon || !g_str_has_prefix(*line, name))
            continue;
        char end = (*line)[strlen(name)];
        if (end == '\t' || end == ' ' || end == ':')
            return g_strdup(g_strstrip(colon + 1));
    }
    return NULL;
}

static void add_topology(struct vr_rpc_vdsm_capabilities *out)
{
    g_autofree char *online = vr_proc_read("/sys/devices/system/cpu/online");
    g_autoptr(GArray) cpus = vr_proc_list(online ? online : "0");
    g_autoptr(GHashTable) cores = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GHashTable) sockets = g_hash_table_new(NULL, NULL);
    g_autoptr(GString) csv = g_string_new(NULL);
    out->has.cpu_topology = out->has.vdsm_to_cpus_affinity = true;
    for (unsigned i = 0; i < cpus->len; i++) {
        unsigned id = g_array_index(cpus, unsigned, i);
        int64_t socket =
            vr_proc_number(0, "/sys/devices/system/cpu/cpu%u/topology/physical_package_id", id);
        int64_t core = vr_proc_number(0, "/sys/devices/system/cpu/cpu%u/topology/core_id", id);
        int64_t die = vr_proc_number(0, "/sys/devices/system/cpu/cpu%u/topology/die_id", id);
        g_hash_table_add(cores,
                         g_strdup_printf("%" G_GINT64_FORMAT ".%" G_GINT64_FORMAT, socket, core));
        g_hash_table_add(sockets, GINT_TO_POINTER(socket + 1));
        g_string_append_printf(csv, "%s%u", csv->len ? "," : "", id);
        struct vr_rpc_cpu_info *cpu = VR_NEW(rpc_cpu_info);
        VR_SET(cpu, cpu_id, id);
        VR_SET(cpu, socket_id, MAX(socket, 0));
        VR_SET(cpu, core_id, core);
        VR_SET(cpu, die_id, MAX(die, 0));
        VR_SET(cpu, numa_cell_id, 0);
        VR_APPEND(out, cpu_topology, cpu);
        vr_list_append(&out->vdsm_to_cpus_affinity, GSIZE_TO_POINTER((gsize)id));
    }
    NUMBER(out, cpu_threads, cpus->len);
    NUMBER(out, cpu_cores, g_hash_table_size(cores));
    NUMBER(out, cpu_sockets, MAX(g_hash_table_size(sockets), 1));
    VR_SET_STRING(out, online_cpus, csv->str);
}

static void add_processor(struct vr_rpc_vdsm_capabilities *out,
                          const struct vr_agent_config *config, const struct vr_devices_virt *virt)
{
    g_autofree char *cpuinfo = vr_proc_read("/proc/cpuinfo");
    g_autofree char *flags = cpuinfo_value(cpuinfo ? cpuinfo : "", "flags");
    g_autofree char *mhz = cpuinfo_value(cpuinfo ? cpuinfo : "", "cpu MHz");
    g_autoptr(GString) csv = g_string_new(flags ? g_strdelimit(flags, " ", ',') : "");
    for (const char *const *model = virt->cpu_models; model && *model; model++)
        g_string_append_printf(csv, ",model_%s", *model);
    VR_SET_STRING(out, cpu_flags, csv->str);
    VR_TAKE_STRING(out, cpu_model, cpuinfo_value(cpuinfo ? cpuinfo : "", "model name"));
    VR_SET_STRING(out, cpu_speed, mhz ? mhz : "0");
    /* A Manager asks whether machines can run here; with TCG chosen they do, without the processor's
     * help.  Whoever wants to know how finds it in the machines' domain type. */
    VR_SET_STRING(out, kvm_enabled, "true");
    int64_t nested = 0;
    static const char *const modules[] = { "kvm_intel", "kvm_amd" };
    for (unsigned i = 0; i < G_N_ELEMENTS(modules); i++) {
        g_autofree char *value = vr_proc_read("/sys/module/%s/parameters/nested", modules[i]);
        nested |= value && (*value == 'Y' || *value == '1');
    }
    VR_SET(out, nested_virtualization, nested != 0);
    VR_SET(out, tsc_scaling, false);
    add_topology(out);
}

static void add_memory(struct vr_rpc_vdsm_capabilities *out)
{
    g_autofree char *meminfo = vr_proc_read("/proc/meminfo");
    NUMBER(out, mem_size, vr_proc_meminfo(meminfo, "MemTotal") / 1024);
    NUMBER(out, reserved_mem, RESERVED_MIB);
    NUMBER(out, guest_overhead, GUEST_OVERHEAD_MIB);
    out->has.numa_nodes = out->has.hugepages = true;
    g_autoptr(GString) distance = g_string_new("{");
    g_autofree char *online = vr_proc_read("/sys/devices/system/node/online");
    g_autoptr(GArray) nodes = vr_proc_list(online ? online : "");
    for (unsigned i = 0; i < nodes->len; i++) {
        unsigned id = g_array_index(nodes, unsigned, i);
        g_autofree char *cpulist = vr_proc_read("/sys/devices/system/node/node%u/cpulist", id);
        g_autofree char *text = vr_proc_read("/sys/devices/system/node/node%u/meminfo", id);
        g_autofree char *far = vr_proc_read("/sys/devices/system/node/node%u/distance", id);
        g_autoptr(GArray) cpus = vr_proc_list(cpulist);
        struct vr_rpc_numa_node *node = VR_NEW(rpc_numa_node);
        node->has.cpus = node->has.hugepages = true;
        for (unsigned j = 0; j < cpus->len; j++)
            vr_list_append(&node->cpus, GSIZE_TO_POINTER((gsize)g_array_index(cpus, unsigned, j)));
        NUMBER(node, total_memory, vr_proc_meminfo(text, "MemTotal") / 1024);
        g_autofree char *key = g_strdup_printf("%u", id);
        vr_map_set(&out->numa_nodes, key, node);
        g_string_append_printf(distance, "%s\"%u\":[%s]", i ? "," : "", id,
                               far ? g_strdelimit(far, " ", ',') : "10");
    }
    g_string_append_c(distance, '}');
    VR_SET_STRING(out, numa_node_distance, distance->str);
    g_autoptr(GDir) dir = g_dir_open("/sys/kernel/mm/hugepages", 0, NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir)))
        if (g_str_has_prefix(name, "hugepages-"))
            vr_list_append(&out->hugepages, GSIZE_TO_POINTER((gsize)g_ascii_strtoull(
                                                name + strlen("hugepages-"), NULL, 10)));
    VR_SET(out, auto_numa_balancing, vr_proc_number(2, "/proc/sys/kernel/numa_balancing"));
}

static void add_package(struct vr_rpc_vdsm_capabilities *out, const char *name, const char *version)
{
    struct vr_rpc_software_package_info *package = VR_NEW(rpc_software_package_info);
    VR_SET_STRING(package, version, version ? version : "0");
    VR_SET_STRING(package, release, "1");
    vr_map_set(&out->packages2, name, package);
}

static void add_identity(struct vr_rpc_vdsm_capabilities *out, const struct vr_agent_config *config,
                         const struct vr_devices_virt *virt)
{
    struct utsname uts;
    uname(&uts);
    VR_TAKE_STRING(out, uuid, vr_devices_uuid(config));
    VR_TAKE_STRING(out, boot_uuid, vr_proc_read("/proc/sys/kernel/random/boot_id"));
    struct vr_rpc_os_version *os = VR_NEW(rpc_os_version);
    VR_TAKE_STRING(os, name, g_get_os_info(G_OS_INFO_KEY_NAME));
    VR_TAKE_STRING(os, version, g_get_os_info(G_OS_INFO_KEY_VERSION_ID));
    VR_TAKE_STRING(os, pretty_name, g_get_os_info(G_OS_INFO_KEY_PRETTY_NAME));
    VR_SET_STRING(os, release, "1");
    VR_TAKE(out, operating_system, os);
    out->has.packages2 = true;
    add_package(out, "kernel", uts.release);
    add_package(out, "qemu-kvm", virt->qemu_version);
    add_package(out, "qemu-img", virt->qemu_version);
    add_package(out, "libvirt", virt->libvirt_version);
    add_package(out, "vdsm", VR_VERSION);
    VR_SET_STRING(out, software_version, VR_VERSION);
    VR_SET_STRING(out, software_revision, "1");
    VR_SET_STRING(out, version_name, "Snow Man");
    VR_SET(out, realtime_kernel, strstr(uts.version, "PREEMPT_RT") != NULL);
    VR_TAKE_STRING(out, kernel_args, vr_proc_read("/proc/cmdline"));
    struct vr_rpc_se_linux_status *selinux = VR_NEW(rpc_se_linux_status);
    bool present = g_file_test("/sys/fs/selinux/enforce", G_FILE_TEST_EXISTS);
    int64_t mode = present ? vr_proc_number(0, "/sys/fs/selinux/enforce") : -1;
    NUMBER(selinux, mode, mode);
    VR_TAKE(out, selinux, selinux);
    VR_SET(out, kdump_status, vr_proc_number(-1, "/sys/kernel/kexec_crash_loaded"));
}

static void add_strings(struct vr_list *list, const char *const *texts)
{
    for (; texts && *texts; texts++)
        vr_list_append(list, g_strdup(*texts));
}

static void add_levels(struct vr_rpc_vdsm_capabilities *out, const struct vr_devices_virt *virt)
{
    static const char *const engines[] = { "4.2", "4.3", "4.4", "4.5", NULL };
    static const char *const levels[] = { "4.2", "4.3", "4.4", "4.5", "4.6", "4.7", NULL };
    static const char *const rng[] = { "hwrng", "random", NULL };
    static const char *const types[] = { "kvm", NULL };
    out->has.supported_engines = out->has.cluster_levels = out->has.rng_sources = true;
    out->has.vm_types = out->has.emulated_machines = out->has.additional_features = true;
    add_strings(&out->supported_engines, engines);
    add_strings(&out->cluster_levels, levels);
    add_strings(&out->rng_sources, g_file_test("/dev/hwrng", G_FILE_TEST_EXISTS) ? rng : rng + 1);
    add_strings(&out->vm_types, types);
    add_strings(&out->emulated_machines, virt->machines);
}

static void add_storage(struct vr_rpc_vdsm_capabilities *out)
{
    static const int versions[] = { 0, 2, 3, 4, 5 };
    out->has.domain_versions = true;
    for (unsigned i = 0; i < G_N_ELEMENTS(versions); i++)
        vr_list_append(&out->domain_versions, GSIZE_TO_POINTER((gsize)versions[i]));
    VR_SET_STRING(out, supported_block_size,
                  "{\"FCP\":[512],\"ISCSI\":[512],\"NFS\":[512],\"POSIXFS\":[512],"
                  "\"GLUSTERFS\":[0,512,4096],\"LOCALFS\":[0,512,4096]}");
    struct vr_rpc_hba_inventory *hba = VR_NEW(rpc_hba_inventory);
    hba->has.fc = hba->has.i_scsi = true;
    g_autofree char *iscsi = vr_proc_read("/etc/iscsi/initiatorname.iscsi");
    const char *name = iscsi ? strstr(iscsi, "InitiatorName=") : NULL;
    if (name) {
        g_autofree char *value = g_strdup(name + strlen("InitiatorName="));
        value[strcspn(value, "\n \t")] = '\0';
        VR_SET_STRING(out, iscsi_initiator_name, value);
        struct vr_rpc_iscsi_hba *one = VR_NEW(rpc_iscsi_hba);
        VR_SET_STRING(one, initiator_name, value);
        vr_list_append(&hba->i_scsi, one);
    } else {
        VR_SET_STRING(out, iscsi_initiator_name, "");
    }
    VR_TAKE(out, hba_inventory, hba);
    VR_SET(out, deferred_preallocation, true);
}

static void add_features(struct vr_rpc_vdsm_capabilities *out, const struct vr_devices_virt *virt)
{
    VR_SET_STRING(out, live_snapshot, "false");
    VR_SET_STRING(out, live_merge, "false");
    VR_SET(out, backup_enabled, false);
    VR_SET(out, cold_backup_enabled, false);
    VR_SET(out, clear_bitmaps_enabled, false);
    VR_SET(out, cd_change_pdiv, true);
    VR_SET(out, refresh_disk_supported, false);
    VR_SET(out, replicate_extend, false);
    VR_SET(out, measure_subchain, false);
    VR_SET(out, measure_active, false);
    VR_SET(out, mailbox_events, false);
    VR_SET(out, zerocopy_migrations, false);
    VR_SET_STRING(out, hostdev_passthrough, "false");
    VR_SET(out, fips_enabled, vr_proc_number(0, "/proc/sys/crypto/fips_enabled") == 1);
    VR_SET_STRING(out, vnc_encrypted, virt->vnc_tls ? "true" : "false");
    VR_SET(out, hosted_engine_deployed, false);
    VR_SET(out, ovn_configured, false);
    VR_SET_STRING(out, last_client_iface, "");
}

static char *kernel_features(void)
{
    GString *json = g_string_new("{");
    g_autoptr(GDir) dir = g_dir_open("/sys/devices/system/cpu/vulnerabilities", 0, NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *text = vr_proc_read("/sys/devices/system/cpu/vulnerabilities/%s", name);
        g_autofree char *upper = g_ascii_strup(name, -1);
        g_string_append(json, json->len > 1 ? "," : "");
        vr_json_quote(json, upper);
        g_string_append_c(json, ':');
        vr_json_quote(json, text ? text : "");
    }
    g_string_append_c(json, '}');
    return g_string_free(json, FALSE);
}

struct vr_rpc_vdsm_capabilities *vr_devices_capabilities(const struct vr_agent_config *config,
                                                         const struct vr_devices_virt *virt)
{
    struct vr_rpc_vdsm_capabilities *out = VR_NEW(rpc_vdsm_capabilities);
    add_processor(out, config, virt);
    add_memory(out);
    add_identity(out, config, virt);
    add_levels(out, virt);
    add_storage(out);
    add_features(out, virt);
    VR_TAKE_STRING(out, kernel_features, kernel_features());
    return out;
}
