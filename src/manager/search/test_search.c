/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/search/search.h"

/*
 * A small site: data center and cluster Default, cluster other; host h1;
 * machines web1 (up, on h1), web2 (down), Db-3 (powering up, other cluster);
 * disks d1 of web1 and d2 of nobody; events.
 */

static void put(struct vr_inventory *inventory, int kind, void *object)
{
    struct vr_change change = { kind, g_strdup(vr_id(object)), object, 1 };
    vr_inventory_apply(inventory, &change, 1);
    g_free(change.id);
    vr_unref(object);
}

#define NAMED(t, id_, name_)                                                                     \
    struct vr_##t *t = VR_NEW(t);                                                                \
    vr_set_id(t, id_);                                                                           \
    VR_SET_STRING(t, name, name_)

static void put_vm(struct vr_inventory *inventory, const char *id, const char *name,
                   enum vr_vm_status status, const char *cluster, const char *host, int64_t mb)
{
    NAMED(vm, id, name);
    VR_SET(vm, status, status);
    VR_SET(vm, memory, mb << 20);
    VR_SET(vm, creation_time, INT64_C(1714559696789));
    VR_SET_LINK(vm, cluster, cluster, cluster);
    VR_SET_LINK(vm, host, host, host);
    put(inventory, VR_KIND_VM, vm);
}

static void put_event(struct vr_inventory *inventory, const char *id, int code, const char *text,
                      enum vr_log_severity severity, const char *host, const char *vm)
{
    struct vr_event *event = VR_NEW(event);
    vr_set_id(event, id);
    VR_SET(event, index, g_ascii_strtoll(id, NULL, 10));
    VR_SET(event, code, code);
    VR_SET(event, severity, severity);
    VR_SET_STRING(event, description, text);
    VR_SET_STRING(event, correlation_id, "abc");
    VR_SET(event, time, INT64_C(1714559696789));
    VR_SET_LINK(event, host, host, host);
    VR_SET_LINK(event, vm, vm, vm);
    put(inventory, VR_KIND_EVENT, event);
}

static void put_disk(struct vr_inventory *inventory, const char *id, const char *alias,
                     enum vr_disk_storage_type storage, enum vr_disk_content_type content)
{
    struct vr_disk *disk = VR_NEW(disk);
    vr_set_id(disk, id);
    VR_SET_STRING(disk, alias, alias);
    VR_SET_STRING(disk, name, alias);
    VR_SET(disk, storage_type, storage);
    VR_SET(disk, content_type, content);
    VR_SET(disk, provisioned_size, (int64_t)GiB(1));
    put(inventory, VR_KIND_DISK, disk);
}

static struct vr_inventory *make_site(void)
{
    struct vr_inventory *inventory = vr_inventory_new(false);
    NAMED(data_center, "dc", "Default");
    put(inventory, VR_KIND_DATA_CENTER, data_center);
    NAMED(cluster, "c1", "Default");
    VR_SET_LINK(cluster, data_center, data_center, "dc");
    put(inventory, VR_KIND_CLUSTER, cluster);
    struct vr_cluster *other = VR_NEW(cluster);
    vr_set_id(other, "c2");
    VR_SET_STRING(other, name, "other");
    put(inventory, VR_KIND_CLUSTER, other);
    NAMED(host, "h1", "h1");
    VR_SET_LINK(host, cluster, cluster, "c1");
    VR_SET(host, status, VR_HOST_STATUS_NON_RESPONSIVE);
    put(inventory, VR_KIND_HOST, host);
    NAMED(template, "t1", "tmpl");
    VR_SET_LINK(template, cluster, cluster, "c1");
    put(inventory, VR_KIND_TEMPLATE, template);
    put_vm(inventory, "v1", "web1", VR_VM_STATUS_UP, "c1", "h1", 1024);
    put_vm(inventory, "v2", "web2", VR_VM_STATUS_DOWN, "c1", NULL, 2048);
    put_vm(inventory, "v3", "Db-3", VR_VM_STATUS_POWERING_UP, "c2", NULL, 4096);
    put_disk(inventory, "d1", "d1", VR_DISK_STORAGE_TYPE_IMAGE, VR_DISK_CONTENT_TYPE_DATA);
    put_disk(inventory, "d2", "boot.iso", VR_DISK_STORAGE_TYPE_IMAGE, VR_DISK_CONTENT_TYPE_ISO);
    put_disk(inventory, "d3", "san", VR_DISK_STORAGE_TYPE_LUN, VR_DISK_CONTENT_TYPE_DATA);
    struct vr_disk_attachment *attachment = VR_NEW(disk_attachment);
    vr_set_id(attachment, "d1");
    VR_SET_LINK(attachment, disk, disk, "d1");
    VR_SET_LINK(attachment, vm, vm, "v1");
    put(inventory, VR_KIND_DISK_ATTACHMENT, attachment);
    NAMED(user, "u1", "bob");
    VR_SET_STRING(user, user_name, "bob@internal-authz");
    put(inventory, VR_KIND_USER, user);
    NAMED(group, "g1", "grp");
    put(inventory, VR_KIND_GROUP, group);
    put_event(inventory, "1", 885, "update check", VR_LOG_SEVERITY_NORMAL, "h1", NULL);
    put_event(inventory, "2", 842, "upgraded", VR_LOG_SEVERITY_NORMAL, NULL, NULL);
    put_event(inventory, "3", 65, "migration failed", VR_LOG_SEVERITY_ERROR, NULL, NULL);
    put_event(inventory, "4", 1152, "VM web1 imported", VR_LOG_SEVERITY_NORMAL, NULL, "v1");
    put_event(inventory, "5", 1158, "the name of it", VR_LOG_SEVERITY_NORMAL, NULL, NULL);
    return inventory;
}

