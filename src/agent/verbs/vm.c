/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "verbs"
#include "agent/verbs/verbs.h"

/* The verbs of class VM. */

#define VERB(name)                                                                                 \
    static bool name(struct vr_agent *agent, const void *params, void **result,                    \
                     struct vr_error **error)

/* What verbs that change a machine answer when there is nothing to tell. */
static bool no_news(bool good, void **result)
{
    if (good)
        *result = VR_NEW(rpc_vm_definition);
    return good;
}

VERB(create)
{
    const struct vr_rpc_vm_create_params *p = params;
    return vr_domain_create(agent->domains, p->vm_id, p->vm_params,
                            (struct vr_rpc_vm_definition **)result, error);
}

VERB(destroy)
{
    const struct vr_rpc_vm_destroy_params *p = params;
    return vr_domain_destroy(agent->domains, p->vm_id, error);
}

VERB(shut_down)
{
    const struct vr_rpc_vm_shutdown_params *p = params;
    const struct vr_domain_shutdown how = {
        .reboot = VR_GET(p, reboot, false),
        .force = VR_GET(p, force, false),
        .delay = VR_GET(p, delay, 30),
        .timeout = VR_GET(p, timeout, 120),
    };
    return vr_domain_shutdown(agent->domains, p->vm_id, &how, error);
}

VERB(pause_vm)
{
    const struct vr_rpc_vm_pause_params *p = params;
    return no_news(vr_domain_pause(agent->domains, p->vm_id, error), result);
}

VERB(cont)
{
    const struct vr_rpc_vm_cont_params *p = params;
    return no_news(vr_domain_cont(agent->domains, p->vm_id, error), result);
}

VERB(reset)
{
    const struct vr_rpc_vm_reset_params *p = params;
    return vr_domain_reset(agent->domains, p->vm_id, error);
}

VERB(set_destroy_on_reboot)
{
    const struct vr_rpc_vm_set_destroy_on_reboot_params *p = params;
    return vr_domain_set_destroy_on_reboot(agent->domains, p->vm_id, error);
}

VERB(hibernate)
{
    const struct vr_rpc_vm_hibernate_params *p = params;
    return vr_domain_hibernate(agent->domains, p->vm_id, p->hibernation_vol_handle, error);
}

VERB(freeze)
{
    const struct vr_rpc_vm_freeze_params *p = params;
    return vr_domain_freeze(agent->domains, p->vm_id, true, error);
}

VERB(thaw)
{
    const struct vr_rpc_vm_thaw_params *p = params;
    return vr_domain_freeze(agent->domains, p->vm_id, false, error);
}

VERB(set_ticket)
{
    const struct vr_rpc_vm_set_ticket_params *p = params;
    const struct vr_domain_ticket ticket = {
        .password = p->password,
        .ttl = VR_GET(p, ttl, 120),
        .connected =
            VR_HAS(p, existing_conn_action)
                ? vr_enum_word(&vr_enum_rpc_vm_ticket_conflict_action, (int)p->existing_conn_action)
                : NULL,
    };
    return vr_domain_set_ticket(agent->domains, p->vm_id, &ticket, error);
}

VERB(update_device)
{
    const struct vr_rpc_vm_update_device_params *p = params;
    const struct vr_rpc_vm_device_update *update = p->params;
    bool good;
    if (!update) {
        vr_agent_error(error, missing_parameter, "params");
        return false;
    }
    if (update->xml) {
        good = vr_domain_update_xml(agent->domains, p->vm_id, update->xml, error);
    } else if (update->graphics_type || !g_strcmp0(update->device_type, "graphics")) {
        const struct vr_domain_ticket ticket = {
            .type = update->graphics_type,
            .password = update->password,
            .ttl = VR_GET(update, ttl, 0),
            .connected = VR_HAS(update, existing_conn_action)
                             ? vr_enum_word(&vr_enum_rpc_vm_ticket_conflict_action,
                                            (int)update->existing_conn_action)
                             : NULL,
            .leave = update->disconnect_action,
            .leave_delay = VR_GET(update, console_disconnect_action_delay, 0),
        };
        good = vr_domain_set_ticket(agent->domains, p->vm_id, &ticket, error);
    } else {
        good = vr_domain_update_nic(agent->domains, p->vm_id, update, error);
    }
    return no_news(good, result);
}

VERB(change_cd)
{
    const struct vr_rpc_vm_change_cd_params *p = params;
    if (!p->drive_spec) {
        vr_agent_error(error, missing_parameter, "driveSpec");
        return false;
    }
    return no_news(vr_domain_change_cd(agent->domains, p->vm_id, p->drive_spec, error), result);
}

