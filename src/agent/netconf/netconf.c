/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "netconf"
#include "agent/netconf/private.h"

#include <errno.h>
#include <glib/gstdio.h>

struct vr_netconf {
    const struct vr_agent_config *config;
    char *saved_dir; /* what a boot restores */
    struct vr_net_watch *watch;
    GHashTable *complaints; /* name -> text; of who is busy */
    struct vr_mutex lock; /* the members from here on */
    GCond confirmed_cond, free_cond;
    char *client;      /* our address that the last client used, or NULL */
    int64_t confirmed; /* monotonic us of the last sign of the Manager */
    bool busy;     /* somebody changes the kernel's networks */
    bool changing; /* it is setupNetworks */
    bool dirty;
    GHashTable *networks; /* name -> struct vr_network, owning */
};

static GHashTable *table_new(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)vr_network_free);
}

/* --- what was set up before --- */

static bool step(const struct vr_network *from, struct vr_network *to, bool whole,
                 struct vr_error **error);

/* The changes from the last to the first. */
static void roll_back(GPtrArray *changes, unsigned count)
{
    for (unsigned i = count; i-- > 0;) {
        struct vr_net_change *change = changes->pdata[i];
        vr_auto_error struct vr_error *error = NULL;
        if (step(change->after, change->before, false, &error))
            continue;
        g_autofree char *text = vr_error_text(error);
        vr_log_error("Rolling a network back failed: %s", text);
    }
}

/* A change that an agent before this one had begun and not ended. */
static void undo_unfinished(struct vr_netconf *netconf)
{
    const char *state = netconf->config->state;
    g_autoptr(GPtrArray) changes = vr_net_journal_read(state);
    if (!changes)
        return;
    vr_log_warning("A change of networks was not ended; it is undone.");
    roll_back(changes, changes->len);
    for (unsigned i = 0; i < changes->len; i++) {
        const struct vr_net_change *change = changes->pdata[i];
        vr_auto_error struct vr_error *error = NULL;
        g_autofree char *path =
            change->after ? g_build_filename(netconf->saved_dir, change->after->name, NULL) : NULL;
        if (change->before)
            vr_network_write(netconf->saved_dir, change->before, true, &error);
        else if (path)
            g_unlink(path);
    }
    vr_net_journal_clear(state);
}

static void read_saved(struct vr_netconf *netconf)
{
    g_autoptr(GPtrArray) networks = vr_networks_read(netconf->saved_dir);
    vr_mutex_lock(&netconf->lock);
    while (networks->len) {
        struct vr_network *network = g_ptr_array_steal_index_fast(networks, 0);
        g_hash_table_insert(netconf->networks, network->name, network);
    }
    vr_mutex_unlock(&netconf->lock);
}

static GPtrArray *all_networks(struct vr_netconf *netconf)
{
    GPtrArray *all = g_ptr_array_new_with_free_func((GDestroyNotify)vr_network_free);
    GHashTableIter iter;
    gpointer network;
    vr_mutex_lock(&netconf->lock);
    g_hash_table_iter_init(&iter, netconf->networks);
    while (g_hash_table_iter_next(&iter, NULL, &network))
        g_ptr_array_add(all, vr_network_copy(network));
    vr_mutex_unlock(&netconf->lock);
    return all;
}

/* Mending comes and goes; a change that waits for the Manager's sign takes long and is not waited
 * for.  False: it is not ours now. */
static bool begin(struct vr_netconf *netconf, bool waits)
{
    vr_mutex_lock(&netconf->lock);
    while (waits && netconf->busy && !netconf->changing)
        g_cond_wait(&netconf->free_cond, &netconf->lock.mutex); /* until end() */
    bool free = !netconf->busy;
    netconf->busy = true;
    vr_mutex_unlock(&netconf->lock);
    return free;
}

static void end(struct vr_netconf *netconf)
{
    vr_mutex_lock(&netconf->lock);
    netconf->busy = netconf->changing = false;
    g_cond_broadcast(&netconf->free_cond);
    vr_mutex_unlock(&netconf->lock);
}

/* Of the same complaint once; the watch's thread alone. */
static void complain(struct vr_netconf *netconf, const char *name, const struct vr_error *error)
{
    g_autofree char *text = vr_error_text(error);
    if (g_strcmp0(g_hash_table_lookup(netconf->complaints, name), text) == 0)
        return;
    vr_log_warning("Network %s could not be restored: %s", name, text);
    g_hash_table_insert(netconf->complaints, g_strdup(name), g_strdup(text));
}

/*
 * What was set up is made again wherever it is not so: after a boot, which gives the interface its
 * address back; when an interface was away and came; when other programs (ifup, networkd) gave the
 * port of a bridge an address, which the host would not hear on.  False: try again later.
 */
