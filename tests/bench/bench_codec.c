/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The walkers over what a Manager handles most: virtual machines of the REST
 * interface, with the links and actions that a client gets, and statistics
 * of hosts.  Prints lines `what | budget | measured` (docs/architecture.md).
 */

#include "codec/codec.h"
#include "model/api.h"
#include "model/host.h"

#include <stdio.h>
#include <time.h>

enum { VMS = 1000 };

static unsigned rounds = 100;

#define VM_ID "0f1f7a52-5a6e-4b0b-9a55-2f0c5c3f5d11"

static const char vm_text[] =
    "<vm id=\"" VM_ID "\"><name>web1</name><description>the first of many</description>"
    "<comment></comment>"
    "<bios><boot_menu><enabled>false</enabled></boot_menu><type>q35_sea_bios</type></bios>"
    "<cpu><architecture>x86_64</architecture>"
    "<topology><cores>2</cores><sockets>1</sockets><threads>1</threads></topology></cpu>"
    "<cpu_shares>0</cpu_shares><creation_time>2024-05-01T12:34:56.789Z</creation_time>"
    "<delete_protected>false</delete_protected>"
    "<display><address>192.0.2.11</address><allow_override>false</allow_override>"
    "<copy_paste_enabled>true</copy_paste_enabled><disconnect_action>LOCK_SCREEN"
    "</disconnect_action><file_transfer_enabled>true</file_transfer_enabled><monitors>1</monitors>"
    "<port>5900</port><single_qxl_pci>false</single_qxl_pci>"
    "<smartcard_enabled>false</smartcard_enabled><type>vnc</type></display>"
    "<high_availability><enabled>false</enabled><priority>0</priority></high_availability>"
    "<io><threads>1</threads></io><memory>2147483648</memory>"
    "<memory_policy><ballooning>true</ballooning><guaranteed>1073741824</guaranteed>"
    "<max>8589934592</max></memory_policy>"
    "<migration><auto_converge>inherit</auto_converge><compressed>inherit</compressed>"
    "<encrypted>inherit</encrypted></migration><migration_downtime>-1</migration_downtime>"
    "<multi_queues_enabled>true</multi_queues_enabled><origin>ovirt</origin>"
    "<os><boot><devices><device>hd</device></devices></boot><type>other_linux</type></os>"
    "<placement_policy><affinity>migratable</affinity></placement_policy>"
    "<sso><methods><method id=\"guest_agent\"/></methods></sso>"
    "<start_paused>false</start_paused><stateless>false</stateless>"
    "<time_zone><name>Etc/GMT</name></time_zone><type>server</type>"
    "<usb><enabled>false</enabled></usb>"
    "<cluster id=\"58cfb470-03b9-01d0-03b9-0000000001e7\"/>"
    "<cpu_profile id=\"58cfb470-03b9-01d0-03b9-0000000001e8\"/>"
    "<fqdn>web1.example.com</fqdn><has_illegal_images>false</has_illegal_images>"
    "<next_run_configuration_exists>false</next_run_configuration_exists>"
    "<run_once>false</run_once><start_time>2024-05-01T12:34:57.001Z</start_time>"
    "<status>up</status><stop_time>2024-05-01T12:34:57.001Z</stop_time>"
    "<host id=\"2f7b6d0e-3a5b-4a5e-9d2e-5b1d0a44c001\"/>"
    "<original_template id=\"00000000-0000-0000-0000-000000000000\"/>"
    "<template id=\"00000000-0000-0000-0000-000000000000\"/></vm>";

