/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/site/tables.h"

/* Scheduling policies and their units, with the ids that clients know (facts/rest-api.md 8.5,
 * facts/manager-behaviour.md 3.2 to 3.4). */

static const struct {
    const char *id, *name;
    enum vr_policy_unit_type type;
} units[] = {
#define F VR_POLICY_UNIT_TYPE_FILTER
#define W VR_POLICY_UNIT_TYPE_WEIGHT
#define B VR_POLICY_UNIT_TYPE_LOAD_BALANCING
    { "12262ab6-9690-4bc3-a2b3-35573b172d54", "PinToHost", F },
    { "27846536-f653-11e5-9ce9-5e5517507c66", "Label", F },
    { "6d636bf6-a35c-4f9d-b68d-0731f720cddc", "CPU", F },
    { "438b052c-90ab-40e8-9be0-a22560202ea6", "CPU-Level", F },
    { "98842bc5-4094-4b83-8224-7b50f86a94c9", "CPUOverloaded", F },
    { "58894b5b-d55d-4f85-8f82-5bf217e640b0", "Emulated-Machine", F },
    { "728a21f1-f97e-4d32-bc3e-b3cc49756abb", "HostDevice", F },
    { "e659c871-0bf1-4ccc-b748-f28f5d08dffd", "HA", F },
    { "c9ddbb34-0e1d-4061-a8d7-b0893fa80932", "Memory", F },
    { "e659c871-0bf1-4ccc-b748-f28f5d08ddda", "Migration", F },
    { "84e6ddee-ab0d-42dd-82f0-c297779db566", "VmAffinityGroups", F },
    { "e69808a9-8a41-40f1-94ba-dd5d385d82d8", "VmToHostsAffinityGroups", F },
    { "72163d1c-9468-4480-99d9-0888664eb143", "Network", F },
    { "6d636bf6-a35c-4f9d-b68d-0731f731cddc", "CpuPinning", F },
    { "3e4a7d54-9e7f-11e5-8994-feff819cdc9f", "Compatibility-Version", F },
    { "53bff075-8306-446f-a53b-9c872a29d197", "HostedEngineSpares", F },
    { "0bd8fef9-bcb4-4250-9998-410f01608d9b", "ClusterInMaintenance", F },
    { "84e6ddee-ab0d-42dd-82f0-c298889db567", "InClusterUpgrade", F },
    { "84e6ddee-ab0d-42dd-82f0-c297779db567", "VmAffinityGroups", W },
    { "427aed70-dae3-48ba-8fe9-a902a9d563c8", "VmToHostsAffinityGroups", W },
    { "84e6ddee-ab0d-42dd-82f0-c298889db568", "InClusterUpgrade", W },
    { "591cdb81-ba67-45b4-9642-e28f61a97d57", "PreferredHosts", W },
    { "98e92667-6161-41fb-b3fa-34f820ccbc4b", "HA", W },
    { "7f262d70-6cac-11e3-981f-0800200c9a66", "OptimalForHaReservation", W },
    { "4134247a-9c58-4b9a-8593-530bb9e37c59", "OptimalForMemoryEvenDistribution", W },
    { "9dfe6086-646d-43b8-8eef-4d94de8472c8", "OptimalForMemoryPowerSaving", W },
    { "7db4ab05-81ab-42e8-868a-aee2df483edb", "OptimalForCpuEvenDistribution", W },
    { "736999d0-1023-46a4-9a75-1316ed50e15b", "OptimalForCpuPowerSaving", W },
    { "3ba8c988-f779-42c0-90ce-caa8243edee7", "OptimalForEvenGuestDistribution", W },
    { "38440000-8cf0-14bd-c43e-10b96e4ef00a", "None", B },
    { "736999d0-1023-46a4-9a75-1316ed50e151", "OptimalForPowerSaving", B },
    { "d58c8e32-44e1-418f-9222-52cd887bf9e0", "OptimalForEvenGuestDistribution", B },
    { "7db4ab05-81ab-42e8-868a-aee2df483ed2", "OptimalForEvenDistribution", B },
#undef F
#undef W
#undef B
};

struct weighted {
    const char *unit;
    int factor;
};

