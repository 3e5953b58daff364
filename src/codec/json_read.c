/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/codec.h"

#include "codec/json_scan.h"
#include "codec/scalar.h"
#include "gen/faults.h"

/*
 * A recursive descent that fills objects as it goes.  json-c is used where a
 * tree is wanted; here a tree would be built only to be thrown away, and
 * could not be capped before it stands in memory: 64 MiB of "[0,0,..." are
 * some 2 GiB of json-c's nodes (docs/decisions/008-json-reader.md).
 */

struct reader {
    struct vr_json_scan scan;
    enum vr_json_dialect dialect;
};

/* What became of one value. */
enum outcome {
    READ,     /* it is there */
    MISMATCH, /* well-formed, but not what the field holds; the host protocol shrugs */
    FAILED,   /* the error is set */
};

static bool read_object(struct reader *r, void *object, unsigned depth);

static enum outcome mismatch(struct reader *r, const struct vr_field *field, const char *want)
{
    if (r->dialect == VR_JSON_HOST)
        return MISMATCH;
    vr_error_set(r->scan.error, r->dialect == VR_JSON_API ? &vr_fault_invalid_value : r->scan.fault,
                 "The member '%s' must be %s.", field->name, want);
    return FAILED;
}

/* The store holds what our own writer wrote; anything else there is damage. */
static bool store_accepts(uint8_t kind, const struct vr_json_token *token)
{
    switch ((enum vr_field_kind)kind) {
    case VR_FIELD_BOOLEAN:
        return token->kind == VR_JSON_TRUE || token->kind == VR_JSON_FALSE;
    case VR_FIELD_INTEGER:
    case VR_FIELD_DOUBLE:
    case VR_FIELD_DATE:
        return token->kind == VR_JSON_NUMBER;
    default:
        return token->kind == VR_JSON_STRING;
    }
}

static const char *kind_name(uint8_t kind)
{
    static const char *const names[] = {
        [VR_FIELD_BOOLEAN] = "a boolean", [VR_FIELD_INTEGER] = "an integer",
        [VR_FIELD_DOUBLE] = "a number",   [VR_FIELD_DATE] = "a date",
        [VR_FIELD_STRING] = "a string",   [VR_FIELD_ENUM] = "a word",
        [VR_FIELD_STRUCT] = "an object",  [VR_FIELD_LINK] = "an object",
        [VR_FIELD_JSON] = "a JSON value",
    };
    return names[kind];
}

static enum outcome read_scalar(struct reader *r, const struct vr_field *field,
                                struct vr_scalar *value)
{
    struct vr_json_token token;
    if (!vr_json_take_token(&r->scan, &token))
        return FAILED;
    if (token.kind == VR_JSON_NULL ||
        (r->dialect == VR_JSON_STORE && !store_accepts(field->kind, &token)))
        return mismatch(r, field, kind_name(field->kind));
    bool api = r->dialect == VR_JSON_API;
    enum vr_scalar_rules rules = api ? VR_SCALAR_API_JSON : VR_SCALAR_OTHER;
    if (vr_scalar_parse(field, token.text, token.length, rules, value, api ? r->scan.error : NULL))
        return READ;
    return api ? FAILED : mismatch(r, field, kind_name(field->kind));
}

static enum outcome read_struct(struct reader *r, const struct vr_field *field, unsigned depth,
                                struct vr_scalar *value)
{
    const struct vr_type *type = field->sub;
    if (!vr_json_charge(&r->scan, vr_object_cost(type)))
        return FAILED;
    vr_auto void *object = vr_object_new(type);
    if (!read_object(r, object, depth + 1))
        return FAILED;
    value->owned = g_steal_pointer(&object);
    return READ;
}