static bool mend(void *arg)
{
    struct vr_netconf *netconf = arg;
    bool good = true;
    if (!begin(netconf, false))
        return false;
    g_autoptr(GPtrArray) networks = all_networks(netconf);
    for (unsigned i = 0; i < networks->len; i++) {
        const struct vr_network *network = networks->pdata[i];
        g_autofree char *fault = vr_network_fault(network);
        vr_auto_error struct vr_error *error = NULL;
        if (!fault) {
            g_hash_table_remove(netconf->complaints, network->name);
        } else if (vr_network_apply(network, false, &error)) {
            vr_log_info("%s It is made again.", fault);
        } else {
            complain(netconf, network->name, error);
            good = false;
        }
    }
    end(netconf);
    return good;
}

struct vr_netconf *vr_netconf_new(const struct vr_agent_config *config, struct vr_error **error)
{
    struct vr_netconf *netconf = g_new0(struct vr_netconf, 1);
    netconf->config = config;
    netconf->saved_dir = g_build_filename(config->state, "networks", NULL);
    netconf->networks = table_new();
    netconf->complaints = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    vr_mutex_init(&netconf->lock);
    g_cond_init(&netconf->confirmed_cond);
    g_cond_init(&netconf->free_cond);
    if (g_mkdir_with_parents(netconf->saved_dir, 0755) < 0) {
        vr_error_set(error, &vr_fault_system, "%s: %s", netconf->saved_dir, g_strerror(errno));
        vr_netconf_free(netconf);
        return NULL;
    }
    undo_unfinished(netconf);
    read_saved(netconf);
    mend(netconf); /* before the first request of the Manager */
    netconf->watch = vr_net_watch_start(mend, netconf, error);
    if (!netconf->watch)
        g_clear_pointer(&netconf, vr_netconf_free);
    return netconf;
}

