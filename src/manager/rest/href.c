/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/rest/exchange.h"

/* A pattern like "/vms/{vm}/nics/{id}", taken apart once. */
struct part {
    const char *text;             /* before the id; not terminated */
    size_t length;
    const struct vr_field *field; /* whose link gives the id; NULL: the object's own */
};

struct pattern {
    struct part parts[VR_PATH_IDS];
    unsigned count;
};

static struct pattern *patterns[VR_KIND_COUNT]; /* parallel to vr_kinds[].hrefs; count 0 ends */

static bool compile(struct pattern *pattern, const struct vr_type *type, const char *text)
{
    while (*text) {
        const char *open = strchr(text, '{');
        const char *close = open ? strchr(open, '}') : NULL;
        if (!close || pattern->count == VR_PATH_IDS)
            return false;
        struct part *part = &pattern->parts[pattern->count++];
        part->text = text;
        part->length = (size_t)(open - text);
        g_autofree char *name = g_strndup(open + 1, (gsize)(close - open - 1));
        part->field = strcmp(name, "id") == 0 ? NULL : vr_type_field(type, name);
        if (!part->field && strcmp(name, "id") != 0)
            return false;
        text = close + 1;
    }
    return true;
}

static void compile_all(void)
{
    static gsize done;
    if (!g_once_init_enter(&done))
        return;
    for (int kind = 0; kind < VR_KIND_COUNT; kind++) {
        const struct vr_kind_info *info = &vr_kinds[kind];
        unsigned count = 0;
        while (info->hrefs && info->hrefs[count])
            count++;
        patterns[kind] = g_new0(struct pattern, count + 1);
        for (unsigned i = 0; i < count; i++)
            g_assert(compile(&patterns[kind][i], info->type, info->hrefs[i]));
    }
    g_once_init_leave(&done, 1);
}

static const char *link_id(const void *object, const struct vr_field *field)
{
    if (!vr_has(object, field) || field->flags & VR_FIELD_IS_LIST)
        return NULL;
    void *const *member = vr_member(object, field);
    return vr_id(*member);
}

static const char *part_id(const struct part *part, const void *object, const void *parent)
{
    if (!part->field)
        return vr_id(object);
    const char *id = link_id(object, part->field);
    if (!id && parent && ((const struct vr_object *)parent)->type == part->field->sub)
        id = vr_id(parent);
    return id;
}

/* The first pattern whose ids are all there, or -1. */
static int choose(const struct pattern *choice, const void *object, const void *parent,
                  const char *ids[VR_PATH_IDS])
{
    for (int i = 0; choice[i].count; i++) {
        unsigned n = 0;
        while (n < choice[i].count && (ids[n] = part_id(&choice[i].parts[n], object, parent)))
            n++;
        if (n == choice[i].count)
            return i;
    }
    return -1;
}

/* A segment of a path, as it must be written in an address. */
static void append_segment(GString *out, const char *id)
{
    for (const char *c = id; *c; c++) {
        if (g_ascii_isalnum(*c) || strchr("-._~:@!$&'()*+,=", *c))
            continue;
        g_string_append_uri_escaped(out, id, "-._~:@!$&'()*+,=", FALSE);
        return;
    }
    g_string_append(out, id);
}

bool vr_href_append(GString *out, struct vr_inventory *inventory, const void *object,
                    const void *parent, const struct vr_route **ret_route, bool *ret_elsewhere)
{
    compile_all();
    int kind = ((const struct vr_object *)object)->type->kind;
    const char *ids[VR_PATH_IDS];
    if (kind < 0 || !vr_id(object))
        return false;
    vr_auto void *whole = NULL;
    int index = choose(patterns[kind], object, parent, ids);
    if (index < 0) { /* a stub does not know its parent */
        *ret_elsewhere = true;
        whole = vr_inventory_get(inventory, kind, vr_id(object));
        index = whole ? choose(patterns[kind], whole, NULL, ids) : -1;
    }
    if (index < 0)
        return false;
    const struct pattern *pattern = &patterns[kind][index];
    for (unsigned i = 0; i < pattern->count; i++) {
        g_string_append_len(out, pattern->parts[i].text, (gssize)pattern->parts[i].length);
        append_segment(out, ids[i]);
    }
    if (ret_route)
        *ret_route = vr_kind_routes[kind] ? vr_kind_routes[kind][index] : NULL;
    return true;
}

bool vr_href_ids(struct vr_inventory *inventory, const void *object,
                 const char *ids[VR_PATH_IDS], unsigned *ret_count,
                 const struct vr_route **ret_route)
{
    compile_all();
    int kind = ((const struct vr_object *)object)->type->kind;
    int index = kind < 0 ? -1 : choose(patterns[kind], object, NULL, ids);
    if (index < 0)
        return false;
    *ret_count = patterns[kind][index].count;
    *ret_route = vr_kind_routes[kind] ? vr_kind_routes[kind][index] : NULL;
    return *ret_route != NULL;
}
