/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Domain XML as it comes from a Manager and as libvirt gets it: pairs of files
 * tests/golden/agent/<case>.in.xml and <case>.<host>.xml.  With
 * VIREO_GOLDEN=write the second is written anew; review it as a diff.
 */
#include "agent/domain/xml.h"

#include <stdlib.h>

#include "agent/domain/pickle.h"
#include "agent/domain/reason.h"

static const char *golden_dir;

static char *prepare(const struct vr_domain_disk *disk, bool *block, void *arg,
                     struct vr_error **error)
{
    if (!g_strcmp0(disk->volume, "00000000-0000-4000-8000-00000000dead")) {
        vr_error_set(error, &vr_fault_bad_request, "no such volume");
        return NULL;
    }
    *block = !g_strcmp0(disk->pool, "block");
    return *block ? g_strdup_printf("/dev/%s/%s", disk->domain, disk->volume)
                  : g_strdup_printf("/storage/%s/%s", disk->image, disk->volume);
}

static char *payload(const char *vm_id, const struct vr_domain_disk *disk, bool floppy, void *arg,
                     struct vr_error **error)
{
    return g_strdup_printf("/payload/%s.%s.img", vm_id, floppy ? "floppy" : "cdrom");
}

static char *display_address(const char *network, void *arg)
{
    return !strcmp(network, "ovirtmgmt") ? g_strdup("192.0.2.11") : NULL;
}

static const char *const machines[] = { "pc", "q35", "pc-q35-7.2", NULL };
#define COMMON                                                                                     \
    .machines = machines, .os_name = "Debian GNU/Linux", .os_version = "12",                       \
    .serial = "6c9f2f0e-2a58-4b6a-9d2f-0d3f4e5a6b7c", .prepare = prepare, .payload = payload,      \
    .display_address = display_address

static const struct {
    const char *name;
    struct vr_domain_host host;
} hosts[] = {
    { "kvm", { COMMON, .spice = true, .spice_tls = true, .qxl = true } },
    { "tcg", { COMMON, .tcg = true, .serial_log_dir = "/log", .console_dir = "/console" } },
};

static char *read_golden(const char *name, const char *ending)
{
    g_autofree char *path = g_strdup_printf("%s/%s.%s", golden_dir, name, ending);
    char *text = NULL;
    g_autoptr(GError) failure = NULL;
    if (!g_file_get_contents(path, &text, NULL, &failure))
        g_error("%s", failure->message);
    return text;
}

static void check(const char *name, unsigned host)
{
    g_autofree char *in = read_golden(name, "in.xml");
    g_autofree char *ending = g_strdup_printf("%s.xml", hosts[host].name);
    vr_auto_error struct vr_error *error = NULL;
    vr_auto_tree xmlDoc *doc = vr_tree_parse(in, strlen(in), &error);
    g_assert_nonnull(doc);
    g_assert_true(vr_domain_xml_prepare(doc, &hosts[host].host, &error));
    g_autofree char *bare = vr_tree_text(doc, NULL);
    g_autofree char *out = g_strdup_printf("%s\n", bare);
    if (!g_strcmp0(getenv("VIREO_GOLDEN"), "write")) {
        g_autofree char *path = g_strdup_printf("%s/%s.%s", golden_dir, name, ending);
        g_assert_true(g_file_set_contents(path, out, -1, NULL));
        return;
    }
    g_autofree char *want = read_golden(name, ending);
    g_assert_cmpstr(out, ==, want);
}

static void test_golden(void)
{
    static const char *const cases[] = { "full", "small" };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++)
        for (unsigned j = 0; j < G_N_ELEMENTS(hosts); j++) {
            g_test_message("%s on %s", cases[i], hosts[j].name);
            check(cases[i], j);
        }
}

#define DOMAIN(metadata, devices)                                                                  \
    "<domain type='kvm' xmlns:ovirt-vm='http://ovirt.org/vm/1.0'>"                                 \
    "<uuid>59f3d8a9-8845-4105-a66f-c2c71a9e7619</uuid>"                                            \
    "<metadata><ovirt-vm:vm>" metadata "</ovirt-vm:vm></metadata>"                                 \
    "<devices>" devices "</devices></domain>"
#define DISK                                                                                       \
    "<disk type='file' device='disk'><source file=''/><target dev='sda' bus='sata'/></disk>"
#define PDIV(volume)                                                                               \
    "<ovirt-vm:device devtype='disk' name='sda'><ovirt-vm:domainID>d</ovirt-vm:domainID>"          \
    "<ovirt-vm:imageID>i</ovirt-vm:imageID><ovirt-vm:volumeID>" volume                             \
    "</ovirt-vm:volumeID></ovirt-vm:device>"

