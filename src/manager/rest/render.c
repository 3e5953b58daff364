/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/codec.h"
#include "manager/rest/exchange.h"

struct render {
    struct vr_exchange *x;
    GString *scratch;
    /* Where an object without a kind lives: at the request's own path, or below it. */
    bool below;
    const struct vr_route *route;
    bool root;
    /* Of the object that is being written: an address depends on other objects' state. */
    bool elsewhere;
};

static void append_path(GString *out, const struct vr_exchange *x)
{
    for (unsigned i = 0; i < x->segment_count; i++)
        g_string_append_printf(out, "/%s", x->segments[i]);
}

/* Of a storage domain in a data center the address is the attachment's, whose actions differ
 * (facts/rest-api.md 2.4). */
static bool is_attachment(const struct vr_exchange *x, const void *object)
{
    return ((const struct vr_object *)object)->type->kind == VR_KIND_STORAGE_DOMAIN &&
           x->segment_count >= 3 && strcmp(x->segments[0], "datacenters") == 0 &&
           strcmp(x->segments[2], "storagedomains") == 0;
}

/* The segment of the sub-collection of @parent that holds objects of @type. */
static char *collection_segment(const struct vr_type *parent, const struct vr_type *type)
{
    for (unsigned i = 0; i < parent->field_count; i++) {
        const struct vr_field *field = &parent->fields[i];
        if (field->flags & VR_FIELD_COLLECTION && field->sub == type) {
            char *segment = g_strdup(field->name);
            char *to = segment;
            for (const char *c = field->name; *c; c++)
                if (*c != '_')
                    *to++ = *c;
            *to = '\0';
            return segment;
        }
    }
    return NULL;
}

/* Writes the address to @out, with the prefix; false when there is none. */
static bool append_href(struct render *render, GString *out, const void *object,
                        const void *parent, const struct vr_route **ret_route)
{
    struct vr_exchange *x = render->x;
    size_t start = out->len;
    g_string_append(out, x->prefix);
    if (!parent && is_attachment(x, object) && vr_id(object)) {
        g_string_append_printf(out, "/datacenters/%s/storagedomains/%s", x->segments[1],
                               vr_id(object));
        *ret_route = render->route;
        return true;
    }
    if (vr_href_append(out, x->rest->options.inventory, object, parent, ret_route,
                       &render->elsewhere))
        return true;
    const struct vr_type *type = ((const struct vr_object *)object)->type;
    const char *id = vr_id(object);
    if (id && type->kind < 0 && !parent && type != &vr_type_action) {
        append_path(out, x);
        if (render->below)
            g_string_append_printf(out, "/%s", id);
        *ret_route = render->route;
        return true;
    }
    if (id && type->kind < 0 && parent) {
        g_autofree char *segment =
            collection_segment(((const struct vr_object *)parent)->type, type);
        if (segment && vr_href_append(out, x->rest->options.inventory, parent, NULL, NULL,
                                      &render->elsewhere)) {
            g_string_append_printf(out, "/%s/%s", segment, id);
            return true;
        }
    }
    g_string_truncate(out, start);
    return false;
}

static char *href(const void *object, const void *parent, void *arg)
{
    struct render *render = arg;
    const struct vr_route *route = NULL;
    g_string_truncate(render->scratch, 0);
    if (!append_href(render, render->scratch, object, parent, &route))
        return NULL;
    return g_strndup(render->scratch->str, render->scratch->len);
}

/* rel order of the root document; a `*` is searchable as well (facts/rest-api.md 3). */
static const char *const root_links[] = {
    "*clusters", "*datacenters", "*events", "*hosts", "*networks", "roles", "*storagedomains",
    "tags", "bookmarks", "icons", "*templates", "instancetypes", "*users", "*groups", "domains",
    "*vmpools", "*vms", "*disks", "jobs", "storageconnections", "vnicprofiles", "diskprofiles",
    "cpuprofiles", "schedulingpolicyunits", "schedulingpolicies", "permissions", "macpools",
    "networkfilters", "operatingsystems", "externalhostproviders", "openstackimageproviders",
    "openstackvolumeproviders", "openstacknetworkproviders", "katelloerrata", "affinitylabels",
    "clusterlevels", "imagetransfers", "externalvmimports", "externaltemplateimports",
};

