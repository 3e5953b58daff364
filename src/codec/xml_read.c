/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/codec.h"

#include "codec/bytes.h"
#include "codec/scalar.h"
#include "gen/faults.h"

#include <libxml/SAX2.h>
#include <libxml/parser.h>
#include <libxml/xmlerror.h>

/*
 * libxml2 finds the elements, a stack of frames fills the objects; no tree
 * is built.  A document type stops the reading before anything in it is
 * looked at, so there are no entities but the five of XML itself.
 */

struct frame {
    enum {
        OBJECT, /* children are members of `object` */
        LIST,   /* children are items of the list `field` of `object` */
        TEXT,   /* the text is the value of `field` of `object`, or an item of that list */
        UNKNOWN /* nobody asked for it */
    } kind;
    void *object; /* borrowed: it hangs in the root object */
    const struct vr_field *field;
    unsigned hint; /* OBJECT: members mostly come in the order in which we write them */
};

struct reader {
    xmlParserCtxt *context;
    const struct vr_type *type;
    const char *root_tag;
    const struct vr_codec_caps *caps;
    size_t items;
    void *root;
    struct frame *frames; /* caps->depth of them */
    unsigned depth;
    GString *text;
    struct vr_error **error;
};

static void stop(struct reader *r)
{
    xmlStopParser(r->context);
}

static void fail(struct reader *r, const char *what)
{
    if (!*r->error)
        vr_error_set(r->error, &vr_fault_malformed_body, "%s at line %d.", what,
                     xmlSAX2GetLineNumber(r->context));
    stop(r);
}

static bool charge(struct reader *r, size_t items)
{
    if (items > r->items) {
        fail(r, "Too many elements");
        return false;
    }
    r->items -= items;
    return true;
}

static const struct vr_field *find_field(const struct vr_type *type, const char *name,
                                         unsigned *hint)
{
    for (unsigned i = 0; i < type->field_count; i++) {
        unsigned at = *hint + i < type->field_count ? *hint + i : *hint + i - type->field_count;
        if (strcmp(type->fields[at].name, name) == 0) {
            *hint = at + 1;
            return &type->fields[at];
        }
    }
    return NULL;
}

static const struct vr_type *type_of(const void *object)
{
    return ((const struct vr_object *)object)->type;
}

/* While it does not substitute entities, libxml2 hands out each `&` in an attribute as `&#38;`. */
static void decode_attribute(GString *out, const char *value, size_t length)
{
    const char *end = value + length;
    while (value < end) {
        g_string_append_c(out, *value);
        value += end - value >= 5 && memcmp(value, "&#38;", 5) == 0 ? 5 : 1;
    }
}

/* libxml2 gives five pointers an attribute: name, prefix, namespace, value, behind the value. */
static void read_attributes(struct reader *r, void *object, int count, const xmlChar **attributes)
{
    for (int i = 0; i < count; i++, attributes += 5) {
        unsigned hint = 0;
        const struct vr_field *field =
            attributes[1] ? NULL : find_field(type_of(object), (const char *)attributes[0], &hint);
        if (!charge(r, 1))
            return;
        if (!field || !(field->flags & VR_FIELD_ATTRIBUTE) || field->flags & VR_FIELD_INTERNAL)
            continue;
        g_string_truncate(r->text, 0);
        decode_attribute(r->text, (const char *)attributes[3],
                         (size_t)(attributes[4] - attributes[3]));
        struct vr_scalar value;
        if (!vr_scalar_parse(field, r->text->str, r->text->len, VR_SCALAR_API_XML, &value,
                             r->error)) {
            stop(r);
            return;
        }
        vr_clear(object, field);
        vr_scalar_to_member(object, field, &value);
    }
}

static struct frame root_frame(struct reader *r, const char *name, bool prefixed)
{
    if (prefixed || strcmp(name, r->root_tag) != 0) {
        g_autofree char *what = g_strdup_printf("Expected the element '%s'", r->root_tag);
        fail(r, what);
        return (struct frame){ .kind = UNKNOWN };
    }
    r->root = vr_object_new(r->type);
    return (struct frame){ .kind = OBJECT, .object = r->root };
}

