/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "domain"
#include "agent/domain/vm.h"

#include <libvirt/libvirt-qemu.h>
#include <stdlib.h>

/* libvirtd that answers nothing for KEEP_INTERVAL x KEEP_COUNT seconds counts as gone. */
#define KEEP_INTERVAL 5
#define KEEP_COUNT 6
#define RETRY_MS 1000
#define TICK_MS 500

void vr_connection_error(struct vr_error **error, const struct vr_fault *fault)
{
    const virError *last = virGetLastError();
    vr_error_set(error, fault, "%s", last && last->message ? last->message : "unknown error");
}

/* libvirt would print every error to stderr; who sees one here returns or logs it. */
static void ignore_error(void *arg, virErrorPtr error)
{
}

virConnectPtr vr_connection_get(struct vr_domains *domains, struct vr_error **error)
{
    virConnectPtr conn = NULL;
    vr_mutex_lock(&domains->lock);
    if (domains->conn && !domains->lost && virConnectRef(domains->conn) == 0)
        conn = domains->conn;
    vr_mutex_unlock(&domains->lock);
    if (!conn)
        vr_agent_error(error, general, "libvirt is not connected.");
    return conn;
}

virDomainPtr vr_connection_domain(struct vr_domains *domains, const char *id,
                                  struct vr_error **error)
{
    vr_auto_conn virConnectPtr conn = vr_connection_get(domains, error);
    if (!conn)
        return NULL;
    virDomainPtr dom = virDomainLookupByUUIDString(conn, id);
    if (!dom)
        vr_connection_error(error, &vr_agent_fault_vm_not_running);
    return dom;
}

static void on_close(virConnectPtr conn, int reason, void *arg)
{
    struct vr_domains *domains = arg;
    vr_mutex_lock(&domains->lock);
    domains->lost = true;
    g_cond_broadcast(&domains->changed);
    vr_mutex_unlock(&domains->lock);
}

static void learn_domain_capabilities(struct vr_domain_capabilities *capabilities,
                                      virConnectPtr conn, bool tcg)
{
    vr_auto_error struct vr_error *error = NULL;
    char *xml =
        virConnectGetDomainCapabilities(conn, NULL, "x86_64", NULL, tcg ? "qemu" : "kvm", 0);
    vr_auto_tree xmlDoc *doc = xml ? vr_tree_parse(xml, strlen(xml), &error) : NULL;
    free(xml);
    if (!doc)
        return;
    xmlNode *root = xmlDocGetRootElement(doc);
    g_autoptr(GPtrArray) models = g_ptr_array_new();
    VR_TREE_EACH (mode, vr_tree_child(root, "cpu"), "mode") {
        if (vr_tree_attr_is(mode, "name", "host-model"))
            capabilities->cpu_model = vr_tree_value(mode, "model");
        if (!vr_tree_attr_is(mode, "name", "custom"))
            continue;
        VR_TREE_EACH (model, mode, "model")
            if (!vr_tree_attr_is(model, "usable", "no"))
                g_ptr_array_add(models, vr_tree_content(model));
    }
    g_ptr_array_add(models, NULL);
    capabilities->cpu_models = (char **)g_ptr_array_steal(models, NULL);
    static const struct {
        const char *device, *name, *word;
        size_t offset;
    } rows[] = {
        { "graphics", "type", "spice", offsetof(struct vr_domain_capabilities, spice) },
        { "video", "modelType", "qxl", offsetof(struct vr_domain_capabilities, qxl) },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++)
        VR_TREE_EACH (list, vr_tree_child(vr_tree_child(root, "devices"), rows[i].device), "enum") {
            if (!vr_tree_attr_is(list, "name", rows[i].name))
                continue;
            VR_TREE_EACH (value, list, "value") {
                g_autofree char *word = vr_tree_content(value);
                if (!g_strcmp0(word, rows[i].word))
                    *(bool *)((char *)capabilities + rows[i].offset) = true;
            }
        }
}

static void learn_machines(struct vr_domain_capabilities *capabilities, virConnectPtr conn)
{
    vr_auto_error struct vr_error *error = NULL;
    char *xml = virConnectGetCapabilities(conn);
    vr_auto_tree xmlDoc *doc = xml ? vr_tree_parse(xml, strlen(xml), &error) : NULL;
    free(xml);
    if (!doc)
        return;
    g_autoptr(GPtrArray) machines = g_ptr_array_new();
    VR_TREE_EACH (guest, xmlDocGetRootElement(doc), "guest") {
        xmlNode *arch = vr_tree_child(guest, "arch");
        if (!vr_tree_attr_is(arch, "name", "x86_64"))
            continue;
        VR_TREE_EACH (machine, arch, "machine")
            g_ptr_array_add(machines, vr_tree_content(machine));
    }
    g_ptr_array_add(machines, NULL);
    capabilities->machines = (char **)g_ptr_array_steal(machines, NULL);
}

