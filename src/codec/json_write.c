/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/codec.h"

#include "codec/bytes.h"
#include "codec/emit.h"
#include "codec/scalar.h"

struct writer {
    GString *out;
    enum vr_json_dialect dialect;
    const struct vr_codec_hooks *hooks; /* never NULL here; its members may be */
};

static const struct vr_codec_hooks no_hooks = { 0 };

static void write_object(const struct writer *w, const void *object, const void *parent, bool top);

static void quote_special(GString *out, unsigned char c)
{
    static const char digits[] = "0123456789abcdef";
    switch (c) {
    case '"':
        VR_EMIT_LITERAL(out, "\\\"");
        break;
    case '\\':
        VR_EMIT_LITERAL(out, "\\\\");
        break;
    case '\n':
        VR_EMIT_LITERAL(out, "\\n");
        break;
    case '\r':
        VR_EMIT_LITERAL(out, "\\r");
        break;
    case '\t':
        VR_EMIT_LITERAL(out, "\\t");
        break;
    default:
        VR_EMIT_LITERAL(out, "\\u00");
        vr_emit_char(out, digits[c >> 4]);
        vr_emit_char(out, digits[c & 15]);
    }
}

void vr_json_quote(GString *out, const char *text)
{
    size_t length = strlen(text), run = 0, at = 0;
    vr_emit_char(out, '"');
    while ((at += vr_bytes_plain_json(text + at, length - at)) < length) {
        unsigned char byte = (unsigned char)text[at];
        gunichar c = byte < 0x80 ? 0 : g_utf8_get_char_validated(text + at, (gssize)(length - at));
        if (c != 0 && c != (gunichar)-1 && c != (gunichar)-2) {
            at += (size_t)g_utf8_skip[byte];
            continue;
        }
        vr_emit(out, text + run, at - run);
        if (c == 0)
            quote_special(out, byte);
        else
            VR_EMIT_LITERAL(out, "\xef\xbf\xbd"); /* a byte that is no UTF-8 */
        run = ++at;
    }
    vr_emit(out, text + run, length - run);
    vr_emit_char(out, '"');
}

static void write_integer(const struct writer *w, int64_t number)
{
    if (w->dialect != VR_JSON_API) {
        vr_emit_integer(w->out, number);
        return;
    }
    vr_emit_char(w->out, '"');
    vr_emit_integer(w->out, number);
    vr_emit_char(w->out, '"');
}

static void write_boolean(const struct writer *w, bool value)
{
    if (w->dialect == VR_JSON_API)
        vr_emit_text(w->out, value ? "\"true\"" : "\"false\"");
    else
        vr_emit_text(w->out, value ? "true" : "false");
}

/* A value that vr_scalar_is_writable(). */
static void write_scalar(const struct writer *w, const struct vr_field *field,
                         const struct vr_scalar *scalar, const void *parent)
{
    switch ((enum vr_field_kind)field->kind) {
    case VR_FIELD_BOOLEAN:
        write_boolean(w, scalar->integer != 0);
        break;
    case VR_FIELD_INTEGER:
        write_integer(w, scalar->integer);
        break;
    case VR_FIELD_DATE:
        vr_emit_integer(w->out, scalar->integer);
        break;
    case VR_FIELD_DOUBLE:
        vr_emit_double(w->out, scalar->real);
        break;
    case VR_FIELD_ENUM:
        vr_json_quote(w->out, vr_enum_word(field->sub, (int)scalar->integer));
        break;
    case VR_FIELD_STRING:
        vr_json_quote(w->out, scalar->owned);
        break;
    case VR_FIELD_JSON:
        vr_emit_text(w->out, scalar->owned);
        break;
    case VR_FIELD_STRUCT:
    case VR_FIELD_LINK:
        write_object(w, scalar->owned, parent, false);
        break;
    }
}