/* A new object for @field, and its frame. */
static struct frame object_frame(struct reader *r, const struct vr_field *field, void **object)
{
    *object = NULL;
    if (!charge(r, vr_object_cost(field->sub)))
        return (struct frame){ .kind = UNKNOWN };
    *object = vr_object_new(field->sub);
    return (struct frame){ .kind = OBJECT, .object = *object };
}

static struct frame member_frame(struct reader *r, struct frame *parent, const char *name)
{
    enum { NO_ELEMENT = VR_FIELD_INTERNAL | VR_FIELD_ATTRIBUTE | VR_FIELD_IS_MAP };
    const struct vr_field *field = find_field(type_of(parent->object), name, &parent->hint);
    if (!field || field->flags & NO_ELEMENT || field->kind == VR_FIELD_JSON)
        return (struct frame){ .kind = UNKNOWN };
    vr_clear(parent->object, field); /* the last of several counts */
    if (field->flags & VR_FIELD_IS_LIST) {
        vr_set_has(parent->object, field, true);
        return (struct frame){ .kind = LIST, .object = parent->object, .field = field };
    }
    if (!vr_kind_is_object(field->kind))
        return (struct frame){ .kind = TEXT, .object = parent->object, .field = field };
    void *object;
    struct frame frame = object_frame(r, field, &object);
    struct vr_scalar value = { .owned = object };
    if (object)
        vr_scalar_to_member(parent->object, field, &value);
    return frame;
}

static struct frame item_frame(struct reader *r, const struct frame *parent, const char *name)
{
    const struct vr_field *field = parent->field;
    if (strcmp(name, field->item) != 0)
        return (struct frame){ .kind = UNKNOWN };
    if (!vr_kind_is_object(field->kind))
        return (struct frame){ .kind = TEXT, .object = parent->object, .field = field };
    void *object;
    struct frame frame = object_frame(r, field, &object);
    if (object)
        vr_list_append(vr_member_at(parent->object, field), object);
    return frame;
}

static void start_element(void *arg, const xmlChar *local, const xmlChar *prefix,
                          const xmlChar *uri, int namespace_count, const xmlChar **namespaces,
                          int attribute_count, int defaulted_count, const xmlChar **attributes)
{
    struct reader *r = arg;
    const char *name = (const char *)local;
    if (*r->error || !charge(r, 1))
        return;
    if (r->depth == r->caps->depth) {
        fail(r, "Nested too deep");
        return;
    }
    struct frame *parent = r->depth ? &r->frames[r->depth - 1] : NULL;
    struct frame frame = { .kind = UNKNOWN };
    if (!parent)
        frame = root_frame(r, name, prefix != NULL);
    else if (parent->kind == TEXT)
        fail(r, "An element where a value should be");
    else if (parent->kind == OBJECT && !prefix)
        frame = member_frame(r, parent, name);
    else if (parent->kind == LIST && !prefix)
        frame = item_frame(r, parent, name);
    if (frame.kind == OBJECT)
        read_attributes(r, frame.object, attribute_count, attributes);
    else if (frame.kind == TEXT)
        g_string_truncate(r->text, 0);
    r->frames[r->depth++] = frame;
}

static void end_element(void *arg, const xmlChar *local, const xmlChar *prefix, const xmlChar *uri)
{
    struct reader *r = arg;
    if (*r->error || r->depth == 0)
        return;
    const struct frame *frame = &r->frames[--r->depth];
    if (frame->kind != TEXT)
        return;
    struct vr_scalar value;
    if (!vr_scalar_parse(frame->field, r->text->str, r->text->len, VR_SCALAR_API_XML, &value,
                         r->error)) {
        stop(r);
        return;
    }
    if (frame->field->flags & VR_FIELD_IS_LIST)
        vr_list_append(vr_member_at(frame->object, frame->field),
                       vr_scalar_to_item(frame->field, &value));
    else
        vr_scalar_to_member(frame->object, frame->field, &value);
}

