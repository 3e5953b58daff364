/* SPDX-License-Identifier: Apache-2.0 */
#include "model/test_types.h"

static const char *const color_words[] = { "red", "dark_blue", "light_green" };
const struct vr_enum vr_enum_color = { "color", color_words, G_N_ELEMENTS(color_words) };

#define LIST VR_FIELD_IS_LIST
#define MAP VR_FIELD_IS_MAP

/* Bit N is field N, as the compiler of the schema writes it. */
#define PART(n, member, kind_, sub_)                                                               \
    [n] = { .name = #member,                                                                       \
            .sub = sub_,                                                                           \
            .kind = VR_FIELD_##kind_,                                                              \
            .bit = n,                                                                              \
            .offset = offsetof(struct vr_part, member) }

static const struct vr_field part_fields[] = {
    PART(0, name, STRING, NULL),
    PART(1, size, INTEGER, NULL),
    PART(2, part, STRUCT, &vr_type_part),
};

const struct vr_type vr_type_part = {
    .name = "part",
    .singular = "part",
    .plural = "parts",
    .fields = part_fields,
    .field_count = G_N_ELEMENTS(part_fields),
    .has_offset = offsetof(struct vr_part, has),
    .size = sizeof(struct vr_part),
    .kind = -1,
    .id_field = -1,
};

#define THING(n, member, kind_, sub_, item_, flags_)                                               \
    [n] = { .name = #member,                                                                       \
            .item = item_,                                                                         \
            .sub = sub_,                                                                           \
            .kind = VR_FIELD_##kind_,                                                              \
            .bit = n,                                                                              \
            .flags = flags_,                                                                       \
            .offset = offsetof(struct vr_thing, member) }

static const struct vr_field thing_fields[] = {
    THING(0, id, STRING, NULL, NULL, VR_FIELD_ATTRIBUTE),
    THING(1, name, STRING, NULL, NULL, 0),
    THING(2, description, STRING, NULL, NULL, 0),
    THING(3, zone, STRING, NULL, NULL, 0),
    THING(4, flag, BOOLEAN, NULL, NULL, 0),
    THING(5, count, INTEGER, NULL, NULL, 0),
    THING(6, natural, INTEGER, NULL, NULL, VR_FIELD_UNSIGNED),
    THING(7, big, INTEGER, NULL, NULL, VR_FIELD_WIDE),
    THING(8, ratio, DOUBLE, NULL, NULL, 0),
    THING(9, when, DATE, NULL, NULL, 0),
    THING(10, color, ENUM, &vr_enum_color, NULL, 0),
    THING(11, words, STRING, NULL, "word", LIST),
    THING(12, colors, ENUM, &vr_enum_color, "color", LIST),
    THING(13, numbers, INTEGER, NULL, "number", LIST | VR_FIELD_WIDE),
    THING(14, flags, BOOLEAN, NULL, "flag", LIST),
    THING(15, ratios, DOUBLE, NULL, "ratio", LIST),
    THING(16, dates, DATE, NULL, "date", LIST),
    THING(17, part, STRUCT, &vr_type_part, NULL, 0),
    THING(18, parts, STRUCT, &vr_type_part, "part", LIST),
    THING(19, owner, LINK, &vr_type_thing, NULL, 0),
    THING(20, friends, LINK, &vr_type_thing, "thing", LIST | VR_FIELD_COLLECTION),
    THING(21, labels, STRING, NULL, NULL, MAP),
    THING(22, sizes, INTEGER, NULL, NULL, MAP | VR_FIELD_WIDE),
    THING(23, parts_by_name, STRUCT, &vr_type_part, NULL, MAP),
    THING(24, raw, JSON, NULL, NULL, 0),
    THING(25, raws, JSON, NULL, "raw", LIST),
    THING(26, hidden, STRING, NULL, NULL, VR_FIELD_INTERNAL),
    THING(27, password, STRING, NULL, NULL, VR_FIELD_SECRET),
};

const struct vr_type vr_type_thing = {
    .name = "thing",
    .singular = "thing",
    .plural = "things",
    .fields = thing_fields,
    .field_count = G_N_ELEMENTS(thing_fields),
    .has_offset = offsetof(struct vr_thing, has),
    .size = sizeof(struct vr_thing),
    .kind = -1,
    .id_field = 0,
};

static struct vr_part *new_part(const char *name, int64_t size)
{
    struct vr_part *part = VR_NEW(part);
    VR_SET_STRING(part, name, name);
    VR_SET(part, size, size);
    return part;
}

static void *real_item(double number)
{
    void *item;
    G_STATIC_ASSERT(sizeof(item) == sizeof(number));
    memcpy(&item, &number, sizeof(item));
    return item;
}

struct vr_thing *vr_test_thing(void)
{
    struct vr_thing *thing = VR_NEW(thing);
    vr_set_id(thing, "7");
    VR_SET_STRING(thing, name, "a \"thing\" <&> \\ \xc3\xa9\xf0\x9f\x98\x80 'q'\r\n\tend");
    VR_SET_STRING(thing, description, "");
    VR_SET_STRING(thing, zone, "utc");
    VR_SET(thing, flag, true);
    VR_SET(thing, count, -2147483648);
    VR_SET(thing, natural, 4294967295);
    VR_SET(thing, big, INT64_MIN);
    VR_SET(thing, ratio, 0.1);
    VR_SET(thing, when, 1714566896789);
    VR_SET(thing, color, VR_COLOR_DARK_BLUE);
    VR_APPEND(thing, words, g_strdup("one"));
    VR_APPEND(thing, words, g_strdup(""));
    VR_APPEND(thing, colors, VR_ITEM(VR_COLOR_LIGHT_GREEN));
    VR_APPEND(thing, numbers, VR_ITEM(-1));
    VR_APPEND(thing, numbers, VR_ITEM(INT64_MAX));
    VR_APPEND(thing, flags, VR_ITEM(true));
    VR_APPEND(thing, flags, VR_ITEM(false));
    VR_APPEND(thing, ratios, real_item(-12.5));
    VR_APPEND(thing, dates, VR_ITEM(0));
    struct vr_part *part = VR_SUB(thing, part, part);
    VR_SET(part, size, 5);
    VR_TAKE(part, part, new_part("inner", 6));
    VR_APPEND(thing, parts, new_part("first", 1));
    VR_APPEND(thing, parts, new_part("second", 2));
    VR_SET_LINK(thing, owner, thing, "8");
    VR_APPEND(thing, friends, VR_STUB(thing, "9"));
    thing->has.labels = thing->has.sizes = thing->has.parts_by_name = true;
    vr_map_set(&thing->labels, "z", g_strdup("last"));
    vr_map_set(&thing->labels, "a \"key\"", g_strdup("first"));
    vr_map_set(&thing->sizes, "root", VR_ITEM(INT64_MAX));
    vr_map_set(&thing->parts_by_name, "wheel", new_part("wheel", 4));
    VR_SET_STRING(thing, raw, "{\"any\":[1,2.50,null]}");
    VR_APPEND(thing, raws, g_strdup("\"x\""));
    VR_SET_STRING(thing, hidden, "internal");
    VR_SET_STRING(thing, password, "secret");
    return thing;
}