/* The ids that @query finds, "none" for an empty list, "!" when it is no query. */
static char *find(struct vr_inventory *inventory, int kind, const char *query, int64_t max)
{
    vr_auto_error struct vr_error *error = NULL;
    struct vr_search *search =
        vr_search_new(kind, query, false, INT64_C(1714600000000), &error);
    if (!search)
        return g_strdup("!");
    vr_auto_objects struct vr_objects objects = { 0 };
    vr_inventory_list(inventory, kind, &objects);
    vr_search_filter(search, inventory, &objects);
    vr_search_sort(search, inventory, kind, &objects);
    vr_search_page(search, max, &objects);
    GString *out = g_string_new(NULL);
    for (unsigned i = 0; i < objects.count; i++)
        g_string_append_printf(out, "%s%s", i ? " " : "", vr_id(objects.items[i]));
    vr_search_free(search);
    if (out->len == 0)
        g_string_append(out, "none");
    return g_string_free(out, FALSE);
}

static const struct {
    int kind;
    const char *query, *want;
} queries[] = {
    /* What clients have been seen to ask (facts/rest-api.md 4.4). */
    { VR_KIND_VM, "name=\"web1\"", "v1" },
    { VR_KIND_VM, "name=web1", "v1" },
    { VR_KIND_VM, "name=\"web1\" and cluster=\"Default\"", "v1" },
    { VR_KIND_TEMPLATE, "name=tmpl and datacenter=Default", "t1" },
    { VR_KIND_DISK, "name=d1 and vm.name=web1", "d1" },
    { VR_KIND_DISK, "name=d1 and vm.name=web2", "none" },
    { VR_KIND_VM, "name=\"*\"", "v3 v1 v2" },
    { VR_KIND_DATA_CENTER, "Clusters.name=Default", "dc" },
    { VR_KIND_DATA_CENTER, "Clusters.name=other", "none" },
    { VR_KIND_VM, "host=h1", "v1" },
    { VR_KIND_VM, "status=up", "v1" },
    { VR_KIND_USER, "usrname=bob@internal-authz", "u1" },
    { VR_KIND_GROUP, "name=grp", "g1" },
    { VR_KIND_DISK, "disk_type=lun", "d3" },
    { VR_KIND_DISK, "disk_type=image and disk_content_type=iso", "d2" },
    { VR_KIND_EVENT, "severity=error", "3" },
    { VR_KIND_EVENT, "correlation_id=abc", "5 4 3 2 1" },
    { VR_KIND_EVENT, "type=885 and host.name=h1", "1" },
    { VR_KIND_EVENT, "type=842 or type=841 or type=888", "2" },
    { VR_KIND_EVENT, "type=65 or type=140 or type=166 or type=17", "3" },
    { VR_KIND_EVENT, "type=1152 and vm.id=v1", "4" },
    { VR_KIND_EVENT, "type=1158 and message=*name*", "5" },
    { VR_KIND_VM, "sortby name asc", "v3 v1 v2" },
    { VR_KIND_VM, "(status = up OR status = powering_up) AND name = \"web*\"", "v1" },
    /* Words, relations and binding. */
    { VR_KIND_VM, "name=WEB1", "v1" },
    { VR_KIND_VM, "name=web_", "none" },
    { VR_KIND_VM, "name!=web1", "v3 v2" },
    { VR_KIND_VM, "name=web1 or name=web2 and status=up", "v1" },
    { VR_KIND_VM, "name=web* status=down", "v2" },
    { VR_KIND_VM, "status=PoweringUp", "v3" },
    { VR_KIND_HOST, "status=NonResponsive", "h1" },
    { VR_KIND_VM, "status=blue", "none" },
    { VR_KIND_VM, "memory=2048", "v2" },
    { VR_KIND_VM, "memory>1024", "v3 v2" },
    { VR_KIND_VM, "memory>=1024 and memory<4096", "v1 v2" },
    { VR_KIND_VM, "memory<=2GB", "v1 v2" },
    { VR_KIND_VM, "creationdate=\"2024-05-01\"", "v3 v1 v2" },
    { VR_KIND_VM, "creationdate>\"2024-05-01\"", "none" },
    { VR_KIND_VM, "creationdate<Today", "none" },
    { VR_KIND_VM, "datacenter=Default", "v1 v2" },
    { VR_KIND_VM, "host.status=NonResponsive", "v1" },
    { VR_KIND_HOST, "vm.name=web1", "h1" },
    { VR_KIND_HOST, "vms.name=web2", "none" },
    /* Free text. */
    { VR_KIND_VM, "eb", "v1 v2" },
    { VR_KIND_VM, "\"db-\"", "v3" },
    { VR_KIND_EVENT, "imported", "4" },
    /* Order and pages; case does not count. */
    { VR_KIND_VM, "SORTBY memory DESC", "v3 v2 v1" },
    { VR_KIND_VM, "sortby cluster", "v1 v2 v3" },
    { VR_KIND_VM, "page 1", "v3 v1 v2" },
    { VR_KIND_VM, "page 2", "none" },
    { VR_KIND_VM, "", "v3 v1 v2" },
    /* What is no query. */
    { VR_KIND_VM, "colour=blue", "!" },
    { VR_KIND_VM, "name=", "!" },
    { VR_KIND_VM, "name=and", "!" },
    { VR_KIND_VM, "=web1", "!" },
    { VR_KIND_VM, "name='web1'", "!" },
    { VR_KIND_VM, "name=a;drop", "!" },
    { VR_KIND_VM, "(name=web1", "!" },
    { VR_KIND_VM, "name=web1)", "!" },
    { VR_KIND_VM, "name=\"web1", "!" },
    { VR_KIND_VM, "name>web1", "!" },
    { VR_KIND_VM, "memory=much", "!" },
    { VR_KIND_VM, "creationdate=someday", "!" },
    { VR_KIND_VM, "sortby", "!" },
    { VR_KIND_VM, "sortby colour", "!" },
    { VR_KIND_VM, "page 0", "!" },
    { VR_KIND_VM, "page x", "!" },
    { VR_KIND_VM, "or", "!" },
};