#define UNIT_CPU_EVEN "7db4ab05-81ab-42e8-868a-aee2df483edb"
#define UNIT_MEMORY_EVEN "4134247a-9c58-4b9a-8593-530bb9e37c59"
#define UNIT_CPU_POWER "736999d0-1023-46a4-9a75-1316ed50e15b"
#define UNIT_MEMORY_POWER "9dfe6086-646d-43b8-8eef-4d94de8472c8"
#define UNIT_GUEST_EVEN "3ba8c988-f779-42c0-90ce-caa8243edee7"

static const struct {
    const char *id, *name, *description, *balance;
    struct weighted weights[2];
    const char *properties; /* name=value pairs */
} policies[] = {
    { VR_ID_POLICY_NONE, "none", "No load balancing",
      "38440000-8cf0-14bd-c43e-10b96e4ef00a",
      { { UNIT_CPU_EVEN, 2 }, { UNIT_MEMORY_EVEN, 1 } },
      "CpuOverCommitDurationMinutes=2,HighUtilization=80" },
    { "20d25257-b4bd-4589-92a6-c4c5c5d3fd1a", "evenly_distributed",
      "Spreads CPU and memory load over the hosts", "7db4ab05-81ab-42e8-868a-aee2df483ed2",
      { { UNIT_CPU_EVEN, 2 }, { UNIT_MEMORY_EVEN, 1 } },
      "CpuOverCommitDurationMinutes=2,HighUtilization=80,HeSparesCount=0" },
    { "5a2b0939-7d46-4b73-a469-e9c2c7fc6a53", "power_saving",
      "Fills hosts, so that others can be switched off", "736999d0-1023-46a4-9a75-1316ed50e151",
      { { UNIT_CPU_POWER, 2 }, { UNIT_MEMORY_POWER, 1 } },
      "CpuOverCommitDurationMinutes=2,HighUtilization=80,LowUtilization=20,HeSparesCount=0" },
    { "8d5d7bec-68de-4a67-b53e-0ac54686d579", "vm_evenly_distributed",
      "Spreads the number of machines over the hosts", "d58c8e32-44e1-418f-9222-52cd887bf9e0",
      { { UNIT_GUEST_EVEN, 2 }, { NULL, 0 } },
      "HighVmCount=10,MigrationThreshold=5,SpmVmGrace=5,HeSparesCount=0,"
      "CpuOverCommitDurationMinutes=2,HighUtilization=80" },
    { "7677771e-5eab-422e-83fa-dc04080d21b7", "cluster_maintenance",
      "Starts only highly available machines", "38440000-8cf0-14bd-c43e-10b96e4ef00a",
      { { UNIT_CPU_EVEN, 2 }, { UNIT_MEMORY_EVEN, 1 } },
      "CpuOverCommitDurationMinutes=2,HighUtilization=80" },
};

static const struct weighted shared_weights[] = {
    { "591cdb81-ba67-45b4-9642-e28f61a97d57", 99 }, { "98e92667-6161-41fb-b3fa-34f820ccbc4b", 1 },
    { "7f262d70-6cac-11e3-981f-0800200c9a66", 1 },  { "84e6ddee-ab0d-42dd-82f0-c297779db567", 1 },
    { "427aed70-dae3-48ba-8fe9-a902a9d563c8", 10 },
};

#define UNIT_MAINTENANCE "0bd8fef9-bcb4-4250-9998-410f01608d9b"
#define UNIT_UPGRADE "84e6ddee-ab0d-42dd-82f0-c298889db567"

static void add_unit(struct vr_txn *txn, unsigned i) VR_REQUIRES(vr_role_engine);
static void add_unit(struct vr_txn *txn, unsigned i)
{
    if (shipped_already(txn, VR_KIND_SCHEDULING_POLICY_UNIT, units[i].id))
        return;
    struct vr_scheduling_policy_unit *unit = VR_NEW(scheduling_policy_unit);
    VR_SET_STRING(unit, id, units[i].id);
    VR_SET_STRING(unit, name, units[i].name);
    VR_SET(unit, type, units[i].type);
    VR_SET(unit, internal, true);
    VR_SET(unit, enabled, true);
    vr_txn_add(txn, VR_KIND_SCHEDULING_POLICY_UNIT, unit);
}

/* Units of a policy are addressed by the unit's id below the policy: the same pair, the same id. */
static char *pair_id(const char *policy, const char *unit)
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    uint8_t digest[32];
    gsize length = sizeof(digest);
    char uuid[37];
    g_checksum_update(sum, (const guchar *)policy, -1);
    g_checksum_update(sum, (const guchar *)unit, -1);
    g_checksum_get_digest(sum, digest, &length);
    vr_uuid_format(uuid, digest);
    return g_strdup(uuid);
}

