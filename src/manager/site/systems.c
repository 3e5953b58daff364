/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/site/tables.h"

#include <stdio.h>

/* Operating systems, sizes, cluster levels and network filters (facts/rest-api.md 8.5). */

static const struct {
    int number;
    const char *name, *description;
} systems[] = {
    { 0, "other", "Other OS" },
    { 5, "other_linux", "Linux" },
    { 33, "other_linux_kernel_4", "Other Linux (kernel 4.x)" },
    { 7, "rhel_5", "Red Hat Enterprise Linux 5.x" },
    { 13, "rhel_5x64", "Red Hat Enterprise Linux 5.x x64" },
    { 18, "rhel_6", "Red Hat Enterprise Linux 6.x" },
    { 19, "rhel_6x64", "Red Hat Enterprise Linux 6.x x64" },
    { 24, "rhel_7x64", "Red Hat Enterprise Linux 7.x x64" },
    { 28, "rhel_atomic7x64", "Red Hat Atomic 7.x x64" },
    { 30, "rhel_8x64", "Red Hat Enterprise Linux 8.x x64" },
    { 34, "rhel_9x64", "Red Hat Enterprise Linux 9.x x64" },
    { 39, "rhel_10x64", "Red Hat Enterprise Linux 10.x x64" },
    { 35, "rhcos_x64", "Red Hat Enterprise Linux CoreOS" },
    { 1, "windows_xp", "Windows XP" },
    { 3, "windows_2003", "Windows 2003" },
    { 10, "windows_2003x64", "Windows 2003 x64" },
    { 4, "windows_2008", "Windows 2008" },
    { 16, "windows_2008x64", "Windows 2008 x64" },
    { 17, "windows_2008R2x64", "Windows 2008 R2 x64" },
    { 11, "windows_7", "Windows 7" },
    { 12, "windows_7x64", "Windows 7 x64" },
    { 20, "windows_8", "Windows 8" },
    { 21, "windows_8x64", "Windows 8 x64" },
    { 23, "windows_2012x64", "Windows 2012 x64" },
    { 26, "windows_10", "Windows 10" },
    { 27, "windows_10x64", "Windows 10 x64" },
    { 29, "windows_2016x64", "Windows 2016 x64" },
    { 31, "windows_2019x64", "Windows 2019 x64" },
    { 36, "windows_11", "Windows 11" },
    { 37, "windows_2022", "Windows 2022" },
    { 38, "windows_2025", "Windows 2025" },
    { 1193, "sles_11", "SUSE Linux Enterprise Server 11+" },
    { 1252, "ubuntu_12_04", "Ubuntu Precise Pangolin LTS" },
    { 1253, "ubuntu_12_10", "Ubuntu Quantal Quetzal" },
    { 1254, "ubuntu_13_04", "Ubuntu Raring Ringtails" },
    { 1255, "ubuntu_13_10", "Ubuntu Saucy Salamander" },
    { 1256, "ubuntu_14_04", "Ubuntu Trusty Tahr LTS" },
    { 1257, "ubuntu_18_04", "Ubuntu Bionic Beaver LTS" },
    { 1300, "debian_7", "Debian 7+" },
    { 1301, "debian_9", "Debian 9+" },
    { 1500, "freebsd", "FreeBSD 9.2" },
    { 1501, "freebsdx64", "FreeBSD 9.2 x64" },
};

static const struct {
    const char *id, *name;
    unsigned mib, sockets;
} sizes[] = {
    { "00000003-0003-0003-0003-0000000000be", "Tiny", 512, 1 },
    { "00000005-0005-0005-0005-0000000002e6", "Small", 2048, 1 },
    { "00000007-0007-0007-0007-00000000010a", "Medium", 4096, 2 },
    { "00000009-0009-0009-0009-0000000000f1", "Large", 8192, 2 },
    { "0000000b-000b-000b-000b-00000000021f", "XLarge", 16384, 4 },
};

static const char *const levels[] = { "4.2", "4.3", "4.4", "4.5", "4.6", "4.7" };

static const struct {
    const char *name;
    int level;
} cpu_types[] = {
    { "Intel Nehalem Family", 3 },       { "Secure Intel Nehalem Family", 4 },
    { "Intel Westmere Family", 5 },      { "Secure Intel Westmere Family", 6 },
    { "Intel SandyBridge Family", 7 },   { "Secure Intel SandyBridge Family", 8 },
    { "Intel IvyBridge Family", 9 },     { "Secure Intel IvyBridge Family", 10 },
    { "Intel Haswell Family", 11 },      { "Secure Intel Haswell Family", 12 },
    { "Intel Broadwell Family", 13 },    { "Secure Intel Broadwell Family", 14 },
    { "Intel Skylake Client Family", 15 }, { "Intel Skylake Server Family", 18 },
    { "Intel Cascadelake Server Family", 21 }, { "AMD Opteron G4", 2 },
    { "AMD Opteron G5", 3 },             { "AMD EPYC", 4 },
    { "Secure AMD EPYC", 5 },
};