/* libvirt does not tell whether consoles are encrypted, so its own configuration is read. */
static void learn_encryption(struct vr_domain_capabilities *capabilities,
                             const struct vr_agent_config *config)
{
    g_autofree char *text = NULL;
    if (!config->qemu_conf || !g_file_get_contents(config->qemu_conf, &text, NULL, NULL))
        return;
    capabilities->vnc_tls = vr_qemu_conf_flag(text, "vnc_tls");
    capabilities->spice_tls = vr_qemu_conf_flag(text, "spice_tls");
}

static char *version_text(unsigned long version)
{
    return g_strdup_printf("%lu.%lu.%lu", version / 1000000, version / 1000 % 1000, version % 1000);
}

static void learn_capabilities(struct vr_domains *domains, virConnectPtr conn)
{
    struct vr_domain_capabilities *capabilities = g_new0(struct vr_domain_capabilities, 1);
    unsigned long version;
    if (virConnectGetLibVersion(conn, &version) == 0)
        capabilities->libvirt_version = version_text(version);
    if (virConnectGetVersion(conn, &version) == 0)
        capabilities->qemu_version = version_text(version);
    learn_machines(capabilities, conn);
    learn_domain_capabilities(capabilities, conn, domains->config->accel == VR_ACCEL_TCG);
    learn_encryption(capabilities, domains->config);
    vr_mutex_lock(&domains->lock);
    vr_domain_capabilities_free(domains->capabilities);
    domains->capabilities = capabilities;
    vr_mutex_unlock(&domains->lock);
}

static bool has_filter(virConnectPtr conn, const char *name)
{
    virNWFilterPtr filter = virNWFilterLookupByName(conn, name);
    if (filter)
        virNWFilterFree(filter);
    return filter != NULL;
}

/* The filter that Managers name on interfaces: a guest can neither take another's MAC address nor
 * answer for it.  Made of libvirt's own filters; where those are not installed, an empty one stands
 * in, so that guests start, and the log says what is missing. */
#define FILTER "vdsm-no-mac-spoofing"
static void define_filter(virConnectPtr conn)
{
    bool parts = has_filter(conn, "no-mac-spoofing") && has_filter(conn, "no-arp-mac-spoofing");
    if (!parts)
        vr_log_warning("libvirt has no filter no-mac-spoofing (package "
                       "libvirt-daemon-config-nwfilter): guests can change their MAC address.");
    /* Under its own number it replaces what an earlier start has defined; under another it is refused. */
    char uuid[VIR_UUID_STRING_BUFLEN] = "";
    virNWFilterPtr old = virNWFilterLookupByName(conn, FILTER);
    if (old)
        virNWFilterGetUUIDString(old, uuid);
    g_autofree char *xml =
        g_strdup_printf("<filter name='" FILTER "' chain='root'>%s%s%s%s</filter>",
                        old ? "<uuid>" : "", uuid, old ? "</uuid>" : "",
                        parts ? "<filterref filter='no-mac-spoofing'/>"
                                "<filterref filter='no-arp-mac-spoofing'/>"
                              : "");
    virNWFilterPtr filter = virNWFilterDefineXML(conn, xml);
    if (filter)
        virNWFilterFree(filter);
    else
        vr_log_warning("The network filter " FILTER " cannot be defined here.");
    if (old)
        virNWFilterFree(old);
}

/* One connection's life: until it is lost or we stop. */
static void serve_connection(struct vr_domains *domains, virConnectPtr conn)
{
    learn_capabilities(domains, conn);
    define_filter(conn);
    if (!vr_event_register(domains, conn)) {
        vr_auto_error struct vr_error *error = NULL;
        vr_connection_error(&error, &vr_agent_fault_general);
        g_autofree char *text = vr_error_text(error);
        vr_log_error("libvirt does not report events: %s", text);
        return;
    }
    vr_mutex_lock(&domains->lock);
    domains->conn = conn;
    domains->lost = false;
    vr_mutex_unlock(&domains->lock);

    bool recovered = vr_recover(domains, conn);
    vr_mutex_lock(&domains->lock);
    if (recovered && !domains->ready) {
        domains->ready = true;
        g_cond_broadcast(&domains->changed);
        vr_log_info("%u virtual machines are known.", g_hash_table_size(domains->vms));
    }
    while (recovered && !domains->lost && !domains->stopping) {
        gint64 until = g_get_monotonic_time() + TICK_MS * 1000;
        g_cond_wait_until(&domains->changed, &domains->lock.mutex, until);
        vr_mutex_unlock(&domains->lock);
        vr_stop_tick(domains);
        vr_guest_tick(domains);
        vr_mutex_lock(&domains->lock);
    }
    domains->conn = NULL;
    vr_mutex_unlock(&domains->lock);
    virConnectUnregisterCloseCallback(conn, on_close);
}

