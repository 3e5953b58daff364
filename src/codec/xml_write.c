/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/codec.h"

#include "codec/bytes.h"
#include "codec/emit.h"
#include "codec/scalar.h"

const char vr_xml_prolog[] = "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n";

struct writer {
    GString *out;
    GString *links; /* scratch: the hook gives actions and links mixed, the order is fixed */
    const struct vr_codec_hooks *hooks; /* never NULL here; its members may be */
};

static const struct vr_codec_hooks no_hooks = { 0 };

static void write_object(const struct writer *w, const char *tag, const void *object,
                         const void *parent, bool top);

enum { TEXT, ATTRIBUTE };

/* What an ASCII byte becomes, or NULL when it stands for itself.  A reader turns a bare CR into
 * LF, and any white space in an attribute into a space; references keep them as they are. */
static const char *escape_of(unsigned char c, int place)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&apos;";
    case '\r':
        return "&#13;";
    case '\n':
        return place == ATTRIBUTE ? "&#10;" : NULL;
    case '\t':
        return place == ATTRIBUTE ? "&#9;" : NULL;
    default:
        return c < 0x20 ? "\xef\xbf\xbd" : NULL;
    }
}

/* Production [2] of XML 1.0, for what UTF-8 can hold beyond ASCII. */
static bool is_xml_char(gunichar c)
{
    return c != (gunichar)-1 && c != (gunichar)-2 && c != 0xfffe && c != 0xffff;
}

static void escape(GString *out, const char *text, int place)
{
    size_t length = strlen(text), run = 0, at = 0;
    while ((at += vr_bytes_plain_xml(text + at, length - at)) < length) {
        unsigned char byte = (unsigned char)text[at];
        const char *instead = "\xef\xbf\xbd";
        size_t bytes = 1; /* one that is no UTF-8 goes alone */
        if (byte < 0x80) {
            instead = escape_of(byte, place);
        } else {
            gunichar c = g_utf8_get_char_validated(text + at, (gssize)(length - at));
            if (c != (gunichar)-1 && c != (gunichar)-2)
                bytes = (size_t)g_utf8_skip[byte];
            if (is_xml_char(c))
                instead = NULL;
        }
        if (instead) {
            vr_emit(out, text + run, at - run);
            vr_emit_text(out, instead);
            run = at + bytes;
        }
        at += bytes;
    }
    vr_emit(out, text + run, length - run);
}

void vr_xml_escape(GString *out, const char *text)
{
    escape(out, text, TEXT);
}

/* <tag>, or <tag when @end is 0. */
static void open_tag(GString *out, const char *tag, size_t length, char end)
{
    char *at = vr_emit_space(out, length + 1 + !!end);
    *at++ = '<';
    memcpy(at, tag, length);
    if (end)
        at[length] = end;
}

static void close_tag(GString *out, const char *tag, size_t length)
{
    char *at = vr_emit_space(out, length + 3);
    *at++ = '<';
    *at++ = '/';
    memcpy(at, tag, length);
    at[length] = '>';
}

/* A scalar's text; the value is one that vr_scalar_is_writable(). */
static void write_text(const struct writer *w, const struct vr_field *field,
                       const struct vr_scalar *scalar, int place)
{
    switch ((enum vr_field_kind)field->kind) {
    case VR_FIELD_BOOLEAN:
        vr_emit_text(w->out, scalar->integer ? "true" : "false");
        break;
    case VR_FIELD_INTEGER:
        vr_emit_integer(w->out, scalar->integer);
        break;
    case VR_FIELD_DATE: {
        char date[32];
        vr_date_format(date, scalar->integer);
        vr_emit_text(w->out, date);
        break;
    }
    case VR_FIELD_DOUBLE:
        vr_emit_double(w->out, scalar->real);
        break;
    case VR_FIELD_ENUM:
        vr_emit_text(w->out, vr_enum_word(field->sub, (int)scalar->integer)); /* snake_case */
        break;
    case VR_FIELD_STRING:
        escape(w->out, scalar->owned, place);
        break;
    case VR_FIELD_JSON:
    case VR_FIELD_STRUCT:
    case VR_FIELD_LINK:
        g_assert_not_reached();
    }
}

static void write_value(const struct writer *w, const char *tag, const struct vr_field *field,
                        const struct vr_scalar *scalar, const void *parent)
{
    if (!vr_scalar_is_writable(field, scalar))
        return;
    if (vr_kind_is_object(field->kind)) {
        write_object(w, tag, scalar->owned, parent, false);
        return;
    }
    /* Also an empty string has both tags: clients read <x/> as "no value" (facts/rest-api.md 2.3).
     */
    size_t length = strlen(tag);
    open_tag(w->out, tag, length, '>');
    write_text(w, field, scalar, TEXT);
    close_tag(w->out, tag, length);
}

/* Ends an element whose start tag was left at @start with its '>' written. */
static void finish_element(GString *out, const char *tag, size_t start)
{
    if (out->len == start) {
        g_string_truncate(out, start - 1);
        VR_EMIT_LITERAL(out, "/>");
        return;
    }
    close_tag(out, tag, strlen(tag));
}

static void write_member(const struct writer *w, const void *object, const struct vr_field *field)
{
    const void *member = vr_member_at(object, field);
    if (field->flags & VR_FIELD_IS_LIST) {
        const struct vr_list *list = member;
        open_tag(w->out, field->name, strlen(field->name), '>');
        size_t start = w->out->len;
        for (unsigned i = 0; i < list->len; i++) {
            struct vr_scalar scalar = vr_scalar_of_item(field, list->items[i]);
            write_value(w, field->item, field, &scalar, object);
        }
        finish_element(w->out, field->name, start);
        return;
    }
    struct vr_scalar scalar = vr_scalar_of_member(field, member);
    write_value(w, field->name, field, &scalar, object);
}

