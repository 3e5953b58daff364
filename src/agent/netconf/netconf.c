/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "netconf"
#include "agent/netconf/private.h"

#include <errno.h>
#include <glib/gstdio.h>

struct vr_netconf {
    const struct vr_agent_config *config;
    char *saved_dir; /* what a boot restores */
    struct vr_mutex lock; /* the members from here on */
    GCond confirmed_cond;
    int64_t confirmed; /* monotonic us of the last sign of the Manager */
    bool busy;
    bool dirty;
    GHashTable *networks; /* name -> struct vr_network, owning */
};

static GHashTable *table_new(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)vr_network_free);
}

static void restore(struct vr_netconf *netconf)
{
    g_autoptr(GDir) dir = g_dir_open(netconf->saved_dir, 0, NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir))) {
        struct vr_network *network = vr_network_read(netconf->saved_dir, name);
        if (!network)
            continue;
        vr_auto_error struct vr_error *error = NULL;
        if (!vr_network_apply(network, &error)) {
            g_autofree char *text = vr_error_text(error);
            vr_log_warning("Network %s could not be restored: %s", name, text);
        }
        vr_mutex_lock(&netconf->lock);
        g_hash_table_insert(netconf->networks, network->name, network);
        vr_mutex_unlock(&netconf->lock);
    }
}

struct vr_netconf *vr_netconf_new(const struct vr_agent_config *config, struct vr_error **error)
{
    struct vr_netconf *netconf = g_new0(struct vr_netconf, 1);
    netconf->config = config;
    netconf->saved_dir = g_build_filename(config->state, "networks", NULL);
    netconf->networks = table_new();
    vr_mutex_init(&netconf->lock);
    g_cond_init(&netconf->confirmed_cond);
    if (g_mkdir_with_parents(netconf->saved_dir, 0755) < 0) {
        vr_error_set(error, &vr_fault_system, "%s: %s", netconf->saved_dir, g_strerror(errno));
        vr_netconf_free(netconf);
        return NULL;
    }
    restore(netconf);
    return netconf;
}

void vr_netconf_free(struct vr_netconf *netconf)
{
    if (!netconf)
        return;
    g_hash_table_unref(netconf->networks);
    vr_mutex_done(&netconf->lock);
    g_cond_clear(&netconf->confirmed_cond);
    g_free(netconf->saved_dir);
    g_free(netconf);
}

bool vr_netconf_is_network(struct vr_netconf *netconf, const char *bridge)
{
    char **only = netconf->config->bridges;
    vr_mutex_lock(&netconf->lock);
    bool ours = g_hash_table_contains(netconf->networks, bridge);
    vr_mutex_unlock(&netconf->lock);
    if (ours)
        return true;
    if (*only)
        return g_strv_contains((const char *const *)only, bridge);
    return !g_str_has_prefix(bridge, "virbr") && !g_str_has_prefix(bridge, "docker");
}

bool vr_netconf_is_dirty(struct vr_netconf *netconf)
{
    vr_mutex_lock(&netconf->lock);
    bool dirty = netconf->dirty;
    vr_mutex_unlock(&netconf->lock);
    return dirty;
}

void vr_netconf_confirm(struct vr_netconf *netconf)
{
    vr_mutex_lock(&netconf->lock);
    netconf->confirmed = g_get_monotonic_time();
    g_cond_broadcast(&netconf->confirmed_cond);
    vr_mutex_unlock(&netconf->lock);
}

/* One change and what undoes it. */
struct change {
    struct vr_network *before, *after; /* NULL: is not there */
};

static void change_free(gpointer data)
{
    struct change *change = data;
    vr_network_free(change->before);
    vr_network_free(change->after);
    g_free(change);
}

static bool same_lower(const struct vr_network *a, const struct vr_network *b)
{
    return !g_strcmp0(a->nic, b->nic) && !g_strcmp0(a->bonding, b->bonding) && a->vlan == b->vlan &&
           !g_strcmp0(a->address, b->address);
}

/* Goes from one to the other. */
static bool step(const struct vr_network *from, struct vr_network *to, struct vr_error **error)
{
    if (from && to)
        to->own_bridge = from->own_bridge;
    if (from && (!to || !same_lower(from, to)) && !vr_network_remove(from, error))
        return false;
    return !to || vr_network_apply(to, error);
}

static void roll_back(GPtrArray *changes, unsigned count)
{
    for (unsigned i = count; i-- > 0;) {
        struct change *change = changes->pdata[i];
        vr_auto_error struct vr_error *error = NULL;
        if (step(change->after, change->before, &error))
            continue;
        g_autofree char *text = vr_error_text(error);
        vr_log_error("Rolling a network back failed: %s", text);
    }
}

static struct vr_network *current(struct vr_netconf *netconf, const char *name)
{
    vr_mutex_lock(&netconf->lock);
    const struct vr_network *known = g_hash_table_lookup(netconf->networks, name);
    struct vr_network *copy = known ? vr_network_copy(known) : NULL;
    vr_mutex_unlock(&netconf->lock);
    return copy;
}

