/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/sched/sched.h"

#define EVEN "20d25257-b4bd-4589-92a6-c4c5c5d3fd1a"
#define POWER_SAVING "5a2b0939-7d46-4b73-a469-e9c2c7fc6a53"
#define VM_EVEN "8d5d7bec-68de-4a67-b53e-0ac54686d579"
#define MAINTENANCE "7677771e-5eab-422e-83fa-dc04080d21b7"

static struct vr_sched_host host(const char *id)
{
    return (struct vr_sched_host){ .id = id,
                                   .name = id,
                                   .cores = 8,
                                   .memory = 102400,
                                   .memory_free = 102400,
                                   .memory_available = 102400,
                                   .overcommit = 100,
                                   .cpu_level = 5,
                                   .up = true };
}

static struct vr_sched_vm small_vm(void)
{
    return (struct vr_sched_vm){ .sockets = 1, .cores = 1, .threads = 1, .memory = 8192,
                                 .cpu_level = -1 };
}

/* Every row is a 100 GiB host that is asked to take one more VM. */
static const struct {
    const char *what;
    unsigned overcommit; /* percent */
    uint32_t committed, reserved, pending, need;
    bool fits;
} memory_rows[] = {
    { "an empty host takes it", 100, 0, 0, 0, 8192, true },
    { "the last MiB counts", 100, 102400 - 8192, 0, 0, 8192, true },
    { "one MiB short", 100, 102400 - 8191, 0, 0, 8192, false },
    { "reserved memory is not promised", 100, 102400 - 8192, 1, 0, 8192, false },
    { "VMs on their way count", 100, 102400 - 8192, 0, 1, 8192, false },
    { "overcommit raises the limit", 200, 102400, 0, 0, 102400, true },
    { "overcommit ends somewhere", 200, 102401, 0, 0, 102400, false },
    { "no wrap on a huge request", 100, 0, 0, 0, UINT32_MAX, false },
    { "more committed than there is", 100, 4000000, 0, 0, 1, false },
};

static void test_memory(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(memory_rows); i++) {
        struct vr_sched_policy policy;
        vr_sched_policy_init(&policy, EVEN);
        struct vr_sched_host h = host("a");
        h.overcommit = memory_rows[i].overcommit;
        h.committed = memory_rows[i].committed;
        h.reserved = memory_rows[i].reserved;
        h.pending_memory = memory_rows[i].pending;
        struct vr_sched_vm vm = small_vm();
        vm.memory = memory_rows[i].need;
        int got = vr_sched_place(&policy, &h, 1, &vm, NULL, NULL, NULL);
        g_test_message("%s", memory_rows[i].what);
        g_assert_cmpint(got, ==, memory_rows[i].fits ? 0 : -1);
    }
}

static void change_down(struct vr_sched_host *h, struct vr_sched_vm *vm)
{
    h->up = false;
}
static void change_cores(struct vr_sched_host *h, struct vr_sched_vm *vm)
{
    vm->sockets = 3;
    vm->cores = 3;
}
static void change_threads(struct vr_sched_host *h, struct vr_sched_vm *vm)
{
    vm->sockets = 2;
    vm->cores = 4;
    vm->threads = 2;
}
static void change_network(struct vr_sched_host *h, struct vr_sched_vm *vm)
{
    vr_sched_networks_add(&vm->networks, 200);
}
static void change_network_there(struct vr_sched_host *h, struct vr_sched_vm *vm)
{
    vr_sched_networks_add(&vm->networks, 200);
    vr_sched_networks_add(&h->networks, 200);
}
static const char *const elsewhere[] = { "z", NULL };
static const char *const here[] = { "z", "a", NULL };
static void change_pinned_elsewhere(struct vr_sched_host *h, struct vr_sched_vm *vm)
{
    vm->pinned_only = true;
    vm->pinned = elsewhere;
}
static void change_pinned_here(struct vr_sched_host *h, struct vr_sched_vm *vm)
{
    vm->pinned_only = true;
    vm->pinned = here;
}
static void change_running_here(struct vr_sched_host *h, struct vr_sched_vm *vm)
{
    vm->running = true;
    vm->current_host = "a";
}
static const uint64_t cpus_low[] = { 0xff };
static const uint64_t cpu_9[] = { 0x200 };
static void change_pinned_cpu(struct vr_sched_host *h, struct vr_sched_vm *vm)
{
    h->online_cpus = cpus_low;
    h->online_words = 1;
    vm->pinned_cpus = cpu_9;
    vm->pinned_words = 1;
}
static void change_overloaded(struct vr_sched_host *h, struct vr_sched_vm *vm)
{
    h->cpu_usage = 100;
    h->overload_since = 1;
}
static void change_overloaded_lately(struct vr_sched_host *h, struct vr_sched_vm *vm)
{
    h->cpu_usage = 100;
    h->overload_since = 10 * 60 * 1000 - 1000;
}
static void change_level(struct vr_sched_host *h, struct vr_sched_vm *vm)
{
    vm->cpu_level = 6;
}
static void change_swapping(struct vr_sched_host *h, struct vr_sched_vm *vm)
{
    h->swap_total = 16384;
    h->memory_available = 0;
}

