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

/* --- suspended machines --- */

/* What is saved fits the machine's disks only as long as nothing has run since: once. */
static bool restore(struct sim *sim, const struct vr_rpc_vm_create_params *params,
                    struct sim_answer *answer)
{
    const struct vr_rpc_drive_spec_volume *dump =
        params->vm_params ? params->vm_params->memory_dump_volume : NULL;
    if (!dump)
        return true;
    struct sim_image *image = g_hash_table_lookup(sim->images, dump->image_id);
    if (!image || !image->saved) {
        sim_broken(sim, "machine %s is to go on from memory that is not there", params->vm_id);
        fault(answer, 100, "No such memory");
        return false;
    }
    if (image->restored)
        sim_broken(sim, "the memory of machine %s is restored twice", params->vm_id);
    image->restored = true;
    return true;
}

static void vm_hibernate(struct sim_host *host, const void *arg, struct sim_answer *answer)
{
    const struct vr_rpc_vm_hibernate_params *params = arg;
    struct sim_guest *guest = g_hash_table_lookup(host->guests, params->vm_id);
    g_auto(GStrv) handle = g_strsplit(params->hibernation_vol_handle, ",", 0);
    if (!guest) {
        fault(answer, NO_SUCH_VM, "Virtual machine does not exist");
    } else if (guest->saved_at || guest->down_at || g_strv_length(handle) != 6 ||
               !g_hash_table_contains(host->sim->images, handle[2])) {
        fault(answer, 100, "It cannot be saved");
    } else if (!sim_fault(host->sim, 10)) { /* else the storage fails, and it runs on */
        guest->saved_at = sim_now(host->sim) + 1 + sim_below(host->sim, 3000);
        guest->dump = g_strdup(handle[2]);
    }
}

static bool is_saved(struct sim_host *host, const struct sim_guest *guest)
{
    if (!guest->saved_at || guest->saved_at > sim_now(host->sim))
        return false;
    struct sim_image *image = g_hash_table_lookup(host->sim->images, guest->dump);
    if (image)
        image->saved = true;
    return true;
}

static void vm_create(struct sim_host *host, const void *arg, struct sim_answer *answer)
{
    const struct vr_rpc_vm_create_params *params = arg;
    if (g_hash_table_contains(host->guests, params->vm_id)) {
        fault(answer, VM_EXISTS, "Virtual machine already exists");
        return;
    }
    if (!restore(host->sim, params, answer))
        return;
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
        " \"kvmEnabled\": \"true\", \"clusterLevels\": [\"4.6\", \"4.7\"], \"uuid\": \"%s\", \"boot_uuid\": \"%u\","
        " \"emulatedMachines\": [\"pc\", \"q35\"], \"cpuFlags\": \"svm,sse4_2\"}",
        host->id, host->boot);
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
              " \"swapFree\": 1000, \"swapTotal\": 1000, \"cpuIdle\": \"97.00\","
              " \"storageDomains\": {\"" SIM_DOMAIN "\": {\"code\": 0, \"lastCheck\": \"1.0\","
              " \"delay\": \"0.001\", \"valid\": true, \"version\": 5, \"acquired\": true,"
              " \"actual\": true}}}");
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

static struct vr_rpc_vm_stats *stats_of(struct sim_host *host, const struct sim_guest *guest)
{
    int64_t now = sim_now(host->sim);
    bool saved = is_saved(host, guest);
    bool down = saved || (guest->down_at && guest->down_at <= now);
    struct vr_rpc_vm_stats *stats = VR_NEW(rpc_vm_stats);
    VR_SET_STRING(stats, vm_id, guest->id);
    VR_SET(stats, status,
           down              ? VR_RPC_VM_STATUS_DOWN
           : guest->saved_at ? VR_RPC_VM_STATUS_SAVING_STATE
                             : VR_RPC_VM_STATUS_UP);
    VR_TAKE_STRING(stats, status_time, g_strdup_printf("%" G_GINT64_FORMAT, now));
    VR_TAKE_STRING(stats, elapsed_time,
                   g_strdup_printf("%" G_GINT64_FORMAT, (now - guest->since) / 1000));
    if (down) {
        VR_SET(stats, exit_code, 0);
        VR_SET(stats, exit_reason, saved ? 5 : 7); /* 7: the guest itself */
        VR_SET_STRING(stats, exit_message,
                      saved ? "Saved to disk" : "User shut down from within the guest");
    }
    return stats;
}

static void get_all_vm_stats(struct sim_host *host, const void *params, struct sim_answer *answer)
{
    struct vr_rpc_host_get_all_vm_stats_result *list = VR_NEW(rpc_host_get_all_vm_stats_result);
    g_autoptr(GList) ids = g_list_sort(g_hash_table_get_keys(host->guests), compare_ids);
    list->has.value = true;
    for (GList *id = ids; id; id = id->next)
        vr_list_append(&list->value, stats_of(host, g_hash_table_lookup(host->guests, id->data)));
    answer->result = list;
}

