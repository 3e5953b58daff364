/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the fuzzers of the codecs share. */

#include "codec/codec.h"
#include "model/api.h"
#include "model/host.h"
#include "model/test_types.h"
#include "model/walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What comes back is written by ourselves: it may be longer than the input, and nothing else. */
static const struct vr_codec_caps vr_fuzz_caps_in = { .depth = 64, .bytes = 65536, .items = 65536 };
static const struct vr_codec_caps vr_fuzz_caps_back = { .depth = 64,
                                                        .bytes = MiB(16),
                                                        .items = MiB(16) };

static inline void vr_fuzz_forget_item(const struct vr_field *field, void *item);

/* Takes away what the API accepts and never shows. */
static inline void vr_fuzz_forget_secrets(void *object)
{
    unsigned next = 0;
    for (const struct vr_field *field; (field = vr_next_set(object, &next));) {
        void *member = vr_member_at(object, field);
        if (field->flags & VR_FIELD_SECRET) {
            vr_clear(object, field);
            continue;
        }
        const struct vr_list *list = member;
        const struct vr_map *map = member;
        switch (vr_field_shape(field)) {
        case VR_SHAPE_ONE:
            if (vr_kind_is_object(field->kind))
                vr_fuzz_forget_secrets(*(void **)member);
            break;
        case VR_SHAPE_LIST:
            for (unsigned i = 0; i < list->len; i++)
                vr_fuzz_forget_item(field, list->items[i]);
            break;
        case VR_SHAPE_MAP:
            for (unsigned i = 0; i < map->len; i++)
                vr_fuzz_forget_item(field, map->values[i]);
            break;
        }
    }
}

static inline void vr_fuzz_forget_item(const struct vr_field *field, void *item)
{
    if (vr_kind_is_object(field->kind))
        vr_fuzz_forget_secrets(item);
}

/* Copy, comparison and merge hold for whatever came out of a parser. */
static inline void vr_fuzz_check_model(void *object, const struct vr_type *type)
{
    vr_auto void *copy = vr_copy(object);
    g_assert_true(vr_equal(object, copy));
    vr_auto void *merged = vr_object_new(type);
    vr_merge(merged, object);
    vr_merge(merged, copy);
    g_assert_true(vr_equal(object, merged));
}
