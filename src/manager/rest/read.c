/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "rest"
#include "manager/access/access.h"
#include "manager/rest/exchange.h"
#include "manager/rest/view.h"
#include "manager/search/search.h"

#include "gen/faults.h"

/* A reading with the exchange it belongs to. */
struct read {
    struct vr_reading reading;
    struct vr_exchange *x;
};

static void read_init(struct read *read, struct vr_exchange *x,
                      const struct vr_operation *operation, const char *const *ids,
                      unsigned id_count)
{
    *read = (struct read){
        .x = x,
        .reading = {
            .inventory = x->rest->options.inventory,
            .statistics = x->rest->options.statistics,
            .config = x->rest->options.config,
            .operation = operation,
            .id_count = id_count,
            .caller = &x->caller,
            .now_ms = g_get_real_time() / 1000,
        },
    };
    for (unsigned i = 0; i < id_count; i++)
        read->reading.ids[i] = ids[i];
}

static void read_done(struct read *read)
{
    vr_unref(read->reading.object);
    vr_list_clear_objects(&read->reading.list);
    vr_error_free(read->reading.error);
}

const char *vr_reading_param(const struct vr_reading *reading, const char *name)
{
    const struct read *read = (const struct read *)reading;
    return vr_request_param(read->x->request, name);
}

bool vr_reading_flag(const struct vr_reading *reading, const char *name, bool otherwise)
{
    return vr_truth(vr_reading_param(reading, name), otherwise);
}

bool vr_reading_wants_statistics(const struct vr_reading *reading)
{
    return ((const struct read *)reading)->x->detail & VR_DETAIL_STATISTICS;
}

bool vr_reading_wants_consoles(const struct vr_reading *reading)
{
    return ((const struct read *)reading)->x->detail & VR_DETAIL_CONSOLES;
}

void vr_reading_show(struct vr_reading *reading, const struct vr_type *type, const char *collection)
{
    struct vr_exchange *x = ((struct read *)reading)->x;
    if (!x->shown)
        x->shown = g_hash_table_new(NULL, NULL);
    g_hash_table_add(x->shown, (void *)vr_type_field(type, collection));
}

/* The view of @kind that this request sees, or NULL. */
static const struct vr_view *view_of(const struct vr_exchange *x, int kind)
{
    for (const struct vr_view *view = vr_views; view->kind >= 0; view++)
        if (view->kind == kind && (!view->when || view->when & x->views))
            return view;
    return NULL;
}

bool vr_read_is_plain(const struct vr_exchange *x, int kind)
{
    return !view_of(x, kind);
}

void *vr_read_decorate(struct vr_exchange *x, void *object)
{
    const struct vr_view *view = view_of(x, ((const struct vr_object *)object)->type->kind);
    if (!view)
        return vr_ref(object);
    struct read read;
    read_init(&read, x, x->operation, x->ids, x->id_count);
    void *copy = vr_copy(object);
    view->decorate(&read.reading, copy);
    read_done(&read);
    return copy;
}

/* --- one --- */

static bool links_to(const void *object, const struct vr_field *field, const char *id)
{
    if (!vr_has(object, field))
        return false;
    if (field->flags & VR_FIELD_IS_LIST) {
        const struct vr_list *list = vr_member(object, field);
        for (unsigned i = 0; i < list->len; i++)
            if (g_strcmp0(vr_id(list->items[i]), id) == 0)
                return true;
        return false;
    }
    void *const *member = vr_member(object, field);
    return g_strcmp0(vr_id(*member), id) == 0;
}

static void *read_one(struct vr_exchange *x)
{
    const struct vr_operation *operation = x->operation;
    if (x->id_count == 0)
        return NULL;
    vr_auto void *object = vr_inventory_get(x->rest->options.inventory, operation->kind,
                                            x->ids[x->id_count - 1]);
    if (!object)
        return NULL;
    if (operation->by &&
        (x->id_count < 2 || !links_to(object, operation->by, x->ids[x->id_count - 2])))
        return NULL;
    if (x->caller.filtered && !vr_access_visible(x->rest->options.inventory, &x->caller,
                                                 operation->kind, object))
        return NULL;
    return vr_read_decorate(x, object);
}

/* --- many --- */

/* Events newer than `from`. */
static void drop_up_to(struct vr_objects *objects, int64_t from)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < objects->count; i++) {
        if (vr_number(vr_id(objects->items[i]), 0) > from)
            objects->items[kept++] = objects->items[i];
        else
            vr_unref(objects->items[i]);
    }
    objects->count = kept;
}

static void drop_invisible(struct vr_exchange *x, int kind, struct vr_objects *objects)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < objects->count; i++) {
        if (vr_access_visible(x->rest->options.inventory, &x->caller, kind, objects->items[i]))
            objects->items[kept++] = objects->items[i];
        else
            vr_unref(objects->items[i]);
    }
    objects->count = kept;
}

static void list_all(struct vr_exchange *x, const struct vr_operation *operation,
                     const char *const *ids, unsigned id_count, struct vr_objects *objects)
{
    struct vr_inventory *inventory = x->rest->options.inventory;
    const struct vr_field *by = operation->by;
    if (!by) {
        vr_inventory_list(inventory, operation->kind, objects);
    } else if (by->flags & VR_FIELD_INDEXED) {
        vr_inventory_list_by(inventory, operation->kind, by->name, ids[id_count - 1], objects);
    } else {
        vr_inventory_list(inventory, operation->kind, objects);
        unsigned kept = 0;
        for (unsigned i = 0; i < objects->count; i++) {
            if (links_to(objects->items[i], by, ids[id_count - 1]))
                objects->items[kept++] = objects->items[i];
            else
                vr_unref(objects->items[i]);
        }
        objects->count = kept;
    }
    if (x->caller.filtered)
        drop_invisible(x, operation->kind, objects);
}

