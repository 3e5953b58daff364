/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/site/site.h"

#include <stdio.h>

#include "gen/routes.h"

/* Tags, bookmarks, MAC pools and CPU profiles (facts/rest-api.md 8.1, 8.3 and 8.4). */

static bool unique(struct vr_call *call, int kind, const char *what, const char *name,
                   const char *own_id, struct vr_error **error) VR_REQUIRES(vr_role_engine);
static bool unique(struct vr_call *call, int kind, const char *what, const char *name,
                   const char *own_id, struct vr_error **error)
{
    vr_auto_objects struct vr_objects same = { 0 };
    vr_inventory_list_named(vr_engine_head(call->engine), kind, name, &same);
    for (unsigned i = 0; i < same.count; i++)
        if (g_strcmp0(vr_id(same.items[i]), own_id) != 0) {
            vr_error_set(error, &vr_fault_name_in_use, "A %s with the name %s exists.", what, name);
            return false;
        }
    return true;
}

/* --- tags --- */

/* Whether @tag_id is @ancestor_id or below it; a chain longer than the tags there are is a loop. */
static bool is_below(struct vr_inventory *head, const char *tag_id, const char *ancestor_id)
    VR_REQUIRES(vr_role_engine);
static bool is_below(struct vr_inventory *head, const char *tag_id, const char *ancestor_id)
{
    unsigned limit = vr_inventory_count(head, VR_KIND_TAG) + 1;
    for (const char *id = tag_id; id && limit-- > 0;) {
        if (strcmp(id, ancestor_id) == 0)
            return true;
        const struct vr_tag *tag = VR_PEEK(head, TAG, tag, id);
        id = tag ? VR_LINK_ID(tag, parent) : NULL;
    }
    return false;
}

void vr_tags_add(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    struct vr_tag *body = call->body;
    const char *parent_id = VR_UUID_ZERO;
    if (body->parent) {
        const struct vr_tag *parent =
            VR_RESOLVE(call->engine, TAG, tag, body->parent, "Tag", &error);
        parent_id = parent ? parent->id : NULL;
    }
    if (error || !vr_check_name("Tag", body->name, VR_NAME_FREE, 50, &error) ||
        !unique(call, VR_KIND_TAG, "tag", body->name, NULL, &error)) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    struct vr_tag *tag = VR_NEW(tag);
    VR_SET_STRING(tag, name, body->name);
    VR_SET_STRING(tag, description, body->description ? body->description : "");
    VR_SET_LINK(tag, parent, tag, parent_id);
    vr_txn_add(txn, VR_KIND_TAG, tag);
    g_autofree char *id = g_strdup(tag->id);
    vr_call_commit(call, txn, VR_KIND_TAG, id);
}

void vr_tag_update(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    struct vr_tag *wanted = call->body;
    const struct vr_tag *tag = vr_call_target(call, VR_KIND_TAG, &error), *parent = NULL;
    if (tag && strcmp(tag->id, VR_UUID_ZERO) == 0)
        vr_error_set(&error, &vr_fault_predefined, "The root tag does not change.");
    if (tag && !error && wanted->name && vr_check_name("Tag", wanted->name, VR_NAME_FREE, 50, &error))
        unique(call, VR_KIND_TAG, "tag", wanted->name, tag->id, &error);
    if (tag && !error && wanted->parent) {
        parent = VR_RESOLVE(call->engine, TAG, tag, wanted->parent, "Tag", &error);
        if (parent && is_below(vr_engine_head(call->engine), parent->id, tag->id))
            vr_error_set(&error, &vr_fault_validation_failed,
                         "A tag cannot be put below itself.");
    }
    if (error) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    struct vr_tag *edit = VR_EDIT(txn, TAG, tag, tag->id);
    if (wanted->name)
        VR_SET_STRING(edit, name, wanted->name);
    if (wanted->description)
        VR_SET_STRING(edit, description, wanted->description);
    if (parent)
        VR_SET_LINK(edit, parent, tag, parent->id);
    g_autofree char *id = g_strdup(tag->id);
    vr_call_commit(call, txn, VR_KIND_TAG, id);
}

void vr_tag_remove(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_tag *tag = vr_call_target(call, VR_KIND_TAG, &error);
    if (tag && strcmp(tag->id, VR_UUID_ZERO) == 0)
        vr_error_set(&error, &vr_fault_predefined, "The root tag does not go.");
    if (error) {
        vr_call_fail(call, &error);
        return;
    }
    /* What is below goes with it. */
    struct vr_txn *txn = vr_txn_new(call->engine);
    struct vr_inventory *head = vr_engine_head(call->engine);
    vr_auto_objects struct vr_objects all = { 0 };
    vr_inventory_list(head, VR_KIND_TAG, &all);
    VR_OBJECTS (struct vr_tag, other, &all)
        if (is_below(head, other->id, tag->id))
            vr_txn_remove(txn, VR_KIND_TAG, other->id);
    vr_call_commit_remove(call, txn, NULL);
}

/* --- bookmarks --- */

