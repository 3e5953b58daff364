/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/engine/internal.h"

#include <stdarg.h>

/* Of remembered occurrences; beyond it those past their interval are forgotten. */
#define FLOOD_CAP 10000

struct flood {
    GHashTable *until; /* code and entities as text -> monotonic ms, owned */
};

void events_start(struct vr_engine *engine)
{
    engine->flood = g_new0(struct flood, 1);
    engine->flood->until = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    vr_auto_objects struct vr_objects events = { 0 };
    vr_inventory_list(engine->head, VR_KIND_EVENT, &events);
    VR_OBJECTS(struct vr_event, event, &events)
        engine->last_event = MAX(engine->last_event, VR_GET(event, index, 0));
}

void events_done(struct vr_engine *engine)
{
    if (!engine->flood)
        return;
    g_hash_table_destroy(engine->flood->until);
    g_free(engine->flood);
}

/* --- flood control --- */

static gboolean is_past(gpointer key, gpointer value, gpointer now)
{
    return *(int64_t *)value <= *(int64_t *)now;
}

static const char *id_or_none(const void *object)
{
    return object ? vr_id(object) : "-";
}

static char *flood_key(const struct vr_event_info *info, const struct vr_event_about *about)
{
    return g_strdup_printf("%d %s %s %s %s %s %s %s", info->code, id_or_none(about->vm),
                           id_or_none(about->host), id_or_none(about->cluster),
                           id_or_none(about->data_center), id_or_none(about->storage_domain),
                           id_or_none(about->vm_template), about->subject ? about->subject : "-");
}

/* Whether one like it is younger than its interval; else remembers this one. */
static bool is_flood(struct vr_engine *engine, const struct vr_event_info *info,
                     const struct vr_event_about *about)
{
    if (info->flood == 0)
        return false;
    GHashTable *table = engine->flood->until;
    int64_t now = engine->world->ops->monotonic_ms(engine->world);
    char *key = flood_key(info, about);
    const int64_t *until = g_hash_table_lookup(table, key);
    if (until && *until > now) {
        g_free(key);
        return true;
    }
    if (g_hash_table_size(table) >= FLOOD_CAP)
        g_hash_table_foreach_remove(table, is_past, &now);
    int64_t *value = g_new(int64_t, 1);
    *value = now + (int64_t)info->flood * 1000;
    g_hash_table_replace(table, key, value);
    return false;
}

/* --- text --- */

struct variable {
    const char *name, *value;
};

static void about_variables(GArray *variables, const struct vr_event_about *about)
{
    const struct variable all[] = {
        { "UserName", !about->user                ? NULL
                      : about->user->has.user_name ? about->user->user_name
                                                   : about->user->name },
        { "VmName", about->vm ? about->vm->name : NULL },
        { "VdsName", about->host ? about->host->name : NULL },
        { "ClusterName", about->cluster ? about->cluster->name : NULL },
        { "StoragePoolName", about->data_center ? about->data_center->name : NULL },
        { "StorageDomainName", about->storage_domain ? about->storage_domain->name : NULL },
        { "VmTemplateName", about->vm_template ? about->vm_template->name : NULL },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(all); i++) {
        if (all[i].value)
            g_array_append_val(variables, all[i]);
    }
}

/* The last one given wins, so a caller overrides what `about` says. */
static const char *find_variable(const GArray *variables, const char *name, size_t length)
{
    for (unsigned i = variables->len; i-- > 0;) {
        const struct variable *v = &g_array_index(variables, struct variable, i);
        if (strlen(v->name) == length && g_ascii_strncasecmp(v->name, name, length) == 0)
            return v->value ? v->value : "";
    }
    return "<UNKNOWN>";
}

static char *expand(const char *text, const GArray *variables, size_t max_length)
{
    GString *out = g_string_new(NULL);
    while (*text) {
        const char *end = text[0] == '$' && text[1] == '{' ? strchr(text, '}') : NULL;
        if (!end) {
            g_string_append_c(out, *text++);
            continue;
        }
        g_string_append(out, find_variable(variables, text + 2, (size_t)(end - text) - 2));
        text = end + 1;
    }
    if (out->len > max_length) { /* a variable may be a guest's word */
        const char *cut = g_utf8_find_prev_char(out->str, out->str + max_length + 1);
        g_string_truncate(out, cut ? (size_t)(cut - out->str) : 0);
    }
    return g_string_free(out, FALSE);
}

/* --- adding --- */

static void set_links(struct vr_event *event, const struct vr_event_about *about)
{
    if (about->user)
        VR_SET_LINK(event, user, user, about->user->id);
    if (about->vm)
        VR_SET_LINK(event, vm, vm, about->vm->id);
    if (about->host)
        VR_SET_LINK(event, host, host, about->host->id);
    if (about->cluster)
        VR_SET_LINK(event, cluster, cluster, about->cluster->id);
    if (about->data_center)
        VR_SET_LINK(event, data_center, data_center, about->data_center->id);
    if (about->storage_domain)
        VR_SET_LINK(event, storage_domain, storage_domain, about->storage_domain->id);
    if (about->vm_template)
        VR_SET_LINK(event, template, template, about->vm_template->id);
}

void vr_event_number(struct vr_txn *txn, struct vr_event *event)
{
    struct vr_engine *engine = vr_txn_engine(txn);
    VR_SET(event, index, ++engine->last_event);
    VR_TAKE_STRING(event, id, g_strdup_printf("%" G_GINT64_FORMAT, engine->last_event));
    VR_SET(event, time, vr_engine_wall_ms(engine));
}

void vr_event_add(struct vr_txn *txn, enum vr_event_code code, const struct vr_event_about *about,
                  ...)
{
    static const struct vr_event_about nothing = { 0 };
    struct vr_engine *engine = vr_txn_engine(txn);
    const struct vr_event_info *info = vr_event_info((int)code);
    g_assert(info);
    if (!about)
        about = &nothing;
    if (is_flood(engine, info, about))
        return;

    g_autoptr(GArray) variables = g_array_new(FALSE, FALSE, sizeof(struct variable));
    about_variables(variables, about);
    va_list args;
    va_start(args, about);
    for (const char *name; (name = va_arg(args, const char *));) {
        const struct variable variable = { name, va_arg(args, const char *) };
        g_array_append_val(variables, variable);
    }
    va_end(args);

    struct vr_event *event = VR_NEW(event);
    vr_event_number(txn, event);
    VR_TAKE_STRING(event, description,
                   expand(info->text, variables,
                          (size_t)MAX(1, engine->config->MaxAuditLogMessageLength)));
    VR_SET(event, code, info->code);
    VR_SET(event, severity, info->severity);
    VR_SET_STRING(event, correlation_id, about->correlation_id);
    VR_SET_STRING(event, origin, "oVirt");
    VR_SET(event, custom_id, -1);
    if (info->flood)
        VR_SET(event, flood_rate, (int64_t)info->flood);
    set_links(event, about);
    vr_txn_add(txn, VR_KIND_EVENT, event);
}
