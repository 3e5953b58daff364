/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/sched/sched.h"

/* VcpuConsumptionPercentage and SpmVCpuConsumption (facts/manager-behaviour.md 3.3). */
#define VCPU_PERCENT 10
#define SPM_VCPUS 1

static bool listed(const char *const *ids, const char *id)
{
    for (; ids && *ids; ids++)
        if (strcmp(*ids, id) == 0)
            return true;
    return false;
}

static bool G_GNUC_PRINTF(2, 3) refuse(GString *why, const char *format, ...)
{
    if (why) {
        va_list args;
        va_start(args, format);
        g_string_vprintf(why, format, args);
        va_end(args);
    }
    return false;
}

/* --- filters --- */

static bool pin_to_host(const struct vr_sched_host *host, const struct vr_sched_vm *vm,
                        const struct vr_sched_properties *properties, GString *why)
{
    if (!vm->pinned_only)
        return true;
    if (!vm->pinned || !vm->pinned[0]) {
        if (!vm->running)
            return true;
        return refuse(why, "the VM is pinned to the host it runs on");
    }
    if (listed(vm->pinned, host->id))
        return true;
    return refuse(why, "the VM is pinned to other hosts");
}

/* Sockets times cores; threads of the guest are not counted (3.2, CPU). */
static bool cpu(const struct vr_sched_host *host, const struct vr_sched_vm *vm,
                const struct vr_sched_properties *properties, GString *why)
{
    uint64_t wanted = (uint64_t)vm->sockets * vm->cores;
    if (wanted <= host->cores)
        return true;
    return refuse(why, "it has %u cores and the VM needs %" G_GUINT64_FORMAT, host->cores, wanted);
}

static bool cpu_level(const struct vr_sched_host *host, const struct vr_sched_vm *vm,
                      const struct vr_sched_properties *properties, GString *why)
{
    if (vm->cpu_level < 0 || host->cpu_level >= vm->cpu_level)
        return true;
    return refuse(why, "its CPU is of a lower type than the VM asks for");
}

/* All cores busy but one share: T = round((100 cores - (100 - High)) / cores). */
static bool cpu_overloaded(const struct vr_sched_host *host, const struct vr_sched_vm *vm,
                           const struct vr_sched_properties *properties, GString *why)
{
    if (host->cpu_usage < 0 || host->cores == 0 || host->overload_since == 0)
        return true;
    unsigned spm = host->spm ? SPM_VCPUS * VCPU_PERCENT / host->cores : 0;
    unsigned slack = 100 - MIN(properties->high_utilization, 100);
    unsigned limit = (100 * host->cores - slack + host->cores / 2) / host->cores;
    if ((unsigned)host->cpu_usage + spm <= limit ||
        properties->now - host->overload_since < properties->overcommit_duration_ms)
        return true;
    return refuse(why, "its CPU has been overloaded for %u s (%d %%)",
                  (unsigned)((properties->now - host->overload_since) / 1000), host->cpu_usage);
}

static bool memory(const struct vr_sched_host *host, const struct vr_sched_vm *vm,
                   const struct vr_sched_properties *properties, GString *why)
{
    if (vm->paused)
        return true;
    uint64_t need = (uint64_t)vm->memory + vm->overhead;

    if (properties->swap_check && host->memory) {
        int64_t used = (int64_t)host->swap_total - host->swap_free - host->memory_available;
        if (used > 0 && used * 100 >= host->memory)
            return refuse(why, "it swaps");
    }
    uint64_t real = (uint64_t)host->memory_free + host->swap_free;
    real = real > host->pending_real ? real - host->pending_real : 0;
    if (need > real)
        return refuse(why, "it has %" G_GUINT64_FORMAT " MiB of free memory and the VM needs %"
                      G_GUINT64_FORMAT, real, need);
    uint32_t logical = vr_sched_free_memory(host);
    if (need > logical)
        return refuse(why, "it has %u MiB of memory left to promise and the VM needs %"
                      G_GUINT64_FORMAT, logical, need);
    return true;
}

