/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "domain"
#include "agent/domain/vm.h"

#include <stdlib.h>

/*
 * Readings of all machines in one call.  libvirt names the values
 * "block.0.rd.bytes"; a reading keeps the few that reports are made of.
 */
#define STATS_WANTED                                                                               \
    (VIR_DOMAIN_STATS_CPU_TOTAL | VIR_DOMAIN_STATS_BALLOON | VIR_DOMAIN_STATS_VCPU |               \
     VIR_DOMAIN_STATS_INTERFACE | VIR_DOMAIN_STATS_BLOCK)
#define DEVICES_MAX 256

void vr_sample_free(struct vr_sample *sample)
{
    if (!sample)
        return;
    g_array_unref(sample->nics);
    g_array_unref(sample->disks);
    g_free(sample);
}

static uint64_t number(const virTypedParameter *value)
{
    switch (value->type) {
    case VIR_TYPED_PARAM_INT:
        return value->value.i < 0 ? 0 : (uint64_t)value->value.i;
    case VIR_TYPED_PARAM_UINT:
        return value->value.ui;
    case VIR_TYPED_PARAM_LLONG:
        return value->value.l < 0 ? 0 : (uint64_t)value->value.l;
    case VIR_TYPED_PARAM_ULLONG:
        return value->value.ul;
    default:
        return 0;
    }
}

struct row {
    const char *name;
    size_t offset;
};

static bool put(const struct row *rows, unsigned count, void *into, const char *name,
                const virTypedParameter *value)
{
    for (unsigned i = 0; i < count; i++)
        if (!strcmp(rows[i].name, name)) {
            *(uint64_t *)((char *)into + rows[i].offset) = number(value);
            return true;
        }
    return false;
}

static const struct row domain_rows[] = {
    { "cpu.time", offsetof(struct vr_sample, cpu) },
    { "cpu.user", offsetof(struct vr_sample, user) },
    { "cpu.system", offsetof(struct vr_sample, system) },
    { "balloon.current", offsetof(struct vr_sample, balloon_cur) },
    { "balloon.maximum", offsetof(struct vr_sample, balloon_max) },
    { "balloon.available", offsetof(struct vr_sample, mem_available) },
    { "balloon.unused", offsetof(struct vr_sample, mem_unused) },
    { "balloon.disk_caches", offsetof(struct vr_sample, mem_caches) },
    { "balloon.swap_in", offsetof(struct vr_sample, swap_in) },
    { "balloon.swap_out", offsetof(struct vr_sample, swap_out) },
    { "balloon.major_fault", offsetof(struct vr_sample, majflt) },
    { "balloon.minor_fault", offsetof(struct vr_sample, minflt) },
};
static const struct row nic_rows[] = {
    { "rx.bytes", offsetof(struct vr_nic_sample, rx) },
    { "tx.bytes", offsetof(struct vr_nic_sample, tx) },
    { "rx.errs", offsetof(struct vr_nic_sample, rx_errors) },
    { "tx.errs", offsetof(struct vr_nic_sample, tx_errors) },
    { "rx.drop", offsetof(struct vr_nic_sample, rx_dropped) },
    { "tx.drop", offsetof(struct vr_nic_sample, tx_dropped) },
};
static const struct row disk_rows[] = {
    { "rd.bytes", offsetof(struct vr_disk_sample, rd_bytes) },
    { "wr.bytes", offsetof(struct vr_disk_sample, wr_bytes) },
    { "rd.reqs", offsetof(struct vr_disk_sample, rd_ops) },
    { "wr.reqs", offsetof(struct vr_disk_sample, wr_ops) },
    { "rd.times", offsetof(struct vr_disk_sample, rd_ns) },
    { "wr.times", offsetof(struct vr_disk_sample, wr_ns) },
    { "fl.reqs", offsetof(struct vr_disk_sample, fl_ops) },
    { "fl.times", offsetof(struct vr_disk_sample, fl_ns) },
    { "allocation", offsetof(struct vr_disk_sample, allocation) },
    { "capacity", offsetof(struct vr_disk_sample, capacity) },
    { "physical", offsetof(struct vr_disk_sample, physical) },
};

