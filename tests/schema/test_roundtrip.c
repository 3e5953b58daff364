/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Random objects of every type of the model through every codec and through
 * vr_copy() and vr_equal().  VR_SEED=N repeats one run; VR_ROUNDS=N lengthens it.
 */

#include "codec/codec.h"
#include "gen/model_api.h"
#include "gen/model_host.h"

#define DEFAULT_SEED 20170401 /* any will do */
#define DEFAULT_ROUNDS 8
#define MAX_DEPTH 4

/* What a text can carry: each way leaves out some fields. */
struct way {
    const char *name;
    unsigned left_out; /* fields with one of these flags */
    bool api;          /* integers that are not wide have 32 bits; only the id of a link */
};

static uint64_t state;

/* splitmix64: small, and any seed is good. */
static uint64_t next(void)
{
    uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static unsigned below(unsigned limit)
{
    return (unsigned)(next() % limit);
}

static uint64_t setting(const char *name, uint64_t otherwise)
{
    const char *text = g_getenv(name);
    return text ? g_ascii_strtoull(text, NULL, 0) : otherwise;
}

static char *random_string(void)
{
    static const char *const pieces[] = {
        "a", "Z", "0", " ", "<", ">", "&", "\"", "'", "\\", "/", "\n", "\t", "{", "]", "$",
        "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x90\xa7", "null", "]]>", "&amp;", "%s", ":",
    };
    GString *text = g_string_new(NULL);
    for (unsigned i = below(12); i > 0; i--)
        g_string_append(text, pieces[below(G_N_ELEMENTS(pieces))]);
    return g_string_free(text, FALSE);
}

static int64_t random_integer(const struct vr_field *field, const struct way *way)
{
    int64_t value = (int64_t)(next() >> below(64));
    if (below(2))
        value = -value;
    if (field->kind == VR_FIELD_DATE)
        return value % INT64_C(62000000000000); /* years 5 to 3934: four digits */
    if (way->api && !(field->flags & VR_FIELD_WIDE))
        value = (int32_t)value;
    if (field->flags & VR_FIELD_UNSIGNED && value < 0)
        value = value == INT64_MIN ? INT64_MAX : -value;
    if (way->api && !(field->flags & VR_FIELD_WIDE))
        value = CLAMP(value, INT32_MIN, INT32_MAX);
    return value;
}

static double random_double(void)
{
    static const double some[] = { 0, 1, -1, 0.1, 12.5, 1e-7, 1e15, 123456789.0123 };
    return some[below(G_N_ELEMENTS(some))];
}

static void *random_object(const struct vr_type *type, const struct way *way, unsigned depth);

static void *random_stub(const struct vr_field *field)
{
    g_autofree char *id = g_strdup_printf("%08x-0000-4000-8000-%012x", below(1u << 31), below(9));
    return vr_stub(field->sub, id);
}

/* An item of a list or map. */
static void *random_item(const struct vr_field *field, const struct way *way, unsigned depth)
{
    switch ((enum vr_field_kind)field->kind) {
    case VR_FIELD_STRING:
        return random_string();
    case VR_FIELD_JSON:
        return g_strdup("{\"a\":[1,true,null]}");
    case VR_FIELD_STRUCT:
        return random_object(field->sub, way, depth);
    case VR_FIELD_LINK:
        return random_stub(field);
    case VR_FIELD_BOOLEAN:
        return GSIZE_TO_POINTER(below(2));
    case VR_FIELD_ENUM:
        return GSIZE_TO_POINTER(below(((const struct vr_enum *)field->sub)->count));
    case VR_FIELD_INTEGER:
    case VR_FIELD_DATE:
        return GSIZE_TO_POINTER((gsize)random_integer(field, way));
    case VR_FIELD_DOUBLE: {
        double number = random_double();
        void *item = NULL;
        memcpy(&item, &number, sizeof(item));
        return item;
    }
    }
    g_assert_not_reached();
}

static void fill_member(void *object, const struct vr_field *field, const struct way *way,
                        unsigned depth)
{
    void *member = vr_member(object, field);
    if (field->flags & VR_FIELD_IS_LIST) {
        for (unsigned i = below(3) + 1; i > 0; i--)
            vr_list_append(member, random_item(field, way, depth));
        return;
    }
    if (field->flags & VR_FIELD_IS_MAP) {
        for (unsigned i = below(3) + 1; i > 0; i--) {
            g_autofree char *key = g_strdup_printf("key %u", i);
            vr_map_set(member, key, random_item(field, way, depth));
        }
        return;
    }
    switch ((enum vr_field_kind)field->kind) {
    case VR_FIELD_BOOLEAN:
        *(bool *)member = below(2);
        return;
    case VR_FIELD_ENUM:
        *(unsigned *)member = below(((const struct vr_enum *)field->sub)->count);
        return;
    case VR_FIELD_INTEGER:
    case VR_FIELD_DATE:
        *(int64_t *)member = random_integer(field, way);
        return;
    case VR_FIELD_DOUBLE:
        *(double *)member = random_double();
        return;
    case VR_FIELD_STRING:
    case VR_FIELD_JSON:
    case VR_FIELD_STRUCT:
    case VR_FIELD_LINK:
        *(void **)member = random_item(field, way, depth);
        return;
    }
}

static void *random_object(const struct vr_type *type, const struct way *way, unsigned depth)
{
    void *object = vr_object_new(type);
    unsigned rarity = 1 + depth * 3; /* the deeper, the emptier */
    for (unsigned i = 0; i < type->field_count; i++) {
        const struct vr_field *field = &type->fields[i];
        bool leaf = field->kind != VR_FIELD_STRUCT;
        if (field->flags & way->left_out || below(rarity) || (depth == MAX_DEPTH && !leaf))
            continue;
        fill_member(object, field, way, depth + 1);
        vr_set_has(object, field, true);
    }
    return object;
}

static void G_GNUC_NORETURN differs(const struct way *way, const struct vr_type *type,
                                    const char *text)
{
    g_error("%s of %s came back changed: %s", way->name, type->name, text);
}

static void through_json(const void *object, const struct vr_type *type, const struct way *way,
                         enum vr_json_dialect dialect, const struct vr_codec_caps *caps)
{
    vr_auto_error struct vr_error *error = NULL;
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(GString) again = g_string_new(NULL);
    vr_json_write(text, object, dialect, NULL);
    vr_auto void *back = vr_json_read(type, text->str, text->len, dialect, caps, &error);
    if (!back)
        g_error("%s of %s: %s: %s", way->name, type->name, error->detail, text->str);
    if (!vr_equal(object, back))
        differs(way, type, text->str);
    vr_json_write(again, back, dialect, NULL);
    g_assert_cmpstr(again->str, ==, text->str);
}

static void through_xml(const void *object, const struct vr_type *type, const struct way *way)
{
    vr_auto_error struct vr_error *error = NULL;
    g_autoptr(GString) text = g_string_new(NULL);
    vr_xml_write(text, object, NULL);
    vr_auto void *back =
        vr_xml_read(type, NULL, text->str, text->len, &vr_codec_caps_api, &error);
    if (!back)
        g_error("%s of %s: %s: %s", way->name, type->name, error->detail, text->str);
    if (!vr_equal(object, back))
        differs(way, type, text->str);
}

enum { HIDDEN = VR_FIELD_INTERNAL | VR_FIELD_SECRET };
static const struct way stored = { "JSON of the database", 0, false };
static const struct way shown = { "JSON of the interface", HIDDEN | VR_FIELD_IS_MAP, true };
static const struct way marked_up = { "XML", HIDDEN | VR_FIELD_IS_MAP, true };
static const struct way sent = { "JSON of the host protocol", 0, false };

/* A copy is equal, and no longer when one of its fields is gone. */
static void copies(const void *object, const struct vr_type *type)
{
    vr_auto void *copy = vr_copy(object);
    g_assert_true(vr_equal(object, copy));
    for (unsigned i = 0; i < type->field_count; i++) {
        if (!vr_has(copy, &type->fields[i]))
            continue;
        vr_clear(copy, &type->fields[i]);
        g_assert_false(vr_equal(object, copy));
        break;
    }
}

static void round_of_api_type(const struct vr_type *type)
{
    vr_auto void *kept = random_object(type, &stored, 0);
    copies(kept, type);
    through_json(kept, type, &stored, VR_JSON_STORE, &vr_codec_caps_host);
    vr_auto void *json = random_object(type, &shown, 0);
    through_json(json, type, &shown, VR_JSON_API, &vr_codec_caps_api);
    vr_auto void *xml = random_object(type, &marked_up, 0);
    through_xml(xml, type, &marked_up);
}

static void round_of_host_type(const struct vr_type *type)
{
    vr_auto void *object = random_object(type, &sent, 0);
    copies(object, type);
    through_json(object, type, &sent, VR_JSON_HOST, &vr_codec_caps_host);
    through_json(object, type, &stored, VR_JSON_STORE, &vr_codec_caps_host);
}

/* Each round of each type has a seed of its own, so that one can be repeated alone. */
static void run(const struct vr_type *const *types, unsigned count,
                void (*one)(const struct vr_type *type))
{
    uint64_t seed = setting("VR_SEED", DEFAULT_SEED), rounds = setting("VR_ROUNDS", DEFAULT_ROUNDS);
    g_test_message("VR_SEED=%" G_GUINT64_FORMAT " VR_ROUNDS=%" G_GUINT64_FORMAT, seed, rounds);
    for (uint64_t round = 0; round < rounds; round++) {
        for (unsigned i = 0; i < count; i++) {
            state = seed + round * 1000003 + i;
            one(types[i]);
        }
    }
}

static void every_type_of_the_interface_comes_back(void)
{
    run(vr_api_types, vr_api_type_count, round_of_api_type);
}

static void every_type_of_the_host_protocol_comes_back(void)
{
    run(vr_host_types, vr_host_type_count, round_of_host_type);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/schema/round trip/every type of the interface comes back",
                    every_type_of_the_interface_comes_back);
    g_test_add_func("/schema/round trip/every type of the host protocol comes back",
                    every_type_of_the_host_protocol_comes_back);
    return g_test_run();
}
