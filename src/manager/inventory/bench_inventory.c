/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/inventory/inventory.h"

#include <stdio.h>
#include <unistd.h>

#define HOSTS 10000
#define VMS 100000

/* Resident memory of this process in MiB. */
static double resident(void)
{
    unsigned long size = 0, pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file || fscanf(file, "%lu %lu", &size, &pages) != 2)
        pages = 0;
    if (file)
        fclose(file);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / (double)MiB(1);
}

static void put(struct vr_inventory *head, struct vr_inventory *committed, int kind, void *object)
{
    const struct vr_change change = { kind, (char *)(uintptr_t)vr_id(object), object, 1 };
    vr_inventory_apply(head, &change, 1);
    vr_inventory_apply(committed, &change, 1);
    vr_unref(object);
}

/* The text of a random id, so that ids come in no order. */
static char *new_id(void)
{
    return vr_uuid_new();
}

static struct vr_vm *make_vm(unsigned i, const char *host_id, const char *cluster_id)
{
    g_autofree char *name = g_strdup_printf("vm%06u", i);
    g_autofree char *id = new_id();
    struct vr_vm *vm = VR_NEW(vm);
    vr_set_id(vm, id);
    VR_SET_STRING(vm, name, name);
    VR_SET_STRING(vm, description, "A machine like a hundred thousand others");
    VR_SET(vm, memory, (int64_t)GiB(4));
    VR_SET(vm, status, VR_VM_STATUS_UP);
    VR_SET_STRING(vm, fqdn, name);
    VR_SET_LINK(vm, host, host, host_id);
    VR_SET_LINK(vm, cluster, cluster, cluster_id);
    VR_SET_STRING(VR_SUB(vm, os, operating_system), type, "rhel_9x64");
    VR_SET(VR_SUB(VR_SUB(vm, cpu, cpu), topology, cpu_topology), sockets, 4);
    VR_SET(VR_SUB(vm, display, display), type, VR_DISPLAY_TYPE_VNC);
    return vm;
}

int main(void)
{
    double empty = resident();
    struct vr_inventory *head = vr_inventory_new(false), *committed = vr_inventory_new(true);
    g_autofree char *cluster_id = new_id();
    g_autoptr(GPtrArray) hosts = g_ptr_array_new_with_free_func(g_free);
    gint64 begin = g_get_monotonic_time();
    for (unsigned i = 0; i < HOSTS; i++) {
        struct vr_host *host = VR_NEW(host);
        char *id = new_id();
        g_ptr_array_add(hosts, id);
        vr_set_id(host, id);
        VR_TAKE_STRING(host, name, g_strdup_printf("host%05u", i));
        VR_TAKE_STRING(host, address, g_strdup_printf("host%05u.example.com", i));
        VR_SET_LINK(host, cluster, cluster, cluster_id);
        put(head, committed, VR_KIND_HOST, host);
    }
    for (unsigned i = 0; i < VMS; i++) {
        struct vr_vm *vm = make_vm(i, hosts->pdata[i % HOSTS], cluster_id);
        struct vr_nic *nic = VR_NEW(nic);
        g_autofree char *nic_id = new_id();
        vr_set_id(nic, nic_id);
        VR_SET_STRING(nic, name, "nic1");
        VR_SET_LINK(nic, vm, vm, vm->id);
        put(head, committed, VR_KIND_VM, vm);
        put(head, committed, VR_KIND_NIC, nic);
    }
    printf("inventory: %u hosts and %u VMs with a NIC each: %.0f MiB, filled in %.2f s\n", HOSTS, VMS,
           resident() - empty, (double)(g_get_monotonic_time() - begin) / 1e6);

    begin = g_get_monotonic_time();
    unsigned found = 0;
    for (unsigned i = 0; i < HOSTS; i++) {
        vr_auto_objects struct vr_objects vms = { 0 };
        vr_inventory_list_by(committed, VR_KIND_VM, "host", hosts->pdata[i], &vms);
        found += vms.count;
    }
    printf("inventory: the VMs of a host: %.2f us\n",
           (double)(g_get_monotonic_time() - begin) / HOSTS);
    vr_inventory_free(head);
    vr_inventory_free(committed);
    return found == VMS ? 0 : 1;
}
