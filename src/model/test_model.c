/* SPDX-License-Identifier: Apache-2.0 */
#include "model/test_types.h"
#include "model/verb.h"
#include "model/walk.h"

static void test_new(void)
{
    vr_auto struct vr_thing *thing = VR_NEW(thing);
    g_assert_true(thing->base.type == &vr_type_thing);
    g_assert_cmpint(thing->base.refs, ==, 1);
    for (unsigned i = 0; i < vr_type_thing.field_count; i++)
        g_assert_false(vr_has(thing, &vr_type_thing.fields[i]));
    g_assert_null(vr_id(thing));
    g_assert_cmpint(VR_GET(thing, count, 42), ==, 42);
}

static void test_references(void)
{
    struct vr_thing *thing = VR_NEW(thing);
    g_assert_true(vr_ref(thing) == thing);
    g_assert_cmpint(thing->base.refs, ==, 2);
    vr_unref(thing);
    g_assert_cmpint(thing->base.refs, ==, 1);
    vr_unref(thing);
    vr_unref(NULL);
    g_assert_null(vr_ref(NULL));
}

static void test_bits(void)
{
    vr_auto struct vr_thing *thing = vr_test_thing();
    unsigned next = 0, count = 0;
    for (const struct vr_field *field; (field = vr_next_set(thing, &next)); count++)
        g_assert_true(field == &vr_type_thing.fields[count]);
    g_assert_cmpuint(count, ==, vr_type_thing.field_count);
    for (unsigned i = 0; i < count; i++)
        vr_clear(thing, &vr_type_thing.fields[i]);
    next = 0;
    g_assert_null(vr_next_set(thing, &next));
    vr_auto struct vr_thing *empty = VR_NEW(thing);
    g_assert_cmpmem(&thing->has, sizeof(*thing) - offsetof(struct vr_thing, has), &empty->has,
                    sizeof(*empty) - offsetof(struct vr_thing, has));
    thing->has.password = true;
    next = 0;
    g_assert_cmpstr(vr_next_set(thing, &next)->name, ==, "password");
}

static void test_copy(void)
{
    vr_auto struct vr_thing *thing = vr_test_thing();
    vr_auto struct vr_thing *copy = vr_copy(vr_ref(thing));
    vr_unref(thing);
    g_assert_cmpint(copy->base.refs, ==, 1);
    g_assert_true(vr_equal(thing, copy));
    g_assert_true(copy->name != thing->name);
    g_assert_true(copy->part->part != thing->part->part);
    g_assert_true(copy->parts.items[0] != thing->parts.items[0]);
    g_assert_true(copy->labels.keys[0] != thing->labels.keys[0]);
    g_assert_null(vr_copy(NULL));
}

/* Each field in turn is taken away from a copy, which then differs. */
static void test_equal(void)
{
    vr_auto struct vr_thing *thing = vr_test_thing();
    for (unsigned i = 0; i < vr_type_thing.field_count; i++) {
        vr_auto struct vr_thing *copy = vr_copy(thing);
        vr_clear(copy, &vr_type_thing.fields[i]);
        g_assert_false(vr_equal(thing, copy));
        g_assert_false(vr_equal(copy, thing));
    }
    g_assert_true(vr_equal(NULL, NULL));
    g_assert_false(vr_equal(thing, NULL));
    g_assert_false(vr_equal(NULL, thing));
    g_assert_false(vr_equal(thing, thing->part));
}

static void test_equal_looks_deep(void)
{
    vr_auto struct vr_thing *thing = vr_test_thing();
#define DIFFERS(change)                                                                            \
    do {                                                                                           \
        vr_auto struct vr_thing *copy = vr_copy(thing);                                            \
        change;                                                                                    \
        g_assert_false(vr_equal(thing, copy));                                                     \
    } while (0)
    DIFFERS(copy->flag = false);
    DIFFERS(copy->count++);
    DIFFERS(copy->ratio = 0.2);
    DIFFERS(copy->color = VR_COLOR_RED);
    DIFFERS(copy->name[0] = 'X');
    DIFFERS(copy->part->part->size = 0);
    DIFFERS(((struct vr_part *)copy->parts.items[1])->size = 0);
    DIFFERS(vr_set_id(copy->owner, "0"));
    DIFFERS(copy->numbers.items[0] = VR_ITEM(0));
    DIFFERS(vr_list_append(&copy->numbers, VR_ITEM(0)));
    DIFFERS(copy->labels.keys[0][0] = 'b');
    DIFFERS(g_free(vr_map_set(&copy->labels, "z", g_strdup("other"))));
    DIFFERS(copy->raw[0] = '[');
#undef DIFFERS
}

