/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The walkers find presence bits by number, everybody else by name.  This
 * checks, for the compiler at hand, that bit N of `has` is the one of field N,
 * and that the other figures of the descriptors hold.
 */

#include "gen/model_api.h"
#include "gen/model_host.h"
#include "test_presence.h"

static unsigned checked;

void test_presence_bit(const struct vr_type *type, const void *has, size_t size, unsigned index)
{
    const uint8_t *bytes = has;
    g_assert_cmpuint(index, <, type->field_count);
    g_assert_cmpuint(type->fields[index].bit, ==, index);
    g_assert_cmpuint(index / 8, <, size);
    for (size_t i = 0; i < size; i++)
        g_assert_cmpuint(bytes[i], ==, i == index / 8 ? 1u << index % 8 : 0);
    checked++;
}

static void bit_n_of_has_is_field_n(void)
{
    checked = 0;
    test_presence_bits();
    unsigned fields = 0;
    for (unsigned i = 0; i < vr_api_type_count; i++)
        fields += vr_api_types[i]->field_count;
    for (unsigned i = 0; i < vr_host_type_count; i++)
        fields += vr_host_types[i]->field_count;
    g_assert_cmpuint(checked, ==, fields);
}

static void check_type(const struct vr_type *type, bool host)
{
    g_assert_cmpuint(type->has_offset, ==, sizeof(struct vr_object));
    for (unsigned i = 0; i < type->field_count; i++) {
        const struct vr_field *field = &type->fields[i];
        bool refers = field->kind == VR_FIELD_ENUM || field->kind == VR_FIELD_STRUCT ||
                      field->kind == VR_FIELD_LINK;
        g_assert_cmpuint(field->offset, >, type->has_offset);
        g_assert_cmpuint(field->offset, <, type->size);
        g_assert_true(!field->sub == !refers);
        g_assert_true(!field->item == !(field->flags & VR_FIELD_IS_LIST));
        for (unsigned j = 0; j < i; j++)
            g_assert_cmpstr(type->fields[j].name, !=, field->name);
    }
    if (type->id_field >= 0)
        g_assert_cmpstr(type->fields[type->id_field].name, ==, "id");
    if (type->kind >= 0) {
        g_assert_false(host);
        g_assert_true(vr_kinds[type->kind].type == type);
    }
}

static void descriptors_hold(void)
{
    for (unsigned i = 0; i < vr_api_type_count; i++)
        check_type(vr_api_types[i], false);
    for (unsigned i = 0; i < vr_host_type_count; i++)
        check_type(vr_host_types[i], true);
    for (unsigned i = 0; i < VR_KIND_COUNT; i++) {
        const struct vr_kind_info *kind = &vr_kinds[i];
        g_assert_cmpint(kind->type->kind, ==, (int)i);
        for (const struct vr_field *const *index = kind->indexes; *index; index++) {
            g_assert_true(*index >= kind->type->fields &&
                          *index < kind->type->fields + kind->type->field_count);
            g_assert_true((*index)->flags & VR_FIELD_INDEXED);
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/schema/presence/bit N of has is field N", bit_n_of_has_is_field_n);
    g_test_add_func("/schema/presence/descriptors hold", descriptors_hold);
    return g_test_run();
}
