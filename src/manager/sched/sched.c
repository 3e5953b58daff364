/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/sched/sched.h"

#define POLICY_NONE "b4ed2332-a7ac-4d5f-9596-99a439cb2812"
#define POLICY_POWER_SAVING "5a2b0939-7d46-4b73-a469-e9c2c7fc6a53"
#define POLICY_VM_EVEN "8d5d7bec-68de-4a67-b53e-0ac54686d579"
#define POLICY_MAINTENANCE "7677771e-5eab-422e-83fa-dc04080d21b7"

static const struct vr_sched_unit *unit_named(const char *name)
{
    for (const struct vr_sched_unit *unit = vr_sched_units; unit->id; unit++)
        if (strcmp(unit->name, name) == 0)
            return unit;
    g_assert_not_reached();
}

static void add_filter(struct vr_sched_policy *policy, const char *name)
{
    unsigned n = 0;
    while (policy->filters[n])
        n++;
    policy->filters[n] = unit_named(name);
}

static void add_weight(struct vr_sched_policy *policy, const char *name, unsigned factor)
{
    unsigned n = 0;
    while (policy->weights[n])
        n++;
    policy->weights[n] = unit_named(name);
    policy->factors[n] = factor;
}

/* facts/manager-behaviour.md 3.4. */
void vr_sched_policy_init(struct vr_sched_policy *policy, const char *id)
{
    static const char *const shared[] = { "PinToHost", "CPU",       "CPU-Level", "CPUOverloaded",
                                          "Memory",    "Migration", "Network",   "CpuPinning" };

    *policy = (struct vr_sched_policy){ .properties = { .high_utilization = 80,
                                                        .low_utilization = 20,
                                                        .overcommit_duration_ms = 2 * 60 * 1000,
                                                        .high_vm_count = 10,
                                                        .migration_threshold = 5,
                                                        .spm_vm_grace = 5,
                                                        .swap_check = true } };
    if (g_strcmp0(id, POLICY_MAINTENANCE) == 0)
        add_filter(policy, "ClusterInMaintenance");
    for (unsigned i = 0; i < G_N_ELEMENTS(shared); i++)
        add_filter(policy, shared[i]);

    add_weight(policy, "PreferredHosts", 99);
    if (g_strcmp0(id, POLICY_POWER_SAVING) == 0) {
        add_weight(policy, "OptimalForCpuPowerSaving", 2);
        add_weight(policy, "OptimalForMemoryPowerSaving", 1);
    } else if (g_strcmp0(id, POLICY_VM_EVEN) == 0) {
        add_weight(policy, "OptimalForEvenGuestDistribution", 2);
    } else {
        add_weight(policy, "OptimalForCpuEvenDistribution", 2);
        add_weight(policy, "OptimalForMemoryEvenDistribution", 1);
    }
}

static bool passes(const struct vr_sched_policy *policy, const struct vr_sched_host *host,
                   const struct vr_sched_vm *vm, vr_sched_refused *refused, void *arg)
{
    for (unsigned f = 0; policy->filters[f]; f++) {
        const struct vr_sched_unit *unit = policy->filters[f];
        if (unit->filter(host, vm, &policy->properties, NULL))
            continue;
        if (refused) {
            g_autoptr(GString) why = g_string_new(NULL);
            unit->filter(host, vm, &policy->properties, why);
            refused(host, unit, why->str, arg);
        }
        return false;
    }
    return true;
}

/* The policy without the units that treat every host alike for this VM. */
static struct vr_sched_policy concerned(const struct vr_sched_policy *policy,
                                        const struct vr_sched_vm *vm)
{
    struct vr_sched_policy asked = { .properties = policy->properties };
    for (unsigned f = 0, n = 0; policy->filters[f]; f++)
        if (!policy->filters[f]->concerns || policy->filters[f]->concerns(vm))
            asked.filters[n++] = policy->filters[f];
    for (unsigned w = 0, n = 0; policy->weights[w]; w++)
        if (!policy->weights[w]->concerns || policy->weights[w]->concerns(vm)) {
            asked.weights[n] = policy->weights[w];
            asked.factors[n++] = policy->factors[w];
        }
    return asked;
}

/* Most weights are at most VR_SCHED_MAX_WEIGHT; the few beyond share a small ladder. */
#define BUCKETS (VR_SCHED_MAX_WEIGHT + 8)
static unsigned bucket(uint32_t weight)
{
    if (weight <= VR_SCHED_MAX_WEIGHT)
        return weight;
    unsigned n = VR_SCHED_MAX_WEIGHT + 1;
    for (uint32_t limit = 5000; weight > limit && n < BUCKETS - 1; limit *= 10)
        n++;
    return n;
}

/*
 * RankSelector: a host's rank by one weight is n - 1 minus the number of hosts
 * that are better; its score is the sum of factor times rank.  Ranks come from
 * a count of weights, so the cost is linear in the hosts.
 */
static void add_ranks(uint64_t *scores, const uint32_t *weights, unsigned n, unsigned factor)
{
    unsigned below[BUCKETS] = { 0 };
    for (unsigned i = 0; i < n; i++)
        below[bucket(weights[i])]++;
    unsigned better = 0;
    for (unsigned b = 0; b < BUCKETS; b++) {
        unsigned here = below[b];
        below[b] = better;
        better += here;
    }
    for (unsigned i = 0; i < n; i++)
        scores[i] += (uint64_t)factor * (n - 1 - below[bucket(weights[i])]);
}

int vr_sched_place(const struct vr_sched_policy *policy, const struct vr_sched_host *hosts,
                   unsigned count, const struct vr_sched_vm *vm, const uint8_t *barred,
                   vr_sched_refused *refused, void *arg)
{
    g_autofree uint32_t *fit = g_new(uint32_t, count + 1);
    struct vr_sched_policy asked = concerned(policy, vm);
    unsigned n = 0;
    uint32_t best_memory = 0;

    for (unsigned i = 0; i < count; i++) {
        if (!hosts[i].up || (barred && barred[i]) || !passes(&asked, &hosts[i], vm, refused, arg))
            continue;
        fit[n++] = i;
        best_memory = MAX(best_memory, vr_sched_free_memory(&hosts[i]));
    }
    if (n <= 1)
        return n == 0 ? -1 : (int)fit[0];

    struct vr_sched_properties properties = policy->properties;
    properties.memory_factor_max = best_memory;
    g_autofree uint64_t *scores = g_new0(uint64_t, n);
    g_autofree uint32_t *weights = g_new(uint32_t, n);
    for (unsigned w = 0; asked.weights[w]; w++) {
        for (unsigned i = 0; i < n; i++)
            weights[i] = asked.weights[w]->weight(&hosts[fit[i]], vm, &properties);
        add_ranks(scores, weights, n, asked.factors[w]);
    }
    unsigned best = 0;
    for (unsigned i = 1; i < n; i++)
        if (scores[i] > scores[best])
            best = i;
    return (int)fit[best];
}