/* What is asked for, as changes in the order to make them: removals first. */
static GPtrArray *plan(struct vr_netconf *netconf,
                       const struct vr_rpc_host_setup_networks_params *want,
                       struct vr_error **error)
{
    g_autoptr(GPtrArray) changes = g_ptr_array_new_with_free_func(change_free);
    if (want->bondings.len) {
        vr_agent_error(error, not_implemented, "This host cannot set up bonds.");
        return NULL;
    }
    for (int removals = 1; removals >= 0; removals--)
        for (unsigned i = 0; i < want->networks.len; i++) {
            const struct vr_rpc_setup_network_net_attributes *one = want->networks.values[i];
            const char *name = want->networks.keys[i];
            bool removes = VR_GET(one, remove, false);
            if (removes != (removals == 1))
                continue;
            struct change *change = g_new0(struct change, 1);
            g_ptr_array_add(changes, change);
            change->before = current(netconf, name);
            if (removes)
                continue;
            change->after = vr_network_of_request(name, one, error);
            if (!change->after)
                return NULL;
        }
    return g_steal_pointer(&changes);
}

static bool wait_confirmed(struct vr_netconf *netconf, int64_t since, unsigned seconds)
{
    gint64 until = g_get_monotonic_time() + (gint64)seconds * G_USEC_PER_SEC;
    vr_mutex_lock(&netconf->lock);
    while (netconf->confirmed <= since &&
           g_cond_wait_until(&netconf->confirmed_cond, &netconf->lock.mutex, until)) {
    }
    bool heard = netconf->confirmed > since;
    vr_mutex_unlock(&netconf->lock);
    return heard;
}

static void keep(struct vr_netconf *netconf, GPtrArray *changes)
{
    vr_mutex_lock(&netconf->lock);
    for (unsigned i = 0; i < changes->len; i++) {
        struct change *change = changes->pdata[i];
        const char *name = change->after    ? change->after->name
                           : change->before ? change->before->name
                                            : NULL;
        if (!name)
            continue;
        g_autofree char *key = g_strdup(name);
        g_hash_table_remove(netconf->networks, key);
        if (change->after) {
            struct vr_network *network = g_steal_pointer(&change->after);
            g_hash_table_insert(netconf->networks, network->name, network);
        }
    }
    netconf->dirty = true;
    vr_mutex_unlock(&netconf->lock);
}

static bool set_up(struct vr_netconf *netconf, const struct vr_rpc_host_setup_networks_params *want,
                   struct vr_error **error)
{
    g_autoptr(GPtrArray) changes = plan(netconf, want, error);
    if (!changes)
        return false;
    for (unsigned i = 0; i < changes->len; i++) {
        struct change *change = changes->pdata[i];
        if (!step(change->before, change->after, error)) {
            roll_back(changes, i + 1);
            return false;
        }
    }
    int64_t applied = g_get_monotonic_time();
    const struct vr_rpc_setup_network_options *options = want->options;
    bool check = options && VR_GET(options, connectivity_check, false);
    int64_t timeout = netconf->config->connectivity_timeout;
    if (options && VR_HAS(options, connectivity_timeout))
        timeout = CLAMP(options->connectivity_timeout, 1, 3600);
    if (check && !wait_confirmed(netconf, applied, (unsigned)timeout)) {
        roll_back(changes, changes->len);
        vr_agent_error(error, lost_connection, "Nothing was heard in %" G_GINT64_FORMAT " s.",
                       timeout);
        return false;
    }
    keep(netconf, changes);
    return !options || !VR_GET(options, commit_on_success, false) ||
           vr_netconf_save(netconf, error);
}

bool vr_netconf_setup(struct vr_netconf *netconf,
                      const struct vr_rpc_host_setup_networks_params *want, struct vr_error **error)
{
    vr_mutex_lock(&netconf->lock);
    bool busy = netconf->busy;
    netconf->busy = true;
    vr_mutex_unlock(&netconf->lock);
    if (busy) {
        vr_agent_error(error, unavailable, "Networks are being changed already.");
        return false;
    }
    bool good = set_up(netconf, want, error);
    vr_mutex_lock(&netconf->lock);
    netconf->busy = false;
    vr_mutex_unlock(&netconf->lock);
    return good;
}

static void remove_stale(struct vr_netconf *netconf, GHashTable *networks)
{
    g_autoptr(GDir) dir = g_dir_open(netconf->saved_dir, 0, NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(netconf->saved_dir, name, NULL);
        if (!g_hash_table_contains(networks, name))
            g_unlink(path);
    }
}

bool vr_netconf_save(struct vr_netconf *netconf, struct vr_error **error)
{
    bool good = true;
    GHashTableIter iter;
    gpointer value;
    vr_mutex_lock(&netconf->lock);
    g_hash_table_iter_init(&iter, netconf->networks);
    while (good && g_hash_table_iter_next(&iter, NULL, &value))
        good = vr_network_write(netconf->saved_dir, value, error);
    if (good) {
        remove_stale(netconf, netconf->networks);
        netconf->dirty = false;
    }
    vr_mutex_unlock(&netconf->lock);
    return good;
}
