/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What gen/test_presence.c uses: one line a field of the model. */

#include "model/model.h"

/* @has of a zeroed struct of @type in which only the bit of field @index was set by its name. */
void test_presence_bit(const struct vr_type *type, const void *has, size_t size, unsigned index);

#define BIT(t, member, index)                                                                      \
    do {                                                                                           \
        memset(&object, 0, sizeof(object));                                                        \
        object.has.member = true;                                                                  \
        test_presence_bit(&vr_type_##t, &object.has, sizeof(object.has), (index));                 \
    } while (0)

void test_presence_bits(void);
