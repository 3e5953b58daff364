/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "domain"
#include "agent/domain/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/domain/pickle.h"

/* Pause, resume, reset, freeze, and saving to disk. */

bool vr_domain_pause(struct vr_domains *domains, const char *id, struct vr_error **error)
{
    vr_auto_change struct vr_change change = { 0 };
    if (!vr_change_begin(domains, id, 0, &change, error))
        return false;
    if (virDomainSuspend(change.dom) < 0) {
        vr_connection_error(error, &vr_agent_fault_vm_not_running);
        return false;
    }
    vr_event_set_paused(domains, change.vm, "NOERR");
    return true;
}

bool vr_domain_cont(struct vr_domains *domains, const char *id, struct vr_error **error)
{
    vr_auto_change struct vr_change change = { 0 };
    if (!vr_change_begin(domains, id, 0, &change, error))
        return false;
    int state, reason;
    /* Resuming a running machine is what was wanted already. */
    if (virDomainGetState(change.dom, &state, &reason, 0) == 0 && state == VIR_DOMAIN_RUNNING)
        return true;
    if (virDomainResume(change.dom) < 0) {
        vr_connection_error(error, &vr_agent_fault_unexpected);
        return false;
    }
    vr_mutex_lock(&domains->lock);
    bool changed =
        change.vm->state == VR_STATE_PAUSED && vr_vm_set_state(domains, change.vm, VR_STATE_UP);
    vr_mutex_unlock(&domains->lock);
    if (changed)
        vr_vm_announce(domains, change.vm);
    return true;
}

bool vr_domain_reset(struct vr_domains *domains, const char *id, struct vr_error **error)
{
    vr_auto_change struct vr_change change = { 0 };
    if (!vr_change_begin(domains, id, 0, &change, error))
        return false;
    if (virDomainReset(change.dom, 0) == 0)
        return true;
    vr_connection_error(error, &vr_agent_fault_reset);
    return false;
}

bool vr_domain_freeze(struct vr_domains *domains, const char *id, bool freeze,
                      struct vr_error **error)
{
    vr_auto_change struct vr_change change = { 0 };
    if (!vr_change_begin(domains, id, 0, &change, error))
        return false;
    if (freeze ? virDomainFSFreeze(change.dom, NULL, 0, 0) >= 0
               : virDomainFSThaw(change.dom, NULL, 0, 0) >= 0)
        return true;
    int code = virGetLastErrorCode();
    if (code == VIR_ERR_AGENT_UNRESPONSIVE || code == VIR_ERR_AGENT_UNSYNCED)
        vr_connection_error(error, &vr_agent_fault_no_guest_agent);
    else
        vr_connection_error(error, freeze ? &vr_agent_fault_freeze : &vr_agent_fault_thaw);
    return false;
}

bool vr_domain_set_destroy_on_reboot(struct vr_domains *domains, const char *id,
                                     struct vr_error **error)
{
    vr_auto_change struct vr_change change = { 0 };
    if (!vr_change_begin(domains, id, 0, &change, error))
        return false;
    vr_domain_metadata_set(change.root, "destroy_on_reboot", "bool", "True");
    if (!vr_change_store_metadata(&change)) {
        vr_connection_error(error, &vr_agent_fault_general);
        return false;
    }
    vr_mutex_lock(&domains->lock);
    change.vm->reboot_ends = true;
    vr_mutex_unlock(&domains->lock);
    return true;
}

/* Where a machine is saved: "sd,pool,image1,volume1,image2,volume2". */
struct saving {
    char **parts;
    char *memory, *configuration; /* paths */
    enum vr_vm_state before;
};

static void saving_free(struct saving *saving)
{
    g_strfreev(saving->parts);
    g_free(saving->memory);
    g_free(saving->configuration);
    g_free(saving);
}