static bool check_bookmark(struct vr_call *call, const struct vr_bookmark *bookmark,
                           const char *own_id, struct vr_error **error) VR_REQUIRES(vr_role_engine);
static bool check_bookmark(struct vr_call *call, const struct vr_bookmark *bookmark,
                           const char *own_id, struct vr_error **error)
{
    if (bookmark->value && g_utf8_strlen(bookmark->value, -1) > 300) {
        vr_error_set(error, &vr_fault_invalid_value,
                     "The value of a bookmark has at most 300 characters.");
        return false;
    }
    return !bookmark->name ||
           (vr_check_name("Bookmark", bookmark->name, VR_NAME_FREE, 40, error) &&
            unique(call, VR_KIND_BOOKMARK, "bookmark", bookmark->name, own_id, error));
}

void vr_bookmarks_add(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    if (!check_bookmark(call, call->body, NULL, &error)) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    struct vr_bookmark *bookmark = vr_call_take_body(call);
    VR_CLEAR(bookmark, id);
    vr_txn_add(txn, VR_KIND_BOOKMARK, bookmark);
    g_autofree char *id = g_strdup(bookmark->id);
    vr_call_commit(call, txn, VR_KIND_BOOKMARK, id);
}

void vr_bookmark_update(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    struct vr_bookmark *wanted = call->body;
    const struct vr_bookmark *bookmark = vr_call_target(call, VR_KIND_BOOKMARK, &error);
    if (!bookmark || !check_bookmark(call, wanted, bookmark->id, &error)) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    g_autofree char *id = g_strdup(bookmark->id);
    VR_CLEAR(wanted, id);
    vr_merge(VR_EDIT(txn, BOOKMARK, bookmark, id), wanted);
    vr_call_commit(call, txn, VR_KIND_BOOKMARK, id);
}

void vr_bookmark_remove(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_bookmark *bookmark = vr_call_target(call, VR_KIND_BOOKMARK, &error);
    if (!bookmark) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    vr_txn_remove(txn, VR_KIND_BOOKMARK, bookmark->id);
    vr_call_commit_remove(call, txn, NULL);
}

/* --- MAC pools --- */

/* "00:1a:4a:16:01:51" as a number; -1 when it is no unicast address. */
static int64_t mac_number(const char *text)
{
    unsigned b[6];
    char end;
    if (!text || sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%c", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5],
                        &end) != 6 ||
        strlen(text) != 17 || b[0] & 1)
        return -1;
    int64_t number = 0;
    for (unsigned i = 0; i < 6; i++)
        number = number << 8 | b[i];
    return number;
}

static bool overlaps(const struct vr_mac_pool *pool, int64_t from, int64_t to)
{
    VR_EACH (struct vr_range, range, &pool->ranges)
        if (mac_number(range->from) <= to && from <= mac_number(range->to))
            return true;
    return false;
}

static bool check_ranges(struct vr_call *call, const struct vr_mac_pool *pool, const char *own_id,
                         struct vr_error **error) VR_REQUIRES(vr_role_engine);
static bool check_ranges(struct vr_call *call, const struct vr_mac_pool *pool, const char *own_id,
                         struct vr_error **error)
{
    vr_auto_objects struct vr_objects others = { 0 };
    vr_inventory_list(vr_engine_head(call->engine), VR_KIND_MAC_POOL, &others);
    VR_EACH (struct vr_range, range, &pool->ranges) {
        int64_t from = mac_number(range->from), to = mac_number(range->to);
        if (from < 0 || to < from) {
            vr_error_set(error, &vr_fault_invalid_value,
                         "The range %s to %s is no range of unicast MAC addresses.",
                         range->from ? range->from : "(none)", range->to ? range->to : "(none)");
            return false;
        }
        VR_OBJECTS (struct vr_mac_pool, other, &others)
            if (g_strcmp0(other->id, own_id) != 0 && overlaps(other, from, to)) {
                vr_error_set(error, &vr_fault_conflict, "The range %s to %s overlaps MAC pool %s.",
                             range->from, range->to, other->name);
                return false;
            }
    }
    return true;
}

void vr_mac_pools_add(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    struct vr_mac_pool *body = call->body;
    if (body->ranges.len == 0)
        vr_error_set(&error, &vr_fault_incomplete_parameters,
                     "MacPool [ranges.range.from, ranges.range.to] required for add");
    if (error || !vr_check_name("MAC pool", body->name, VR_NAME_FREE, 255, &error) ||
        !unique(call, VR_KIND_MAC_POOL, "MAC pool", body->name, NULL, &error) ||
        !check_ranges(call, body, NULL, &error)) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    struct vr_mac_pool *pool = vr_call_take_body(call);
    VR_CLEAR(pool, id);
    VR_SET(pool, allow_duplicates, VR_GET(pool, allow_duplicates, false));
    VR_SET(pool, default_pool, false);
    if (!pool->description)
        VR_SET_STRING(pool, description, "");
    vr_txn_add(txn, VR_KIND_MAC_POOL, pool);
    g_autofree char *id = g_strdup(pool->id);
    vr_call_commit(call, txn, VR_KIND_MAC_POOL, id);
}