static void add_filter(struct vr_txn *txn, const char *policy, const char *unit, int position)
    VR_REQUIRES(vr_role_engine);
static void add_filter(struct vr_txn *txn, const char *policy, const char *unit, int position)
{
    struct vr_filter *filter = VR_NEW(filter);
    VR_TAKE_STRING(filter, id, pair_id(policy, unit));
    VR_SET(filter, position, position);
    VR_SET_LINK(filter, scheduling_policy, scheduling_policy, policy);
    VR_SET_LINK(filter, scheduling_policy_unit, scheduling_policy_unit, unit);
    vr_txn_add(txn, VR_KIND_FILTER, filter);
}

static void add_weight(struct vr_txn *txn, const char *policy, const struct weighted *weighted)
    VR_REQUIRES(vr_role_engine);
static void add_weight(struct vr_txn *txn, const char *policy, const struct weighted *weighted)
{
    if (!weighted->unit)
        return;
    struct vr_weight *weight = VR_NEW(weight);
    VR_TAKE_STRING(weight, id, pair_id(policy, weighted->unit));
    VR_SET(weight, factor, weighted->factor);
    VR_SET_LINK(weight, scheduling_policy, scheduling_policy, policy);
    VR_SET_LINK(weight, scheduling_policy_unit, scheduling_policy_unit, weighted->unit);
    vr_txn_add(txn, VR_KIND_WEIGHT, weight);
}

static void add_properties(struct vr_scheduling_policy *policy, const char *pairs)
{
    g_auto(GStrv) words = g_strsplit(pairs, ",", 0);
    for (unsigned i = 0; words[i]; i++) {
        char *value = strchr(words[i], '=');
        *value++ = '\0';
        struct vr_property *property = VR_NEW(property);
        VR_SET_STRING(property, name, words[i]);
        VR_SET_STRING(property, value, value);
        VR_APPEND(policy, properties, property);
    }
}

static void add_policy(struct vr_txn *txn, unsigned i) VR_REQUIRES(vr_role_engine);
static void add_policy(struct vr_txn *txn, unsigned i)
{
    const char *id = policies[i].id;
    if (shipped_already(txn, VR_KIND_SCHEDULING_POLICY, id))
        return;
    struct vr_scheduling_policy *policy = VR_NEW(scheduling_policy);
    VR_SET_STRING(policy, id, id);
    VR_SET_STRING(policy, name, policies[i].name);
    VR_SET_STRING(policy, description, policies[i].description);
    VR_SET(policy, locked, true);
    VR_SET(policy, predefined, true);
    VR_SET(policy, default_policy, strcmp(id, VR_ID_POLICY_NONE) == 0);
    add_properties(policy, policies[i].properties);
    vr_txn_add(txn, VR_KIND_SCHEDULING_POLICY, policy);

    for (unsigned u = 0; u < G_N_ELEMENTS(units); u++) {
        bool maintenance = strcmp(units[u].id, UNIT_MAINTENANCE) == 0;
        if (units[u].type != VR_POLICY_UNIT_TYPE_FILTER || strcmp(units[u].id, UNIT_UPGRADE) == 0 ||
            (maintenance && strcmp(policies[i].name, "cluster_maintenance") != 0))
            continue;
        add_filter(txn, id, units[u].id,
                   maintenance || u == 0 ? -1 : strcmp(units[u].name, "HostedEngineSpares") == 0);
    }
    for (unsigned w = 0; w < G_N_ELEMENTS(shared_weights); w++)
        add_weight(txn, id, &shared_weights[w]);
    for (unsigned w = 0; w < G_N_ELEMENTS(policies[i].weights); w++)
        add_weight(txn, id, &policies[i].weights[w]);

    struct vr_balance *balance = VR_NEW(balance);
    VR_TAKE_STRING(balance, id, pair_id(id, policies[i].balance));
    VR_SET_LINK(balance, scheduling_policy, scheduling_policy, id);
    VR_SET_LINK(balance, scheduling_policy_unit, scheduling_policy_unit, policies[i].balance);
    vr_txn_add(txn, VR_KIND_BALANCE, balance);
}

void shipped_policies(struct vr_txn *txn)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(units); i++)
        add_unit(txn, i);
    for (unsigned i = 0; i < G_N_ELEMENTS(policies); i++)
        add_policy(txn, i);
}