static const struct {
    const char *what;
    void (*change)(struct vr_sched_host *h, struct vr_sched_vm *vm);
    const char *refused_by; /* NULL: fits; "": never looked at */
} filter_rows[] = {
    { "a host that is not up is no candidate", change_down, "" },
    { "more vCPUs than cores", change_cores, "CPU" },
    { "threads of the guest are not counted", change_threads, NULL },
    { "a missing network", change_network, "Network" },
    { "a present network", change_network_there, NULL },
    { "pinned elsewhere", change_pinned_elsewhere, "PinToHost" },
    { "pinned here among others", change_pinned_here, NULL },
    { "not to where it runs already", change_running_here, "Migration" },
    { "a pinned CPU that is not online", change_pinned_cpu, "CpuPinning" },
    { "overloaded for long", change_overloaded, "CPUOverloaded" },
    { "overloaded only lately", change_overloaded_lately, NULL },
    { "a CPU type that is too low", change_level, "CPU-Level" },
    { "a host that swaps", change_swapping, "Memory" },
};

static void remember(const struct vr_sched_host *h, const struct vr_sched_unit *unit,
                     const char *why, void *arg)
{
    *(const char **)arg = unit->name;
    g_assert_cmpstr(why, !=, "");
}

static void test_filters(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(filter_rows); i++) {
        struct vr_sched_policy policy;
        vr_sched_policy_init(&policy, EVEN);
        policy.properties.now = 10 * 60 * 1000;
        struct vr_sched_host h = host("a");
        struct vr_sched_vm vm = small_vm();
        filter_rows[i].change(&h, &vm);
        const char *by = "";
        int got = vr_sched_place(&policy, &h, 1, &vm, NULL, remember, &by);
        g_test_message("%s", filter_rows[i].what);
        if (!filter_rows[i].refused_by) {
            g_assert_cmpint(got, ==, 0);
        } else {
            g_assert_cmpint(got, ==, -1);
            g_assert_cmpstr(by, ==, filter_rows[i].refused_by);
        }
    }
}

/* Three hosts: `a` idle, `b` busy with much memory left, `c` in between. */
static const struct {
    const char *what, *policy;
    int cpu[3];
    uint32_t committed[3], vms[3];
    int want;
} weight_rows[] = {
    { "even: the idle one", EVEN, { 10, 90, 50 }, { 0, 0, 0 }, { 1, 1, 1 }, 0 },
    { "even: memory decides between equals", EVEN, { 10, 10, 10 }, { 9000, 0, 500 }, { 1, 1, 1 }, 1 },
    { "even: CPU counts twice", EVEN, { 10, 90, 50 }, { 9000, 0, 500 }, { 1, 1, 1 }, 0 },
    { "power saving: not the empty one", POWER_SAVING, { 0, 60, 30 }, { 0, 800, 400 }, { 0, 5, 2 }, 1 },
    { "guests: the fewest", VM_EVEN, { 10, 10, 10 }, { 0, 0, 0 }, { 7, 3, 5 }, 1 },
    { "a tie falls on the first", EVEN, { 10, 10, 10 }, { 0, 0, 0 }, { 1, 1, 1 }, 0 },
};

