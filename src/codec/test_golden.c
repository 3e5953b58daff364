/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A virtual machine of the real schema, in both languages, as the examples
 * in facts/rest-api.md 2.1 and 2.6 show it.
 */

#include "codec/codec.h"
#include "model/api.h"

#define VM_ID "0f1f7a52-5a6e-4b0b-9a55-2f0c5c3f5d11"
#define VM "/ovirt-engine/api/vms/" VM_ID
#define CLUSTER_ID "58cfb470-03b9-01d0-03b9-0000000001e7"

static const char golden_xml[] =
    "<vm href=\"" VM "\" id=\"" VM_ID "\">"
    "<actions>"
    "<link href=\"" VM "/start\" rel=\"start\"/>"
    "<link href=\"" VM "/stop\" rel=\"stop\"/>"
    "</actions>"
    "<name>web1</name>"
    "<description></description>"
    "<comment></comment>"
    "<link href=\"" VM "/diskattachments\" rel=\"diskattachments\"/>"
    "<link href=\"" VM "/nics\" rel=\"nics\"/>"
    "<bios><boot_menu><enabled>false</enabled></boot_menu><type>q35_sea_bios</type></bios>"
    "<cpu><architecture>x86_64</architecture>"
    "<topology><cores>2</cores><sockets>1</sockets><threads>1</threads></topology></cpu>"
    "<cpu_shares>0</cpu_shares>"
    "<creation_time>2024-05-01T10:34:56.789Z</creation_time>"
    "<delete_protected>false</delete_protected>"
    "<display><allow_override>false</allow_override><monitors>1</monitors>"
    "<type>vnc</type></display>"
    "<high_availability><enabled>false</enabled><priority>0</priority></high_availability>"
    "<memory>2147483648</memory>"
    "<memory_policy><ballooning>true</ballooning><guaranteed>1073741824</guaranteed>"
    "<max>8589934592</max></memory_policy>"
    "<migration><auto_converge>inherit</auto_converge><compressed>inherit</compressed></migration>"
    "<os><boot><devices><device>hd</device></devices></boot><type>other_linux</type></os>"
    "<placement_policy><affinity>migratable</affinity></placement_policy>"
    "<sso><methods><method id=\"guest_agent\"/></methods></sso>"
    "<stateless>false</stateless>"
    "<type>server</type>"
    "<cluster href=\"/ovirt-engine/api/clusters/" CLUSTER_ID "\" id=\"" CLUSTER_ID "\"/>"
    "<next_run_configuration_exists>false</next_run_configuration_exists>"
    "<status>down</status>"
    "<stop_time>2024-05-01T10:34:57.001Z</stop_time>"
    "<template href=\"/ovirt-engine/api/templates/" VR_UUID_ZERO "\" id=\"" VR_UUID_ZERO "\"/>"
    "</vm>";