static void write_attribute(const struct writer *w, const struct vr_field *field,
                            const void *object)
{
    struct vr_scalar scalar = vr_scalar_of_member(field, vr_member_at(object, field));
    if (!vr_scalar_is_writable(field, &scalar))
        return;
    vr_emit_char(w->out, ' ');
    vr_emit_text(w->out, field->name);
    VR_EMIT_LITERAL(w->out, "=\"");
    write_text(w, field, &scalar, ATTRIBUTE);
    vr_emit_char(w->out, '"');
}

static void write_href(const struct writer *w, const char *href)
{
    VR_EMIT_LITERAL(w->out, " href=\"");
    escape(w->out, href, ATTRIBUTE);
    vr_emit_char(w->out, '"');
}

/* href first: from the object itself, or else from whoever knows the URLs. */
static void write_attributes(const struct writer *w, const void *object, const void *parent)
{
    const struct vr_field *attributes[8]; /* id, href and rel are all there are */
    unsigned count = 0;
    bool has_href = false;
    unsigned next = 0;
    for (const struct vr_field *field; (field = vr_next_set(object, &next));) {
        if (!(field->flags & VR_FIELD_ATTRIBUTE))
            continue;
        if (strcmp(field->name, "href") == 0) {
            has_href = true;
            write_attribute(w, field, object);
        } else if (count < G_N_ELEMENTS(attributes)) {
            attributes[count++] = field;
        }
    }
    if (!has_href && w->hooks->href && vr_id(object)) {
        g_autofree char *href = w->hooks->href(object, parent, w->hooks->arg);
        if (href)
            write_href(w, href);
    }
    for (unsigned i = 0; i < count; i++)
        write_attribute(w, attributes[i], object);
}

struct emission {
    const struct writer *w;
    bool has_actions;
};

static void emit_link(bool action, const char *rel, const char *href, void *arg)
{
    struct emission *emission = arg;
    GString *out = action ? emission->w->out : emission->w->links;
    if (action && !emission->has_actions) {
        emission->has_actions = true;
        VR_EMIT_LITERAL(out, "<actions>");
    }
    VR_EMIT_LITERAL(out, "<link href=\"");
    escape(out, href, ATTRIBUTE);
    VR_EMIT_LITERAL(out, "\" rel=\"");
    escape(out, rel, ATTRIBUTE);
    VR_EMIT_LITERAL(out, "\"/>");
}

/* The actions go out at once; the links wait in w->links for their place. */
static void write_actions(const struct writer *w, const void *object)
{
    struct emission emission = { .w = w };
    w->hooks->links(object, emit_link, &emission, w->hooks->arg);
    if (emission.has_actions)
        VR_EMIT_LITERAL(w->out, "</actions>");
}

static void write_links(const struct writer *w)
{
    vr_emit(w->out, w->links->str, w->links->len);
    g_string_truncate(w->links, 0);
}

static bool stands_before_links(const char *name)
{
    return strcmp(name, "name") == 0 || strcmp(name, "description") == 0 ||
           strcmp(name, "comment") == 0 || strcmp(name, "creation_status") == 0;
}

/* Maps and raw JSON are of host messages alone, which never are XML. */
static void write_members(const struct writer *w, const void *object)
{
    enum {
        HIDDEN = VR_FIELD_INTERNAL | VR_FIELD_SECRET | VR_FIELD_ATTRIBUTE | VR_FIELD_IS_MAP,
    };
    unsigned next = 0;
    for (const struct vr_field *field; (field = vr_next_set(object, &next));) {
        if (field->flags & HIDDEN || field->kind == VR_FIELD_JSON)
            continue;
        if (w->hooks->skip && w->hooks->skip(object, field, w->hooks->arg))
            continue;
        if (w->links->len && !stands_before_links(field->name))
            write_links(w);
        write_member(w, object, field);
    }
    if (w->links->len)
        write_links(w);
}

static void write_object(const struct writer *w, const char *tag, const void *object,
                         const void *parent, bool top)
{
    open_tag(w->out, tag, strlen(tag), 0);
    write_attributes(w, object, parent);
    vr_emit_char(w->out, '>');
    size_t start = w->out->len;
    if ((top || w->hooks->nested_links) && w->hooks->links)
        write_actions(w, object);
    write_members(w, object);
    finish_element(w->out, tag, start);
}

void vr_xml_write(GString *out, const void *object, const struct vr_codec_hooks *hooks)
{
    g_autoptr(GString) links = g_string_new(NULL);
    struct writer w = { out, links, hooks ? hooks : &no_hooks };
    write_object(&w, ((const struct vr_object *)object)->type->singular, object, NULL, true);
}

void vr_xml_write_collection(GString *out, const struct vr_type *type, void *const *objects,
                             unsigned count, const struct vr_codec_hooks *hooks)
{
    g_autoptr(GString) links = g_string_new(NULL);
    struct writer w = { out, links, hooks ? hooks : &no_hooks };
    open_tag(out, type->plural, strlen(type->plural), '>');
    size_t start = out->len;
    for (unsigned i = 0; i < count; i++)
        write_object(&w, type->singular, objects[i], NULL, true);
    finish_element(out, type->plural, start);
}