static void emit_root(const struct render *render,
                      void (*emit)(bool action, const char *rel, const char *href, void *emit_arg),
                      void *emit_arg)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(root_links); i++) {
        bool searchable = *root_links[i] == '*';
        const char *name = root_links[i] + searchable;
        g_autofree char *address = g_strconcat(render->x->prefix, "/", name, NULL);
        emit(false, name, address, emit_arg);
        if (!searchable)
            continue;
        g_autofree char *rel = g_strconcat(name, "/search", NULL);
        g_autofree char *query = g_strconcat(
            address, strcmp(name, "events") == 0 ? ";from={event_id}" : "", "?search={query}",
            NULL);
        emit(false, rel, query, emit_arg);
    }
}

/* A reference that was not followed: nothing but an id. */
static bool is_stub(const void *object)
{
    const struct vr_type *type = ((const struct vr_object *)object)->type;
    if (type->kind < 0)
        return false;
    for (unsigned i = 0; i < type->field_count; i++)
        if ((int)i != type->id_field && vr_has(object, &type->fields[i]))
            return false;
    return true;
}

static void links(const void *object,
                  void (*emit)(bool action, const char *rel, const char *href, void *emit_arg),
                  void *emit_arg, void *arg)
{
    struct render *render = arg;
    if (render->root) {
        emit_root(render, emit, emit_arg);
        return;
    }
    GString *address = render->scratch;
    const struct vr_route *route = NULL;
    if (is_stub(object))
        return;
    g_string_truncate(address, 0);
    if (!append_href(render, address, object, NULL, &route) || !route)
        return;
    g_string_append_c(address, '/');
    size_t base = address->len;
    for (unsigned i = 0; route->actions[i]; i++) {
        g_string_truncate(address, base);
        g_string_append(address, route->actions[i]);
        emit(true, route->actions[i], address->str, emit_arg);
    }
    for (unsigned i = 0; route->links[i]; i++) {
        g_string_truncate(address, base);
        g_string_append(address, route->links[i]);
        emit(false, route->links[i], address->str, emit_arg);
    }
}

/* A sub-collection is a link, unless it was asked for. */
static bool skip(const void *object, const struct vr_field *field, void *arg)
{
    const struct vr_exchange *x = ((const struct render *)arg)->x;
    if (field->flags & VR_FIELD_COLLECTION)
        return !x->shown || !g_hash_table_contains(x->shown, field);
    if (!x->caller.filtered)
        return false;
    /* What a user who is no administrator does not get to see (facts/rest-api.md 1.7). */
    const struct vr_type *type = ((const struct vr_object *)object)->type;
    return type->kind == VR_KIND_VM &&
           (strcmp(field->name, "host") == 0 || strcmp(field->name, "placement_policy") == 0);
}

/* Clients go on from what they had followed, so that has its links too. */
static struct vr_codec_hooks hooks_of(struct render *render)
{
    return (struct vr_codec_hooks){
        .href = href,
        .links = links,
        .skip = skip,
        .arg = render,
        .nested_links = vr_request_param(render->x->request, "follow") != NULL,
    };
}

static void render_init(struct render *render, struct vr_exchange *x)
{
    *render = (struct render){ .x = x, .route = x->route, .scratch = g_string_sized_new(256) };
}

/* Objects as they are in the inventory, without anything that this caller alone asked for. */
static bool may_cache(const struct vr_exchange *x, const struct vr_type *type)
{
    return x->operation && x->operation->way == VR_WAY_GENERIC && type->kind >= 0 &&
           !x->caller.filtered && !vr_request_param(x->request, "follow") &&
           vr_read_is_plain(x, type->kind) &&
           !(type->kind == VR_KIND_STORAGE_DOMAIN && x->segment_count > 2);
}

static void write_one(const struct render *render, const struct vr_codec_hooks *hooks,
                      const void *object, GString *out)
{
    if (render->x->media == VR_MEDIA_JSON)
        vr_json_write(out, object, VR_JSON_API, hooks);
    else
        vr_xml_write(out, object, hooks);
}

/* The text of an object that may be kept.  A reference. */
static struct vr_text *make_text(struct render *render, const struct vr_codec_hooks *hooks,
                                 const void *object, GString *buffer)
{
    const struct vr_exchange *x = render->x;
    g_string_truncate(buffer, 0);
    render->elsewhere = false;
    write_one(render, hooks, object, buffer);
    struct vr_text *text = vr_text_new(buffer->str, buffer->len);
    if (!render->elsewhere)
        vr_cache_put(x->rest->cache, object, x->prefix, x->media, text);
    return text;
}