static void test_merge(void)
{
    vr_auto struct vr_thing *into = vr_test_thing();
    vr_auto struct vr_thing *from = VR_NEW(thing);
    VR_SET_STRING(from, zone, "cet");
    VR_SET(VR_SUB(from, part, part), size, 50);
    VR_APPEND(from, words, g_strdup("only"));
    VR_TAKE(from, owner, VR_NEW(thing));
    VR_SET_STRING(from->owner, name, "by name");
    from->has.numbers = true; /* an empty list: clears */
    vr_merge(into, from);
    g_assert_cmpstr(into->zone, ==, "cet");
    g_assert_cmpint(into->count, ==, -2147483648);
    g_assert_cmpint(into->part->size, ==, 50);
    g_assert_cmpstr(into->part->part->name, ==, "inner");
    g_assert_cmpuint(into->words.len, ==, 1);
    g_assert_cmpuint(into->numbers.len, ==, 0);
    g_assert_true(into->has.numbers);
    g_assert_null(VR_LINK_ID(into, owner)); /* a link goes as a whole */
    g_assert_cmpstr(into->owner->name, ==, "by name");
    g_assert_true(into->words.items[0] != from->words.items[0]);
}

static void test_merge_into_empty(void)
{
    vr_auto struct vr_thing *from = vr_test_thing();
    vr_auto struct vr_thing *into = VR_NEW(thing);
    vr_merge(into, from);
    g_assert_true(vr_equal(into, from));
    vr_merge(into, from);
    g_assert_true(vr_equal(into, from));
}

static void test_merge_leaves_shared_parts(void)
{
    vr_auto struct vr_thing *old = vr_test_thing();
    vr_auto struct vr_thing *into = VR_NEW(thing);
    VR_TAKE(into, part, vr_ref(old->part));
    vr_auto struct vr_thing *from = VR_NEW(thing);
    VR_SET(VR_SUB(from, part, part), size, 50);
    vr_merge(into, from);
    g_assert_cmpint(into->part->size, ==, 50);
    g_assert_cmpint(old->part->size, ==, 5);
}

static void test_rebase(void)
{
    vr_auto struct vr_thing *base = vr_test_thing();
    vr_auto struct vr_thing *mine = vr_copy(base), *theirs = vr_copy(base);
    VR_SET_STRING(mine, name, "mine");
    VR_SET(theirs, count, 77);
    VR_CLEAR(theirs, labels);
    VR_SET_STRING(theirs, name, "theirs");
    vr_rebase(mine, base, theirs);
    g_assert_cmpstr(mine->name, ==, "mine");
    g_assert_cmpint(mine->count, ==, 77);
    g_assert_false(mine->has.labels);
    vr_auto struct vr_thing *same = vr_copy(theirs);
    vr_rebase(same, theirs, theirs);
    g_assert_true(vr_equal(same, theirs));
}

static void test_rebase_looks_into_structs(void)
{
    vr_auto struct vr_thing *base = vr_test_thing();
    vr_auto struct vr_thing *mine = vr_copy(base), *theirs = vr_copy(base);
    VR_SET_STRING(mine->part, name, "mine");
    VR_SET(theirs->part, size, 1234);
    vr_rebase(mine, base, theirs);
    g_assert_cmpstr(mine->part->name, ==, "mine");
    g_assert_cmpint(mine->part->size, ==, 1234);
}