static bool write_blob(const char *path, const GByteArray *blob, struct vr_error **error)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_CREAT, 0660);
    size_t done = 0;
    while (fd >= 0 && done < blob->len) {
        ssize_t wrote = pwrite(fd, blob->data + done, blob->len - done, (off_t)done);
        if (wrote < 0)
            break;
        done += (size_t)wrote;
    }
    bool good = fd >= 0 && done == blob->len && fsync(fd) == 0;
    if (!good)
        vr_error_set(error, &vr_fault_system, "%s: %s", path, g_strerror(errno));
    if (fd >= 0)
        close(fd);
    return good;
}

static bool save(struct vr_domains *domains, struct vr_vm *vm, const struct saving *saving,
                 struct vr_error **error)
{
    vr_auto_dom virDomainPtr dom = vr_connection_domain(domains, vm->id, error);
    if (!dom)
        return false;
    char *xml = virDomainGetXMLDesc(dom, VIR_DOMAIN_XML_SECURE);
    const char *const pairs[] = { "_srcDomXML", xml ? xml : "", NULL };
    g_autoptr(GByteArray) blob = vr_pickle_dict(pairs);
    free(xml);
    if (!write_blob(saving->configuration, blob, error))
        return false;
    if (virDomainSaveFlags(dom, saving->memory, NULL, 0) == 0)
        return true;
    vr_connection_error(error, &vr_agent_fault_unexpected);
    return false;
}

static void run_save(struct vr_domains *domains, struct vr_vm *vm, void *arg)
{
    struct saving *saving = arg;
    vr_auto_error struct vr_error *error = NULL;
    g_mutex_lock(&vm->op);
    bool good = save(domains, vm, saving, &error);
    g_mutex_unlock(&vm->op);
    const struct vr_domains_hooks *hooks = domains->hooks;
    if (hooks->teardown) {
        char **p = saving->parts;
        hooks->teardown(p[1], p[0], p[2], p[3], hooks->arg);
        hooks->teardown(p[1], p[0], p[4], p[5], hooks->arg);
    }
    if (good) {
        vr_vm_set_down(domains, vm, VR_EXIT_SAVED, NULL);
    } else {
        g_autofree char *text = vr_error_text(error);
        vr_log_warning("VM %s could not be saved: %s", vm->id, text);
        vr_mutex_lock(&domains->lock);
        vr_vm_set_state(domains, vm, saving->before);
        vr_mutex_unlock(&domains->lock);
        vr_vm_announce(domains, vm);
    }
    saving_free(saving);
}

bool vr_domain_hibernate(struct vr_domains *domains, const char *id, const char *handle,
                         struct vr_error **error)
{
    vr_auto_vm struct vr_vm *vm = vr_vm_find(domains, id, error);
    if (!vm)
        return false;
    const struct vr_domains_hooks *hooks = domains->hooks;
    struct saving *saving = g_new0(struct saving, 1);
    saving->parts = g_strsplit(handle ? handle : "", ",", -1);
    char **p = saving->parts;
    bool block;
    if (g_strv_length(p) != 6 || !hooks->prepare) {
        vr_agent_error(error, invalid_parameter, "hibernationVolHandle must be six identifiers.");
        saving_free(saving);
        return false;
    }
    saving->memory = hooks->prepare(p[1], p[0], p[2], p[3], &block, hooks->arg, error);
    if (saving->memory)
        saving->configuration = hooks->prepare(p[1], p[0], p[4], p[5], &block, hooks->arg, error);
    if (!saving->configuration) {
        saving_free(saving);
        return false;
    }
    vr_mutex_lock(&domains->lock);
    saving->before = vm->state == VR_STATE_PAUSED ? VR_STATE_PAUSED : VR_STATE_UP;
    bool runs = !vm->creating && (vm->state == VR_STATE_UP || vm->state == VR_STATE_PAUSED ||
                                  vm->state == VR_STATE_POWERING_UP);
    if (runs)
        vr_vm_set_state(domains, vm, VR_STATE_SAVING);
    vr_mutex_unlock(&domains->lock);
    if (!runs) {
        vr_agent_error(error, vm_not_running, "%s", vm->id);
        saving_free(saving);
        return false;
    }
    vr_record_write(domains, vm); /* libvirt goes on without us */
    vr_vm_announce(domains, vm);
    vr_chore_push(domains, vm, run_save, saving);
    return true;
}
