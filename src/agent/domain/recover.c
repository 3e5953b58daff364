/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "domain"
#include "agent/domain/vm.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/*
 * After the agent's start, and after libvirt came back, the table is made to
 * agree with what runs: domains with our metadata are adopted, machines that
 * were running and are gone went down meanwhile.
 */

#define LOG_TAIL 8192

static bool is_ours(const char *xml)
{
    vr_auto_error struct vr_error *error = NULL;
    vr_auto_tree xmlDoc *doc = vr_tree_parse(xml, strlen(xml), &error);
    return doc && vr_domain_metadata(xmlDocGetRootElement(doc));
}

static const char *pause_code(int reason)
{
    return reason == VIR_DOMAIN_PAUSED_IOERROR ? "EOTHER" : "NOERR";
}

/* An earlier agent asked libvirt to save it, and libvirt has not stopped it yet.  Nothing here may
 * ask QEMU, which may hang: that would keep the whole host from coming back. */
static bool is_about_to_stop(struct vr_domains *domains, const struct vr_vm *vm, virDomainPtr dom)
{
    virDomainControlInfo info;
    vr_mutex_lock(&domains->lock);
    bool saving = vm->state == VR_STATE_SAVING;
    vr_mutex_unlock(&domains->lock);
    return saving && virDomainGetControlInfo(dom, &info, 0) == 0 &&
           info.state != VIR_DOMAIN_CONTROL_OK && info.state != VIR_DOMAIN_CONTROL_ERROR;
}

static void adopt_state(struct vr_domains *domains, struct vr_vm *vm, virDomainPtr dom)
{
    int state, reason;
    if (virDomainGetState(dom, &state, &reason, 0) < 0)
        return;
    if (state == VIR_DOMAIN_PAUSED && reason == VIR_DOMAIN_PAUSED_STARTING_UP)
        return; /* libvirt goes on with what the earlier agent asked for; its end is an event */
    if ((state == VIR_DOMAIN_PAUSED && reason == VIR_DOMAIN_PAUSED_SAVE) ||
        is_about_to_stop(domains, vm, dom)) {
        vr_event_set_saving(domains, vm);
        return;
    }
    if (state == VIR_DOMAIN_PAUSED) {
        vr_event_set_paused(domains, vm, pause_code(reason));
        return;
    }
    vr_mutex_lock(&domains->lock);
    if (vm->shutdown_asked) {
        vm->down_deadline = g_get_monotonic_time() + VR_POWERING_DOWN_MS * 1000;
        vr_vm_set_state(domains, vm, VR_STATE_POWERING_DOWN);
    }
    if (!vm->shutdown_asked && vm->state != VR_STATE_POWERING_UP)
        vr_vm_set_state(domains, vm, VR_STATE_UP);
    vr_mutex_unlock(&domains->lock);
}

static void look_at_console(struct vr_domains *domains, struct vr_vm *vm, void *arg)
{
    vr_auto_error struct vr_error *error = NULL;
    vr_auto_dom virDomainPtr dom = vr_connection_domain(domains, vm->id, &error);
    if (dom)
        vr_console_recover(domains, vm, dom);
}

/* Takes over one running domain; false when it is somebody else's. */
static bool adopt(struct vr_domains *domains, virDomainPtr dom, GHashTable *seen)
{
    char id[VIR_UUID_STRING_BUFLEN];
    char *xml = virDomainGetUUIDString(dom, id) == 0 ? virDomainGetXMLDesc(dom, 0) : NULL;
    bool ours = xml && is_ours(xml);
    if (!ours) {
        free(xml);
        return false;
    }
    g_hash_table_add(seen, g_strdup(id));
    vr_mutex_lock(&domains->lock);
    struct vr_vm *vm = g_hash_table_lookup(domains->vms, id);
    if (vm && vm->state == VR_STATE_DOWN) {
        /* The record is older than the domain: the machine was started since. */
        g_hash_table_remove(domains->vms, id);
        vm = NULL;
    }
    bool creating = vm && vm->creating;
    bool asked = vm && vm->destroy_asked;
    if (!vm) {
        vm = vr_vm_new(id);
        vm->state = VR_STATE_WAIT_FOR_LAUNCH;
        g_hash_table_insert(domains->vms, vm->id, vm);
    }
    vr_vm_ref(vm);
    vr_mutex_unlock(&domains->lock);
    if (!creating) {
        vr_vm_learn(domains, vm, xml);
        vr_mutex_lock(&domains->lock);
        g_free(vm->xml_record);
        vm->xml_record = g_strdup(xml);
        vr_mutex_unlock(&domains->lock);
        adopt_state(domains, vm, dom);
        vr_chore_push(domains, vm, look_at_console, NULL);
        vr_record_write(domains, vm);
        if (asked)
            virDomainDestroy(dom); /* the agent was killed between asking and doing */
    }
    vr_vm_unref(vm);
    free(xml);
    return true;
}

