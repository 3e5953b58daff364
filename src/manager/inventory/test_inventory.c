/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/inventory/inventory.h"

#define IDS 40
#define TARGETS 5
#define NAMES 7
#define STEPS 20000

/* The naive model: one slot an id. */
struct naive {
    struct vr_nic *slots[IDS];
};

static void id_text(char out[16], unsigned n)
{
    g_snprintf(out, 16, "id-%02u", n);
}

static void apply(struct vr_inventory *inventory, const char *id, void *after)
{
    const struct vr_change change = { VR_KIND_NIC, (char *)(uintptr_t)id, after, 1 };
    vr_inventory_apply(inventory, &change, 1);
}

static struct vr_nic *random_nic(GRand *rand, const char *id)
{
    char text[16];
    struct vr_nic *nic = VR_NEW(nic);
    vr_set_id(nic, id);
    if (g_rand_int_range(rand, 0, 4)) {
        id_text(text, (unsigned)g_rand_int_range(rand, 0, NAMES));
        VR_SET_STRING(nic, name, text);
    }
    if (g_rand_int_range(rand, 0, 4)) {
        id_text(text, (unsigned)g_rand_int_range(rand, 0, TARGETS));
        VR_SET_LINK(nic, vm, vm, text);
    }
    return nic;
}

/* Whether @set holds exactly those of @naive with @match, in the order of ids. */
static void check_set(const struct vr_objects *set, const struct naive *naive,
                      bool (*match)(const struct vr_nic *nic, const char *key), const char *key)
{
    unsigned at = 0;
    for (unsigned i = 0; i < IDS; i++) {
        if (!naive->slots[i] || !match(naive->slots[i], key))
            continue;
        g_assert_cmpuint(at, <, set->count);
        g_assert_true(set->items[at++] == naive->slots[i]);
    }
    g_assert_cmpuint(at, ==, set->count);
}

static bool match_all(const struct vr_nic *nic, const char *key)
{
    return true;
}

static bool match_vm(const struct vr_nic *nic, const char *key)
{
    return g_strcmp0(VR_LINK_ID(nic, vm), key) == 0;
}

static bool match_name(const struct vr_nic *nic, const char *key)
{
    return g_strcmp0(nic->name, key) == 0;
}

static void check(struct vr_inventory *inventory, const struct naive *naive, const char *key)
{
    vr_auto_objects struct vr_objects all = { 0 }, of_vm = { 0 }, named = { 0 };
    vr_inventory_list(inventory, VR_KIND_NIC, &all);
    check_set(&all, naive, match_all, NULL);
    g_assert_cmpuint(vr_inventory_count(inventory, VR_KIND_NIC), ==, all.count);

    vr_inventory_list_by(inventory, VR_KIND_NIC, "vm", key, &of_vm);
    check_set(&of_vm, naive, match_vm, key);
    g_assert_cmpuint(vr_inventory_count_by(inventory, VR_KIND_NIC, "vm", key), ==, of_vm.count);

    vr_inventory_list_named(inventory, VR_KIND_NIC, key, &named);
    check_set(&named, naive, match_name, key);
    vr_auto struct vr_nic *first = vr_inventory_get_named(inventory, VR_KIND_NIC, key);
    g_assert_true(first == (named.count ? named.items[0] : NULL));
}

static void run_random(bool shared)
{
    struct vr_inventory *inventory = vr_inventory_new(shared);
    struct naive naive = { 0 };
    g_autoptr(GRand) rand = g_rand_new_with_seed(shared ? 7 : 11);
    for (unsigned i = 0; i < STEPS; i++) {
        unsigned n = (unsigned)g_rand_int_range(rand, 0, IDS);
        char id[16], key[16];
        id_text(id, n);
        struct vr_nic *after = g_rand_int_range(rand, 0, 3) ? random_nic(rand, id) : NULL;
        apply(inventory, id, after);
        vr_unref(naive.slots[n]);
        naive.slots[n] = after;
        vr_auto struct vr_nic *found = vr_inventory_get(inventory, VR_KIND_NIC, id);
        g_assert_true(found == after);
        id_text(key, (unsigned)g_rand_int_range(rand, 0, NAMES));
        if (i % 16 == 0)
            check(inventory, &naive, key);
    }
    vr_inventory_free(inventory);
    for (unsigned i = 0; i < IDS; i++) {
        if (naive.slots[i])
            g_assert_cmpint(((struct vr_object *)naive.slots[i])->refs, ==, 1);
        vr_unref(naive.slots[i]);
    }
}