/* What a host says of one machine every few seconds, as it comes. */
static const char stats_text[] =
    "{\"vmId\":\"" VM_ID "\",\"vmName\":\"web1\",\"status\":\"Up\",\"statusTime\":\"4296431250\","
    "\"hash\":\"-2271512482318232\",\"cpuUser\":\"3.07\",\"cpuSys\":\"1.20\","
    "\"cpuUsage\":\"8123000000000\",\"elapsedTime\":\"86400\",\"timeOffset\":\"0\","
    "\"monitorResponse\":\"0\",\"pauseCode\":\"NOERR\",\"migrationProgress\":0,"
    "\"vcpuCount\":\"2\",\"vcpuQuota\":\"-1\",\"vcpuPeriod\":100000,\"clientIp\":\"\","
    "\"kvmEnable\":\"true\",\"acpiEnable\":\"true\",\"vmType\":\"kvm\",\"memUsage\":\"41\","
    "\"network\":{\"vnet0\":{\"macAddr\":\"56:6f:1a:2b:00:01\",\"name\":\"vnet0\","
    "\"speed\":\"1000\",\"state\":\"unknown\",\"rx\":\"123456789\",\"tx\":\"987654321\","
    "\"rxErrors\":\"0\",\"txErrors\":\"0\",\"rxDropped\":\"0\",\"txDropped\":\"0\","
    "\"sampleTime\":4296431.25}},"
    "\"disks\":{\"vda\":{\"truesize\":\"2147483648\",\"apparentsize\":\"10737418240\","
    "\"readRate\":\"0.0\",\"writeRate\":\"4096.5\",\"readLatency\":\"0\",\"writeLatency\":\"0\","
    "\"flushLatency\":\"0\",\"readOps\":\"1234\",\"writeOps\":\"4321\",\"readBytes\":\"123456\","
    "\"writtenBytes\":\"654321\",\"imageID\":\"7c0b1c3e-1111-4a5e-9d2e-5b1d0a44c001\"}},"
    "\"balloonInfo\":{\"balloon_max\":\"2097152\",\"balloon_min\":\"1048576\","
    "\"balloon_cur\":\"2097152\",\"balloon_target\":\"2097152\",\"ballooning_enabled\":true},"
    "\"displayInfo\":[{\"type\":\"vnc\",\"port\":\"5900\",\"tlsPort\":\"-1\","
    "\"ipAddress\":\"192.0.2.11\"}],\"vmJobs\":{},\"guestIPs\":\"192.0.2.50\","
    "\"guestFQDN\":\"web1.example.com\",\"username\":\"None\",\"session\":\"Unknown\","
    "\"appsList\":[\"kernel-5.14\",\"qemu-guest-agent-7.2\"],\"guestCPUCount\":2}";

static char *href_of(const void *object, const void *parent, void *arg)
{
    const struct vr_type *type = ((const struct vr_object *)object)->type;
    return g_strconcat("/ovirt-engine/api/", type->plural, "/", vr_id(object), NULL);
}

/* As many links and actions as the API lists for a virtual machine. */
static void links_of(const void *object,
                     void (*emit)(bool action, const char *rel, const char *href, void *emit_arg),
                     void *emit_arg, void *arg)
{
    static const char *const rels[] = {
        "affinitylabels",
        "applications",
        "backups",
        "cdroms",
        "checkpoints",
        "diskattachments",
        "graphicsconsoles",
        "hostdevices",
        "katelloerrata",
        "mediateddevices",
        "nics",
        "numanodes",
        "permissions",
        "reporteddevices",
        "sessions",
        "snapshots",
        "statistics",
        "tags",
        "watchdogs",
        "cancelmigration",
        "clone",
        "commitsnapshot",
        "detach",
        "export",
        "freezefilesystems",
        "logon",
        "maintenance",
        "migrate",
        "previewsnapshot",
        "reboot",
        "reordermacaddresses",
        "reset",
        "screenshot",
        "shutdown",
        "start",
        "stop",
        "suspend",
        "thawfilesystems",
        "ticket",
        "undosnapshot",
    };
    char href[128];
    size_t base =
        (size_t)g_snprintf(href, sizeof(href), "/ovirt-engine/api/vms/%s/", vr_id(object));
    for (unsigned i = 0; i < G_N_ELEMENTS(rels); i++) {
        g_strlcpy(href + base, rels[i], sizeof(href) - base);
        emit(i >= 19, rels[i], href, emit_arg);
    }
}

static const struct vr_codec_hooks hooks = { .href = href_of, .links = links_of };

static void *must(void *object, struct vr_error *error)
{
    if (!object)
        g_error("%s", error->detail);
    return object;
}

static void *vms[VMS];
static GString *out;

