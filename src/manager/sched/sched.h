/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * sched: which host a virtual machine goes to.
 *
 * Filters say which hosts can take it, weights how well they suit; a policy is
 * a list of both with factors and properties (facts/manager-behaviour.md 3).
 * Everything here is a pure function over compact arrays that the caller
 * keeps: no inventory, no clock, no allocation per host, so one placement
 * among 10,000 hosts stays below a millisecond.
 */

#include "base/base.h"

/* Networks of a data centre are numbered by the caller; a host or a VM has a set of them. */
#define VR_SCHED_NETWORKS 256
struct vr_sched_networks {
    uint64_t bits[VR_SCHED_NETWORKS / 64];
};

/* What a filter or weight may look at.  Memory is in MiB, time in monotonic ms. */
struct vr_sched_host {
    /* What every placement reads comes first: two cache lines. */
    uint32_t memory, memory_free, swap_total, swap_free;
    uint32_t memory_available; /* free and reclaimable, for the swap rule */
    uint32_t committed;        /* overhead + VMs that run here */
    uint32_t reserved;
    uint32_t overcommit;     /* percent, of the cluster */
    uint32_t pending_memory; /* VMs placed here that do not run yet, for overcommit */
    uint32_t pending_real;   /* the same in real memory (overhead a guest) */
    uint32_t pending_vcpus, pending_vms;
    uint32_t active_vms;
    uint32_t cores;         /* effective: threads when the cluster counts them as cores */
    int16_t cpu_usage;      /* percent, -1 unknown */
    int16_t cpu_level;      /* of the best CPU type the host can be, -1 unknown */
    bool up, spm;
    int64_t overload_since; /* 0: inside the band */
    struct vr_sched_networks networks;
    const uint64_t *online_cpus; /* bit set, or NULL when unknown */
    uint32_t online_words;
    const char *id;   /* borrowed */
    const char *name; /* borrowed */
};

struct vr_sched_vm {
    const char *const *pinned; /* ids of hosts, NULL ended, or NULL */
    const char *const *preferred;
    const char *current_host;  /* of a running VM, or NULL */
    uint32_t sockets, cores, threads;
    uint32_t memory, overhead;
    int16_t cpu_level; /* wanted, -1: the cluster's */
    bool pinned_only;  /* placement affinity `pinned` */
    bool paused, running, highly_available;
    struct vr_sched_networks networks;
    const uint64_t *pinned_cpus; /* bit set of physical CPUs that the VM's pinning names, or NULL */
    uint32_t pinned_words;
};

struct vr_sched_properties {
    unsigned high_utilization;         /* percent, HighUtilization */
    unsigned low_utilization;          /* percent */
    unsigned overcommit_duration_ms;   /* CpuOverCommitDurationMinutes */
    unsigned high_vm_count, migration_threshold, spm_vm_grace;
    bool swap_check;                   /* EnableSwapCheck */
    int64_t now;                       /* monotonic ms */
    uint32_t memory_factor_max;        /* scratch of the memory weight: best free memory */
};

/* True when @host passes.  Otherwise @why, when not NULL, gets the sentence's end. */
typedef bool vr_sched_filter_fn(const struct vr_sched_host *host, const struct vr_sched_vm *vm,
                                const struct vr_sched_properties *properties, GString *why);
/* Lower is better; 0 to VR_SCHED_WEIGHT_CEILING. */
typedef uint32_t vr_sched_weight_fn(const struct vr_sched_host *host, const struct vr_sched_vm *vm,
                                    const struct vr_sched_properties *properties);

#define VR_SCHED_MAX_WEIGHT 1000 /* MaxSchedulerWeight */
#define VR_SCHED_WEIGHT_CEILING 1000000

struct vr_sched_unit {
    const char *id; /* facts/rest-api.md 8.5 */
    const char *name;
    vr_sched_filter_fn *filter; /* of a filter, else NULL */
    vr_sched_weight_fn *weight; /* of a weight, else NULL */
    /* Whether the unit can tell hosts apart for @vm at all; NULL: always.  Asked once a placement, so
     * that thousands of hosts are not asked in vain. */
    bool (*concerns)(const struct vr_sched_vm *vm);
};
/* Every unit that is built in, ended by a NULL id. */
extern const struct vr_sched_unit vr_sched_units[];
const struct vr_sched_unit *vr_sched_unit_find(const char *id, bool filter);

struct vr_sched_policy {
    const struct vr_sched_unit *filters[32]; /* in order, NULL ended */
    const struct vr_sched_unit *weights[32]; /* NULL ended */
    unsigned factors[32];
    struct vr_sched_properties properties;
};
/* One of the five that are shipped, by id; the policy `none` for an unknown id. */
void vr_sched_policy_init(struct vr_sched_policy *policy, const char *id);

/* Called for each host that a filter refused, when a reason is wanted. */
typedef void vr_sched_refused(const struct vr_sched_host *host, const struct vr_sched_unit *filter,
                              const char *why, void *arg);

/*
 * The index of the best host in @hosts, or -1 when none can take @vm.  Hosts
 * for which @barred (may be NULL) is set are left out.  Ties fall on the
 * lowest index, so the answer depends on the input alone.
 */
int vr_sched_place(const struct vr_sched_policy *policy, const struct vr_sched_host *hosts,
                   unsigned count, const struct vr_sched_vm *vm, const uint8_t *barred,
                   vr_sched_refused *refused, void *arg);

/* free = overcommit % of physical - committed - reserved - pending, never below 0 (3.1). */
static inline uint32_t vr_sched_free_memory(const struct vr_sched_host *host)
{
    uint64_t limit = (uint64_t)host->memory * host->overcommit / 100;
    uint64_t used = (uint64_t)host->committed + host->reserved + host->pending_memory;
    uint64_t free = limit > used ? limit - used : 0;
    return (uint32_t)MIN(free, UINT32_MAX);
}

static inline void vr_sched_networks_add(struct vr_sched_networks *set, unsigned number)
{
    set->bits[number / 64] |= UINT64_C(1) << number % 64;
}