static void test_random(void)
{
    run_random(false);
    run_random(true);
}

static void test_many(void)
{
    struct vr_inventory *inventory = vr_inventory_new(false);
    /* More than one chunk, in an order that splits chunks in the middle. */
    for (unsigned i = 0; i < 5000; i++) {
        char id[16];
        g_snprintf(id, sizeof(id), "%08x", i * 2654435761u);
        vr_auto struct vr_nic *nic = VR_NEW(nic);
        vr_set_id(nic, id);
        VR_SET_LINK(nic, vm, vm, "one");
        apply(inventory, id, nic);
    }
    vr_auto_objects struct vr_objects all = { 0 };
    vr_inventory_list_by(inventory, VR_KIND_NIC, "vm", "one", &all);
    g_assert_cmpuint(all.count, ==, 5000);
    for (unsigned i = 1; i < all.count; i++)
        g_assert_cmpstr(vr_id(all.items[i - 1]), <, vr_id(all.items[i]));
    for (unsigned i = 0; i < all.count; i++)
        apply(inventory, vr_id(all.items[i]), NULL);
    g_assert_cmpuint(vr_inventory_count(inventory, VR_KIND_NIC), ==, 0);
    g_assert_cmpuint(vr_inventory_count_by(inventory, VR_KIND_NIC, "vm", "one"), ==, 0);
    vr_inventory_free(inventory);
}

static void test_set_left(void)
{
    struct vr_inventory *inventory = vr_inventory_new(true);
    vr_auto struct vr_nic *nic = VR_NEW(nic);
    vr_set_id(nic, "a");
    apply(inventory, "a", nic);
    vr_auto_objects struct vr_objects all = { 0 };
    vr_inventory_list(inventory, VR_KIND_NIC, &all);
    apply(inventory, "a", NULL);
    vr_inventory_free(inventory);
    g_assert_cmpstr(vr_id(all.items[0]), ==, "a");
}

#define READERS 3
#define WRITES 20000

static gpointer reader(gpointer data)
{
    struct vr_inventory *inventory = data;
    for (;;) {
        vr_auto struct vr_nic *stop = vr_inventory_get(inventory, VR_KIND_NIC, "stop");
        if (stop)
            return NULL;
        vr_auto_objects struct vr_objects pair = { 0 };
        vr_inventory_list_by(inventory, VR_KIND_NIC, "vm", "pair", &pair);
        /* Both change in one apply, so no reader ever sees one without the other. */
        g_assert_true(pair.count == 0 || pair.count == 2);
        if (pair.count == 2)
            g_assert_cmpstr(((struct vr_nic *)pair.items[0])->name, ==,
                            ((struct vr_nic *)pair.items[1])->name);
    }
}

static void test_readers(void)
{
    struct vr_inventory *inventory = vr_inventory_new(true);
    GThread *readers[READERS];
    for (unsigned i = 0; i < READERS; i++)
        readers[i] = g_thread_new("reader", reader, inventory);
    for (unsigned i = 0; i < WRITES; i++) {
        g_autofree char *name = g_strdup_printf("n%u", i);
        struct vr_change changes[2];
        for (unsigned k = 0; k < 2; k++) {
            struct vr_nic *nic = i % 5 ? VR_NEW(nic) : NULL;
            if (nic) {
                vr_set_id(nic, k ? "b" : "a");
                VR_SET_STRING(nic, name, name);
                VR_SET_LINK(nic, vm, vm, "pair");
            }
            changes[k] = (struct vr_change){ VR_KIND_NIC, (char *)(uintptr_t)(k ? "b" : "a"), nic, i };
        }
        vr_inventory_apply(inventory, changes, 2);
        vr_unref(changes[0].after);
        vr_unref(changes[1].after);
    }
    vr_auto struct vr_nic *stop = VR_NEW(nic);
    vr_set_id(stop, "stop");
    apply(inventory, "stop", stop);
    for (unsigned i = 0; i < READERS; i++)
        g_thread_join(readers[i]);
    vr_inventory_free(inventory);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/inventory/random changes give what a naive table gives", test_random);
    g_test_add_func("/inventory/thousands of objects stay in order and leave nothing", test_many);
    g_test_add_func("/inventory/a set outlives what it was taken from", test_set_left);
    g_test_add_func("/inventory/readers see all of a change or nothing", test_readers);
    return g_test_run();
}