static void test_refusals(void)
{
    static const struct {
        const char *what, *xml;
    } rows[] = {
        { "not a domain", "<network/>" },
        { "no uuid", "<domain><devices/></domain>" },
        { "no devices", "<domain><uuid>x</uuid></domain>" },
        { "an unclosed tag", "<domain>" },
        { "a document type", "<!DOCTYPE domain [<!ENTITY x 'y'>]><domain/>" },
        { "SPICE alone where QEMU has none", DOMAIN("", "<graphics type='spice'/>") },
        { "a lease", DOMAIN("", "<lease><key>x</key></lease>") },
        { "metadata of a disk that is not there", DOMAIN(PDIV("v"), "") },
        { "a volume that cannot be prepared",
          DOMAIN(PDIV("00000000-0000-4000-8000-00000000dead"), DISK) },
        { "a device path that leaves its folder",
          DOMAIN("<ovirt-vm:device devtype='disk' name='sda'><ovirt-vm:GUID>../sda</ovirt-vm:GUID>"
                 "</ovirt-vm:device>",
                 DISK) },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("%s", rows[i].what);
        vr_auto_error struct vr_error *error = NULL;
        vr_auto_tree xmlDoc *doc = vr_tree_parse(rows[i].xml, strlen(rows[i].xml), &error);
        g_assert_false(doc && vr_domain_xml_prepare(doc, &hosts[1].host, &error));
        g_assert_nonnull(error);
    }
}

static void test_qemu_conf(void)
{
    static const struct {
        const char *what, *text;
        bool on;
    } rows[] = {
        { "nothing", "", false },
        { "on", "vnc_tls = 1\n", true },
        { "without blanks, at the end of the file", "user=\"root\"\nvnc_tls=1", true },
        { "off", "vnc_tls = 0\n", false },
        { "a comment", "# vnc_tls = 1\n", false },
        { "a comment behind it", "vnc_tls = 1 # encrypt\n", true },
        { "another that begins alike", "vnc_tls_x509_verify = 1\n", false },
        { "the last one counts", "vnc_tls = 1\nvnc_tls = 0\n", false },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("%s", rows[i].what);
        g_assert_true(vr_qemu_conf_flag(rows[i].text, "vnc_tls") == rows[i].on);
    }
}

static void test_metadata(void)
{
    static const char xml[] = "<domain><devices/></domain>";
    vr_auto_error struct vr_error *error = NULL;
    vr_auto_tree xmlDoc *doc = vr_tree_parse(xml, strlen(xml), &error);
    xmlNode *root = xmlDocGetRootElement(doc);
    g_assert_null(vr_domain_metadata(root));
    vr_domain_metadata_set(root, "startTime", "float", "1.5");
    vr_domain_metadata_set(root, "startTime", "float", "2.5");
    g_autofree char *value = vr_domain_metadata_get(root, "startTime");
    g_assert_cmpstr(value, ==, "2.5");
    vr_domain_metadata_set(root, "startTime", NULL, NULL);
    g_assert_null(vr_domain_metadata_get(root, "startTime"));
    g_assert_nonnull(vr_domain_metadata(root));
}

/* Where libvirt declares the name space above the element, it must be declared in it: a setter that
 * does not know the prefix takes it for a part of the names, and the machine is ours no more. */
static void test_metadata_alone(void)
{
    static const char *const domains[] = {
        "<domain xmlns:ovirt-vm='" VR_METADATA_URI "'><metadata><ovirt-vm:vm><ovirt-vm:device "
        "name='vda'/></ovirt-vm:vm></metadata></domain>",
        "<domain><metadata xmlns:ovirt-vm='" VR_METADATA_URI "'><ovirt-vm:vm><ovirt-vm:device "
        "name='vda'/></ovirt-vm:vm></metadata></domain>",
        "<domain><metadata><ovirt-vm:vm xmlns:ovirt-vm='" VR_METADATA_URI "'><ovirt-vm:device "
        "name='vda'/></ovirt-vm:vm></metadata></domain>",
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(domains); i++) {
        vr_auto_error struct vr_error *error = NULL;
        vr_auto_tree xmlDoc *doc = vr_tree_parse(domains[i], strlen(domains[i]), &error);
        g_autofree char *text = vr_domain_metadata_text(xmlDocGetRootElement(doc));
        vr_auto_tree xmlDoc *alone = vr_tree_parse(text, strlen(text), &error);
        g_assert_nonnull(alone);
        xmlNode *vm = xmlDocGetRootElement(alone);
        xmlNode *device = vr_tree_child(vm, "device");
        g_assert_cmpstr((const char *)vm->name, ==, "vm");
        g_assert_cmpstr((const char *)vm->ns->href, ==, VR_METADATA_URI);
        g_assert_nonnull(device);
        g_assert_cmpstr((const char *)device->ns->href, ==, VR_METADATA_URI);
    }
}

static void test_hash(void)
{
    g_autofree char *one = vr_domain_devices_hash("<domain><a/><devices><b/></devices></domain>");
    g_autofree char *same = vr_domain_devices_hash("<domain><c/><devices><b/></devices></domain>");
    g_autofree char *other = vr_domain_devices_hash("<domain><a/><devices><d/></devices></domain>");
    g_autofree char *none = vr_domain_devices_hash("<domain/>");
    g_assert_cmpstr(one, ==, same);
    g_assert_cmpstr(one, !=, other);
    g_assert_cmpstr(none, ==, "0");
}