static void test_weights(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(weight_rows); i++) {
        struct vr_sched_policy policy;
        vr_sched_policy_init(&policy, weight_rows[i].policy);
        struct vr_sched_host hosts[3] = { host("a"), host("b"), host("c") };
        for (unsigned h = 0; h < 3; h++) {
            hosts[h].cpu_usage = (int16_t)weight_rows[i].cpu[h];
            hosts[h].committed = weight_rows[i].committed[h];
            hosts[h].active_vms = weight_rows[i].vms[h];
        }
        struct vr_sched_vm vm = small_vm();
        g_test_message("%s", weight_rows[i].what);
        g_assert_cmpint(vr_sched_place(&policy, hosts, 3, &vm, NULL, NULL, NULL), ==,
                        weight_rows[i].want);
    }
}

static void test_preferred_outweighs_all_but_never_forces(void)
{
    struct vr_sched_policy policy;
    vr_sched_policy_init(&policy, EVEN);
    struct vr_sched_host hosts[3] = { host("a"), host("b"), host("c") };
    hosts[2].cpu_usage = 95;
    static const char *const wish[] = { "c", NULL };
    struct vr_sched_vm vm = small_vm();
    vm.preferred = wish;
    g_assert_cmpint(vr_sched_place(&policy, hosts, 3, &vm, NULL, NULL, NULL), ==, 2);
    hosts[2].committed = 102400;
    g_assert_cmpint(vr_sched_place(&policy, hosts, 3, &vm, NULL, NULL, NULL), !=, 2);
}

static void test_barred_hosts_are_left_out(void)
{
    struct vr_sched_policy policy;
    vr_sched_policy_init(&policy, EVEN);
    struct vr_sched_host hosts[2] = { host("a"), host("b") };
    uint8_t barred[2] = { 1, 0 };
    struct vr_sched_vm vm = small_vm();
    g_assert_cmpint(vr_sched_place(&policy, hosts, 2, &vm, barred, NULL, NULL), ==, 1);
    barred[1] = 1;
    g_assert_cmpint(vr_sched_place(&policy, hosts, 2, &vm, barred, NULL, NULL), ==, -1);
    g_assert_cmpint(vr_sched_place(&policy, hosts, 0, &vm, NULL, NULL, NULL), ==, -1);
}

static void test_maintenance_takes_only_highly_available_vms(void)
{
    struct vr_sched_policy policy;
    vr_sched_policy_init(&policy, MAINTENANCE);
    struct vr_sched_host h = host("a");
    struct vr_sched_vm vm = small_vm();
    g_assert_cmpint(vr_sched_place(&policy, &h, 1, &vm, NULL, NULL, NULL), ==, -1);
    vm.highly_available = true;
    g_assert_cmpint(vr_sched_place(&policy, &h, 1, &vm, NULL, NULL, NULL), ==, 0);
}

/* Whatever the numbers: the chosen host passes every filter, and adding VMs one by one never
 * promises more memory than there is. */
static void test_filling_a_site_never_overcommits(void)
{
    for (unsigned seed = 0; seed < 50; seed++) {
        g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
        struct vr_sched_policy policy;
        vr_sched_policy_init(&policy, seed % 2 ? EVEN : POWER_SAVING);
        struct vr_sched_host hosts[20];
        for (unsigned i = 0; i < 20; i++) {
            hosts[i] = host("h");
            hosts[i].memory = hosts[i].memory_free = hosts[i].memory_available =
                (uint32_t)g_rand_int_range(rand, 4096, 65536);
            hosts[i].cpu_usage = (int16_t)g_rand_int_range(rand, 0, 101);
        }
        int got;
        do {
            struct vr_sched_vm vm = small_vm();
            vm.memory = (uint32_t)g_rand_int_range(rand, 512, 8192);
            got = vr_sched_place(&policy, hosts, 20, &vm, NULL, NULL, NULL);
            if (got >= 0) {
                hosts[got].committed += vm.memory;
                hosts[got].active_vms++;
                g_assert_cmpuint(hosts[got].committed, <=, hosts[got].memory);
            }
        } while (got >= 0);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sched/memory", test_memory);
    g_test_add_func("/sched/filters", test_filters);
    g_test_add_func("/sched/weights", test_weights);
    g_test_add_func("/sched/preferred", test_preferred_outweighs_all_but_never_forces);
    g_test_add_func("/sched/barred", test_barred_hosts_are_left_out);
    g_test_add_func("/sched/maintenance", test_maintenance_takes_only_highly_available_vms);
    g_test_add_func("/sched/filling", test_filling_a_site_never_overcommits);
    return g_test_run();
}
