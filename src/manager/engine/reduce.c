/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/engine/reduce.h"

#include "model/host.h"

static const char *const dropped_of_host[] = {
    "cpuStatistics", "numaNodeMemFree", "storageDomains", "diskStats", "hugepages",
    "haStats",       "v2vJobs",         "multipathHealth",
};

static const char *const dropped_of_machine[] = {
    /* in the entity, by vms/guest.c */
    "appsList", "guestFQDN", "guestIPs", "guestName", "guestOs", "guestOsInfo", "guestTimezone",
    "guestContainers", "netIfaces", "displayInfo", "displayIp", "displayPort", "displaySecurePort",
    "displayType", "hash", "tpmHash", "nvramHash", "pauseCode",
    /* as it was started */
    "acpiEnable", "kvmEnable", "vmId", "vmName", "vmType", "vcpuCount", "vcpuPeriod", "vcpuQuota",
    "vcpuUserLimit", "ioTune", "boot", "cdrom", "diskMapping", "pci_devices", "timeOffset",
};

struct reduction {
    const struct vr_type *type;
    const char *const *names;
    unsigned count;
};

static const struct reduction reductions[] = {
    { &vr_type_rpc_host_stats, dropped_of_host, G_N_ELEMENTS(dropped_of_host) },
    { &vr_type_rpc_vm_stats, dropped_of_machine, G_N_ELEMENTS(dropped_of_machine) },
};

/* A byte a field of each type: not 0, it is dropped. */
static const uint8_t *find_dropped(const struct vr_type *type)
{
    static uint8_t *dropped[G_N_ELEMENTS(reductions)];
    static gsize done;
    if (g_once_init_enter(&done)) {
        for (unsigned i = 0; i < G_N_ELEMENTS(reductions); i++) {
            const struct reduction *reduction = &reductions[i];
            dropped[i] = g_new0(uint8_t, reduction->type->field_count);
            for (unsigned k = 0; k < reduction->count; k++) {
                const struct vr_field *field =
                    vr_type_field(reduction->type, reduction->names[k]);
                g_assert(field);
                dropped[i][field - reduction->type->fields] = 1;
            }
        }
        g_once_init_leave(&done, 1);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(reductions); i++)
        if (reductions[i].type == type)
            return dropped[i];
    return NULL;
}

void *vr_reduce_report(const void *report)
{
    const struct vr_type *type = ((const struct vr_object *)report)->type;
    const uint8_t *dropped = find_dropped(type);
    if (!dropped)
        return vr_ref(report);
    void *reduced = vr_object_new(type);
    for (unsigned i = 0; i < type->field_count; i++)
        if (!dropped[i] && vr_has(report, &type->fields[i]))
            vr_copy_field(reduced, &type->fields[i], report, &type->fields[i]);
    return reduced;
}
