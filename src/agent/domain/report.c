/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "domain"
#include "agent/domain/vm.h"

#include <stdlib.h>

/* Statistics and lists in the form that the Manager polls (facts/host-rpc.md 10.4). */

/* Nothing from the monitor for that long: it is silent. */
#define SILENT_US (60 * G_USEC_PER_SEC)

#define TAKE_U64(object, member, value)                                                            \
    VR_TAKE_STRING(object, member, g_strdup_printf("%" G_GUINT64_FORMAT, (uint64_t)(value)))

static uint64_t delta(uint64_t now, uint64_t before)
{
    return now > before ? now - before : 0;
}

static void report_cpu(const struct vr_vm *vm, struct vr_rpc_vm_stats *stats)
{
    double user = 0, system = 0;
    const struct vr_sample *now = vm->last, *before = vm->before;
    if (now && before && now->at > before->at) {
        double span = (double)(now->at - before->at) * 1000; /* ns */
        double all = 100.0 * (double)delta(now->cpu, before->cpu) / span;
        /* QEMU's own work counts as the system's, the rest is the guest's. */
        system = 100.0 * (double)delta(now->system, before->system) / span;
        system = MIN(system, all);
        user = all - system;
    }
    VR_TAKE_STRING(stats, cpu_user, g_strdup_printf("%.2f", user));
    VR_TAKE_STRING(stats, cpu_sys, g_strdup_printf("%.2f", system));
    TAKE_U64(stats, cpu_usage, now ? now->cpu : 0);
    if (now && now->vcpus)
        TAKE_U64(stats, vcpu_count, now->vcpus);
    VR_SET_STRING(stats, vcpu_quota, "-1");
    VR_SET(stats, vcpu_period, 100000);
}

static void report_memory(const struct vr_vm *vm, struct vr_rpc_vm_stats *stats)
{
    const struct vr_sample *now = vm->last, *before = vm->before;
    struct vr_rpc_balloon_info *balloon = VR_NEW(rpc_balloon_info);
    if (now && now->balloon_max) {
        TAKE_U64(balloon, balloon_max, now->balloon_max);
        TAKE_U64(balloon, balloon_min, vm->min_memory ? vm->min_memory : now->balloon_max);
        TAKE_U64(balloon, balloon_cur, now->balloon_cur);
        TAKE_U64(balloon, balloon_target,
                 vm->balloon_target ? vm->balloon_target : now->balloon_max);
        VR_SET(balloon, ballooning_enabled, vm->balloon);
    }
    VR_TAKE(stats, balloon_info, balloon);
    if (!now || !now->has_memory || !now->mem_available) {
        VR_SET_STRING(stats, mem_usage, "0");
        return;
    }
    uint64_t available = MIN(now->mem_unused + now->mem_caches, now->mem_available);
    struct vr_rpc_guest_memory_stats *memory = VR_NEW(rpc_guest_memory_stats);
    TAKE_U64(memory, mem_total, now->mem_available);
    TAKE_U64(memory, mem_unused, now->mem_unused);
    TAKE_U64(memory, mem_free, available);
    TAKE_U64(memory, mem_cached, now->mem_caches);
    double span = before && now->at > before->at ? (double)(now->at - before->at) / 1e6 : 0;
#define PER_SECOND(field)                                                                          \
    (span > 0 ? (int64_t)((double)delta(now->field, before->field) / span) : 0)
    VR_SET(memory, swap_in, PER_SECOND(swap_in));
    VR_SET(memory, swap_out, PER_SECOND(swap_out));
    VR_SET(memory, majflt, PER_SECOND(majflt));
    VR_SET(memory, minflt, PER_SECOND(minflt));
    VR_SET(memory, pageflt, PER_SECOND(majflt) + PER_SECOND(minflt));
#undef PER_SECOND
    VR_TAKE(stats, memory_stats, memory);
    TAKE_U64(stats, mem_usage, 100 - 100 * available / now->mem_available);
}

static const struct vr_vm_nic *nic_of(const struct vr_vm *vm, const char *target)
{
    for (unsigned i = 0; i < vm->nics->len; i++) {
        const struct vr_vm_nic *nic = vm->nics->pdata[i];
        if (!g_strcmp0(nic->target, target))
            return nic;
    }
    return NULL;
}