/* "net.3.rx.bytes": the item 3 of @list, made when missing, and "rx.bytes" in @rest. */
static void *indexed(GArray *list, const char *name, const char **rest)
{
    char *end;
    unsigned long index = strtoul(name, &end, 10);
    if (end == name || *end != '.' || index >= DEVICES_MAX)
        return NULL;
    if (list->len <= index)
        g_array_set_size(list, (guint)index + 1);
    *rest = end + 1;
    return list->data + index * g_array_get_element_size(list);
}

static void read_value(struct vr_sample *sample, const virTypedParameter *value)
{
    const char *rest;
    if (g_str_has_prefix(value->field, "net.")) {
        struct vr_nic_sample *nic = indexed(sample->nics, value->field + 4, &rest);
        if (nic && !strcmp(rest, "name") && value->type == VIR_TYPED_PARAM_STRING)
            g_strlcpy(nic->name, value->value.s, sizeof(nic->name));
        else if (nic)
            put(nic_rows, G_N_ELEMENTS(nic_rows), nic, rest, value);
    } else if (g_str_has_prefix(value->field, "block.")) {
        struct vr_disk_sample *disk = indexed(sample->disks, value->field + 6, &rest);
        if (disk && !strcmp(rest, "name") && value->type == VIR_TYPED_PARAM_STRING)
            g_strlcpy(disk->name, value->value.s, sizeof(disk->name));
        else if (disk)
            put(disk_rows, G_N_ELEMENTS(disk_rows), disk, rest, value);
    } else if (!strcmp(value->field, "vcpu.current")) {
        sample->vcpus = (unsigned)number(value);
    } else {
        put(domain_rows, G_N_ELEMENTS(domain_rows), sample, value->field, value);
        if (!strcmp(value->field, "balloon.unused"))
            sample->has_memory = true;
    }
}

static struct vr_sample *read_record(const virDomainStatsRecord *record)
{
    struct vr_sample *sample = g_new0(struct vr_sample, 1);
    sample->at = g_get_monotonic_time();
    sample->epoch = g_get_real_time();
    sample->nics = g_array_new(FALSE, TRUE, sizeof(struct vr_nic_sample));
    sample->disks = g_array_new(FALSE, TRUE, sizeof(struct vr_disk_sample));
    for (int i = 0; i < record->nparams; i++)
        read_value(sample, &record->params[i]);
    return sample;
}

static void keep(struct vr_domains *domains, virDomainPtr dom, struct vr_sample *sample)
{
    char id[VIR_UUID_STRING_BUFLEN] = "";
    virDomainGetUUIDString(dom, id);
    vr_mutex_lock(&domains->lock);
    struct vr_vm *vm = g_hash_table_lookup(domains->vms, id);
    if (vm && vm->state != VR_STATE_DOWN) {
        vr_sample_free(vm->before);
        vm->before = vm->last;
        vm->last = g_steal_pointer(&sample);
    }
    vr_mutex_unlock(&domains->lock);
    vr_sample_free(sample);
}

void vr_sample_all(struct vr_domains *domains, virConnectPtr conn)
{
    virDomainStatsRecordPtr *records = NULL;
    /* NOWAIT: a machine whose monitor is busy gives what libvirt knows without asking QEMU. */
    int count = virConnectGetAllDomainStats(conn, STATS_WANTED, &records,
                                            VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE |
                                                VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT);
    if (count < 0) /* the test driver and old libvirt know no NOWAIT */
        count = virConnectGetAllDomainStats(conn, STATS_WANTED, &records, 0);
    for (int i = 0; i < count; i++)
        keep(domains, records[i]->dom, read_record(records[i]));
    if (count >= 0)
        virDomainStatsRecordListFree(records);
}
