/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "verbs"
#include "agent/verbs/verbs.h"

#include <stdio.h>

#include "agent/fence/fence.h"
#include "codec/codec.h"

/* The verbs of class Host but for storage and images. */

#define VERB(name)                                                                                 \
    static bool name(struct vr_agent *agent, const void *params, void **result,                    \
                     struct vr_error **error)
#define DONE "{\"code\":0,\"message\":\"Done\"}"

/* Moves a map from one object into another of the same member types. */
#define MOVE(into, from, member)                                                                   \
    do {                                                                                           \
        (into)->member = (from)->member;                                                           \
        memset(&(from)->member, 0, sizeof((from)->member));                                        \
        (from)->has.member = false;                                                                \
        (into)->has.member = true;                                                                 \
    } while (0)

VERB(get_capabilities)
{
    struct vr_domain_capabilities *known = vr_domains_capabilities(agent->domains);
    const struct vr_devices_virt virt = {
        .machines = (const char *const *)known->machines,
        .cpu_models = (const char *const *)known->cpu_models,
        .cpu_model = known->cpu_model,
        .libvirt_version = known->libvirt_version,
        .qemu_version = known->qemu_version,
        .vnc_tls = known->vnc_tls,
    };
    struct vr_rpc_vdsm_capabilities *out = vr_devices_capabilities(agent->config, &virt);
    vr_domain_capabilities_free(known);
    vr_auto struct vr_rpc_vdsm_network_capabilities *net = vr_netconf_report(agent->netconf);
    MOVE(out, net, networks);
    MOVE(out, net, nics);
    MOVE(out, net, bondings);
    MOVE(out, net, vlans);
    MOVE(out, net, bridges);
    MOVE(out, net, nameservers);
    VR_TAKE_STRING(out, last_client_iface, vr_netconf_client_device(agent->netconf));
    VR_SET(out, supports_ipv6, net->supports_ipv6);
    VR_SET_STRING(out, net_config_dirty, net->net_config_dirty);
    *result = out;
    return true;
}

VERB(get_network_capabilities)
{
    *result = vr_netconf_report(agent->netconf);
    return true;
}

VERB(get_stats)
{
    struct vr_rpc_host_stats *out = vr_stats_report(agent->stats);
    struct vr_domains_count count;
    vr_domains_count(agent->domains, &count);
    VR_SET(out, vm_count, count.all);
    VR_SET(out, vm_active, count.active);
    VR_SET(out, vm_migrating, count.migrating);
    VR_SET_STRING(out, net_config_dirty, vr_netconf_is_dirty(agent->netconf) ? "True" : "False");
    out->has.storage_domains = true;
    if (agent->storage)
        vr_storage_vitals(agent->storage, &out->storage_domains);
    *result = out;
    return true;
}

VERB(get_network_statistics)
{
    *result = vr_stats_network(agent->stats);
    return true;
}

VERB(get_hardware)
{
    *result = vr_devices_hardware(agent->config);
    return true;
}

VERB(list_devices)
{
    const struct vr_rpc_host_hostdev_list_by_caps_params *p = params;
    struct vr_rpc_host_hostdev_list_by_caps_result *out =
        VR_NEW(rpc_host_hostdev_list_by_caps_result);
    out->has.value = true;
    vr_devices_list(&p->caps, &out->value);
    *result = out;
    return true;
}

VERB(ping)
{
    vr_netconf_confirm(agent->netconf);
    return true;
}

VERB(nothing)
{
    return true;
}

VERB(echo)
{
    const struct vr_rpc_host_echo_params *p = params;
    struct vr_rpc_host_echo_result *out = VR_NEW(rpc_host_echo_result);
    VR_SET_STRING(out, value, p->message ? p->message : "");
    *result = out;
    return true;
}

