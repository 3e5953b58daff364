/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "domain"
#include "agent/domain/vm.h"

#include <errno.h>
#include <glib/gstdio.h>

/*
 * One file a machine, STATE/vms/<id>: what must be known of a machine that
 * libvirt forgot.  Written whole and renamed, so that a reader sees the old or
 * the new one.
 */
#define RECORD_GROUP "vm"
#define RECORD_MAX MiB(8)

static char *path_of(struct vr_domains *domains, const char *id)
{
    return g_build_filename(domains->record_dir, id, NULL);
}

static void set_text(GKeyFile *file, const char *key, const char *value)
{
    if (value)
        g_key_file_set_string(file, RECORD_GROUP, key, value);
}

static char *text_of(const struct vr_vm *vm)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    set_text(file, "name", vm->name);
    set_text(file, "state", vr_state_word(vm->state));
    g_key_file_set_uint64(file, RECORD_GROUP, "changed", vm->changed);
    g_key_file_set_int64(file, RECORD_GROUP, "started", vm->started);
    g_key_file_set_int64(file, RECORD_GROUP, "log-start", vm->log_start);
    set_text(file, "time-offset", vm->time_offset);
    set_text(file, "xml", vm->xml_record);
    g_key_file_set_boolean(file, RECORD_GROUP, "shutdown-asked", vm->shutdown_asked);
    g_key_file_set_boolean(file, RECORD_GROUP, "destroy-asked", vm->destroy_asked);
    set_text(file, "leave", vr_leave_word(vm->leave));
    g_key_file_set_integer(file, RECORD_GROUP, "leave-delay", (int)vm->leave_delay);
    if (vm->state == VR_STATE_DOWN) {
        g_key_file_set_integer(file, RECORD_GROUP, "exit-code", vm->exit_code);
        g_key_file_set_integer(file, RECORD_GROUP, "exit-reason", (int)vm->exit_reason);
        set_text(file, "exit-message", vm->exit_message);
    }
    return g_key_file_to_data(file, NULL, NULL);
}

void vr_record_write(struct vr_domains *domains, struct vr_vm *vm)
{
    g_autoptr(GError) failure = NULL;
    g_autofree char *path = path_of(domains, vm->id);
    vr_mutex_lock(&domains->records);
    /* The text is made here, so that who writes last writes the newest. */
    vr_mutex_lock(&domains->lock);
    bool known = g_hash_table_lookup(domains->vms, vm->id) == vm;
    g_autofree char *text = known ? text_of(vm) : NULL;
    vr_mutex_unlock(&domains->lock);
    if (text && !g_file_set_contents(path, text, -1, &failure))
        vr_log_error("Cannot write the record of VM %s: %s", vm->id, failure->message);
    vr_mutex_unlock(&domains->records);
}

void vr_record_forget(struct vr_domains *domains, struct vr_vm *vm)
{
    g_autofree char *path = path_of(domains, vm->id);
    vr_mutex_lock(&domains->records);
    vr_mutex_lock(&domains->lock);
    bool known = g_hash_table_lookup(domains->vms, vm->id) == vm;
    if (known)
        g_hash_table_remove(domains->vms, vm->id);
    vr_mutex_unlock(&domains->lock);
    if (known && g_unlink(path) < 0 && errno != ENOENT)
        vr_log_error("Cannot remove the record of VM %s: %s", vm->id, g_strerror(errno));
    vr_mutex_unlock(&domains->records);
}

static struct vr_vm *read_record(const char *path, const char *id)
{
    GStatBuf st;
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autoptr(GError) failure = NULL;
    if (g_stat(path, &st) < 0 || (uint64_t)st.st_size > RECORD_MAX ||
        !g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, &failure)) {
        vr_log_warning("The record of VM %s cannot be read; it is dropped.", id);
        return NULL;
    }
    struct vr_vm *vm = vr_vm_new(id);
    g_autofree char *state = g_key_file_get_string(file, RECORD_GROUP, "state", NULL);
    int known = vr_state_parse(state);
    vm->state = known < 0 ? VR_STATE_UP : (enum vr_vm_state)known;
    vm->name = g_key_file_get_string(file, RECORD_GROUP, "name", NULL);
    vm->started = g_key_file_get_int64(file, RECORD_GROUP, "started", NULL);
    vm->log_start = g_key_file_get_int64(file, RECORD_GROUP, "log-start", NULL);
    vm->shutdown_asked = g_key_file_get_boolean(file, RECORD_GROUP, "shutdown-asked", NULL);
    vm->destroy_asked = g_key_file_get_boolean(file, RECORD_GROUP, "destroy-asked", NULL);
    g_autofree char *leave = g_key_file_get_string(file, RECORD_GROUP, "leave", NULL);
    vm->leave = vr_leave_parse(leave);
    vm->leave_delay =
        (unsigned)MAX(0, g_key_file_get_integer(file, RECORD_GROUP, "leave-delay", NULL));
    /* After the host's boot the clock is younger than the record. */
    vm->changed =
        MIN(g_key_file_get_uint64(file, RECORD_GROUP, "changed", NULL), vr_domain_clock());
    char *offset = g_key_file_get_string(file, RECORD_GROUP, "time-offset", NULL);
    if (offset) {
        g_free(vm->time_offset);
        vm->time_offset = offset;
    }
    vm->xml_record = g_key_file_get_string(file, RECORD_GROUP, "xml", NULL);
    if (vm->state == VR_STATE_DOWN) {
        int reason = g_key_file_get_integer(file, RECORD_GROUP, "exit-reason", NULL);
        vm->exit_reason =
            reason >= 0 && reason < VR_EXIT_COUNT ? (enum vr_exit_reason)reason : VR_EXIT_GENERIC;
        vm->exit_code = g_key_file_get_integer(file, RECORD_GROUP, "exit-code", NULL);
        vm->exit_message = g_key_file_get_string(file, RECORD_GROUP, "exit-message", NULL);
        if (!vm->exit_message)
            vm->exit_message = g_strdup(vr_exit_message(vm->exit_reason));
    }
    return vm;
}

void vr_record_load(struct vr_domains *domains)
{
    g_autoptr(GDir) dir = g_dir_open(domains->record_dir, 0, NULL);
    const char *id;
    while (dir && (id = g_dir_read_name(dir))) {
        g_autofree char *path = path_of(domains, id);
        if (!vr_uuid_valid(id)) {
            g_unlink(path); /* what a killed write left */
            continue;
        }
        struct vr_vm *vm = read_record(path, id);
        if (!vm) {
            g_unlink(path);
            continue;
        }
        vr_mutex_lock(&domains->lock);
        g_hash_table_insert(domains->vms, vm->id, vm);
        vr_mutex_unlock(&domains->lock);
    }
}
