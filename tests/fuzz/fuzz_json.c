/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Any bytes as JSON: what is read, written and read again is the same.  The
 * first byte chooses the type and the dialect.
 */

#include "round_trip.h"

static const struct {
    const struct vr_type *type;
    enum vr_json_dialect dialect;
} targets[] = {
    { &vr_type_thing, VR_JSON_API },
    { &vr_type_thing, VR_JSON_STORE },
    { &vr_type_thing, VR_JSON_HOST },
    { &vr_type_vm, VR_JSON_API },
    { &vr_type_vm, VR_JSON_STORE },
    { &vr_type_disk, VR_JSON_API },
    { &vr_type_host, VR_JSON_API },
    { &vr_type_rpc_vm_stats, VR_JSON_HOST },
    { &vr_type_rpc_host_stats, VR_JSON_HOST },
    { &vr_type_storage_domain, VR_JSON_API },
};

static void check_field(const struct vr_type *type, enum vr_json_dialect dialect, const char *text,
                        size_t size)
{
    vr_auto_error struct vr_error *error = NULL;
    vr_auto void *object = vr_object_new(type);
    const struct vr_field *field = &type->fields[size % type->field_count];
    if (vr_json_read_field(object, field, text, size, dialect, &vr_fuzz_caps_in, &error))
        g_assert_null(error);
    else
        g_assert_false(vr_has(object, field));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const struct vr_type *type = targets[data[0] % G_N_ELEMENTS(targets)].type;
    enum vr_json_dialect dialect = targets[data[0] % G_N_ELEMENTS(targets)].dialect;
    const char *text = (const char *)data + 1;
    size--;

    check_field(type, dialect, text, size);
    vr_auto_error struct vr_error *error = NULL;
    vr_auto void *first = vr_json_read(type, text, size, dialect, &vr_fuzz_caps_in, &error);
    if (!first) {
        g_assert_nonnull(error);
        g_assert_true(!error->detail || g_utf8_validate(error->detail, -1, NULL));
        return 0;
    }
    g_assert_null(error);
    g_autoptr(GString) out = g_string_new(NULL);
    vr_json_write(out, first, dialect, NULL);
    vr_auto void *second =
        vr_json_read(type, out->str, out->len, dialect, &vr_fuzz_caps_back, &error);
    if (!second)
        g_error("own text refused: %s: %s", error->detail, out->str);
    if (dialect == VR_JSON_API)
        vr_fuzz_forget_secrets(first);
    g_assert_true(vr_equal(first, second));
    vr_fuzz_check_model(first, type);
    return 0;
}