/* One value of the field's kind, whatever its shape.  On READ the caller owns value->owned. */
static enum outcome read_one(struct reader *r, const struct vr_field *field, unsigned depth,
                             struct vr_scalar *value)
{
    *value = (struct vr_scalar){ 0 };
    int c = vr_json_peek(&r->scan);
    if (field->kind == VR_FIELD_JSON) {
        const char *start = r->scan.at;
        if (!vr_json_skip(&r->scan, depth))
            return FAILED;
        value->owned = g_strndup(start, (gsize)(r->scan.at - start));
        return READ;
    }
    if (vr_kind_is_object(field->kind) && c == '{')
        return read_struct(r, field, depth, value);
    if (vr_kind_is_object(field->kind) || c == '{' || c == '[') {
        if (!vr_json_skip(&r->scan, depth))
            return FAILED;
        return mismatch(r, field, kind_name(field->kind));
    }
    return read_scalar(r, field, value);
}

static enum outcome read_items(struct reader *r, const struct vr_field *field, struct vr_list *list,
                               unsigned depth)
{
    if (vr_json_peek(&r->scan) != '[') {
        if (!vr_json_skip(&r->scan, depth))
            return FAILED;
        return mismatch(r, field, "an array");
    }
    enum outcome outcome = READ;
    struct vr_json_walk walk = { .close = ']' };
    while (vr_json_walk_next(&r->scan, &walk, depth + 1)) {
        struct vr_scalar value;
        enum outcome item = read_one(r, field, depth + 1, &value);
        if (item == FAILED)
            return FAILED;
        /* Without one item the others would stand in wrong places: the list as a whole is off. */
        if (item == MISMATCH)
            outcome = MISMATCH;
        else
            vr_list_append(list, vr_scalar_to_item(field, &value));
    }
    return walk.done ? outcome : FAILED;
}

/* The API wraps the array: "devices":{"device":["hd"]} (facts/rest-api.md 2.6). */
static enum outcome read_wrapped(struct reader *r, const struct vr_field *field,
                                 struct vr_list *list, unsigned depth)
{
    if (vr_json_peek(&r->scan) != '{') {
        if (!vr_json_skip(&r->scan, depth))
            return FAILED;
        return mismatch(r, field, "an object that holds an array");
    }
    size_t item_length = strlen(field->item);
    struct vr_json_walk walk = { .close = '}' };
    while (vr_json_walk_next(&r->scan, &walk, depth + 1)) {
        struct vr_json_token name;
        if (!vr_json_take_name(&r->scan, &name))
            return FAILED;
        bool known = name.length == item_length && memcmp(name.text, field->item, item_length) == 0;
        if (!known || vr_json_peek(&r->scan) == 'n') {
            if (!vr_json_skip(&r->scan, depth + 1))
                return FAILED;
            continue;
        }
        enum outcome outcome = read_items(r, field, list, depth + 1);
        if (outcome != READ)
            return outcome;
    }
    return walk.done ? READ : FAILED;
}

static enum outcome read_map(struct reader *r, const struct vr_field *field, struct vr_map *map,
                             unsigned depth)
{
    if (vr_json_peek(&r->scan) != '{') {
        if (!vr_json_skip(&r->scan, depth))
            return FAILED;
        return mismatch(r, field, "an object");
    }
    struct vr_json_walk walk = { .close = '}' };
    while (vr_json_walk_next(&r->scan, &walk, depth + 1)) {
        struct vr_json_token name;
        struct vr_scalar value;
        if (!vr_json_take_name(&r->scan, &name))
            return FAILED;
        g_autofree char *key = g_strndup(name.text, name.length);
        enum outcome outcome = read_one(r, field, depth + 1, &value);
        if (outcome == FAILED)
            return FAILED;
        if (outcome == READ)
            vr_map_add(map, g_steal_pointer(&key), vr_scalar_to_item(field, &value));
    }
    return walk.done ? READ : FAILED;
}

static enum outcome read_shape(struct reader *r, void *object, const struct vr_field *field,
                               unsigned depth)
{
    void *member = vr_member_at(object, field);
    struct vr_scalar value;
    enum outcome outcome;
    switch (vr_field_shape(field)) {
    case VR_SHAPE_LIST:
        vr_set_has(object, field, true); /* so that vr_clear() frees what a failure leaves */
        return r->dialect == VR_JSON_API ? read_wrapped(r, field, member, depth)
                                         : read_items(r, field, member, depth);
    case VR_SHAPE_MAP:
        vr_set_has(object, field, true);
        outcome = read_map(r, field, member, depth);
        vr_map_settle(member, field);
        return outcome;
    case VR_SHAPE_ONE:
        outcome = read_one(r, field, depth, &value);
        if (outcome == READ)
            vr_scalar_to_member(object, field, &value);
        return outcome;
    }
    g_assert_not_reached();
}