static const char golden_json[] =
    "{\"id\":\"" VM_ID "\",\"href\":\"" VM "\","
    "\"name\":\"web1\",\"description\":\"\",\"comment\":\"\","
    "\"bios\":{\"boot_menu\":{\"enabled\":\"false\"},\"type\":\"q35_sea_bios\"},"
    "\"cpu\":{\"architecture\":\"x86_64\","
    "\"topology\":{\"cores\":\"2\",\"sockets\":\"1\",\"threads\":\"1\"}},"
    "\"cpu_shares\":\"0\",\"creation_time\":1714559696789,\"delete_protected\":\"false\","
    "\"display\":{\"allow_override\":\"false\",\"monitors\":\"1\",\"type\":\"vnc\"},"
    "\"high_availability\":{\"enabled\":\"false\",\"priority\":\"0\"},"
    "\"memory\":\"2147483648\","
    "\"memory_policy\":{\"ballooning\":\"true\",\"guaranteed\":\"1073741824\","
    "\"max\":\"8589934592\"},"
    "\"migration\":{\"auto_converge\":\"inherit\",\"compressed\":\"inherit\"},"
    "\"os\":{\"boot\":{\"devices\":{\"device\":[\"hd\"]}},\"type\":\"other_linux\"},"
    "\"placement_policy\":{\"affinity\":\"migratable\"},"
    "\"sso\":{\"methods\":{\"method\":[{\"id\":\"guest_agent\"}]}},"
    "\"stateless\":\"false\",\"type\":\"server\","
    "\"cluster\":{\"id\":\"" CLUSTER_ID "\",\"href\":\"/ovirt-engine/api/clusters/" CLUSTER_ID
    "\"},"
    "\"next_run_configuration_exists\":\"false\",\"status\":\"down\","
    "\"stop_time\":1714559697001,"
    "\"template\":{\"id\":\"" VR_UUID_ZERO "\",\"href\":\"/ovirt-engine/api/templates/" VR_UUID_ZERO
    "\"},"
    "\"actions\":{\"link\":[{\"href\":\"" VM "/start\",\"rel\":\"start\"},"
    "{\"href\":\"" VM "/stop\",\"rel\":\"stop\"}]},"
    "\"link\":[{\"href\":\"" VM "/diskattachments\",\"rel\":\"diskattachments\"},"
    "{\"href\":\"" VM "/nics\",\"rel\":\"nics\"}]}";

static char *href_of(const void *object, const void *parent, void *arg)
{
    const struct vr_type *type = ((const struct vr_object *)object)->type;
    return g_strdup_printf("/ovirt-engine/api/%s/%s", type->plural, vr_id(object));
}

static void links_of(const void *object,
                     void (*emit)(bool action, const char *rel, const char *href, void *emit_arg),
                     void *emit_arg, void *arg)
{
    emit(true, "start", VM "/start", emit_arg);
    emit(true, "stop", VM "/stop", emit_arg);
    emit(false, "diskattachments", VM "/diskattachments", emit_arg);
    emit(false, "nics", VM "/nics", emit_arg);
}

static const struct vr_codec_hooks hooks = { .href = href_of, .links = links_of };

static struct vr_vm *read_vm(void)
{
    vr_auto_error struct vr_error *error = NULL;
    struct vr_vm *vm =
        vr_xml_read(&vr_type_vm, NULL, golden_xml, strlen(golden_xml), &vr_codec_caps_api, &error);
    if (!vm)
        g_error("%s", error->detail);
    return vm;
}

static void test_xml(void)
{
    vr_auto struct vr_vm *vm = read_vm();
    g_assert_cmpint(vm->memory, ==, INT64_C(2147483648));
    g_assert_cmpint(vm->status, ==, VR_VM_STATUS_DOWN);
    g_assert_cmpstr(VR_LINK_ID(vm, cluster), ==, CLUSTER_ID);
    g_assert_cmpint(vm->cpu->topology->cores, ==, 2);
    g_autoptr(GString) out = g_string_new(NULL);
    vr_xml_write(out, vm, &hooks);
    g_assert_cmpstr(out->str, ==, golden_xml);
}

static void test_json(void)
{
    vr_auto struct vr_vm *vm = read_vm();
    g_autoptr(GString) out = g_string_new(NULL);
    vr_json_write(out, vm, VR_JSON_API, &hooks);
    g_assert_cmpstr(out->str, ==, golden_json);
    vr_auto_error struct vr_error *error = NULL;
    vr_auto struct vr_vm *back =
        vr_json_read(&vr_type_vm, out->str, out->len, VR_JSON_API, &vr_codec_caps_api, &error);
    g_assert_true(vr_equal(vm, back));
}