static void test_assignment(void)
{
    vr_auto struct vr_thing *thing = VR_NEW(thing);
    VR_SET_STRING(thing, name, "x");
    VR_SET_STRING(thing, name, thing->name); /* from itself */
    g_assert_cmpstr(thing->name, ==, "x");
    VR_SET_STRING(thing, name, NULL);
    g_assert_false(VR_HAS(thing, name));
    VR_TAKE_STRING(thing, name, g_strdup("y"));
    VR_CLEAR(thing, name);
    g_assert_null(thing->name);
    VR_SET_LINK(thing, owner, thing, "1");
    g_assert_cmpstr(VR_LINK_ID(thing, owner), ==, "1");
    VR_SET_LINK(thing, owner, thing, NULL);
    g_assert_false(VR_HAS(thing, owner));
    vr_set_id(thing, "a");
    vr_set_id(thing, vr_id(thing));
    g_assert_cmpstr(vr_id(thing), ==, "a");
    vr_set_id(thing, NULL);
    g_assert_false(VR_HAS(thing, id));
    g_assert_true(vr_type_field(&vr_type_thing, "when")->kind == VR_FIELD_DATE);
    g_assert_null(vr_type_field(&vr_type_thing, "whe"));
    vr_auto struct vr_part *part = VR_NEW(part);
    g_assert_null(vr_id(part));
}

static void test_list(void)
{
    vr_auto struct vr_thing *thing = VR_NEW(thing);
    for (int i = 0; i < 1000; i++) {
        struct vr_part *part = VR_NEW(part);
        VR_SET(part, size, i);
        VR_APPEND(thing, parts, part);
    }
    int next = 0;
    VR_EACH(struct vr_part, part, &thing->parts)
    {
        g_assert_cmpint(part->size, ==, next++);
    }
    g_assert_cmpint(next, ==, 1000);
    vr_list_clear_objects(&thing->parts);
    g_assert_cmpuint(thing->parts.len, ==, 0);
}

static void test_map(void)
{
    vr_auto struct vr_thing *thing = VR_NEW(thing);
    thing->has.sizes = true;
    for (int i = 0; i < 1000; i++) {
        g_autofree char *key = g_strdup_printf("k%d", i * 7919 % 1000);
        g_assert_null(vr_map_set(&thing->sizes, key, VR_ITEM(i * 7919 % 1000 + 1)));
    }
    g_assert_cmpuint(thing->sizes.len, ==, 1000);
    for (unsigned i = 1; i < 1000; i++)
        g_assert_cmpstr(thing->sizes.keys[i - 1], <, thing->sizes.keys[i]);
    g_assert_cmpint(VR_ITEM_NUMBER(vr_map_get(&thing->sizes, "k500")), ==, 501);
    g_assert_cmpint(VR_ITEM_NUMBER(vr_map_set(&thing->sizes, "k500", VR_ITEM(-3))), ==, 501);
    g_assert_cmpint(VR_ITEM_NUMBER(vr_map_get(&thing->sizes, "k500")), ==, -3);
    g_assert_cmpuint(thing->sizes.len, ==, 1000);
    g_assert_null(vr_map_get(&thing->sizes, "k1000"));
    g_assert_null(vr_map_get(&thing->labels, "none"));
}

static void test_map_settles(void)
{
    vr_auto struct vr_thing *thing = VR_NEW(thing);
    thing->has.labels = true;
    static const char *const keys[] = { "b", "a", "b", "c", "a", "b" };
    for (unsigned i = 0; i < G_N_ELEMENTS(keys); i++)
        vr_map_add(&thing->labels, g_strdup(keys[i]), g_strdup_printf("%u", i));
    vr_map_settle(&thing->labels, vr_type_field(&vr_type_thing, "labels"));
    g_assert_cmpuint(thing->labels.len, ==, 3);
    g_assert_cmpstr(vr_map_get(&thing->labels, "a"), ==, "4");
    g_assert_cmpstr(vr_map_get(&thing->labels, "b"), ==, "5");
    g_assert_cmpstr(vr_map_get(&thing->labels, "c"), ==, "3");
}