/* null is as good as absent; of members with the same name the last one counts. */
static bool read_member(struct reader *r, void *object, const struct vr_field *field,
                        unsigned depth)
{
    if (vr_json_peek(&r->scan) == 'n')
        return vr_json_skip(&r->scan, depth);
    vr_clear(object, field);
    enum outcome outcome = read_shape(r, object, field, depth);
    if (outcome != READ)
        vr_clear(object, field);
    return outcome != FAILED;
}

/* Members mostly come in the order in which we write them: looks on from the last one found. */
static const struct vr_field *find_field(const struct vr_type *type,
                                         const struct vr_json_token *name, unsigned *hint)
{
    for (unsigned i = 0; i < type->field_count; i++) {
        unsigned at = *hint + i < type->field_count ? *hint + i : *hint + i - type->field_count;
        const char *candidate = type->fields[at].name;
        if (candidate[0] == name->text[0] && strncmp(candidate, name->text, name->length) == 0 &&
            !candidate[name->length]) {
            *hint = at + 1;
            return &type->fields[at];
        }
    }
    return NULL;
}

static bool read_object(struct reader *r, void *object, unsigned depth)
{
    const struct vr_type *type = ((struct vr_object *)object)->type;
    unsigned hint = 0;
    struct vr_json_walk walk = { .close = '}' };
    while (vr_json_walk_next(&r->scan, &walk, depth)) {
        struct vr_json_token name;
        if (!vr_json_take_name(&r->scan, &name))
            return false;
        const struct vr_field *field = find_field(type, &name, &hint);
        bool hidden = field && r->dialect == VR_JSON_API && field->flags & VR_FIELD_INTERNAL;
        bool ok =
            field && !hidden ? read_member(r, object, field, depth) : vr_json_skip(&r->scan, depth);
        if (!ok)
            return false;
    }
    return walk.done;
}

static struct reader reader_of(const char *text, size_t length, enum vr_json_dialect dialect,
                               const struct vr_codec_caps *caps, GString *decoded,
                               struct vr_error **error)
{
    static const struct vr_fault *const faults[] = {
        [VR_JSON_API] = &vr_fault_malformed_body,
        [VR_JSON_STORE] = &vr_fault_internal,
        [VR_JSON_HOST] = &vr_fault_rpc_parse,
    };
    if (!text) /* of no bytes */
        text = "";
    return (struct reader){
        .scan = {
            .start = text,
            .at = text,
            .end = text + length,
            .caps = caps,
            .items = caps->items,
            .decoded = decoded,
            .fault = faults[dialect],
            .error = error,
        },
        .dialect = dialect,
    };
}

void *vr_json_read(const struct vr_type *type, const char *text, size_t length,
                   enum vr_json_dialect dialect, const struct vr_codec_caps *caps,
                   struct vr_error **error)
{
    g_autoptr(GString) decoded = g_string_new(NULL);
    struct reader r = reader_of(text, length, dialect, caps, decoded, error);
    if (!vr_json_begin(&r.scan))
        return NULL;
    vr_auto void *object = vr_object_new(type);
    if (!read_object(&r, object, 1) || !vr_json_finish(&r.scan))
        return NULL;
    return g_steal_pointer(&object);
}

bool vr_json_read_field(void *object, const struct vr_field *field, const char *text, size_t length,
                        enum vr_json_dialect dialect, const struct vr_codec_caps *caps,
                        struct vr_error **error)
{
    g_autoptr(GString) decoded = g_string_new(NULL);
    struct reader r = reader_of(text, length, dialect, caps, decoded, error);
    if (vr_json_begin(&r.scan) && read_member(&r, object, field, 0) && vr_json_finish(&r.scan))
        return true;
    vr_clear(object, field);
    return false;
}