static void test_exit_reasons(void)
{
    static const struct {
        const char *what;
        struct vr_ended ended;
        enum vr_exit_reason reason;
        int code;
    } rows[] = {
        { "the guest shut down", { .ending = VR_ENDING_SHUTDOWN }, VR_EXIT_GUEST, 0 },
        { "we asked it to shut down",
          { .ending = VR_ENDING_SHUTDOWN, .by_shutdown = true },
          VR_EXIT_ADMIN,
          0 },
        { "we destroyed it",
          { .ending = VR_ENDING_DESTROYED, .by_destroy = true },
          VR_EXIT_ADMIN,
          0 },
        { "we destroyed it while it started",
          { .ending = VR_ENDING_DESTROYED, .by_destroy = true, .starting = true },
          VR_EXIT_DESTROYED_STARTING,
          0 },
        { "virsh destroyed it", { .ending = VR_ENDING_DESTROYED }, VR_EXIT_ADMIN, 0 },
        { "QEMU crashed", { .ending = VR_ENDING_CRASHED }, VR_EXIT_LOST_QEMU, 1 },
        { "it was saved", { .ending = VR_ENDING_SAVED }, VR_EXIT_SAVED, 0 },
        { "it migrated away", { .ending = VR_ENDING_MIGRATED }, VR_EXIT_MIGRATED, 0 },
        { "its reboot ends it",
          { .ending = VR_ENDING_DESTROYED, .by_reboot = true },
          VR_EXIT_REBOOT,
          0 },
        { "nobody knows", { .ending = VR_ENDING_UNKNOWN }, VR_EXIT_MISSING, 1 },
        { "it failed to start",
          { .ending = VR_ENDING_FAILED, .starting = true },
          VR_EXIT_START,
          1 },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        enum vr_exit_reason reason = vr_exit_reason_of(&rows[i].ended);
        g_test_message("%s", rows[i].what);
        g_assert_cmpint(reason, ==, rows[i].reason);
        g_assert_cmpint(vr_exit_code(reason), ==, rows[i].code);
        g_assert_nonnull(vr_exit_message(reason));
    }
}

static void test_log(void)
{
    static const struct {
        const char *log;
        enum vr_ending ending;
    } rows[] = {
        { "", VR_ENDING_UNKNOWN },
        { "x: shutting down, reason=crashed\n", VR_ENDING_CRASHED },
        { "x: shutting down, reason=crashed\ny: shutting down, reason=shutdown\n",
          VR_ENDING_SHUTDOWN },
        { "x: shutting down, reason=shutdown\n2026-01-01 00:00:00.000+0000: starting up libvirt\n",
          VR_ENDING_UNKNOWN },
        { "x: shutting down, reason=somehow\n", VR_ENDING_UNKNOWN },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++)
        g_assert_cmpint(vr_ending_of_log(rows[i].log), ==, rows[i].ending);
}

static void test_states(void)
{
    for (int i = VR_STATE_WAIT_FOR_LAUNCH; i <= VR_STATE_DOWN; i++)
        g_assert_cmpint(vr_state_parse(vr_state_word((enum vr_vm_state)i)), ==, i);
    g_assert_cmpint(vr_state_parse("Sideways"), ==, -1);
    g_assert_cmpint(vr_state_parse(NULL), ==, -1);
}

/* The bytes are those of pickle.dumps({"a": "bc"}, 2) but for memo instructions. */
static void test_pickle(void)
{
    static const char *const pairs[] = { "a", "bc", NULL };
    static const uint8_t want[] = { 0x80, 2, '}', '(', 'X', 1, 0, 0, 0, 'a', 'X',
                                    2,    0, 0,   0,   'b', 'c', 'u', '.', 0 };
    g_autoptr(GByteArray) blob = vr_pickle_dict(pairs);
    g_assert_cmpuint(blob->len, ==, 4096);
    g_assert_cmpmem(blob->data, sizeof(want), want, sizeof(want));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    golden_dir = getenv("VIREO_GOLDEN_DIR");
    g_assert_nonnull(golden_dir);
    g_test_add_func("/domain/XML of a Manager is made fit for the host", test_golden);
    g_test_add_func("/domain/XML that makes no sense is refused", test_refusals);
    g_test_add_func("/domain/flags of libvirt's configuration", test_qemu_conf);
    g_test_add_func("/domain/metadata is made, changed and removed", test_metadata);
    g_test_add_func("/domain/metadata stands alone", test_metadata_alone);
    g_test_add_func("/domain/the hash is that of the devices alone", test_hash);
    g_test_add_func("/domain/every end has its reason", test_exit_reasons);
    g_test_add_func("/domain/the last line of QEMU's log tells the end", test_log);
    g_test_add_func("/domain/states have the wire's words", test_states);
    g_test_add_func("/domain/the saved configuration is a pickle", test_pickle);
    return g_test_run();
}