static void test_enum(void)
{
    static const char *const words[] = { "up",  "powering_up", "Powering down",
                                         "a-b", "Active",      "active",
                                         "-",   "v2v" };
    static const struct vr_enum e = { "state", words, G_N_ELEMENTS(words) };
    static const struct {
        const char *word;
        int want;
    } rows[] = {
        { "up", 0 },         { "UP", 0 },          { "powering_up", 1 }, { "POWERINGUP", 1 },
        { "PoweringUp", 1 }, { "powering-up", 1 }, { "powering up", 1 }, { "powering_down", 2 },
        { "a_b", 3 },        { "ab", 3 },          { "active", 5 },      { "Active", 4 },
        { "ACTIVE", 4 },     { "-", 6 },           { "_", -1 },          { "", -1 },
        { "u", -1 },         { "upp", -1 },        { "v2v", 7 },         { "powering", -1 },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++)
        g_assert_cmpint(vr_enum_parse(&e, rows[i].word), ==, rows[i].want);
    g_assert_cmpstr(vr_enum_word(&e, 1), ==, "powering_up");
    g_assert_null(vr_enum_word(&e, -1));
    g_assert_null(vr_enum_word(&e, 8));
}

static void test_uuid(void)
{
    static const uint8_t bytes[16] = {
        0xff, 1, 2, 3, 4, 5, 0xff, 7, 0xff, 9, 10, 11, 12, 13, 14, 15
    };
    char text[37];
    vr_uuid_format(text, bytes);
    g_assert_cmpstr(text, ==, "ff010203-0405-4f07-bf09-0a0b0c0d0e0f");
    g_autofree char *a = vr_uuid_new(), *b = vr_uuid_new();
    g_assert_cmpstr(a, !=, b);
    g_assert_true(vr_uuid_valid(a));
    static const struct {
        const char *text;
        bool valid;
    } rows[] = {
        { VR_UUID_ZERO, true },
        { "58cfb470-03b9-01d0-03b9-0000000001e7", true },
        { "58CFB470-03B9-01D0-03B9-0000000001E7", true },
        { "58cfb470-03b9-01d0-03b9-0000000001e", false },
        { "58cfb470-03b9-01d0-03b9-0000000001e70", false },
        { "58cfb470003b9-01d0-03b9-0000000001e7", false },
        { "58cfb470-03b9-01d0-03b9-0000000001eg", false },
        { "", false },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++)
        g_assert_true(vr_uuid_valid(rows[i].text) == rows[i].valid);
}

static void test_equal_parts_are_kept_once(void)
{
    unsigned before = vr_shared_count();
    vr_auto struct vr_thing *one = vr_test_thing();
    vr_auto struct vr_thing *two = vr_test_thing();
    vr_auto struct vr_thing *other = vr_test_thing();
    VR_SET(other->part, size, 6);
    vr_share_parts(one, NULL);
    vr_share_parts(two, NULL);
    vr_share_parts(other, NULL);
    g_assert_true(one->part == two->part);
    g_assert_true(one->owner == two->owner && one->friends.items[0] == two->friends.items[0]);
    g_assert_true(one->parts.items[1] == two->parts.items[1]);
    g_assert_true(one->part != other->part && one->part->part == other->part->part);
    g_assert_true(vr_equal(one, two) && !vr_equal(one, other));
    vr_auto struct vr_thing *fresh = vr_test_thing();
    g_assert_true(vr_equal(one, fresh));
    g_assert_cmpuint(vr_shared_count(), >, before);

    /* A copy may be changed. */
    vr_auto struct vr_thing *copy = vr_copy(one);
    g_assert_true(copy->part != one->part && copy->owner != one->owner);
    VR_SET(copy->part, size, 77);
    vr_set_id(copy->owner, "88");
    g_assert_true(vr_equal(one, two));
}

static void test_parts_that_nobody_has_are_gone(void)
{
    unsigned before = vr_shared_count();
    struct vr_thing *things[3];
    for (unsigned i = 0; i < G_N_ELEMENTS(things); i++) {
        things[i] = vr_test_thing();
        vr_share_parts(things[i], NULL);
    }
    g_assert_cmpuint(vr_shared_count(), >, before);
    for (unsigned i = 0; i < G_N_ELEMENTS(things); i++)
        vr_unref(things[i]);
    g_assert_cmpuint(vr_shared_count(), ==, before);
}

