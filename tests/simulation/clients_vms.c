/* SPDX-License-Identifier: Apache-2.0 */
#include "gen/routes.h"
#include "manager/job/job.h"
#include "sim.h"

/*
 * Clients of the real thing: the Manager's own modules with a cluster of
 * simulated hosts and a few machines that are started, stopped and shut down.
 */

#define MACHINES 8
#define CLUSTER "00000000-0000-4000-a000-000000000001"
#define DATA_CENTER "00000000-0000-4000-a000-000000000002"
#define DOMAIN SIM_DOMAIN

enum action { START, STOP, SHUTDOWN, SUSPEND, ACTIONS };

static const struct vr_operation operations[] = {
    [START] = { .name = "vm.start", .method = VR_METHOD_POST, .is_action = true,
                .kind = VR_KIND_VM, .write = vr_vm_start },
    [STOP] = { .name = "vm.stop", .method = VR_METHOD_POST, .is_action = true,
               .kind = VR_KIND_VM, .write = vr_vm_stop },
    [SHUTDOWN] = { .name = "vm.shutdown", .method = VR_METHOD_POST, .is_action = true,
                   .kind = VR_KIND_VM, .write = vr_vm_shutdown },
    [SUSPEND] = { .name = "vm.suspend", .method = VR_METHOD_POST, .is_action = true,
                  .kind = VR_KIND_VM, .write = vr_vm_suspend },
};

struct open_call {
    struct sim *sim;
    enum action action;
    unsigned machine;
};

struct clients {
    GQueue open; /* struct open_call */
    unsigned calls, replies, good;
};

static char *machine_id(unsigned machine)
{
    return g_strdup_printf("00000000-0000-4000-b000-%012x", machine + 1);
}

/* --- the site before its first Manager starts --- */

static void put_hosts(struct sim *sim)
{
    for (unsigned i = 0; i < SIM_HOSTS; i++) {
        struct vr_host *host = VR_NEW(host);
        vr_set_id(host, sim->hosts[i].id);
        VR_TAKE_STRING(host, name, g_strdup_printf("host%u", i + 1));
        VR_TAKE_STRING(host, address, g_strdup_printf("host%u.example.com", i + 1));
        VR_SET(host, port, 54321);
        VR_SET(host, status, VR_HOST_STATUS_UNASSIGNED);
        VR_SET(host, host_id, (int64_t)i + 1);
        VR_SET_LINK(host, cluster, cluster, CLUSTER);
        sim_database_put(sim->database, VR_KIND_HOST, host);
    }
}

static void put_machines(struct sim *sim)
{
    for (unsigned i = 0; i < MACHINES; i++) {
        g_autofree char *id = machine_id(i);
        struct vr_vm *vm = VR_NEW(vm);
        vr_set_id(vm, id);
        VR_TAKE_STRING(vm, name, g_strdup_printf("vm%u", i + 1));
        VR_SET(vm, status, VR_VM_STATUS_DOWN);
        VR_SET(vm, memory, (int64_t)GiB(1));
        VR_SET_STRING(VR_SUB(vm, os, operating_system), kernel, "/boot/vmlinuz");
        VR_SET_LINK(vm, cluster, cluster, CLUSTER);
        sim_database_put(sim->database, VR_KIND_VM, vm);
    }
}