static void report_nics(const struct vr_vm *vm, struct vr_rpc_vm_stats *stats)
{
    stats->has.network = true;
    for (unsigned i = 0; vm->last && i < vm->last->nics->len; i++) {
        const struct vr_nic_sample *now = &g_array_index(vm->last->nics, struct vr_nic_sample, i);
        const struct vr_vm_nic *nic = nic_of(vm, now->name);
        if (!nic || !*now->name)
            continue;
        struct vr_rpc_network_interface_stats *out = VR_NEW(rpc_network_interface_stats);
        VR_SET_STRING(out, name, now->name);
        VR_SET_STRING(out, mac_addr, nic->mac);
        bool slow = !g_strcmp0(nic->model, "rtl8139");
        VR_SET_STRING(out, speed, slow ? "100" : "1000");
        VR_SET(out, state,
               nic->link_up ? VR_RPC_NETWORK_INTERFACE_STATE_UP
                            : VR_RPC_NETWORK_INTERFACE_STATE_DOWN);
        TAKE_U64(out, rx, now->rx);
        TAKE_U64(out, tx, now->tx);
        TAKE_U64(out, rx_errors, now->rx_errors);
        TAKE_U64(out, tx_errors, now->tx_errors);
        TAKE_U64(out, rx_dropped, now->rx_dropped);
        TAKE_U64(out, tx_dropped, now->tx_dropped);
        VR_SET(out, sample_time, (double)vm->last->epoch / 1e6);
        vr_map_set(&stats->network, now->name, out);
    }
}

static const struct vr_disk_sample *disk_before(const struct vr_vm *vm, const char *name)
{
    for (unsigned i = 0; vm->before && i < vm->before->disks->len; i++) {
        const struct vr_disk_sample *disk =
            &g_array_index(vm->before->disks, struct vr_disk_sample, i);
        if (!strcmp(disk->name, name))
            return disk;
    }
    return NULL;
}

static uint64_t latency(uint64_t ns, uint64_t ns_before, uint64_t ops, uint64_t ops_before)
{
    uint64_t n = delta(ops, ops_before);
    return n ? delta(ns, ns_before) / n : 0;
}

static struct vr_rpc_vm_disk_stats *report_disk(const struct vr_vm *vm,
                                                const struct vr_disk_sample *now)
{
    static const struct vr_disk_sample none;
    const struct vr_disk_sample *before = disk_before(vm, now->name);
    double span = before ? (double)(vm->last->at - vm->before->at) / 1e6 : 0;
    struct vr_rpc_vm_disk_stats *out = VR_NEW(rpc_vm_disk_stats);
    double read = span > 0 ? (double)delta(now->rd_bytes, before->rd_bytes) / span : 0;
    double written = span > 0 ? (double)delta(now->wr_bytes, before->wr_bytes) / span : 0;
    if (!before)
        before = &none;
    TAKE_U64(out, truesize, now->physical);
    TAKE_U64(out, apparentsize, now->capacity);
    VR_TAKE_STRING(out, read_rate, g_strdup_printf("%.2f", read));
    VR_TAKE_STRING(out, write_rate, g_strdup_printf("%.2f", written));
    TAKE_U64(out, read_latency, latency(now->rd_ns, before->rd_ns, now->rd_ops, before->rd_ops));
    TAKE_U64(out, write_latency, latency(now->wr_ns, before->wr_ns, now->wr_ops, before->wr_ops));
    TAKE_U64(out, flush_latency, latency(now->fl_ns, before->fl_ns, now->fl_ops, before->fl_ops));
    TAKE_U64(out, read_ops, now->rd_ops);
    TAKE_U64(out, write_ops, now->wr_ops);
    TAKE_U64(out, read_bytes, now->rd_bytes);
    TAKE_U64(out, written_bytes, now->wr_bytes);
    for (unsigned i = 0; i < vm->drives->len; i++) {
        const struct vr_vm_drive *drive = vm->drives->pdata[i];
        if (g_strcmp0(drive->target, now->name))
            continue;
        VR_SET_STRING(out, image_id, drive->image);
        VR_SET_STRING(out, lun_guid, drive->guid);
    }
    return out;
}

static void report_disks(const struct vr_vm *vm, struct vr_rpc_vm_stats *stats)
{
    stats->has.disks = true;
    for (unsigned i = 0; vm->last && i < vm->last->disks->len; i++) {
        const struct vr_disk_sample *now =
            &g_array_index(vm->last->disks, struct vr_disk_sample, i);
        if (*now->name)
            vr_map_set(&stats->disks, now->name, report_disk(vm, now));
    }
}