VERB(set_log_level)
{
    const struct vr_rpc_host_set_log_level_params *p = params;
    static const struct {
        const char *word;
        enum vr_log_level level;
    } rows[] = { { "DEBUG", VR_LOG_DEBUG },
                 { "INFO", VR_LOG_INFO },
                 { "WARNING", VR_LOG_WARNING },
                 { "ERROR", VR_LOG_ERROR },
                 { "CRITICAL", VR_LOG_ERROR } };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++)
        if (p->level && !g_ascii_strcasecmp(p->level, rows[i].word)) {
            vr_log_set_level(rows[i].level);
            return true;
        }
    vr_agent_error(error, invalid_parameter, "There is no level \"%s\".", p->level ? p->level : "");
    return false;
}

static void write_ksm(const char *name, int64_t value)
{
    g_autofree char *path = g_strdup_printf("/sys/kernel/mm/ksm/%s", name);
    g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, value);
    /* Not g_file_set_contents(): nothing can be renamed in /sys. */
    FILE *file = fopen(path, "we");
    if (!file || fputs(text, file) < 0)
        vr_log_debug("%s cannot be set.", path);
    if (file)
        fclose(file);
}

VERB(set_ksm)
{
    const struct vr_rpc_host_set_ksm_tune_params *p = params;
    const struct vr_rpc_ksm_tune_params *tune = p->tuning_params;
    if (tune && VR_HAS(tune, pages_to_scan))
        write_ksm("pages_to_scan", tune->pages_to_scan);
    if (tune && VR_HAS(tune, sleep_millisecs))
        write_ksm("sleep_millisecs", tune->sleep_millisecs);
    if (tune && VR_HAS(tune, merge_across_nodes))
        write_ksm("merge_across_nodes", tune->merge_across_nodes);
    if (tune && VR_HAS(tune, run))
        write_ksm("run", tune->run);
    struct vr_rpc_host_set_ksm_tune_result *out = VR_NEW(rpc_host_set_ksm_tune_result);
    VR_SET_STRING(out, value, DONE);
    *result = out;
    return true;
}

VERB(set_up_networks)
{
    if (!vr_netconf_setup(agent->netconf, params, error))
        return false;
    struct vr_rpc_host_setup_networks_result *out = VR_NEW(rpc_host_setup_networks_result);
    VR_SET_STRING(out, value, DONE);
    *result = out;
    return true;
}

VERB(set_safe_networks)
{
    return vr_netconf_save(agent->netconf, error);
}

VERB(fence_node)
{
    *result = vr_fence_node(params, error);
    return *result != NULL;
}

VERB(get_all_vm_stats)
{
    struct vr_rpc_host_get_all_vm_stats_result *out = VR_NEW(rpc_host_get_all_vm_stats_result);
    g_autoptr(GPtrArray) all = vr_domain_all_stats(agent->domains);
    out->has.value = true;
    for (unsigned i = 0; i < all->len; i++)
        vr_list_append(&out->value, vr_ref(all->pdata[i]));
    *result = out;
    return true;
}

VERB(get_vm_list)
{
    const struct vr_rpc_host_get_vm_list_params *p = params;
    struct vr_rpc_host_get_vm_list_result *out = VR_NEW(rpc_host_get_vm_list_result);
    g_autoptr(GPtrArray) all = vr_domain_list(agent->domains, &p->vm_list);
    out->has.value = true;
    for (unsigned i = 0; i < all->len; i++)
        vr_list_append(&out->value, vr_ref(all->pdata[i]));
    *result = out;
    return true;
}

VERB(get_vm_full_list)
{
    const struct vr_rpc_host_get_vm_full_list_params *p = params;
    struct vr_rpc_host_get_vm_full_list_result *out = VR_NEW(rpc_host_get_vm_full_list_result);
    g_autoptr(GPtrArray) all = vr_domain_full_list(agent->domains, &p->vm_list);
    out->has.value = true;
    for (unsigned i = 0; i < all->len; i++)
        vr_list_append(&out->value, vr_ref(all->pdata[i]));
    *result = out;
    return true;
}