static int open_log(struct vr_domains *domains, const char *name)
{
    if (!domains->config->qemu_log_dir || !name || strchr(name, '/'))
        return -1;
    g_autofree char *path = g_strdup_printf("%s/%s.log", domains->config->qemu_log_dir, name);
    return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

int64_t vr_log_size(struct vr_domains *domains, const char *name)
{
    int fd = open_log(domains, name);
    if (fd < 0)
        return 0;
    off_t size = lseek(fd, 0, SEEK_END);
    close(fd);
    return MAX(0, size);
}

/*
 * How the machine ended, by QEMU's log, which libvirt opens with the start and
 * closes with the reason.  What was in it before this run is not about it; a
 * log that is shorter than that was begun anew.
 */
static enum vr_ending ending_by_log(struct vr_domains *domains, const char *name, int64_t start,
                                    bool starting)
{
    int fd = open_log(domains, name);
    if (fd < 0)
        return starting ? VR_ENDING_FAILED : VR_ENDING_UNKNOWN;
    g_autofree char *text = g_malloc0(LOG_TAIL + 1);
    off_t size = lseek(fd, 0, SEEK_END);
    off_t from = size < start ? 0 : start;
    ssize_t got = pread(fd, text, LOG_TAIL, MAX(from, size - LOG_TAIL));
    close(fd);
    if (got <= 0) /* nothing was written: it was never started */
        return starting ? VR_ENDING_FAILED : VR_ENDING_UNKNOWN;
    for (ssize_t i = 0; i < got; i++)
        if (!text[i])
            text[i] = ' ';
    return vr_ending_of_log(text);
}

static void end_missing(struct vr_domains *domains, GHashTable *seen)
{
    g_autoptr(GPtrArray) all = vr_vm_all(domains);
    for (unsigned i = 0; i < all->len; i++) {
        struct vr_vm *vm = all->pdata[i];
        vr_mutex_lock(&domains->lock);
        bool gone = vm->state != VR_STATE_DOWN && !vm->creating;
        bool starting = vm->state == VR_STATE_WAIT_FOR_LAUNCH || vm->state == VR_STATE_RESTORING;
        int64_t start = vm->log_start;
        g_autofree char *name = g_strdup(vm->name);
        vr_mutex_unlock(&domains->lock);
        if (gone && !g_hash_table_contains(seen, vm->id))
            vr_event_ended(domains, vm, ending_by_log(domains, name, start, starting));
    }
}

bool vr_recover(struct vr_domains *domains, virConnectPtr conn)
{
    virDomainPtr *list = NULL;
    int count = virConnectListAllDomains(conn, &list, VIR_CONNECT_LIST_DOMAINS_ACTIVE);
    if (count < 0) {
        vr_log_error("libvirt does not list its domains.");
        return false;
    }
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    unsigned adopted = 0;
    for (int i = 0; i < count; i++) {
        adopted += adopt(domains, list[i], seen);
        virDomainFree(list[i]);
    }
    free(list);
    /* A connection that broke while listing proves nothing about the missing ones. */
    if (virConnectIsAlive(conn) != 1)
        return false;
    vr_log_info("%u of %d running domains are ours.", adopted, count);
    end_missing(domains, seen);
    return true;
}
