/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/domain/vm.h"

/* What this host puts into domain XML, and the calls behind it. */
struct view {
    struct vr_domain_host host; /* first */
    struct vr_domains *domains;
    struct vr_domain_capabilities *capabilities;
    char *os_name, *os_version, *serial;
};

static char *prepare(const struct vr_domain_disk *disk, bool *block, void *arg,
                     struct vr_error **error)
{
    struct view *view = arg;
    const struct vr_domains_hooks *hooks = view->domains->hooks;
    if (!hooks->prepare) {
        vr_agent_error(error, not_implemented, "This agent has no storage.");
        return NULL;
    }
    return hooks->prepare(disk->pool, disk->domain, disk->image, disk->volume, block, hooks->arg,
                          error);
}

static char *payload(const char *vm_id, const struct vr_domain_disk *disk, bool floppy, void *arg,
                     struct vr_error **error)
{
    struct view *view = arg;
    return vr_payload_make(view->domains->payload_dir, vm_id, disk, floppy, error);
}

static char *display_address(const char *network, void *arg)
{
    struct view *view = arg;
    const struct vr_domains_hooks *hooks = view->domains->hooks;
    return hooks->display_address ? hooks->display_address(network, hooks->arg) : NULL;
}

static bool bridge(const char *name, void *arg, struct vr_error **error)
{
    struct view *view = arg;
    const struct vr_domains_hooks *hooks = view->domains->hooks;
    return !hooks->bridge || hooks->bridge(name, hooks->arg, error);
}

static char *first_line(const char *path)
{
    char *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, NULL))
        return NULL;
    text[strcspn(text, "\n")] = '\0';
    return text;
}

struct vr_domain_host *vr_host_view_new(struct vr_domains *domains)
{
    struct view *view = g_new0(struct view, 1);
    view->domains = domains;
    view->capabilities = vr_domains_capabilities(domains);
    view->os_name = g_get_os_info(G_OS_INFO_KEY_NAME);
    view->os_version = g_get_os_info(G_OS_INFO_KEY_VERSION_ID);
    view->serial = first_line("/sys/class/dmi/id/product_uuid");
    if (!view->serial && domains->config->uuid)
        view->serial = g_strdup(domains->config->uuid);
    view->host = (struct vr_domain_host){
        .tcg = domains->config->accel == VR_ACCEL_TCG,
        .spice = view->capabilities->spice,
        .spice_tls = view->capabilities->spice_tls,
        .qxl = view->capabilities->qxl,
        .machines = (const char *const *)view->capabilities->machines,
        .os_name = view->os_name,
        .os_version = view->os_version,
        .serial = view->serial,
        .serial_log_dir = domains->config->serial_log_dir,
        .console_dir = domains->config->console_dir,
        .prepare = prepare,
        .payload = payload,
        .display_address = display_address,
        .bridge = bridge,
        .arg = view,
    };
    return &view->host;
}

void vr_host_view_free(struct vr_domain_host *host)
{
    struct view *view = (struct view *)host;
    vr_domain_capabilities_free(view->capabilities);
    g_free(view->os_name);
    g_free(view->os_version);
    g_free(view->serial);
    g_free(view);
}