void vr_mac_pool_update(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    struct vr_mac_pool *wanted = call->body;
    const struct vr_mac_pool *pool = vr_call_target(call, VR_KIND_MAC_POOL, &error);
    if (!pool ||
        (wanted->name && (!vr_check_name("MAC pool", wanted->name, VR_NAME_FREE, 255, &error) ||
                          !unique(call, VR_KIND_MAC_POOL, "MAC pool", wanted->name, pool->id,
                                  &error))) ||
        !check_ranges(call, wanted, pool->id, &error)) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    g_autofree char *id = g_strdup(pool->id);
    VR_CLEAR(wanted, id);
    VR_CLEAR(wanted, default_pool);
    vr_merge(VR_EDIT(txn, MAC_POOL, mac_pool, id), wanted);
    vr_call_commit(call, txn, VR_KIND_MAC_POOL, id);
}

void vr_mac_pool_remove(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_mac_pool *pool = vr_call_target(call, VR_KIND_MAC_POOL, &error);
    if (pool && VR_GET(pool, default_pool, false))
        vr_error_set(&error, &vr_fault_predefined, "The default MAC pool does not go.");
    vr_auto_objects struct vr_objects clusters = { 0 };
    vr_inventory_list(vr_engine_head(call->engine), VR_KIND_CLUSTER, &clusters);
    VR_OBJECTS (struct vr_cluster, cluster, &clusters)
        if (pool && !error && g_strcmp0(VR_LINK_ID(cluster, mac_pool), pool->id) == 0)
            vr_error_set(&error, &vr_fault_has_dependants, "Cluster %s uses the MAC pool.",
                         cluster->name);
    if (error) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    vr_txn_remove(txn, VR_KIND_MAC_POOL, pool->id);
    vr_call_commit_remove(call, txn, NULL);
}

/* --- CPU profiles --- */

static void add_cpu_profile(struct vr_call *call, const struct vr_cluster *cluster)
    VR_REQUIRES(vr_role_engine);
static void add_cpu_profile(struct vr_call *call, const struct vr_cluster *cluster)
{
    vr_auto_error struct vr_error *error = NULL;
    struct vr_cpu_profile *body = call->body;
    if (!vr_check_name("CPU profile", body->name, VR_NAME_FREE, 50, &error)) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    struct vr_cpu_profile *profile = vr_call_take_body(call);
    VR_CLEAR(profile, id);
    VR_SET_LINK(profile, cluster, cluster, cluster->id);
    vr_txn_add(txn, VR_KIND_CPU_PROFILE, profile);
    g_autofree char *id = g_strdup(profile->id);
    vr_call_commit(call, txn, VR_KIND_CPU_PROFILE, id);
}

void vr_cpu_profiles_add(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    struct vr_cpu_profile *body = call->body;
    const struct vr_cluster *cluster =
        VR_RESOLVE(call->engine, CLUSTER, cluster, body->cluster, "Cluster", &error);
    if (!cluster)
        vr_call_fail(call, &error);
    else
        add_cpu_profile(call, cluster);
}

void vr_assigned_cpu_profiles_add(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_cluster *cluster = vr_call_target(call, VR_KIND_CLUSTER, &error);
    if (!cluster)
        vr_call_fail(call, &error);
    else
        add_cpu_profile(call, cluster);
}

void vr_cpu_profile_update(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    struct vr_cpu_profile *wanted = call->body;
    const struct vr_cpu_profile *profile = vr_call_target(call, VR_KIND_CPU_PROFILE, &error);
    if (!profile || (wanted->name &&
                     !vr_check_name("CPU profile", wanted->name, VR_NAME_FREE, 50, &error))) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    g_autofree char *id = g_strdup(profile->id);
    struct vr_cpu_profile *edit = VR_EDIT(txn, CPU_PROFILE, cpu_profile, id);
    if (wanted->name)
        VR_SET_STRING(edit, name, wanted->name);
    if (wanted->description)
        VR_SET_STRING(edit, description, wanted->description);
    vr_call_commit(call, txn, VR_KIND_CPU_PROFILE, id);
}

static void remove_cpu_profile(struct vr_call *call) VR_REQUIRES(vr_role_engine);
static void remove_cpu_profile(struct vr_call *call)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_cpu_profile *profile = vr_call_target(call, VR_KIND_CPU_PROFILE, &error);
    struct vr_inventory *head = vr_engine_head(call->engine);
    if (profile && vr_inventory_count_by(head, VR_KIND_CPU_PROFILE, "cluster",
                                         VR_LINK_ID(profile, cluster)) <= 1)
        vr_error_set(&error, &vr_fault_has_dependants,
                     "The last CPU profile of a cluster does not go.");
    if (error) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    vr_txn_remove(txn, VR_KIND_CPU_PROFILE, profile->id);
    vr_call_commit_remove(call, txn, NULL);
}

void vr_cpu_profile_remove(struct vr_call *call)
{
    remove_cpu_profile(call);
}

void vr_assigned_cpu_profile_remove(struct vr_call *call)
{
    remove_cpu_profile(call);
}