static void write_items(const struct writer *w, const struct vr_field *field,
                        const struct vr_list *list, const void *parent)
{
    bool first = true;
    vr_emit_char(w->out, '[');
    for (unsigned i = 0; i < list->len; i++) {
        struct vr_scalar scalar = vr_scalar_of_item(field, list->items[i]);
        if (!vr_scalar_is_writable(field, &scalar))
            continue;
        if (!first)
            vr_emit_char(w->out, ',');
        first = false;
        write_scalar(w, field, &scalar, parent);
    }
    vr_emit_char(w->out, ']');
}

/* The API wraps the array: "devices":{"device":["hd"]} (facts/rest-api.md 2.6). */
static void write_list(const struct writer *w, const struct vr_field *field,
                       const struct vr_list *list, const void *parent)
{
    if (w->dialect != VR_JSON_API) {
        write_items(w, field, list, parent);
        return;
    }
    vr_emit_char(w->out, '{');
    if (list->len) {
        vr_emit_char(w->out, '"');
        vr_emit_text(w->out, field->item);
        VR_EMIT_LITERAL(w->out, "\":");
        write_items(w, field, list, parent);
    }
    vr_emit_char(w->out, '}');
}

static void write_map(const struct writer *w, const struct vr_field *field,
                      const struct vr_map *map, const void *parent)
{
    bool first = true;
    vr_emit_char(w->out, '{');
    for (unsigned i = 0; i < map->len; i++) {
        struct vr_scalar scalar = vr_scalar_of_item(field, map->values[i]);
        if (!vr_scalar_is_writable(field, &scalar))
            continue;
        if (!first)
            vr_emit_char(w->out, ',');
        first = false;
        vr_json_quote(w->out, map->keys[i]);
        vr_emit_char(w->out, ':');
        write_scalar(w, field, &scalar, parent);
    }
    vr_emit_char(w->out, '}');
}

static void write_name(const struct writer *w, const char *name, bool *first)
{
    if (!*first)
        vr_emit_char(w->out, ',');
    *first = false;
    size_t length = strlen(name);
    char *at = vr_emit_space(w->out, length + 3);
    *at++ = '"';
    memcpy(at, name, length);
    at[length] = '"';
    at[length + 1] = ':';
}

static void write_member(const struct writer *w, const void *object, const struct vr_field *field,
                         bool *first)
{
    const void *member = vr_member_at(object, field);
    switch (vr_field_shape(field)) {
    case VR_SHAPE_LIST:
        write_name(w, field->name, first);
        write_list(w, field, member, object);
        return;
    case VR_SHAPE_MAP:
        write_name(w, field->name, first);
        write_map(w, field, member, object);
        return;
    case VR_SHAPE_ONE:
        break;
    }
    struct vr_scalar scalar = vr_scalar_of_member(field, member);
    if (!vr_scalar_is_writable(field, &scalar))
        return;
    write_name(w, field->name, first);
    write_scalar(w, field, &scalar, object);
}

/* id, then href: from the object itself, or else from whoever knows the URLs. */
static void write_attributes(const struct writer *w, const void *object, const void *parent,
                             bool *first)
{
    bool has_href = false;
    unsigned next = 0;
    for (const struct vr_field *field; (field = vr_next_set(object, &next));) {
        if (!(field->flags & VR_FIELD_ATTRIBUTE))
            continue;
        has_href = has_href || strcmp(field->name, "href") == 0;
        write_member(w, object, field, first);
    }
    if (has_href || !w->hooks->href || !vr_id(object))
        return;
    g_autofree char *href = w->hooks->href(object, parent, w->hooks->arg);
    if (!href)
        return;
    write_name(w, "href", first);
    vr_json_quote(w->out, href);
}

/* Actions and links gathered from the hook. */
struct links {
    GString *actions, *links;
};

static void emit_link(bool action, const char *rel, const char *href, void *arg)
{
    struct links *links = arg;
    GString *out = action ? links->actions : links->links;
    vr_emit_text(out, out->len ? ",{\"href\":" : "{\"href\":");
    vr_json_quote(out, href);
    VR_EMIT_LITERAL(out, ",\"rel\":");
    vr_json_quote(out, rel);
    vr_emit_char(out, '}');
}