static void report_displays(const struct vr_vm *vm, struct vr_rpc_vm_stats *stats)
{
    stats->has.display_info = true;
    for (unsigned i = 0; i < vm->displays->len; i++) {
        const struct vr_vm_display *display = vm->displays->pdata[i];
        struct vr_rpc_vm_display_info *out = VR_NEW(rpc_vm_display_info);
        VR_SET_STRING(out, type, display->type);
        VR_SET(out, port, display->port);
        VR_SET(out, tls_port, display->tls_port);
        VR_SET_STRING(out, ip_address, display->address ? display->address : "0");
        VR_APPEND(stats, display_info, out);
    }
}

static void report_pause(const struct vr_vm *vm, struct vr_rpc_vm_stats *stats)
{
    VR_SET_STRING(stats, pause_code, vm->pause_code);
    if (!vm->ioerror_alias)
        return;
    struct vr_rpc_vm_io_error *io = VR_NEW(rpc_vm_io_error);
    VR_SET_STRING(io, alias, vm->ioerror_alias);
    VR_SET_STRING(io, name, vm->ioerror_name);
    VR_SET_STRING(io, path, vm->ioerror_path);
    VR_TAKE(stats, ioerror, io);
}

static void report_running(const struct vr_vm *vm, struct vr_rpc_vm_stats *stats)
{
    VR_SET_STRING(stats, vm_name, vm->name);
    VR_SET_STRING(stats, vm_type, "kvm");
    VR_SET_STRING(stats, kvm_enable, vm->kvm ? "true" : "false");
    VR_SET_STRING(stats, acpi_enable, vm->acpi ? "true" : "false");
    VR_SET_STRING(stats, hash, vm->hash ? vm->hash : "0");
    VR_SET_STRING(stats, client_ip, vm->client_ip ? vm->client_ip : "");
    int64_t up = g_get_real_time() / G_USEC_PER_SEC - vm->started;
    TAKE_U64(stats, elapsed_time, MAX(up, 0));
    bool silent = vm->last && g_get_monotonic_time() - vm->last->at > SILENT_US;
    VR_SET_STRING(stats, monitor_response, silent ? "-1" : "0");
    stats->has.vm_jobs = true;
    report_cpu(vm, stats);
    report_memory(vm, stats);
    report_nics(vm, stats);
    report_disks(vm, stats);
    report_displays(vm, stats);
    report_pause(vm, stats);
    vr_guest_report(vm->guest, stats);
}

struct vr_rpc_vm_stats *vr_report(struct vr_domains *domains, struct vr_vm *vm)
{
    struct vr_rpc_vm_stats *stats = VR_NEW(rpc_vm_stats);
    VR_SET_STRING(stats, vm_id, vm->id);
    int status = vr_enum_parse(&vr_enum_rpc_vm_status, vr_state_word(vm->state));
    VR_SET(stats, status, (enum vr_rpc_vm_status)status);
    TAKE_U64(stats, status_time, vm->changed);
    VR_SET_STRING(stats, time_offset, vm->time_offset);
    if (vm->state == VR_STATE_DOWN) {
        VR_SET(stats, exit_code, vm->exit_code);
        VR_SET(stats, exit_reason, vm->exit_reason);
        VR_SET_STRING(stats, exit_message, vm->exit_message);
    } else {
        /* The Manager drops a sample that is older than the last event it saw. */
        TAKE_U64(stats, status_time, vr_domain_clock());
        report_running(vm, stats);
    }
    return stats;
}

struct vr_rpc_vm_stats *vr_domain_stats(struct vr_domains *domains, const char *id,
                                        struct vr_error **error)
{
    vr_auto_vm struct vr_vm *vm = vr_vm_find(domains, id, error);
    if (!vm)
        return NULL;
    vr_mutex_lock(&domains->lock);
    struct vr_rpc_vm_stats *stats = vr_report(domains, vm);
    vr_mutex_unlock(&domains->lock);
    return stats;
}

