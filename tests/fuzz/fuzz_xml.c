/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Any bytes as XML: what is read, written and read again is the same, also
 * by way of JSON.  The first byte chooses the type.
 */

#include "round_trip.h"

static const struct vr_type *const targets[] = {
    &vr_type_thing, &vr_type_vm,      &vr_type_disk,    &vr_type_host,
    &vr_type_nic,   &vr_type_cluster, &vr_type_network, &vr_type_storage_domain,
};

static void check_by_json(void *first, const struct vr_type *type)
{
    vr_auto_error struct vr_error *error = NULL;
    g_autoptr(GString) out = g_string_new(NULL);
    vr_json_write(out, first, VR_JSON_API, NULL);
    vr_auto void *second =
        vr_json_read(type, out->str, out->len, VR_JSON_API, &vr_fuzz_caps_back, &error);
    /* A list is two levels deep in both, but an item of it a third one in JSON. */
    if (!second && strstr(error->detail, "too deep"))
        return;
    if (!second)
        g_error("own JSON refused: %s: %s", error->detail, out->str);
    g_assert_true(vr_equal(first, second));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const struct vr_type *type = targets[data[0] % G_N_ELEMENTS(targets)];
    const char *text = (const char *)data + 1;
    size--;

    vr_auto_error struct vr_error *error = NULL;
    vr_auto void *first = vr_xml_read(type, NULL, text, size, &vr_fuzz_caps_in, &error);
    if (!first) {
        g_assert_nonnull(error);
        g_assert_true(!error->detail || g_utf8_validate(error->detail, -1, NULL));
        return 0;
    }
    g_assert_null(error);
    g_autoptr(GString) out = g_string_new(NULL);
    vr_xml_write(out, first, NULL);
    vr_auto void *second = vr_xml_read(type, NULL, out->str, out->len, &vr_fuzz_caps_back, &error);
    if (!second)
        g_error("own text refused: %s: %s", error->detail, out->str);
    vr_fuzz_forget_secrets(first);
    g_assert_true(vr_equal(first, second));
    vr_fuzz_check_model(first, type);
    check_by_json(first, type);
    return 0;
}
