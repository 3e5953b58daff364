/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What only the formats' own sources need of a key table. */

#include "agent/storage/format.h"

unsigned vr_keys_count(const struct vr_keys *keys);
/* Borrowed; @i below the count. */
void vr_keys_at(const struct vr_keys *keys, unsigned i, const char **name, const char **value);
