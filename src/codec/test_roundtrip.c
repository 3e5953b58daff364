/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Random objects of every type of the schema, through every codec: what is
 * written and read back is the same object, but for what the codec hides.
 * `--seed` of a failed run repeats it.
 */

#include "codec/codec.h"
#include "model/api.h"
#include "model/host.h"
#include "model/walk.h"

enum { OBJECTS_A_TYPE = 12, DEEPEST = 3 };

static void *random_object(const struct vr_type *type, unsigned depth);

static char *random_text(void)
{
    static const char *const pieces[] = {
        "a",     "Zz",   " ",   "\n", "\t", "\r",          "<",   "&",        ">",
        "\"",    "'",    "\\",  "/",  "{}", "[]",          "]]>", "\xc3\xa9", "\xf0\x9f\x98\x80",
        "&#38;", "null", "0x1", ",",  ":",  "\xe2\x82\xac"
    };
    GString *text = g_string_new(NULL);
    for (int i = g_test_rand_int_range(0, 7); i > 0; i--)
        g_string_append(text, pieces[g_test_rand_int_range(0, G_N_ELEMENTS(pieces))]);
    return g_string_free(text, false);
}

static char *random_json(void)
{
    static const char *const texts[] = { "{}", "[1,2.50]", "\"x\"", "7", "true", "{\"a\":[null]}" };
    return g_strdup(texts[g_test_rand_int_range(0, G_N_ELEMENTS(texts))]);
}

/* In what the API takes for the field; the ends of the range come often. */
static int64_t random_integer(const struct vr_field *field)
{
    bool natural = field->flags & VR_FIELD_UNSIGNED, wide = field->flags & VR_FIELD_WIDE;
    int64_t low = natural ? 0 : wide ? INT64_MIN : INT32_MIN;
    int64_t high = wide ? INT64_MAX : natural ? UINT32_MAX : INT32_MAX;
    switch (g_test_rand_int_range(0, 4)) {
    case 0:
        return low;
    case 1:
        return high;
    case 2:
        return 0;
    default:
        return g_test_rand_int_range(natural ? 0 : -100000, 100000);
    }
}

static double random_double(void)
{
    static const double numbers[] = { 0, 0.1, -12.5, 1e300, 5e-324, 1.0 / 3, 1e15, 123456789.25 };
    if (g_test_rand_bit())
        return numbers[g_test_rand_int_range(0, G_N_ELEMENTS(numbers))];
    return g_test_rand_double_range(-1e6, 1e6);
}

/* From year 1 to 9999. */
static int64_t random_date(void)
{
    return (int64_t)g_test_rand_double_range(-62135596800000.0, 253402300799999.0);
}

static int64_t random_scalar(const struct vr_field *field)
{
    switch ((enum vr_field_kind)field->kind) {
    case VR_FIELD_BOOLEAN:
        return g_test_rand_bit();
    case VR_FIELD_INTEGER:
        return random_integer(field);
    case VR_FIELD_DATE:
        return random_date();
    case VR_FIELD_ENUM:
        return g_test_rand_int_range(0, (int)((const struct vr_enum *)field->sub)->count);
    default:
        g_assert_not_reached();
    }
}

/* A list item or map value. */
static void *random_item(const struct vr_field *field, unsigned depth)
{
    if (field->kind == VR_FIELD_STRING)
        return random_text();
    if (field->kind == VR_FIELD_JSON)
        return random_json();
    if (vr_kind_is_object(field->kind))
        return random_object(field->sub, depth + 1);
    if (field->kind == VR_FIELD_DOUBLE)
        return vr_item_from_double(random_double());
    return VR_ITEM(random_scalar(field));
}

static void fill_one(const struct vr_field *field, void *member, unsigned depth)
{
    switch ((enum vr_field_kind)field->kind) {
    case VR_FIELD_BOOLEAN:
        *(bool *)member = random_scalar(field);
        break;
    case VR_FIELD_INTEGER:
    case VR_FIELD_DATE:
        *(int64_t *)member = random_scalar(field);
        break;
    case VR_FIELD_DOUBLE:
        *(double *)member = random_double();
        break;
    case VR_FIELD_ENUM:
        *(int *)member = (int)random_scalar(field);
        break;
    case VR_FIELD_STRING:
    case VR_FIELD_JSON:
    case VR_FIELD_STRUCT:
    case VR_FIELD_LINK:
        *(void **)member = random_item(field, depth);
        break;
    }
}

static void fill(void *object, const struct vr_field *field, unsigned depth)
{
    void *member = vr_member(object, field);
    int count = g_test_rand_int_range(0, 4);
    switch (vr_field_shape(field)) {
    case VR_SHAPE_ONE:
        fill_one(field, member, depth);
        break;
    case VR_SHAPE_LIST:
        for (int i = 0; i < count; i++)
            vr_list_append(member, random_item(field, depth));
        break;
    case VR_SHAPE_MAP:
        for (int i = 0; i < count; i++) {
            g_autofree char *key = random_text();
            vr_item_free(field, vr_map_set(member, key, random_item(field, depth)));
        }
        break;
    }
    vr_set_has(object, field, true);
}