static void decorate_all(struct vr_exchange *x, struct vr_objects *objects)
{
    for (unsigned i = 0; i < objects->count; i++) {
        void *object = objects->items[i];
        objects->items[i] = vr_read_decorate(x, object);
        vr_unref(object);
    }
}

bool vr_read_collection(struct vr_exchange *x, const struct vr_operation *operation,
                        const char *const *ids, unsigned id_count, struct vr_objects *objects,
                        struct vr_error **error)
{
    if (operation->way == VR_WAY_GENERIC) {
        list_all(x, operation, ids, id_count, objects);
        vr_search_sort(NULL, x->rest->options.inventory, operation->kind, objects);
        decorate_all(x, objects);
        return true;
    }
    if (operation->way != VR_WAY_READ) {
        vr_error_set(error, &vr_fault_not_built, "%s cannot be read yet.", operation->name);
        return false;
    }
    struct read read;
    read_init(&read, x, operation, ids, id_count);
    operation->read(&read.reading);
    bool ok = read.reading.error == NULL;
    if (ok) {
        objects->items = g_new(void *, read.reading.list.len + 1);
        for (unsigned i = 0; i < read.reading.list.len; i++)
            objects->items[objects->count++] = vr_ref(read.reading.list.items[i]);
    } else {
        vr_error_move(error, &read.reading.error);
    }
    read_done(&read);
    return ok;
}

static bool generic_list(struct vr_exchange *x, struct vr_objects *objects, struct vr_error **error)
{
    const struct vr_operation *operation = x->operation;
    struct vr_inventory *inventory = x->rest->options.inventory;
    const char *max_text = vr_request_param(x->request, "max");
    int64_t max = vr_number(max_text, -1);
    if (max < 0 && vr_number(max_text, 0) < 0) {
        vr_error_set(error, &vr_fault_value_out_of_range, "The value of max is negative.");
        return false;
    }
    const char *query = vr_request_param(x->request, "search");
    struct vr_search *search = NULL;
    if (query) {
        vr_auto_error struct vr_error *wrong = NULL;
        bool exact = vr_truth(vr_request_param(x->request, "case_sensitive"), false);
        search = vr_search_new(operation->kind, query, exact, g_get_real_time() / 1000, &wrong);
        if (!search) { /* no query finds nothing (facts/rest-api.md 4.2) */
            vr_log_info("The query of %s finds nothing: %s", operation->name, wrong->detail);
            return true;
        }
    }
    list_all(x, operation, x->ids, x->id_count, objects);
    if (operation->kind == VR_KIND_EVENT && vr_request_param(x->request, "from"))
        drop_up_to(objects, vr_number(vr_request_param(x->request, "from"), 0));
    vr_search_filter(search, inventory, objects);
    vr_search_sort(search, inventory, operation->kind, objects);
    vr_search_page(search, max, objects);
    vr_search_free(search);
    decorate_all(x, objects);
    return true;
}

/* --- the parents in the path --- */

static bool parents_exist(struct vr_exchange *x)
{
    unsigned parents = x->operation->is_list ? x->id_count : x->id_count ? x->id_count - 1 : 0;
    for (unsigned i = 0; i < parents; i++) {
        if (x->id_kinds[i] < 0)
            continue;
        vr_auto void *parent =
            vr_inventory_get(x->rest->options.inventory, x->id_kinds[i], x->ids[i]);
        if (!parent || (x->caller.filtered &&
                        !vr_access_visible(x->rest->options.inventory, &x->caller, x->id_kinds[i],
                                           parent)))
            return false;
    }
    return true;
}

static void serve_list(struct vr_exchange *x, struct vr_error **error)
{
    const struct vr_operation *operation = x->operation;
    vr_auto_objects struct vr_objects objects = { 0 };
    bool ok = operation->way == VR_WAY_GENERIC
                  ? generic_list(x, &objects, error)
                  : vr_read_collection(x, operation, x->ids, x->id_count, &objects, error);
    const char *follow = vr_request_param(x->request, "follow");
    ok = ok && (!follow || vr_follow(x, follow, operation->result, objects.items, objects.count,
                                     error));
    if (ok && operation->way == VR_WAY_READ)
        vr_search_page(NULL, MAX(vr_number(vr_request_param(x->request, "max"), -1), -1), &objects);
    if (ok)
        vr_render_list(x, operation->result, objects.items, objects.count);
}

static void serve_one(struct vr_exchange *x, struct vr_error **error)
{
    const struct vr_operation *operation = x->operation;
    struct read read;
    read_init(&read, x, operation, x->ids, x->id_count);
    if (operation->way == VR_WAY_GENERIC)
        read.reading.object = read_one(x);
    else
        operation->read(&read.reading);
    if (read.reading.error) {
        vr_error_move(error, &read.reading.error);
    } else if (!read.reading.object) {
        vr_fault_reply_missing(x->request);
    } else {
        const char *follow = vr_request_param(x->request, "follow");
        const struct vr_type *type = ((struct vr_object *)read.reading.object)->type;
        if (!follow || vr_follow(x, follow, type, &read.reading.object, 1, error))
            vr_render_object(x, 200, read.reading.object);
    }
    read_done(&read);
}

void vr_read_serve(struct vr_exchange *x)
{
    if (!parents_exist(x)) {
        vr_fault_reply_missing(x->request);
        return;
    }
    vr_auto_error struct vr_error *error = NULL;
    if (x->operation->is_list)
        serve_list(x, &error);
    else
        serve_one(x, &error);
    if (error)
        vr_fault_reply_error(x->request, error, false);
}
