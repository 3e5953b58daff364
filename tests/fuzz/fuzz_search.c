/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Any bytes as a query: it is parsed or refused, and what was parsed runs over
 * a few objects.  The first byte chooses the kind.
 */

#include "manager/search/search.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put(struct vr_inventory *inventory, int kind, void *object)
{
    struct vr_change change = { kind, g_strdup(vr_id(object)), object, 1 };
    vr_inventory_apply(inventory, &change, 1);
    g_free(change.id);
    vr_unref(object);
}

static struct vr_inventory *site(void)
{
    static struct vr_inventory *inventory;
    if (inventory)
        return inventory;
    inventory = vr_inventory_new(false);
    struct vr_cluster *cluster = VR_NEW(cluster);
    vr_set_id(cluster, "c");
    VR_SET_STRING(cluster, name, "Default");
    put(inventory, VR_KIND_CLUSTER, cluster);
    for (unsigned i = 0; i < 4; i++) {
        struct vr_vm *vm = VR_NEW(vm);
        char id[8];
        g_snprintf(id, sizeof(id), "v%u", i);
        vr_set_id(vm, id);
        VR_SET_STRING(vm, name, i ? "web" : "");
        VR_SET(vm, memory, (int64_t)i << 30);
        VR_SET(vm, status, VR_VM_STATUS_UP);
        VR_SET(vm, creation_time, 1714559696789);
        VR_SET_LINK(vm, cluster, cluster, i % 2 ? "c" : "gone");
        put(inventory, VR_KIND_VM, vm);
    }
    return inventory;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int kinds[] = { VR_KIND_VM,   VR_KIND_HOST,  VR_KIND_CLUSTER, VR_KIND_DISK,
                                 VR_KIND_USER, VR_KIND_EVENT, VR_KIND_NETWORK, VR_KIND_TEMPLATE };
    if (size == 0)
        return 0;
    int kind = kinds[data[0] % G_N_ELEMENTS(kinds)];
    g_autofree char *query = g_strndup((const char *)data + 1, size - 1);
    if (!g_utf8_validate(query, -1, NULL)) /* the address would have been refused */
        return 0;
    vr_auto_error struct vr_error *error = NULL;
    struct vr_search *search = vr_search_new(kind, query, data[0] & 0x80, 1714600000000, &error);
    g_assert((search == NULL) == (error != NULL));
    if (!search)
        return 0;
    vr_auto_objects struct vr_objects objects = { 0 };
    vr_inventory_list(site(), kind, &objects);
    unsigned before = objects.count;
    vr_search_filter(search, site(), &objects);
    g_assert(objects.count <= before);
    vr_search_sort(search, site(), kind, &objects);
    vr_search_page(search, data[0] % 5, &objects);
    g_assert(objects.count <= data[0] % 5);
    vr_search_free(search);
    return 0;
}