static const char *const filters[] = {
    "allow-arp",          "allow-dhcp",         "allow-dhcp-server",  "allow-incoming-ipv4",
    "allow-ipv4",         "clean-traffic",      "no-arp-ip-spoofing", "no-arp-mac-spoofing",
    "no-arp-spoofing",    "no-ip-multicast",    "no-ip-spoofing",     "no-mac-broadcast",
    "no-mac-spoofing",    "no-other-l2-traffic", "no-other-rarp-traffic",
    "qemu-announce-self", "qemu-announce-self-rarp",
};

static void add_system(struct vr_txn *txn, unsigned i) VR_REQUIRES(vr_role_engine);
static void add_system(struct vr_txn *txn, unsigned i)
{
    char id[16];
    g_snprintf(id, sizeof(id), "%d", systems[i].number);
    if (shipped_already(txn, VR_KIND_OPERATING_SYSTEM_INFO, id))
        return;
    struct vr_operating_system_info *os = VR_NEW(operating_system_info);
    VR_SET_STRING(os, id, id);
    VR_SET_STRING(os, name, systems[i].name);
    VR_SET_STRING(os, description, systems[i].description);
    VR_SET(os, architecture, VR_ARCHITECTURE_X86_64);
    VR_SET(os, tpm_support, VR_TPM_SUPPORT_SUPPORTED);
    vr_txn_add(txn, VR_KIND_OPERATING_SYSTEM_INFO, os);
}

static void add_size(struct vr_txn *txn, unsigned i) VR_REQUIRES(vr_role_engine);
static void add_size(struct vr_txn *txn, unsigned i)
{
    if (shipped_already(txn, VR_KIND_INSTANCE_TYPE, sizes[i].id))
        return;
    struct vr_instance_type *type = VR_NEW(instance_type);
    int64_t bytes = (int64_t)MiB(sizes[i].mib);
    VR_SET_STRING(type, id, sizes[i].id);
    VR_SET_STRING(type, name, sizes[i].name);
    VR_SET_STRING(type, description, "");
    VR_SET(type, memory, bytes);
    struct vr_memory_policy *policy = VR_SUB(type, memory_policy, memory_policy);
    VR_SET(policy, guaranteed, bytes);
    VR_SET(policy, max, bytes * 4);
    struct vr_cpu_topology *topology =
        VR_SUB(VR_SUB(type, cpu, cpu), topology, cpu_topology);
    VR_SET(topology, sockets, sizes[i].sockets);
    VR_SET(topology, cores, 1);
    VR_SET(topology, threads, 1);
    VR_SET(type, status, VR_TEMPLATE_STATUS_OK);
    vr_txn_add(txn, VR_KIND_INSTANCE_TYPE, type);
}

static void add_level(struct vr_txn *txn, const char *name) VR_REQUIRES(vr_role_engine);
static void add_level(struct vr_txn *txn, const char *name)
{
    if (shipped_already(txn, VR_KIND_CLUSTER_LEVEL, name))
        return;
    struct vr_cluster_level *level = VR_NEW(cluster_level);
    VR_SET_STRING(level, id, name);
    for (unsigned i = 0; i < G_N_ELEMENTS(cpu_types); i++) {
        struct vr_cpu_type *type = VR_NEW(cpu_type);
        VR_SET_STRING(type, name, cpu_types[i].name);
        VR_SET(type, level, cpu_types[i].level);
        VR_SET(type, architecture, VR_ARCHITECTURE_X86_64);
        VR_APPEND(level, cpu_types, type);
    }
    vr_txn_add(txn, VR_KIND_CLUSTER_LEVEL, level);
}

static void add_filter(struct vr_txn *txn, const char *id, const char *name)
    VR_REQUIRES(vr_role_engine);
static void add_filter(struct vr_txn *txn, const char *id, const char *name)
{
    struct vr_network_filter *filter = VR_NEW(network_filter);
    VR_SET_STRING(filter, id, id);
    VR_SET_STRING(filter, name, name);
    struct vr_version *version = VR_SUB(filter, version, version);
    VR_SET(version, major, 4);
    VR_SET(version, minor, 0);
    VR_SET(version, build, -1);
    VR_SET(version, revision, -1);
    vr_txn_add(txn, VR_KIND_NETWORK_FILTER, filter);
}

static void add_filters(struct vr_txn *txn) VR_REQUIRES(vr_role_engine);
static void add_filters(struct vr_txn *txn)
{
    if (shipped_already(txn, VR_KIND_NETWORK_FILTER, VR_ID_NO_MAC_SPOOFING))
        return;
    add_filter(txn, VR_ID_NO_MAC_SPOOFING, "vdsm-no-mac-spoofing");
    for (unsigned i = 0; i < G_N_ELEMENTS(filters); i++)
        add_filter(txn, NULL, filters[i]); /* any id: they differ between installations */
}

void shipped_systems(struct vr_txn *txn)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(systems); i++)
        add_system(txn, i);
    for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++)
        add_size(txn, i);
    for (unsigned i = 0; i < G_N_ELEMENTS(levels); i++)
        add_level(txn, levels[i]);
    add_filters(txn);
}