void vr_netconf_free(struct vr_netconf *netconf)
{
    if (!netconf)
        return;
    vr_net_watch_stop(netconf->watch);
    g_hash_table_unref(netconf->networks);
    g_hash_table_unref(netconf->complaints);
    vr_mutex_done(&netconf->lock);
    g_cond_clear(&netconf->confirmed_cond);
    g_cond_clear(&netconf->free_cond);
    g_free(netconf->saved_dir);
    g_free(netconf->client);
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
    /* What is being changed may be changed back. */
    bool dirty = netconf->dirty || netconf->changing;
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

void vr_netconf_client(struct vr_netconf *netconf, const char *address)
{
    if (!address)
        return;
    vr_mutex_lock(&netconf->lock);
    if (g_strcmp0(netconf->client, address) != 0) {
        g_free(netconf->client);
        netconf->client = g_strdup(address);
    }
    vr_mutex_unlock(&netconf->lock);
}

char *vr_netconf_client_device(struct vr_netconf *netconf)
{
    vr_mutex_lock(&netconf->lock);
    g_autofree char *address = g_strdup(netconf->client);
    vr_mutex_unlock(&netconf->lock);
    return address ? vr_netconf_device_of(address) : g_strdup("");
}

/* --- changes --- */

static bool same_lower(const struct vr_network *a, const struct vr_network *b)
{
    return !g_strcmp0(a->nic, b->nic) && !g_strcmp0(a->bonding, b->bonding) && a->vlan == b->vlan;
}

/* Goes from one to the other. */
static bool step(const struct vr_network *from, struct vr_network *to, bool whole,
                 struct vr_error **error)
{
    if (!to)
        return !from || vr_network_remove(from, error);
    if (from && !same_lower(from, to) && !vr_network_take_down(from, error))
        return false;
    if (!vr_network_apply(to, whole, error))
        return false;
    return (!from || !from->address || !g_strcmp0(from->address, to->address) ||
            vr_network_drop(from, from->address, error)) &&
           (!from || !from->address6 || !g_strcmp0(from->address6, to->address6) ||
            vr_network_drop(from, from->address6, error));
}

static bool mentions(const char *route, const char *word, const char *address)
{
    if (!address)
        return false;
    g_autofree char *wanted =
        g_strdup_printf("%s %.*s", word, (int)strcspn(address, "/"), address);
    const char *found = strstr(route, wanted);
    return found && strchr(" ", found[strlen(wanted)]); /* a space, or the end */
}

/* A network that is changed keeps what it took over, but for the address that is changed. */
static void inherit(struct vr_network *to, const struct vr_network *from)
{
    bool readdressed = g_strcmp0(from->address, to->address) != 0;
    bool readdressed6 = g_strcmp0(from->address6, to->address6) != 0;
    bool other_way = g_strcmp0(from->gateway, to->gateway) != 0;
    to->own_bridge = from->own_bridge;
    to->own_vlan = from->own_vlan;
    to->addresses = g_ptr_array_new_with_free_func(g_free);
    to->routes = g_ptr_array_new_with_free_func(g_free);
    if (!vr_network_has_address(to))
        return;
    for (unsigned i = 0; from->addresses && i < from->addresses->len; i++) {
        const char *text = from->addresses->pdata[i];
        g_autofree char *first = g_strndup(text, strcspn(text, " "));
        if ((!readdressed || g_strcmp0(first, from->address) != 0) &&
            (!readdressed6 || g_strcmp0(first, from->address6) != 0))
            g_ptr_array_add(to->addresses, g_strdup(text));
    }
    for (unsigned i = 0; from->routes && i < from->routes->len; i++) {
        const char *text = from->routes->pdata[i];
        if ((readdressed && mentions(text, "src", from->address)) ||
            (readdressed6 && mentions(text, "src", from->address6)) ||
            (other_way && mentions(text, "via", from->gateway)))
            continue;
        g_ptr_array_add(to->routes, g_strdup(text));
    }
}

bool vr_net_changes_prepare(GPtrArray *changes, struct vr_error **error)
{
    g_autoptr(GPtrArray) leaving = g_ptr_array_new();
    for (unsigned i = 0; i < changes->len; i++) {
        const struct vr_net_change *change = changes->pdata[i];
        if (change->before && (!change->after || !same_lower(change->before, change->after)))
            g_ptr_array_add(leaving, change->before);
    }
    for (unsigned i = 0; i < changes->len; i++) {
        struct vr_net_change *change = changes->pdata[i];
        if (change->before && change->after)
            inherit(change->after, change->before);
        if (!change->after)
            continue;
        if (!change->before ? !vr_network_prepare(change->after, leaving, error)
                            : !same_lower(change->before, change->after) &&
                                  !vr_network_check(change->after, leaving, error))
            return false;
    }
    return true;
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
    g_autoptr(GPtrArray) changes = g_ptr_array_new_with_free_func(vr_net_change_free);
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
            struct vr_net_change *change = g_new0(struct vr_net_change, 1);
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
        struct vr_net_change *change = changes->pdata[i];
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

static bool save(struct vr_netconf *netconf, struct vr_error **error)
{
    bool good = true;
    GHashTableIter iter;
    gpointer value;
    vr_mutex_lock(&netconf->lock);
    g_hash_table_iter_init(&iter, netconf->networks);
    while (good && g_hash_table_iter_next(&iter, NULL, &value))
        good = vr_network_write(netconf->saved_dir, value, true, error);
    if (good) {
        remove_stale(netconf, netconf->networks);
        netconf->dirty = false;
    }
    vr_mutex_unlock(&netconf->lock);
    return good;
}

static bool apply_all(GPtrArray *changes, struct vr_error **error)
{
    for (unsigned i = 0; i < changes->len; i++) {
        struct vr_net_change *change = changes->pdata[i];
        if (!step(change->before, change->after, true, error)) {
            roll_back(changes, i + 1);
            return false;
        }
    }
    return true;
}

static bool check_connection(struct vr_netconf *netconf, GPtrArray *changes,
                             const struct vr_rpc_setup_network_options *options,
                             struct vr_error **error)
{
    int64_t applied = g_get_monotonic_time();
    int64_t timeout = netconf->config->connectivity_timeout;
    if (!options || !VR_GET(options, connectivity_check, false))
        return true;
    if (VR_HAS(options, connectivity_timeout))
        timeout = CLAMP(options->connectivity_timeout, 1, 3600);
    if (wait_confirmed(netconf, applied, (unsigned)timeout))
        return true;
    roll_back(changes, changes->len);
    vr_agent_error(error, lost_connection, "Nothing was heard in %" G_GINT64_FORMAT " s.", timeout);
    return false;
}

static bool set_up(struct vr_netconf *netconf, const struct vr_rpc_host_setup_networks_params *want,
                   struct vr_error **error)
{
    const char *state = netconf->config->state;
    const struct vr_rpc_setup_network_options *options = want->options;
    g_autoptr(GPtrArray) changes = plan(netconf, want, error);
    if (!changes || !vr_net_changes_prepare(changes, error) || !vr_net_journal_write(state, changes, error))
        return false;
    bool good = apply_all(changes, error) && check_connection(netconf, changes, options, error);
    if (good) {
        keep(netconf, changes);
        good = !options || !VR_GET(options, commit_on_success, false) ||
               save(netconf, error);
    }
    vr_net_journal_clear(state);
    return good;
}

bool vr_netconf_setup(struct vr_netconf *netconf,
                      const struct vr_rpc_host_setup_networks_params *want, struct vr_error **error)
{
    if (!begin(netconf, true)) {
        vr_agent_error(error, unavailable, "Networks are being changed already.");
        return false;
    }
    vr_mutex_lock(&netconf->lock);
    netconf->changing = true;
    vr_mutex_unlock(&netconf->lock);
    bool good = set_up(netconf, want, error);
    end(netconf);
    return good;
}

bool vr_netconf_save(struct vr_netconf *netconf, struct vr_error **error)
{
    if (!begin(netconf, true)) {
        vr_agent_error(error, unavailable, "Networks are being changed.");
        return false;
    }
    bool good = save(netconf, error);
    end(netconf);
    return good;
}