/* Nearer to the root more fields are set; at the end only an id. */
static void *random_object(const struct vr_type *type, unsigned depth)
{
    void *object = vr_object_new(type);
    for (unsigned i = 0; i < type->field_count; i++) {
        const struct vr_field *field = &type->fields[i];
        bool nests = vr_kind_is_object(field->kind);
        if (nests && depth >= DEEPEST)
            continue;
        if (g_test_rand_int_range(0, nests ? 2 + 4 * (int)depth : 2) == 0)
            fill(object, field, depth);
    }
    return object;
}

static void hide_item(const struct vr_field *field, void *item, unsigned flags, bool host_kinds);

/* Clears every field that has one of @flags or, with @host_kinds, that XML does not carry. */
static void hide(void *object, unsigned flags, bool host_kinds)
{
    unsigned next = 0;
    for (const struct vr_field *field; (field = vr_next_set(object, &next));) {
        void *member = vr_member(object, field);
        const struct vr_list *list = member;
        const struct vr_map *map = member;
        bool foreign = field->kind == VR_FIELD_JSON || field->flags & VR_FIELD_IS_MAP;
        if (field->flags & flags || (host_kinds && foreign)) {
            vr_clear(object, field);
            continue;
        }
        switch (vr_field_shape(field)) {
        case VR_SHAPE_ONE:
            if (vr_kind_is_object(field->kind))
                hide(*(void **)member, flags, host_kinds);
            break;
        case VR_SHAPE_LIST:
            for (unsigned i = 0; i < list->len; i++)
                hide_item(field, list->items[i], flags, host_kinds);
            break;
        case VR_SHAPE_MAP:
            for (unsigned i = 0; i < map->len; i++)
                hide_item(field, map->values[i], flags, host_kinds);
            break;
        }
    }
}

static void hide_item(const struct vr_field *field, void *item, unsigned flags, bool host_kinds)
{
    if (vr_kind_is_object(field->kind))
        hide(item, flags, host_kinds);
}

static void check_same(const void *want, const void *got, const GString *text,
                       const struct vr_error *error)
{
    if (!got)
        g_error("refused: %s: %s", error->detail, text->str);
    if (!vr_equal(want, got))
        g_error("changed: %s", text->str);
}

static void check_json(const void *object, enum vr_json_dialect dialect)
{
    const struct vr_type *type = ((const struct vr_object *)object)->type;
    vr_auto_error struct vr_error *error = NULL;
    g_autoptr(GString) text = g_string_new(NULL);
    vr_json_write(text, object, dialect, NULL);
    vr_auto void *back =
        vr_json_read(type, text->str, text->len, dialect, &vr_codec_caps_host, &error);
    check_same(object, back, text, error);
}

static void check_xml(const void *object)
{
    const struct vr_type *type = ((const struct vr_object *)object)->type;
    vr_auto_error struct vr_error *error = NULL;
    g_autoptr(GString) text = g_string_new(NULL);
    vr_xml_write(text, object, NULL);
    vr_auto void *back = vr_xml_read(type, NULL, text->str, text->len, &vr_codec_caps_host, &error);
    check_same(object, back, text, error);
}

static void check_model(const void *object)
{
    const struct vr_type *type = ((const struct vr_object *)object)->type;
    vr_auto void *copy = vr_copy(object);
    g_assert_true(vr_equal(object, copy));
    vr_auto void *merged = vr_object_new(type);
    vr_merge(merged, object);
    g_assert_true(vr_equal(object, merged));
}

static void test_api(void)
{
    enum { HIDDEN = VR_FIELD_INTERNAL | VR_FIELD_SECRET };
    for (unsigned i = 0; i < vr_api_type_count * OBJECTS_A_TYPE; i++) {
        vr_auto void *object = random_object(vr_api_types[i / OBJECTS_A_TYPE], 0);
        check_model(object);
        check_json(object, VR_JSON_STORE);
        hide(object, HIDDEN, false);
        check_json(object, VR_JSON_API);
        hide(object, HIDDEN, true);
        check_xml(object);
    }
}

static void test_host(void)
{
    for (unsigned i = 0; i < vr_host_type_count * OBJECTS_A_TYPE; i++) {
        vr_auto void *object = random_object(vr_host_types[i / OBJECTS_A_TYPE], 0);
        check_model(object);
        check_json(object, VR_JSON_HOST);
        check_json(object, VR_JSON_STORE);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/roundtrip/every type of the interface", test_api);
    g_test_add_func("/roundtrip/every type of the host protocol", test_host);
    return g_test_run();
}