static gpointer supervise(gpointer data)
{
    struct vr_domains *domains = data;
    bool complained = false;
    vr_role_enter(&vr_role_worker);
    for (;;) {
        vr_mutex_lock(&domains->lock);
        bool stopping = domains->stopping;
        vr_mutex_unlock(&domains->lock);
        if (stopping)
            break;
        virConnectPtr conn = virConnectOpen(domains->config->libvirt_uri);
        if (conn) {
            vr_log_info("libvirt is connected at %s.", domains->config->libvirt_uri);
            complained = false;
            virConnectSetKeepAlive(conn, KEEP_INTERVAL, KEEP_COUNT);
            if (virConnectRegisterCloseCallback(conn, on_close, domains, NULL) < 0)
                vr_log_debug("The connection cannot tell when it closes.");
            serve_connection(domains, conn);
            virConnectClose(conn);
            vr_log_info("The connection to libvirt is closed.");
        } else if (!complained) {
            const virError *last = virGetLastError();
            vr_log_warning("libvirt cannot be reached at %s: %s", domains->config->libvirt_uri,
                           last && last->message ? last->message : "unknown error");
            complained = true;
        }
        vr_mutex_lock(&domains->lock);
        gint64 until = g_get_monotonic_time() + RETRY_MS * 1000;
        while (!domains->stopping &&
               g_cond_wait_until(&domains->changed, &domains->lock.mutex, until)) {
        }
        vr_mutex_unlock(&domains->lock);
    }
    vr_role_leave(&vr_role_worker);
    return NULL;
}

static gpointer sample(gpointer data)
{
    struct vr_domains *domains = data;
    vr_role_enter(&vr_role_worker);
    vr_mutex_lock(&domains->lock);
    while (!domains->stopping) {
        gint64 until = g_get_monotonic_time() + VR_SAMPLE_MS * 1000;
        while (!domains->stopping &&
               g_cond_wait_until(&domains->changed, &domains->lock.mutex, until)) {
        }
        if (domains->stopping)
            break;
        bool idle = g_hash_table_size(domains->vms) == 0;
        vr_mutex_unlock(&domains->lock);
        vr_auto_error struct vr_error *error = NULL;
        vr_auto_conn virConnectPtr conn = idle ? NULL : vr_connection_get(domains, &error);
        if (conn)
            vr_sample_all(domains, conn);
        vr_mutex_lock(&domains->lock);
    }
    vr_mutex_unlock(&domains->lock);
    vr_role_leave(&vr_role_worker);
    return NULL;
}

static void on_wake(int timer, void *arg)
{
}

static gpointer run_events(gpointer data)
{
    struct vr_domains *domains = data;
    vr_role_enter(&vr_role_io);
    while (!g_atomic_int_get(&domains->ending))
        if (virEventRunDefaultImpl() < 0)
            g_usleep(10 * 1000);
    vr_role_leave(&vr_role_io);
    return NULL;
}

bool vr_connection_start(struct vr_domains *domains, struct vr_error **error)
{
    static gsize once;
    if (g_once_init_enter(&once)) {
        bool good = virInitialize() == 0 && virEventRegisterDefaultImpl() == 0;
        virSetErrorFunc(NULL, ignore_error);
        g_once_init_leave(&once, good ? 1 : 2);
    }
    if (once != 1) {
        vr_agent_error(error, general, "libvirt's library cannot be used.");
        return false;
    }
    domains->wake_timer = virEventAddTimeout(-1, on_wake, NULL, NULL);
    domains->events = g_thread_new("libvirt-events", run_events, domains);
    domains->supervisor = g_thread_new("libvirt", supervise, domains);
    domains->sampler = g_thread_new("vm-sampler", sample, domains);
    return true;
}

void vr_connection_stop(struct vr_domains *domains)
{
    vr_mutex_lock(&domains->lock);
    domains->stopping = true;
    g_cond_broadcast(&domains->changed);
    vr_mutex_unlock(&domains->lock);
    g_thread_join(domains->supervisor);
    g_thread_join(domains->sampler);
    g_atomic_int_set(&domains->ending, 1);
    virEventUpdateTimeout(domains->wake_timer, 0);
    g_thread_join(domains->events);
    virEventRemoveTimeout(domains->wake_timer);
}