static void characters(void *arg, const xmlChar *text, int length)
{
    struct reader *r = arg;
    if (!*r->error && r->depth && r->frames[r->depth - 1].kind == TEXT)
        g_string_append_len(r->text, (const char *)text, length);
}

static void document_type(void *arg, const xmlChar *name, const xmlChar *external,
                          const xmlChar *system)
{
    fail(arg, "A document type is not allowed");
}

static void entity_reference(void *arg, const xmlChar *name)
{
    fail(arg, "An entity is not allowed");
}

/* libxml2's own complaints.  A missing namespace declaration and the like are no reason to stop. */
static void complaint(void *arg, xmlError *problem)
{
    struct reader *r = arg;
    if (problem->level != XML_ERR_FATAL || *r->error)
        return;
    const char *text = problem->message ? problem->message : "malformed XML\n";
    vr_error_set(r->error, &vr_fault_malformed_body, "Line %d: %.*s.", problem->line,
                 (int)strcspn(text, "\n"), text);
}

static const xmlSAXHandler handler = {
    .initialized = XML_SAX2_MAGIC,
    .startElementNs = start_element,
    .endElementNs = end_element,
    .characters = characters,
    .ignorableWhitespace = characters,
    .cdataBlock = characters,
    .internalSubset = document_type,
    .reference = entity_reference,
    .serror = complaint,
};

/* Runs the parser over the text; the outcome is in *r->error and r->root. */
static void parse(struct reader *r, const char *text, int length)
{
    xmlSAXHandler *sax = r->context->sax;
    xmlSAXHandler mine = handler;
    r->context->sax = &mine;
    r->context->userData = r;
    /* The encoding is given, so that what the prolog says does not count. */
    xmlDoc *doc = xmlCtxtReadMemory(r->context, text, length, NULL, "UTF-8",
                                    XML_PARSE_NONET | XML_PARSE_NOWARNING);
    r->context->sax = sax;
    xmlFreeDoc(doc);
    if (!*r->error && (!r->context->wellFormed || r->depth || !r->root))
        vr_error_set(r->error, &vr_fault_malformed_body, "The text is not well-formed XML.");
}

static bool check_text(const char *text, size_t length, const struct vr_codec_caps *caps,
                       struct vr_error **error)
{
    if (length > caps->bytes || length > G_MAXINT) {
        vr_error_set(error, &vr_fault_malformed_body, "The text is longer than %zu bytes.",
                     caps->bytes);
        return false;
    }
    if (vr_bytes_valid_utf8(text, length) < length) {
        vr_error_set(error, &vr_fault_malformed_body, "The text is not UTF-8.");
        return false;
    }
    return true;
}

void *vr_xml_read(const struct vr_type *type, const char *root, const char *text, size_t length,
                  const struct vr_codec_caps *caps, struct vr_error **error)
{
    static gsize initialized;
    if (g_once_init_enter(&initialized)) {
        xmlInitParser();
        g_once_init_leave(&initialized, 1);
    }
    if (!check_text(text, length, caps, error))
        return NULL;
    g_autoptr(GString) scratch = g_string_new(NULL);
    g_autofree struct frame *frames = g_new(struct frame, caps->depth);
    struct reader r = {
        .context = xmlNewParserCtxt(),
        .type = type,
        .root_tag = root ? root : type->singular,
        .caps = caps,
        .items = caps->items,
        .frames = frames,
        .text = scratch,
        .error = error,
    };
    g_assert(r.context); /* NULL only without memory, where GLib aborts as well */
    parse(&r, text, (int)length);
    xmlFreeParserCtxt(r.context);
    if (!*error)
        return r.root;
    vr_unref(r.root);
    return NULL;
}