static bool migration(const struct vr_sched_host *host, const struct vr_sched_vm *vm,
                      const struct vr_sched_properties *properties, GString *why)
{
    if (!vm->running || !vm->current_host || strcmp(vm->current_host, host->id) != 0)
        return true;
    return refuse(why, "the VM already runs there");
}

static bool network(const struct vr_sched_host *host, const struct vr_sched_vm *vm,
                    const struct vr_sched_properties *properties, GString *why)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(vm->networks.bits); i++)
        if (vm->networks.bits[i] && vm->networks.bits[i] & ~host->networks.bits[i])
            return refuse(why, "a network of the VM is missing on it");
    return true;
}

static bool cpu_pinning(const struct vr_sched_host *host, const struct vr_sched_vm *vm,
                        const struct vr_sched_properties *properties, GString *why)
{
    if (!vm->pinned_cpus || !host->online_cpus)
        return true;
    for (unsigned i = 0; i < vm->pinned_words; i++) {
        uint64_t online = i < host->online_words ? host->online_cpus[i] : 0;
        if (vm->pinned_cpus[i] & ~online)
            return refuse(why, "a CPU that the VM is pinned to is not online");
    }
    return true;
}

static bool cluster_in_maintenance(const struct vr_sched_host *host, const struct vr_sched_vm *vm,
                                   const struct vr_sched_properties *properties, GString *why)
{
    if (vm->highly_available || vm->running)
        return true;
    return refuse(why, "its cluster is in maintenance");
}

/* --- weights --- */

static uint32_t even_cpu(const struct vr_sched_host *host, const struct vr_sched_vm *vm,
                         const struct vr_sched_properties *properties)
{
    if (host->cpu_usage < 0 || host->cores == 0)
        return VR_SCHED_MAX_WEIGHT - 1;
    uint64_t vcpus = (uint64_t)vm->sockets * vm->cores * MAX(vm->threads, 1);
    uint64_t more = host->pending_vcpus + vcpus + (host->spm ? SPM_VCPUS : 0);
    float score = (float)host->cpu_usage / VCPU_PERCENT + (float)more / (float)host->cores;
    return (uint32_t)MIN(score + 0.5F, VR_SCHED_MAX_WEIGHT - 1) + 1;
}

static uint32_t even_memory(const struct vr_sched_host *host, const struct vr_sched_vm *vm,
                            const struct vr_sched_properties *properties)
{
    int64_t best = properties->memory_factor_max, free = vr_sched_free_memory(host);
    if (best <= 1)
        return VR_SCHED_MAX_WEIGHT;
    if (free < 1)
        free = 1;
    double share = (double)(free - 1) / (double)(best - 1);
    return VR_SCHED_MAX_WEIGHT - (uint32_t)(share * (VR_SCHED_MAX_WEIGHT - 1) + 0.5);
}

static uint32_t power_cpu(const struct vr_sched_host *host, const struct vr_sched_vm *vm,
                          const struct vr_sched_properties *properties)
{
    if (host->active_vms + host->pending_vms == 0)
        return VR_SCHED_MAX_WEIGHT - 1;
    uint32_t even = even_cpu(host, vm, properties);
    return even >= VR_SCHED_MAX_WEIGHT ? 0 : VR_SCHED_MAX_WEIGHT - 1 - even;
}

static uint32_t power_memory(const struct vr_sched_host *host, const struct vr_sched_vm *vm,
                             const struct vr_sched_properties *properties)
{
    if (host->active_vms + host->pending_vms == 0)
        return VR_SCHED_MAX_WEIGHT - 1;
    uint32_t even = even_memory(host, vm, properties);
    return even >= VR_SCHED_MAX_WEIGHT ? 0 : VR_SCHED_MAX_WEIGHT - 1 - even;
}

