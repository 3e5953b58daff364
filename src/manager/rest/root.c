/* SPDX-License-Identifier: Apache-2.0 */
/* The root document (facts/rest-api.md 3). */
#include "manager/rest/exchange.h"

#include <stdio.h>

static struct vr_api_summary_item *item(int64_t active, int64_t total)
{
    struct vr_api_summary_item *counts = VR_NEW(api_summary_item);
    VR_SET(counts, active, active);
    VR_SET(counts, total, total);
    return counts;
}

static struct vr_api_summary_item *count_vms(struct vr_inventory *inventory)
{
    vr_auto_objects struct vr_objects all = { 0 };
    int64_t active = 0;
    vr_inventory_list(inventory, VR_KIND_VM, &all);
    VR_OBJECTS(struct vr_vm, vm, &all)
        active += vm->has.status && vm->status != VR_VM_STATUS_DOWN &&
                  vm->status != VR_VM_STATUS_SUSPENDED && vm->status != VR_VM_STATUS_IMAGE_LOCKED;
    return item(active, all.count);
}

static struct vr_api_summary_item *count_hosts(struct vr_inventory *inventory)
{
    vr_auto_objects struct vr_objects all = { 0 };
    int64_t active = 0;
    vr_inventory_list(inventory, VR_KIND_HOST, &all);
    VR_OBJECTS(struct vr_host, host, &all)
        active += host->has.status && host->status == VR_HOST_STATUS_UP;
    return item(active, all.count);
}

static struct vr_api_summary_item *count_domains(struct vr_inventory *inventory)
{
    vr_auto_objects struct vr_objects all = { 0 };
    int64_t active = 0;
    vr_inventory_list(inventory, VR_KIND_STORAGE_DOMAIN, &all);
    VR_OBJECTS(struct vr_storage_domain, domain, &all)
        active += domain->has.status && domain->status == VR_STORAGE_DOMAIN_STATUS_ACTIVE;
    return item(active, all.count);
}

static struct vr_product_info *product(const struct vr_rest *rest)
{
    struct vr_product_info *info = VR_NEW(product_info);
    VR_SET_STRING(info, instance_id, rest->options.instance_id);
    VR_SET_STRING(info, name, "Vireo");
    VR_SET_STRING(info, vendor, "vireo.example");
    struct vr_version *version = VR_SUB(info, version, version);
    int major = 0, minor = 0, build = 0;
    sscanf(rest->options.version, "%d.%d.%d", &major, &minor, &build);
    VR_SET(version, build, build);
    VR_SET_STRING(version, full_version, rest->options.version);
    VR_SET(version, major, major);
    VR_SET(version, minor, minor);
    VR_SET(version, revision, 0);
    return info;
}

void vr_root_serve(struct vr_exchange *x)
{
    struct vr_inventory *inventory = x->rest->options.inventory;
    vr_auto struct vr_api *api = VR_NEW(api);
    VR_TAKE(api, engine_backup, VR_NEW(engine_backup_info));
    VR_TAKE(api, product_info, product(x->rest));
    struct vr_special_objects *special = VR_SUB(api, special_objects, special_objects);
    VR_SET_LINK(special, blank_template, template, VR_UUID_ZERO);
    VR_SET_LINK(special, root_tag, tag, VR_UUID_ZERO);
    if (!x->caller.filtered) {
        struct vr_api_summary *summary = VR_SUB(api, summary, api_summary);
        VR_TAKE(summary, hosts, count_hosts(inventory));
        VR_TAKE(summary, storage_domains, count_domains(inventory));
        unsigned users = vr_inventory_count(inventory, VR_KIND_USER);
        VR_TAKE(summary, users, item(users, users));
        VR_TAKE(summary, vms, count_vms(inventory));
    }
    VR_SET(api, time, g_get_real_time() / 1000);
    VR_SET_LINK(api, authenticated_user, user, x->caller.user_id);
    VR_SET_LINK(api, effective_user, user, x->caller.user_id);
    vr_render_root(x, api);
}