static void test_queries(void)
{
    struct vr_inventory *inventory = make_site();
    for (unsigned i = 0; i < G_N_ELEMENTS(queries); i++) {
        g_test_message("%s: %s", vr_kinds[queries[i].kind].name, queries[i].query);
        g_autofree char *got = find(inventory, queries[i].kind, queries[i].query, -1);
        g_assert_cmpstr(got, ==, queries[i].want);
    }
    vr_inventory_free(inventory);
}

static void test_pages(void)
{
    static const struct {
        const char *query;
        int64_t max;
        const char *want;
    } pages[] = {
        { "", 2, "v3 v1" },         { "page 1", 2, "v3 v1" }, { "page 2", 2, "v2" },
        { "page 3", 2, "none" },    { "page 2", 0, "none" },  { "SORTBY NAME ASC page 2", 1, "v1" },
        { "name=web* page 2", 1, "v2" }, { "page 2147483647", 1000000, "none" },
    };
    struct vr_inventory *inventory = make_site();
    for (unsigned i = 0; i < G_N_ELEMENTS(pages); i++) {
        g_test_message("%s, %" G_GINT64_FORMAT, pages[i].query, pages[i].max);
        g_autofree char *got = find(inventory, VR_KIND_VM, pages[i].query, pages[i].max);
        g_assert_cmpstr(got, ==, pages[i].want);
    }
    vr_inventory_free(inventory);
}

static void test_caps(void)
{
    struct vr_inventory *inventory = make_site();
    g_autofree char *deep = g_strnfill(VR_SEARCH_DEPTH + 1, '(');
    g_autofree char *lengthy = g_strnfill(VR_SEARCH_LENGTH + 1, 'a');
    g_autoptr(GString) many = g_string_new("a");
    for (unsigned i = 0; i < VR_SEARCH_TERMS; i++)
        g_string_append(many, " a");
    const char *texts[] = { deep, lengthy, many->str };
    for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autofree char *got = find(inventory, VR_KIND_VM, texts[i], -1);
        g_assert_cmpstr(got, ==, "!");
    }
    vr_inventory_free(inventory);
}

int main(int argc, char **argv)
{
    g_setenv("TZ", "UTC", TRUE);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/search/every query finds what it should", test_queries);
    g_test_add_func("/search/a page is a part of what was found", test_pages);
    g_test_add_func("/search/too much of anything is no query", test_caps);
    return g_test_run();
}