VERB(dump_xmls)
{
    const struct vr_rpc_host_dumpxmls_params *p = params;
    g_autoptr(GString) json = g_string_new("{");
    g_autoptr(GPtrArray) every = p->vm_list.len ? NULL : vr_domain_ids(agent->domains);
    unsigned count = every ? every->len : p->vm_list.len;
    for (unsigned i = 0; i < count; i++) {
        const char *id = every ? every->pdata[i] : p->vm_list.items[i];
        vr_auto_error struct vr_error *failure = NULL;
        g_autofree char *xml = vr_domain_xml(agent->domains, id, &failure);
        /* One that went away meanwhile is left out; one that was asked for by name is an error. */
        if (!xml && !every) {
            vr_error_set(error, &vr_fault_internal, "There is no XML of VM %s.", id);
            return false;
        }
        if (!xml)
            continue;
        if (json->len > 1)
            g_string_append_c(json, ',');
        vr_json_quote(json, id);
        g_string_append_c(json, ':');
        vr_json_quote(json, xml);
    }
    g_string_append_c(json, '}');
    struct vr_rpc_host_dumpxmls_result *out = VR_NEW(rpc_host_dumpxmls_result);
    VR_SET_STRING(out, value, json->str);
    *result = out;
    return true;
}

VERB(get_io_tune)
{
    struct vr_rpc_host_get_all_vm_io_tune_policies_result *out =
        VR_NEW(rpc_host_get_all_vm_io_tune_policies_result);
    out->has.value = true;
    *result = out;
    return true;
}

const struct vr_verb_row vr_verbs_host[] = {
    { &vr_verb_host_get_capabilities, VR_LANE_HOST, get_capabilities },
    { &vr_verb_host_get_network_capabilities, VR_LANE_HOST, get_network_capabilities },
    { &vr_verb_host_get_stats, VR_LANE_HOST, get_stats },
    { &vr_verb_host_get_network_statistics, VR_LANE_HOST, get_network_statistics },
    { &vr_verb_host_get_hardware_info, VR_LANE_HOST, get_hardware },
    { &vr_verb_host_hostdev_list_by_caps, VR_LANE_HOST, list_devices },
    { &vr_verb_host_ping, VR_LANE_HOST, ping },
    { &vr_verb_host_ping2, VR_LANE_HOST, nothing },
    { &vr_verb_host_confirm_connectivity, VR_LANE_HOST, ping },
    { &vr_verb_host_echo, VR_LANE_HOST, echo },
    { &vr_verb_host_set_log_level, VR_LANE_HOST, set_log_level },
    { &vr_verb_host_set_mom_policy, VR_LANE_HOST, nothing },
    { &vr_verb_host_set_mom_policy_parameters, VR_LANE_HOST, nothing },
    { &vr_verb_host_set_ksm_tune, VR_LANE_HOST, set_ksm },
    { &vr_verb_host_set_ha_maintenance_mode, VR_LANE_HOST, nothing },
    { &vr_verb_host_setup_networks, VR_LANE_NETWORK, set_up_networks },
    { &vr_verb_host_set_safe_network_config, VR_LANE_NETWORK, set_safe_networks },
    { &vr_verb_host_fence_node, VR_LANE_FENCE, fence_node },
    { &vr_verb_host_get_all_vm_stats, VR_LANE_HOST, get_all_vm_stats },
    { &vr_verb_host_get_vm_list, VR_LANE_HOST, get_vm_list },
    { &vr_verb_host_get_vm_full_list, VR_LANE_VIRT, get_vm_full_list },
    { &vr_verb_host_dumpxmls, VR_LANE_VIRT, dump_xmls },
    { &vr_verb_host_get_all_vm_io_tune_policies, VR_LANE_HOST, get_io_tune },
    { NULL },
};
