/* SPDX-License-Identifier: Apache-2.0 */
#include "sim.h"

/*
 * What simulated hosts answer.  A verb more is a function of a few lines and
 * a row at the end.  Codes: facts/host-rpc.md 5.
 */

#define NO_SUCH_VM 1
#define VM_EXISTS 4

static void fault(struct sim_answer *answer, int code, const char *message)
{
    *answer = (struct sim_answer){ NULL, code, message };
}

static void ping2(struct sim_host *host, const void *params, struct sim_answer *answer)
{
}

static void vm_create(struct sim_host *host, const void *arg, struct sim_answer *answer)
{
    const struct vr_rpc_vm_create_params *params = arg;
    if (g_hash_table_contains(host->guests, params->vm_id)) {
        fault(answer, VM_EXISTS, "Virtual machine already exists");
        return;
    }
    struct sim_guest *guest = g_new0(struct sim_guest, 1);
    guest->id = g_strdup(params->vm_id);
    guest->since = sim_now(host->sim);
    g_hash_table_insert(host->guests, guest->id, guest);
    struct vr_rpc_vm_definition *definition = VR_NEW(rpc_vm_definition);
    VR_SET_STRING(definition, vm_id, params->vm_id);
    answer->result = definition;
}

static void vm_destroy(struct sim_host *host, const void *arg, struct sim_answer *answer)
{
    const struct vr_rpc_vm_destroy_params *params = arg;
    if (!g_hash_table_remove(host->guests, params->vm_id))
        fault(answer, NO_SUCH_VM, "Virtual machine does not exist");
}

static gint compare_ids(gconstpointer a, gconstpointer b)
{
    return strcmp(a, b);
}

static void get_vm_list(struct sim_host *host, const void *params, struct sim_answer *answer)
{
    struct vr_rpc_host_get_vm_list_result *list = VR_NEW(rpc_host_get_vm_list_result);
    g_autoptr(GList) ids = g_list_sort(g_hash_table_get_keys(host->guests), compare_ids);
    for (GList *id = ids; id; id = id->next) {
        struct vr_rpc_vm_info *info = VR_NEW(rpc_vm_info);
        VR_SET_STRING(info, vm_id, id->data);
        VR_APPEND(list, value, info);
    }
    answer->result = list;
}

const struct sim_verb sim_verbs[] = {
    { &vr_verb_host_ping2, ping2 },
    { &vr_verb_host_get_vm_list, get_vm_list },
    { &vr_verb_vm_create, vm_create },
    { &vr_verb_vm_destroy, vm_destroy },
    { NULL, NULL },
};
