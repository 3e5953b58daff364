/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "domain"
#include "agent/domain/vm.h"

#include <errno.h>
#include <glib/gstdio.h>

#define ASKERS 4
#define CHORES 4

static void run_chore(gpointer data, gpointer user)
{
    struct vr_chore *chore = data;
    chore->run(user, chore->vm, chore->arg);
    vr_vm_unref(chore->vm);
    g_free(chore);
}

void vr_chore_push(struct vr_domains *domains, struct vr_vm *vm,
                   void (*run)(struct vr_domains *, struct vr_vm *, void *), void *arg)
{
    struct vr_chore *chore = g_new0(struct vr_chore, 1);
    chore->run = run;
    chore->vm = vr_vm_ref(vm);
    chore->arg = arg;
    g_thread_pool_push(domains->chores, chore, NULL);
}

struct vr_domains *vr_domains_start(const struct vr_agent_config *config,
                                    const struct vr_domains_hooks *hooks, struct vr_error **error)
{
    struct vr_domains *domains = g_new0(struct vr_domains, 1);
    domains->config = config;
    domains->hooks = hooks;
    domains->record_dir = g_build_filename(config->state, "vms", NULL);
    domains->payload_dir = g_build_filename(config->state, "payload", NULL);
    vr_mutex_init(&domains->lock);
    vr_mutex_init(&domains->records);
    g_cond_init(&domains->changed);
    domains->vms =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)vr_vm_unref);
    domains->creators = g_thread_pool_new(vr_create_run, domains, VR_CREATE_AT_ONCE, FALSE, NULL);
    domains->askers = g_thread_pool_new(vr_guest_ask, domains, ASKERS, FALSE, NULL);
    domains->chores = g_thread_pool_new(run_chore, domains, CHORES, FALSE, NULL);

    const char *dirs[] = { domains->record_dir, domains->payload_dir, config->serial_log_dir,
                           config->console_dir };
    for (unsigned i = 0; i < G_N_ELEMENTS(dirs); i++)
        if (dirs[i] && g_mkdir_with_parents(dirs[i], i < 2 ? 0711 : 0755) < 0) {
            vr_error_set(error, &vr_fault_system, "%s: %s", dirs[i], g_strerror(errno));
            vr_domains_stop(domains);
            return NULL;
        }
    vr_record_load(domains);
    if (!vr_connection_start(domains, error)) {
        vr_domains_stop(domains);
        return NULL;
    }
    return domains;
}

void vr_domains_stop(struct vr_domains *domains)
{
    if (!domains)
        return;
    if (domains->supervisor)
        vr_connection_stop(domains);
    g_thread_pool_free(domains->creators, TRUE, TRUE);
    g_thread_pool_free(domains->askers, TRUE, TRUE);
    g_thread_pool_free(domains->chores, FALSE, TRUE);
    g_hash_table_unref(domains->vms);
    vr_domain_capabilities_free(domains->capabilities);
    vr_mutex_done(&domains->lock);
    vr_mutex_done(&domains->records);
    g_cond_clear(&domains->changed);
    g_free(domains->record_dir);
    g_free(domains->payload_dir);
    g_free(domains);
}

bool vr_domains_ready(struct vr_domains *domains)
{
    vr_mutex_lock(&domains->lock);
    bool ready = domains->ready;
    vr_mutex_unlock(&domains->lock);
    return ready;
}

bool vr_domains_wait_ready(struct vr_domains *domains, unsigned ms)
{
    gint64 until = g_get_monotonic_time() + (gint64)ms * 1000;
    vr_mutex_lock(&domains->lock);
    while (!domains->ready && g_cond_wait_until(&domains->changed, &domains->lock.mutex, until)) {
    }
    bool ready = domains->ready;
    vr_mutex_unlock(&domains->lock);
    return ready;
}

void vr_domains_count(struct vr_domains *domains, struct vr_domains_count *ret)
{
    memset(ret, 0, sizeof(*ret));
    GHashTableIter iter;
    gpointer value;
    vr_mutex_lock(&domains->lock);
    g_hash_table_iter_init(&iter, domains->vms);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const struct vr_vm *vm = value;
        ret->all++;
        ret->active += vm->state != VR_STATE_DOWN;
        ret->migrating += vm->state == VR_STATE_MIGRATION_SOURCE;
    }
    vr_mutex_unlock(&domains->lock);
}

struct vr_domain_capabilities *vr_domains_capabilities(struct vr_domains *domains)
{
    struct vr_domain_capabilities *copy = g_new0(struct vr_domain_capabilities, 1);
    vr_mutex_lock(&domains->lock);
    const struct vr_domain_capabilities *known = domains->capabilities;
    if (known) {
        *copy = *known;
        copy->machines = g_strdupv(known->machines);
        copy->cpu_models = g_strdupv(known->cpu_models);
        copy->cpu_model = g_strdup(known->cpu_model);
        copy->libvirt_version = g_strdup(known->libvirt_version);
        copy->qemu_version = g_strdup(known->qemu_version);
    }
    vr_mutex_unlock(&domains->lock);
    return copy;
}

void vr_domain_capabilities_free(struct vr_domain_capabilities *capabilities)
{
    if (!capabilities)
        return;
    g_strfreev(capabilities->machines);
    g_strfreev(capabilities->cpu_models);
    g_free(capabilities->cpu_model);
    g_free(capabilities->libvirt_version);
    g_free(capabilities->qemu_version);
    g_free(capabilities);
}

GPtrArray *vr_domain_ids(struct vr_domains *domains)
{
    g_autoptr(GPtrArray) all = vr_vm_all(domains);
    GPtrArray *ids = g_ptr_array_new_with_free_func(g_free);
    for (unsigned i = 0; i < all->len; i++)
        g_ptr_array_add(ids, g_strdup(((struct vr_vm *)all->pdata[i])->id));
    return ids;
}