static void put_site(struct sim *sim)
{
    struct vr_data_center *data_center = VR_NEW(data_center);
    vr_set_id(data_center, DATA_CENTER);
    VR_SET_STRING(data_center, name, "simulated");
    VR_SET(data_center, status, VR_DATA_CENTER_STATUS_NOT_OPERATIONAL);
    VR_SET(data_center, pool_created, true);
    VR_SET(data_center, master_version, 1);
    VR_SET_LINK(data_center, master_storage_domain, storage_domain, DOMAIN);
    sim_database_put(sim->database, VR_KIND_DATA_CENTER, data_center);
    struct vr_storage_domain *domain = VR_NEW(storage_domain);
    vr_set_id(domain, DOMAIN);
    VR_SET_STRING(domain, name, "data");
    VR_SET(domain, type, VR_STORAGE_DOMAIN_TYPE_DATA);
    VR_SET(domain, pool_status, VR_STORAGE_DOMAIN_STATUS_ACTIVE);
    VR_SET(domain, master, true);
    VR_SET(VR_SUB(domain, storage, host_storage), type, VR_STORAGE_TYPE_LOCALFS);
    VR_SET_STRING(domain->storage, path, "/data");
    VR_SET_LINK(domain, data_center, data_center, DATA_CENTER);
    sim_database_put(sim->database, VR_KIND_STORAGE_DOMAIN, domain);
    struct vr_cluster *cluster = VR_NEW(cluster);
    vr_set_id(cluster, CLUSTER);
    VR_SET_STRING(cluster, name, "simulated");
    VR_SET(VR_SUB(cluster, version, version), major, 4);
    VR_SET(cluster->version, minor, 7);
    VR_SET_LINK(cluster, data_center, data_center, DATA_CENTER);
    sim_database_put(sim->database, VR_KIND_CLUSTER, cluster);
    put_hosts(sim);
    put_machines(sim);
}

/* --- calls --- */

static void replied(const struct vr_call_reply *reply, void *arg)
{
    struct open_call *call = arg;
    struct sim *sim = call->sim;
    struct clients *clients = sim->clients;
    clients->replies++;
    clients->good += !reply->error;
    sim_note(sim, "%s of %u: %d %s", operations[call->action].name, call->machine, reply->status,
             reply->error ? reply->error->fault->name : "");
    if (!g_queue_remove(&clients->open, call))
        sim_broken(sim, "a call was replied to twice");
    if (reply->error && reply->error->fault == &vr_fault_internal)
        sim_broken(sim, "a call was answered with an internal error: %s", reply->error->detail);
    if (!reply->error && reply->job_id && !VR_PEEK(sim->committed, JOB, job, reply->job_id))
        sim_broken(sim, "the reply with a job comes before readers see it");
    g_free(call);
}

static void make_call(struct sim *sim, unsigned machine) VR_REQUIRES(vr_role_engine)
{
    static const struct vr_caller caller = { .user_name = "admin@internal", .admin = true };
    struct clients *clients = sim->clients;
    struct open_call *call = g_new(struct open_call, 1);
    *call = (struct open_call){ sim, (enum action)sim_below(sim, ACTIONS), machine };
    g_autofree char *id = machine_id(call->machine);
    const char *const ids[] = { id };
    const char *const params[] = { "async", sim_below(sim, 2) ? "true" : "false", NULL };
    clients->calls++;
    sim_note(sim, "client: %s of %u", operations[call->action].name, call->machine);
    g_queue_push_tail(&clients->open, call);
    vr_call_begin(sim->engine, vr_call_new(&operations[call->action], ids, 1, VR_NEW(action),
                                           &caller, "sim", params, replied, call));
}

/* Several at once now and then, of one machine: they meet each other's jobs. */
static void call_again(struct sim *sim, void *nothing) VR_REQUIRES(vr_role_engine)
{
    if (sim->calm)
        return;
    sim_after(sim, 100 + sim_below(sim, 3000), 0, "client", call_again, NULL, NULL);
    unsigned machine = sim_below(sim, MACHINES);
    do {
        if (sim->engine)
            make_call(sim, machine);
    } while (sim_below(sim, 3) == 0);
}

void sim_clients_start(struct sim *sim)
{
    sim->clients = g_new0(struct clients, 1);
    put_site(sim);
    sim_after(sim, 1, 0, "client", call_again, NULL, NULL);
}

void sim_clients_done(struct sim *sim)
{
    if (!sim->clients)
        return;
    g_queue_clear_full(&sim->clients->open, g_free);
    g_free(sim->clients);
}

void sim_clients_killed(struct sim *sim)
{
    g_queue_clear_full(&sim->clients->open, g_free);
}

void sim_clients_restarted(struct sim *sim)
{
}

/* --- what must hold --- */

/* Who sees a machine in a status that it stays in can act on it: no job has it in hand, unless one
 * that was started since, which readers do not see yet. */
