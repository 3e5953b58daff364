/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/netconf/private.h"

static char *saved_dir(const struct vr_agent_config *config)
{
    return g_build_filename(config->state, "networks", NULL);
}

void vr_netconf_look(const struct vr_agent_config *config, vr_netconf_found *found, void *arg)
{
    g_autofree char *folder = saved_dir(config);
    g_autoptr(GPtrArray) networks = vr_networks_read(folder);
    for (unsigned i = 0; i < networks->len; i++) {
        const struct vr_network *network = networks->pdata[i];
        g_autofree char *fault = vr_network_fault(network);
        found(network->name, fault, arg);
    }
}

bool vr_netconf_mend(const struct vr_agent_config *config, const char *name,
                     struct vr_error **error)
{
    g_autofree char *folder = saved_dir(config);
    struct vr_network *network = vr_network_read(folder, name);
    if (!network) {
        vr_error_set(error, &vr_fault_system, "%s/%s cannot be read.", folder, name);
        return false;
    }
    bool good = vr_network_apply(network, false, error);
    vr_network_free(network);
    return good;
}