/* What the codec's collection writers do, from texts that are known where there are. */
static struct vr_texts *list_texts(struct render *render, const struct vr_codec_hooks *hooks,
                                   const struct vr_type *type, void *const *objects, unsigned count)
{
    const struct vr_exchange *x = render->x;
    bool json = x->media == VR_MEDIA_JSON;
    struct vr_texts *texts = vr_texts_new((json ? 2 : 1) * count + 2);
    g_autofree struct vr_text **known = g_new(struct vr_text *, count);
    g_autoptr(GString) buffer = g_string_sized_new(8192);
    g_autofree char *begin = json ? g_strdup_printf("{\"%s\":[", type->singular)
                                  : g_strdup_printf("%s<%s>", vr_xml_prolog, type->plural);
    g_autofree char *end = json ? g_strdup("]}") : g_strdup_printf("</%s>", type->plural);
    struct vr_text *comma = vr_text_new(",", 1);
    vr_cache_get(x->rest->cache, objects, count, x->prefix, x->media, known);
    vr_texts_add_copy(texts, begin);
    for (unsigned i = 0; i < count; i++) {
        if (json && i > 0)
            vr_texts_add(texts, vr_text_ref(comma));
        vr_texts_add(texts, known[i] ? known[i] : make_text(render, hooks, objects[i], buffer));
    }
    vr_texts_add_copy(texts, end);
    vr_text_unref(comma);
    return texts;
}

static void write_known(struct render *render, const struct vr_codec_hooks *hooks, void *object,
                        GString *out)
{
    const struct vr_exchange *x = render->x;
    struct vr_text *text = NULL;
    vr_cache_get(x->rest->cache, &object, 1, x->prefix, x->media, &text);
    if (!text) {
        g_autoptr(GString) buffer = g_string_sized_new(8192);
        text = make_text(render, hooks, object, buffer);
    }
    g_string_append_len(out, text->bytes, (gssize)text->length);
    vr_text_unref(text);
}

static void render_object(struct render *render, int status, const void *object)
{
    struct vr_exchange *x = render->x;
    const struct vr_codec_hooks hooks = hooks_of(render);
    GString *out = g_string_sized_new(8192);
    bool cached = status == 200 && !render->root && x->operation->method == VR_METHOD_GET &&
                  may_cache(x, ((const struct vr_object *)object)->type);
    if (x->media != VR_MEDIA_JSON)
        g_string_append(out, vr_xml_prolog);
    if (cached)
        write_known(render, &hooks, (void *)(uintptr_t)object, out);
    else
        write_one(render, &hooks, object, out);
    g_string_free(render->scratch, TRUE);
    vr_reply(x->request, status, vr_media_type(x->media), out);
}

void vr_render_object(struct vr_exchange *x, int status, const void *object)
{
    struct render render;
    render_init(&render, x);
    if (x->operation && (x->operation->is_list || x->operation->method == VR_METHOD_POST)) {
        render.below = true;
        render.route = vr_route_child(x->route, "-", 1, &(bool){ false });
    }
    render_object(&render, status, object);
}

void vr_render_root(struct vr_exchange *x, const void *api)
{
    struct render render;
    render_init(&render, x);
    render.root = true;
    render_object(&render, 200, api);
}

void vr_render_list(struct vr_exchange *x, const struct vr_type *type, void *const *objects,
                    unsigned count)
{
    struct render render;
    render_init(&render, x);
    render.below = true;
    render.route = vr_route_child(x->route, "-", 1, &(bool){ false });
    const struct vr_codec_hooks hooks = hooks_of(&render);
    if (count > 0 && may_cache(x, type)) {
        struct vr_texts *texts = list_texts(&render, &hooks, type, objects, count);
        vr_reply_texts(x->request, 200, vr_media_type(x->media), texts);
        g_string_free(render.scratch, TRUE);
        return;
    }
    GString *out = g_string_sized_new(256 + (size_t)count * 4096);
    if (x->media == VR_MEDIA_JSON) {
        vr_json_write_collection(out, type, objects, count, &hooks);
    } else {
        g_string_append(out, vr_xml_prolog);
        vr_xml_write_collection(out, type, objects, count, &hooks);
    }
    g_string_free(render.scratch, TRUE);
    vr_reply(x->request, 200, vr_media_type(x->media), out);
}

char *vr_render_href(struct vr_exchange *x, const void *object)
{
    struct render render;
    render_init(&render, x);
    render.below = true;
    char *address = href(object, NULL, &render);
    g_string_free(render.scratch, TRUE);
    return address;
}