static void check_lock(struct sim *sim, unsigned machine) VR_REQUIRES(vr_role_engine)
{
    g_autofree char *id = machine_id(machine);
    const struct vr_vm *seen = VR_PEEK(sim->committed, VM, vm, id);
    const struct vr_vm *now = VR_PEEK(vr_engine_head(sim->engine), VM, vm, id);
    const struct vr_lock lock = { VR_KIND_VM, id, true };
    vr_auto_error struct vr_error *error = NULL;
    if (!seen || !now || seen->status != now->status)
        return;
    switch (seen->status) {
    case VR_VM_STATUS_WAIT_FOR_LAUNCH:
    case VR_VM_STATUS_SAVING_STATE:
    case VR_VM_STATUS_RESTORING_STATE:
    case VR_VM_STATUS_UNKNOWN:
        return;
    default:
        if (!vr_locks_free(sim->engine, &lock, 1, &error))
            sim_broken(sim, "readers see %s %s, and it is locked: %s", seen->name,
                       vr_enum_word(&vr_enum_vm_status, (int)seen->status), error->detail);
    }
}

void sim_clients_check(struct sim *sim)
{
    for (unsigned i = 0; i < MACHINES; i++)
        check_lock(sim, i);
}

static void check_machine(struct sim *sim, const struct vr_vm *vm)
{
    const struct sim_host *on = NULL;
    for (unsigned i = 0; i < SIM_HOSTS; i++) {
        if (sim_guest_runs(&sim->hosts[i], vm->id))
            on = &sim->hosts[i];
    }
    if (vm->status != VR_VM_STATUS_UP && vm->status != VR_VM_STATUS_DOWN &&
        vm->status != VR_VM_STATUS_SUSPENDED)
        sim_broken(sim, "%s stays in status %s", vm->name,
                   vr_enum_word(&vr_enum_vm_status, (int)vm->status));
    else if (vm->status == VR_VM_STATUS_UP && (!on || g_strcmp0(VR_LINK_ID(vm, host), on->id) != 0))
        sim_broken(sim, "readers see %s up on host %s, it runs on %s", vm->name,
                   VR_LINK_ID(vm, host), on ? on->id : "none");
    else if (vm->status != VR_VM_STATUS_UP && on)
        sim_broken(sim, "readers see %s %s, it runs on %s", vm->name,
                   vr_enum_word(&vr_enum_vm_status, (int)vm->status), on->id);
}

/* Every image on storage is the memory of a machine that is suspended now. */
static void check_images(struct sim *sim)
{
    GHashTableIter iter;
    gpointer id;
    g_hash_table_iter_init(&iter, sim->images);
    while (g_hash_table_iter_next(&iter, &id, NULL)) {
        const struct vr_disk *disk = VR_PEEK(sim->committed, DISK, disk, id);
        const struct vr_vm *vm =
            disk ? VR_PEEK(sim->committed, VM, vm, VR_LINK_ID(disk, memory_of)) : NULL;
        if (!vm || vm->status != VR_VM_STATUS_SUSPENDED ||
            (g_strcmp0(VR_LINK_ID(vm, memory_disk), id) != 0 &&
             g_strcmp0(VR_LINK_ID(vm, metadata_disk), id) != 0))
            sim_broken(sim, "image %s is left behind%s%s", (char *)id, vm ? " by " : "",
                       vm ? vm->name : "");
    }
}

void sim_clients_check_end(struct sim *sim)
{
    struct clients *clients = sim->clients;
    sim_note(sim, "%u calls, %u replies, %u good ones", clients->calls, clients->replies,
             clients->good);
    if (clients->open.length)
        sim_broken(sim, "%u calls never got a reply", clients->open.length);
    for (unsigned i = 0; i < SIM_HOSTS; i++) {
        const struct vr_host *host = VR_PEEK(sim->committed, HOST, host, sim->hosts[i].id);
        if (!host || host->status != VR_HOST_STATUS_UP)
            sim_broken(sim, "host %u is %s", i + 1,
                       host ? vr_enum_word(&vr_enum_host_status, (int)host->status) : "gone");
    }
    for (unsigned i = 0; i < MACHINES; i++) {
        g_autofree char *id = machine_id(i);
        const struct vr_vm *vm = VR_PEEK(sim->committed, VM, vm, id);
        if (vm)
            check_machine(sim, vm);
        else
            sim_broken(sim, "machine %u is gone", i + 1);
    }
    check_images(sim);
}