static void vm_get_stats(struct sim_host *host, const void *arg, struct sim_answer *answer)
{
    const struct vr_rpc_vm_get_stats_params *params = arg;
    const struct sim_guest *guest = g_hash_table_lookup(host->guests, params->vm_id);
    if (!guest) {
        fault(answer, NO_SUCH_VM, "Virtual machine does not exist");
        return;
    }
    struct vr_rpc_vm_get_stats_result *list = VR_NEW(rpc_vm_get_stats_result);
    VR_APPEND(list, value, stats_of(host, guest));
    answer->result = list;
}

/* The guest does as it is told, a little later. */
static void vm_shutdown(struct sim_host *host, const void *arg, struct sim_answer *answer)
{
    const struct vr_rpc_vm_shutdown_params *params = arg;
    struct sim_guest *guest = g_hash_table_lookup(host->guests, params->vm_id);
    if (!guest)
        fault(answer, NO_SUCH_VM, "Virtual machine does not exist");
    else if (!guest->down_at && !guest->saved_at)
        guest->down_at = sim_now(host->sim) + 2000;
}

/* --- storage: one pool; its tasks are done when they are asked for --- */

#define NOT_SPM 654
#define VOLUME_EXISTS 212
#define IMAGE_MISSING 268

static void connect_server(struct sim_host *host, const void *params, struct sim_answer *answer)
{
    from_json(answer, &vr_type_rpc_storage_pool_connect_storage_server_result,
              "{\"value\": [{\"id\": \"c\", \"status\": 0}]}");
}

static void get_spm_status(struct sim_host *host, const void *params, struct sim_answer *answer)
{
    from_json(answer, &vr_type_rpc_spm_status,
              host->sim->spm == host ? "{\"spmStatus\": \"SPM\"}" : "{\"spmStatus\": \"Free\"}");
}

static void spm_start(struct sim_host *host, const void *params, struct sim_answer *answer)
{
    if (host->sim->spm && host->sim->spm != host) { /* its lease is on storage */
        fault(answer, 100, "Another host manages the storage pool");
        return;
    }
    host->sim->spm = host;
    from_json(answer, &vr_type_rpc_storage_pool_spm_start_result, "{\"value\": \"t\"}");
}

static void get_pool_info(struct sim_host *host, const void *params, struct sim_answer *answer)
{
    from_json(answer, &vr_type_rpc_storage_pool_full_info, "{\"dominfo\": {}}");
}

static void volume_create(struct sim_host *host, const void *arg, struct sim_answer *answer)
{
    const struct vr_rpc_volume_create_params *params = arg;
    if (host->sim->spm != host)
        fault(answer, NOT_SPM, "Not SPM");
    else if (g_hash_table_contains(host->sim->images, params->image_id))
        fault(answer, VOLUME_EXISTS, "Volume exists");
    else {
        g_hash_table_insert(host->sim->images, g_strdup(params->image_id), g_new0(struct sim_image, 1));
        from_json(answer, &vr_type_rpc_volume_create_result, "{\"value\": \"t\"}");
    }
}

static void image_delete(struct sim_host *host, const void *arg, struct sim_answer *answer)
{
    const struct vr_rpc_image_delete_params *params = arg;
    if (host->sim->spm != host)
        fault(answer, NOT_SPM, "Not SPM");
    else if (!g_hash_table_remove(host->sim->images, params->image_id))
        fault(answer, IMAGE_MISSING, "Image does not exist");
    else
        from_json(answer, &vr_type_rpc_image_delete_result, "{\"value\": \"t\"}");
}

static void task_status(struct sim_host *host, const void *params, struct sim_answer *answer)
{
    from_json(answer, &vr_type_rpc_task_status,
              "{\"code\": 0, \"message\": \"\", \"taskID\": \"t\", \"taskResult\": \"success\","
              " \"taskState\": \"finished\"}");
}

const struct sim_verb sim_verbs[] = {
    { &vr_verb_image_delete, image_delete },
    { &vr_verb_storage_pool_connect, ping2 },
    { &vr_verb_storage_pool_connect_storage_server, connect_server },
    { &vr_verb_storage_pool_get_info, get_pool_info },
    { &vr_verb_storage_pool_get_spm_status, get_spm_status },
    { &vr_verb_storage_pool_spm_start, spm_start },
    { &vr_verb_task_clear, ping2 },
    { &vr_verb_task_get_status, task_status },
    { &vr_verb_vm_get_stats, vm_get_stats },
    { &vr_verb_vm_hibernate, vm_hibernate },
    { &vr_verb_volume_create, volume_create },
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