static void write_links(const struct writer *w, const void *object, bool *first)
{
    g_autoptr(GString) actions = g_string_sized_new(4096);
    g_autoptr(GString) links_text = g_string_sized_new(4096);
    struct links links = { actions, links_text };
    w->hooks->links(object, emit_link, &links, w->hooks->arg);
    if (actions->len) {
        write_name(w, "actions", first);
        VR_EMIT_LITERAL(w->out, "{\"link\":[");
        vr_emit(w->out, actions->str, actions->len);
        VR_EMIT_LITERAL(w->out, "]}");
    }
    if (links_text->len) {
        write_name(w, "link", first);
        vr_emit_char(w->out, '[');
        vr_emit(w->out, links_text->str, links_text->len);
        vr_emit_char(w->out, ']');
    }
}

static void write_api_object(const struct writer *w, const void *object, const void *parent,
                             bool top)
{
    enum { HIDDEN = VR_FIELD_INTERNAL | VR_FIELD_SECRET | VR_FIELD_ATTRIBUTE };
    bool first = true;
    unsigned next = 0;
    vr_emit_char(w->out, '{');
    write_attributes(w, object, parent, &first);
    for (const struct vr_field *field; (field = vr_next_set(object, &next));) {
        if (field->flags & HIDDEN)
            continue;
        if (w->hooks->skip && w->hooks->skip(object, field, w->hooks->arg))
            continue;
        write_member(w, object, field, &first);
    }
    if ((top || w->hooks->nested_links) && w->hooks->links)
        write_links(w, object, &first);
    vr_emit_char(w->out, '}');
}

static void write_object(const struct writer *w, const void *object, const void *parent, bool top)
{
    if (w->dialect == VR_JSON_API) {
        write_api_object(w, object, parent, top);
        return;
    }
    bool first = true;
    unsigned next = 0;
    vr_emit_char(w->out, '{');
    for (const struct vr_field *field; (field = vr_next_set(object, &next));) {
        if (!w->hooks->skip || !w->hooks->skip(object, field, w->hooks->arg))
            write_member(w, object, field, &first);
    }
    vr_emit_char(w->out, '}');
}

void vr_json_write(GString *out, const void *object, enum vr_json_dialect dialect,
                   const struct vr_codec_hooks *hooks)
{
    struct writer w = { out, dialect, hooks ? hooks : &no_hooks };
    write_object(&w, object, NULL, true);
}

void vr_json_write_collection(GString *out, const struct vr_type *type, void *const *objects,
                              unsigned count, const struct vr_codec_hooks *hooks)
{
    struct writer w = { out, VR_JSON_API, hooks ? hooks : &no_hooks };
    bool first = true;
    vr_emit_char(out, '{');
    if (count)
        write_name(&w, type->singular, &first);
    for (unsigned i = 0; i < count; i++) {
        vr_emit_char(out, i ? ',' : '[');
        write_object(&w, objects[i], NULL, true);
    }
    vr_emit_text(out, count ? "]}" : "}");
}

void vr_json_write_field(GString *out, const void *object, const struct vr_field *field,
                         enum vr_json_dialect dialect)
{
    struct writer w = { out, dialect, &no_hooks };
    const void *member = vr_member_at(object, field);
    /* An absent list or map holds zeros and so is written as an empty one. */
    switch (vr_field_shape(field)) {
    case VR_SHAPE_LIST:
        write_list(&w, field, member, object);
        return;
    case VR_SHAPE_MAP:
        write_map(&w, field, member, object);
        return;
    case VR_SHAPE_ONE:
        break;
    }
    struct vr_scalar scalar = vr_scalar_of_member(field, member);
    if (vr_has_bit(object, field) && vr_scalar_is_writable(field, &scalar))
        write_scalar(&w, field, &scalar, object);
    else
        VR_EMIT_LITERAL(out, "null");
}