#define PLUG(name, params_type, how, fault)                                                        \
    VERB(name)                                                                                     \
    {                                                                                              \
        const struct params_type *p = params;                                                      \
        return how(agent->domains, p->vm_id, p->params ? p->params->xml : NULL,                    \
                   &vr_agent_fault_##fault, (struct vr_rpc_vm_definition **)result, error);        \
    }
PLUG(plug_disk, vr_rpc_vm_hotplug_disk_params, vr_domain_plug, hotplug_disk)
PLUG(unplug_disk, vr_rpc_vm_hotunplug_disk_params, vr_domain_unplug, hotunplug_disk)
PLUG(plug_nic, vr_rpc_vm_hotplug_nic_params, vr_domain_plug, hotplug_nic)
PLUG(unplug_nic, vr_rpc_vm_hotunplug_nic_params, vr_domain_unplug, hotunplug_nic)
PLUG(plug_memory, vr_rpc_vm_hotplug_memory_params, vr_domain_plug, hotplug_memory)
#undef PLUG

VERB(unplug_memory)
{
    const struct vr_rpc_vm_hotunplug_memory_params *p = params;
    return vr_domain_unplug(agent->domains, p->vm_id, p->params ? p->params->xml : NULL,
                            &vr_agent_fault_hotunplug_memory, NULL, error);
}

VERB(set_cpus)
{
    const struct vr_rpc_vm_set_number_of_cpus_params *p = params;
    if (p->number_of_cpus < 1 || p->number_of_cpus > 4096) {
        vr_agent_error(error, set_cpus, "%" G_GINT64_FORMAT " is out of range.", p->number_of_cpus);
        return false;
    }
    return no_news(vr_domain_set_cpus(agent->domains, p->vm_id, (unsigned)p->number_of_cpus, error),
                   result);
}

VERB(set_balloon)
{
    const struct vr_rpc_vm_set_balloon_target_params *p = params;
    return vr_domain_set_balloon(agent->domains, p->vm_id, (uint64_t)MAX(p->target, 0), error);
}

VERB(extend_disk)
{
    const struct vr_rpc_vm_disk_size_extend_params *p = params;
    guint64 size;
    if (!p->drive_specs || !p->new_size ||
        !g_ascii_string_to_unsigned(p->new_size, 10, 1, G_MAXINT64, &size, NULL)) {
        vr_agent_error(error, resize_disk, "driveSpecs and newSize are needed.");
        return false;
    }
    char *text = vr_domain_extend_disk(agent->domains, p->vm_id, p->drive_specs, size, error);
    if (!text)
        return false;
    struct vr_rpc_vm_disk_size_extend_result *out = VR_NEW(rpc_vm_disk_size_extend_result);
    VR_TAKE_STRING(out, value, text);
    *result = out;
    return true;
}

VERB(screenshot)
{
    const struct vr_rpc_vm_screenshot_params *p = params;
    *result = vr_domain_screenshot(agent->domains, p->vm_id, error);
    return *result != NULL;
}

VERB(get_stats)
{
    const struct vr_rpc_vm_get_stats_params *p = params;
    struct vr_rpc_vm_stats *stats = vr_domain_stats(agent->domains, p->vm_id, error);
    if (!stats)
        return false;
    struct vr_rpc_vm_get_stats_result *out = VR_NEW(rpc_vm_get_stats_result);
    VR_APPEND(out, value, stats);
    *result = out;
    return true;
}

/* There is no ticket of a machine's policy to remember: limits come with its XML. */
VERB(update_policy)
{
    return true;
}

const struct vr_verb_row vr_verbs_vm[] = {
    { &vr_verb_vm_create, VR_LANE_VIRT, create },
    { &vr_verb_vm_destroy, VR_LANE_VIRT, destroy },
    { &vr_verb_vm_shutdown, VR_LANE_VIRT, shut_down },
    { &vr_verb_vm_pause, VR_LANE_VIRT, pause_vm },
    { &vr_verb_vm_cont, VR_LANE_VIRT, cont },
    { &vr_verb_vm_reset, VR_LANE_VIRT, reset },
    { &vr_verb_vm_set_destroy_on_reboot, VR_LANE_VIRT, set_destroy_on_reboot },
    { &vr_verb_vm_hibernate, VR_LANE_VIRT, hibernate },
    { &vr_verb_vm_freeze, VR_LANE_VIRT, freeze },
    { &vr_verb_vm_thaw, VR_LANE_VIRT, thaw },
    { &vr_verb_vm_set_ticket, VR_LANE_VIRT, set_ticket },
    { &vr_verb_vm_update_device, VR_LANE_VIRT, update_device },
    { &vr_verb_vm_change_cd, VR_LANE_VIRT, change_cd },
    { &vr_verb_vm_hotplug_disk, VR_LANE_VIRT, plug_disk },
    { &vr_verb_vm_hotunplug_disk, VR_LANE_VIRT, unplug_disk },
    { &vr_verb_vm_hotplug_nic, VR_LANE_VIRT, plug_nic },
    { &vr_verb_vm_hotunplug_nic, VR_LANE_VIRT, unplug_nic },
    { &vr_verb_vm_hotplug_memory, VR_LANE_VIRT, plug_memory },
    { &vr_verb_vm_hotunplug_memory, VR_LANE_VIRT, unplug_memory },
    { &vr_verb_vm_set_number_of_cpus, VR_LANE_VIRT, set_cpus },
    { &vr_verb_vm_set_balloon_target, VR_LANE_VIRT, set_balloon },
    { &vr_verb_vm_disk_size_extend, VR_LANE_VIRT, extend_disk },
    { &vr_verb_vm_screenshot, VR_LANE_VIRT, screenshot },
    { &vr_verb_vm_get_stats, VR_LANE_HOST, get_stats },
    { &vr_verb_vm_update_vm_policy, VR_LANE_VIRT, update_policy },
    { NULL },
};
