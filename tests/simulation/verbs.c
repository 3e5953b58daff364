/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/codec.h"
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

/* What a host of this kind says of itself, from JSON as it would be on the wire. */
static void from_json(struct sim_answer *answer, const struct vr_type *type, const char *json)
{
    vr_auto_error struct vr_error *error = NULL;
    answer->result =
        vr_json_read(type, json, strlen(json), VR_JSON_HOST, &vr_codec_caps_host, &error);
    if (!answer->result)
        g_error("%s: %s", json, error->detail);
}

static void get_capabilities(struct sim_host *host, const void *params, struct sim_answer *answer)
{
    g_autofree char *json = g_strdup_printf(
        "{\"cpuCores\": \"16\", \"cpuThreads\": \"32\", \"cpuSockets\": \"2\","
        " \"memSize\": \"65536\", \"reservedMem\": \"321\", \"guestOverhead\": \"65\","
        " \"kvmEnabled\": \"true\", \"clusterLevels\": [\"4.6\", \"4.7\"], \"uuid\": \"%s\","
        " \"emulatedMachines\": [\"pc\", \"q35\"], \"cpuFlags\": \"svm,sse4_2\"}",
        host->id);
    from_json(answer, &vr_type_rpc_vdsm_capabilities, json);
}

static void get_hardware_info(struct sim_host *host, const void *params, struct sim_answer *answer)
{
    from_json(answer, &vr_type_rpc_hardware_information,
              "{\"systemManufacturer\": \"Simulated\", \"systemProductName\": \"Host\"}");
}

static void get_stats(struct sim_host *host, const void *params, struct sim_answer *answer)
{
    from_json(answer, &vr_type_rpc_host_stats,
              "{\"memFree\": 60000, \"memAvailable\": 60000, \"memCommitted\": 0,"
              " \"swapFree\": 1000, \"swapTotal\": 1000, \"cpuIdle\": \"97.00\"}");
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

static void get_all_vm_stats(struct sim_host *host, const void *params, struct sim_answer *answer)
{
    struct vr_rpc_host_get_all_vm_stats_result *list = VR_NEW(rpc_host_get_all_vm_stats_result);
    g_autoptr(GList) ids = g_list_sort(g_hash_table_get_keys(host->guests), compare_ids);
    int64_t now = sim_now(host->sim);
    list->has.value = true;
    for (GList *id = ids; id; id = id->next) {
        const struct sim_guest *guest = g_hash_table_lookup(host->guests, id->data);
        bool down = guest->down_at && guest->down_at <= now;
        struct vr_rpc_vm_stats *stats = VR_NEW(rpc_vm_stats);
        VR_SET_STRING(stats, vm_id, guest->id);
        VR_SET(stats, status, down ? VR_RPC_VM_STATUS_DOWN : VR_RPC_VM_STATUS_UP);
        VR_TAKE_STRING(stats, status_time, g_strdup_printf("%" G_GINT64_FORMAT, now));
        VR_TAKE_STRING(stats, elapsed_time,
                       g_strdup_printf("%" G_GINT64_FORMAT, (now - guest->since) / 1000));
        if (down) {
            VR_SET(stats, exit_code, 0);
            VR_SET(stats, exit_reason, 7); /* the guest itself */
            VR_SET_STRING(stats, exit_message, "User shut down from within the guest");
        }
        vr_list_append(&list->value, stats);
    }
    answer->result = list;
}

/* The guest does as it is told, a little later. */
static void vm_shutdown(struct sim_host *host, const void *arg, struct sim_answer *answer)
{
    const struct vr_rpc_vm_shutdown_params *params = arg;
    struct sim_guest *guest = g_hash_table_lookup(host->guests, params->vm_id);
    if (!guest)
        fault(answer, NO_SUCH_VM, "Virtual machine does not exist");
    else if (!guest->down_at)
        guest->down_at = sim_now(host->sim) + 2000;
}

const struct sim_verb sim_verbs[] = {
    { &vr_verb_host_get_all_vm_stats, get_all_vm_stats },
    { &vr_verb_host_get_capabilities, get_capabilities },
    { &vr_verb_host_get_hardware_info, get_hardware_info },
    { &vr_verb_host_get_stats, get_stats },
    { &vr_verb_vm_shutdown, vm_shutdown },
    { &vr_verb_host_ping2, ping2 },
    { &vr_verb_host_get_vm_list, get_vm_list },
    { &vr_verb_vm_create, vm_create },
    { &vr_verb_vm_destroy, vm_destroy },
    { NULL, NULL },
};