/* The machines of @ids that exist, or all. */
static GPtrArray *select_vms(struct vr_domains *domains, const struct vr_list *ids)
{
    if (!ids || !ids->len)
        return vr_vm_all(domains);
    GPtrArray *some = g_ptr_array_new_with_free_func((GDestroyNotify)vr_vm_unref);
    for (unsigned i = 0; i < ids->len; i++) {
        vr_auto_error struct vr_error *error = NULL;
        struct vr_vm *vm = vr_vm_find(domains, ids->items[i], &error);
        if (vm)
            g_ptr_array_add(some, vm);
    }
    return some;
}

GPtrArray *vr_domain_all_stats(struct vr_domains *domains)
{
    g_autoptr(GPtrArray) vms = vr_vm_all(domains);
    GPtrArray *out = g_ptr_array_new_with_free_func((GDestroyNotify)vr_unref);
    vr_mutex_lock(&domains->lock);
    for (unsigned i = 0; i < vms->len; i++)
        g_ptr_array_add(out, vr_report(domains, vms->pdata[i]));
    vr_mutex_unlock(&domains->lock);
    return out;
}

GPtrArray *vr_domain_list(struct vr_domains *domains, const struct vr_list *ids)
{
    g_autoptr(GPtrArray) vms = select_vms(domains, ids);
    GPtrArray *out = g_ptr_array_new_with_free_func((GDestroyNotify)vr_unref);
    vr_mutex_lock(&domains->lock);
    for (unsigned i = 0; i < vms->len; i++) {
        const struct vr_vm *vm = vms->pdata[i];
        struct vr_rpc_vm_info *info = VR_NEW(rpc_vm_info);
        VR_SET_STRING(info, vm_id, vm->id);
        int status = vr_enum_parse(&vr_enum_rpc_vm_status, vr_state_word(vm->state));
        VR_SET(info, status, (enum vr_rpc_vm_status)status);
        TAKE_U64(info, status_time, vm->changed);
        g_ptr_array_add(out, info);
    }
    vr_mutex_unlock(&domains->lock);
    return out;
}

GPtrArray *vr_domain_full_list(struct vr_domains *domains, const struct vr_list *ids)
{
    g_autoptr(GPtrArray) vms = select_vms(domains, ids);
    GPtrArray *out = g_ptr_array_new_with_free_func((GDestroyNotify)vr_unref);
    for (unsigned i = 0; i < vms->len; i++) {
        const struct vr_vm *vm = vms->pdata[i];
        vr_auto_error struct vr_error *error = NULL;
        g_autofree char *xml = vr_domain_xml(domains, vm->id, &error);
        struct vr_rpc_vm_full_info *info = VR_NEW(rpc_vm_full_info);
        vr_mutex_lock(&domains->lock);
        VR_SET_STRING(info, vm_id, vm->id);
        VR_SET_STRING(info, vm_name, vm->name);
        VR_SET_STRING(info, status, vr_state_word(vm->state));
        VR_SET(info, status_time, (int64_t)vm->changed);
        VR_SET_STRING(info, arch, "x86_64");
        VR_SET_STRING(info, xml, xml);
        if (vm->state == VR_STATE_DOWN) {
            VR_SET(info, exit_code, vm->exit_code);
            VR_SET(info, exit_reason, vm->exit_reason);
            VR_SET_STRING(info, exit_message, vm->exit_message);
        }
        vr_mutex_unlock(&domains->lock);
        g_ptr_array_add(out, info);
    }
    return out;
}

char *vr_domain_xml(struct vr_domains *domains, const char *id, struct vr_error **error)
{
    vr_auto_vm struct vr_vm *vm = vr_vm_find(domains, id, error);
    if (!vm)
        return NULL;
    vr_mutex_lock(&domains->lock);
    char *kept = g_strdup(vm->creating || vm->state == VR_STATE_DOWN ? vm->xml_record : NULL);
    bool down = vm->state == VR_STATE_DOWN;
    vr_mutex_unlock(&domains->lock);
    if (kept)
        return kept;
    if (down) {
        vr_agent_error(error, vm_not_running, "%s", vm->id);
        return NULL;
    }
    vr_auto_dom virDomainPtr dom = vr_connection_domain(domains, vm->id, error);
    if (!dom)
        return NULL;
    char *xml = virDomainGetXMLDesc(dom, 0);
    if (!xml) {
        vr_connection_error(error, &vr_agent_fault_general);
        return NULL;
    }
    char *copy = g_strdup(xml);
    free(xml);
    return copy;
}