static uint32_t even_guests(const struct vr_sched_host *host, const struct vr_sched_vm *vm,
                            const struct vr_sched_properties *properties)
{
    uint64_t slots = (uint64_t)host->active_vms + host->pending_vms +
                     (host->spm ? properties->spm_vm_grace : 0);
    return (uint32_t)MIN(slots, VR_SCHED_WEIGHT_CEILING);
}

static uint32_t preferred_hosts(const struct vr_sched_host *host, const struct vr_sched_vm *vm,
                                const struct vr_sched_properties *properties)
{
    if (vm->running || !vm->preferred || !vm->preferred[0] || listed(vm->preferred, host->id))
        return 0;
    return 10000;
}

/* --- which VMs a unit concerns --- */

static bool is_pinned(const struct vr_sched_vm *vm)
{
    return vm->pinned_only;
}

static bool has_level(const struct vr_sched_vm *vm)
{
    return vm->cpu_level >= 0;
}

static bool is_running(const struct vr_sched_vm *vm)
{
    return vm->running;
}

static bool has_networks(const struct vr_sched_vm *vm)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(vm->networks.bits); i++)
        if (vm->networks.bits[i])
            return true;
    return false;
}

static bool pins_cpus(const struct vr_sched_vm *vm)
{
    return vm->pinned_cpus != NULL;
}

static bool prefers_hosts(const struct vr_sched_vm *vm)
{
    return !vm->running && vm->preferred && vm->preferred[0];
}

const struct vr_sched_unit vr_sched_units[] = {
    { "12262ab6-9690-4bc3-a2b3-35573b172d54", "PinToHost", pin_to_host, NULL, is_pinned },
    { "6d636bf6-a35c-4f9d-b68d-0731f720cddc", "CPU", cpu, NULL, NULL },
    { "438b052c-90ab-40e8-9be0-a22560202ea6", "CPU-Level", cpu_level, NULL, has_level },
    { "98842bc5-4094-4b83-8224-7b50f86a94c9", "CPUOverloaded", cpu_overloaded, NULL, NULL },
    { "c9ddbb34-0e1d-4061-a8d7-b0893fa80932", "Memory", memory, NULL, NULL },
    { "e659c871-0bf1-4ccc-b748-f28f5d08ddda", "Migration", migration, NULL, is_running },
    { "72163d1c-9468-4480-99d9-0888664eb143", "Network", network, NULL, has_networks },
    { "6d636bf6-a35c-4f9d-b68d-0731f731cddc", "CpuPinning", cpu_pinning, NULL, pins_cpus },
    { "0bd8fef9-bcb4-4250-9998-410f01608d9b", "ClusterInMaintenance", cluster_in_maintenance,
      NULL, NULL },
    { "7db4ab05-81ab-42e8-868a-aee2df483edb", "OptimalForCpuEvenDistribution", NULL, even_cpu, NULL },
    { "4134247a-9c58-4b9a-8593-530bb9e37c59", "OptimalForMemoryEvenDistribution", NULL,
      even_memory, NULL },
    { "736999d0-1023-46a4-9a75-1316ed50e15b", "OptimalForCpuPowerSaving", NULL, power_cpu, NULL },
    { "9dfe6086-646d-43b8-8eef-4d94de8472c8", "OptimalForMemoryPowerSaving", NULL, power_memory, NULL },
    { "3ba8c988-f779-42c0-90ce-caa8243edee7", "OptimalForEvenGuestDistribution", NULL,
      even_guests, NULL },
    { "591cdb81-ba67-45b4-9642-e28f61a97d57", "PreferredHosts", NULL, preferred_hosts,
      prefers_hosts },
    { NULL, NULL, NULL, NULL, NULL },
};

const struct vr_sched_unit *vr_sched_unit_find(const char *id, bool filter)
{
    for (const struct vr_sched_unit *unit = vr_sched_units; unit->id; unit++)
        if (strcmp(unit->id, id) == 0 && (unit->filter != NULL) == filter)
            return unit;
    return NULL;
}