static void write_xml(void)
{
    g_string_assign(out, vr_xml_prolog);
    vr_xml_write_collection(out, &vr_type_vm, vms, VMS, &hooks);
}

static void write_json(void)
{
    g_string_truncate(out, 0);
    vr_json_write_collection(out, &vr_type_vm, vms, VMS, &hooks);
}

static void write_store(void)
{
    g_string_truncate(out, 0);
    for (unsigned i = 0; i < VMS; i++)
        vr_json_write(out, vms[i], VR_JSON_STORE, NULL);
}

static void copy_and_free(void)
{
    for (unsigned i = 0; i < VMS; i++)
        vr_unref(vr_copy(vms[i]));
}

static void compare(void)
{
    for (unsigned i = 1; i < VMS; i++)
        vr_equal(vms[0], vms[i]);
}

static void read_xml(void)
{
    struct vr_error *error = NULL;
    for (unsigned i = 0; i < VMS; i++)
        vr_unref(must(vr_xml_read(&vr_type_vm, NULL, vm_text, sizeof(vm_text) - 1,
                                  &vr_codec_caps_api, &error),
                      error));
}

static char *json_text;

static void read_json(void)
{
    struct vr_error *error = NULL;
    for (unsigned i = 0; i < VMS; i++)
        vr_unref(must(vr_json_read(&vr_type_vm, json_text, strlen(json_text), VR_JSON_API,
                                   &vr_codec_caps_api, &error),
                      error));
}

static void read_stats(void)
{
    struct vr_error *error = NULL;
    for (unsigned i = 0; i < VMS; i++)
        vr_unref(must(vr_json_read(&vr_type_rpc_vm_stats, stats_text, sizeof(stats_text) - 1,
                                   VR_JSON_HOST, &vr_codec_caps_host, &error),
                      error));
}

static int64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* The best of all rounds, in ms of the processor: what the work takes when nobody disturbs it. */
static double best(void (*work)(void))
{
    int64_t least = INT64_MAX;
    for (unsigned i = 0; i < rounds; i++) {
        int64_t start = cpu_ns();
        work();
        least = MIN(least, cpu_ns() - start);
    }
    return (double)least / 1e6;
}

static const struct {
    const char *what, *budget, *unit; /* of one VM: microseconds; of all: milliseconds */
    void (*work)(void);
    bool writes;
} rows[] = {
    { "1,000 VMs to XML with links and actions", "< 15 ms", "ms", write_xml, true },
    { "1,000 VMs to JSON with links and actions", "< 15 ms", "ms", write_json, true },
    { "1,000 VMs to the store's JSON", "-", "ms", write_store, true },
    { "1,000 VMs copied and freed", "-", "ms", copy_and_free },
    { "1,000 VMs compared, all equal", "-", "ms", compare },
    { "1 VM from XML", "-", "us", read_xml },
    { "1 VM from JSON", "-", "us", read_json },
    { "1 VM's statistics from a host", "< 30 us", "us", read_stats },
};

/* bench_codec [PART]: only the rows whose name has that in it, for a profiler. */
int main(int argc, char **argv)
{
    struct vr_error *error = NULL;
    if (argc > 1 && strcmp(argv[1], "--smoke") == 0) { /* the same, once */
        rounds = 1;
        argc = 1;
    }
    for (unsigned i = 0; i < VMS; i++)
        vms[i] = must(vr_xml_read(&vr_type_vm, NULL, vm_text, sizeof(vm_text) - 1,
                                  &vr_codec_caps_api, &error),
                      error);
    out = g_string_new(NULL);
    vr_json_write(out, vms[0], VR_JSON_API, NULL);
    json_text = g_strdup(out->str);
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (argc > 1 && !strstr(rows[i].what, argv[1]))
            continue;
        double took = best(rows[i].work);
        g_autofree char *size =
            rows[i].writes ? g_strdup_printf(" (%.1f MB)", (double)out->len / 1e6) : g_strdup("");
        printf("%s%s | %s | %.2f %s\n", rows[i].what, size, rows[i].budget, took, rows[i].unit);
    }
    for (unsigned i = 0; i < VMS; i++)
        vr_unref(vms[i]);
    g_free(json_text);
    g_string_free(out, true);
    return 0;
}