/* The tags that the general rule does not give (facts/rest-api.md 2.2). */
static void test_tags(void)
{
    g_assert_cmpstr(vr_type_operating_system.singular, ==, "os");
    g_assert_cmpstr(vr_type_operating_system_info.plural, ==, "operation_systems");
    g_assert_cmpstr(vr_type_qos.plural, ==, "qoss");
    g_assert_cmpstr(vr_type_numa_node.singular, ==, "host_numa_node");
    g_assert_cmpstr(vr_type_virtual_numa_node.plural, ==, "vm_numa_nodes");
    g_assert_cmpstr(vr_type_transparent_huge_pages.singular, ==, "transparent_hugepages");
    g_assert_cmpstr(vr_type_open_stack_image_provider.singular, ==, "openstack_image_provider");
}

/* Bit N is field N: what the walks rely on, for every type there is. */
static void test_bits(void)
{
    for (unsigned i = 0; i < vr_api_type_count; i++) {
        const struct vr_type *type = vr_api_types[i];
        vr_auto void *object = vr_object_new(type);
        for (unsigned f = 0; f < type->field_count; f++) {
            g_assert_cmpuint(type->fields[f].bit, ==, f);
            vr_clear(object, &type->fields[f]);
        }
    }
}

static const struct {
    const char *what;
    const struct vr_type *type;
    const char *xml;
    const char *refused; /* NULL: the text comes back as it is */
} rows[] = {
    { "a wide member takes 64 bits", &vr_type_disk,
      "<disk><provisioned_size>9223372036854775807</provisioned_size></disk>", NULL },
    { "another takes 32", &vr_type_vm, "<vm><cpu_shares>99999999999</cpu_shares></vm>",
      "Value 99999999999 is greater than maximum integer 2147483647" },
    { "a ticket's expiry takes 32 without sign", &vr_type_ticket,
      "<ticket><expiry>4294967295</expiry></ticket>", NULL },
    { "an enumeration lists its words", &vr_type_vm, "<vm><type>blue</type></vm>",
      "The string 'blue' isn't a valid value for the 'VmType' enumerated type. "
      "Valid values are: 'desktop', 'high_performance', 'server'." },
    { "a statistic's datum is decimal", &vr_type_statistic,
      "<statistic><values><value><datum>12.5</datum></value></values></statistic>", NULL },
    { "an attachment with a followed disk", &vr_type_disk_attachment,
      "<disk_attachment id=\"7\"><active>true</active><bootable>true</bootable>"
      "<disk id=\"7\"><name>d</name><format>cow</format></disk></disk_attachment>",
      NULL },
    { "an inlined collection", &vr_type_vm,
      "<vm><nics><nic id=\"1\"><name>eth0</name></nic><nic id=\"2\"/></nics></vm>", NULL },
    { "an emptied quota", &vr_type_disk, "<disk><quota id=\"\"/></disk>", NULL },
    { "no network filter", &vr_type_vnic_profile, "<vnic_profile><network_filter/></vnic_profile>",
      NULL },
    { "a host's DNS servers", &vr_type_dns_resolver_configuration,
      "<dns_resolver_configuration><name_servers><name_server>192.0.2.1</name_server>"
      "</name_servers></dns_resolver_configuration>",
      NULL },
};

static void test_rows(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        vr_auto_error struct vr_error *error = NULL;
        vr_auto void *object = vr_xml_read(rows[i].type, NULL, rows[i].xml, strlen(rows[i].xml),
                                           &vr_codec_caps_api, &error);
        g_test_message("%s", rows[i].what);
        if (rows[i].refused) {
            g_assert_null(object);
            g_assert_cmpstr(error->detail, ==, rows[i].refused);
            continue;
        }
        g_assert_null(error);
        g_autoptr(GString) out = g_string_new(NULL);
        vr_xml_write(out, object, NULL);
        g_assert_cmpstr(out->str, ==, rows[i].xml);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/golden/a virtual machine in XML", test_xml);
    g_test_add_func("/golden/a virtual machine in JSON", test_json);
    g_test_add_func("/golden/odd tags are the wire's own", test_tags);
    g_test_add_func("/golden/fields are in the order of their bits", test_bits);
    g_test_add_func("/golden/members of real types", test_rows);
    return g_test_run();
}