static void unref_part(gpointer part)
{
    vr_unref(part);
}

static void test_what_others_hold_is_left_as_it_is(void)
{
    vr_auto struct vr_thing *one = vr_test_thing();
    vr_auto struct vr_thing *two = vr_test_thing();
    g_autoptr(GPtrArray) dropped = g_ptr_array_new_with_free_func(unref_part);
    vr_auto struct vr_part *held = vr_ref(two->part);
    const char *id = vr_id(two->owner);
    vr_share_parts(one, dropped);
    vr_share_parts(two, dropped);
    g_assert_true(two->part == held);
    g_assert_cmpuint(dropped->len, >, 0);
    g_assert_cmpstr(id, ==, "8"); /* of a part that is only put aside */
}

/* Under ThreadSanitizer and AddressSanitizer this says more: parts come and go on all threads. */
static gpointer share_and_drop(gpointer ignored)
{
    for (unsigned i = 0; i < 2000; i++) {
        struct vr_thing *thing = vr_test_thing();
        VR_SET(thing->part, size, i % 3);
        vr_share_parts(thing, NULL);
        g_assert_cmpint(thing->part->size, ==, i % 3);
        g_assert_cmpstr(vr_id(thing->owner), ==, "8");
        vr_unref(thing);
    }
    return NULL;
}

static void test_threads_share_parts(void)
{
    unsigned before = vr_shared_count();
    GThread *threads[4];
    for (unsigned i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("share", share_and_drop, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(threads); i++)
        g_thread_join(threads[i]);
    g_assert_cmpuint(vr_shared_count(), ==, before);
}

static void test_verb(void)
{
    g_assert_cmpuint(vr_verb_count, >, 0);
    for (unsigned i = 0; i < vr_verb_count; i++) {
        g_assert_true(vr_verb_find(vr_verbs[i]->name) == vr_verbs[i]);
        g_assert_cmpuint(vr_verbs[i]->index, ==, i);
    }
    static const char *const unknown[] = { "", "VM", "VM.creat", "VM.createe", "vm.create", "~" };
    for (unsigned i = 0; i < G_N_ELEMENTS(unknown); i++)
        g_assert_null(vr_verb_find(unknown[i]));
    g_assert_cmpstr(vr_verb_find("VM.create")->name, ==, "VM.create");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/model/a new object has no field set", test_new);
    g_test_add_func("/model/an object lives while it is referred to", test_references);
    g_test_add_func("/model/the walk visits what is set, and clearing leaves zeros", test_bits);
    g_test_add_func("/model/a copy is deep", test_copy);
    g_test_add_func("/model/a field more or less is a difference", test_equal);
    g_test_add_func("/model/differences are found at any depth", test_equal_looks_deep);
    g_test_add_func("/model/a merge copies what is set, structs member by member", test_merge);
    g_test_add_func("/model/a merge into nothing is a copy", test_merge_into_empty);
    g_test_add_func("/model/a merge leaves shared parts alone", test_merge_leaves_shared_parts);
    g_test_add_func("/model/a rebase keeps my changes and takes theirs", test_rebase);
    g_test_add_func("/model/a rebase looks into structs", test_rebase_looks_into_structs);
    g_test_add_func("/model/assignment sets the bit and frees the old value", test_assignment);
    g_test_add_func("/model/a list keeps its order", test_list);
    g_test_add_func("/model/a map is sorted and its keys are unique", test_map);
    g_test_add_func("/model/of equal keys the last one read wins", test_map_settles);
    g_test_add_func("/model/words are found in any spelling", test_enum);
    g_test_add_func("/model/identifiers are random UUIDs", test_uuid);
    g_test_add_func("/model/equal parts are kept once", test_equal_parts_are_kept_once);
    g_test_add_func("/model/parts that nobody has are gone", test_parts_that_nobody_has_are_gone);
    g_test_add_func("/model/what others hold is left as it is",
                    test_what_others_hold_is_left_as_it_is);
    g_test_add_func("/model/threads share parts", test_threads_share_parts);
    g_test_add_func("/model/every verb is found by its name", test_verb);
    return g_test_run();
}
