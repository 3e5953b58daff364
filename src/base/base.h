/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * base: errors, logging and small helpers.  Knows nothing of Vireo.
 *
 * Functions of base itself return 0 or a negative errno.  Everything above
 * base returns a bool or an owned pointer and takes a `struct vr_error **`
 * last (see error.h).
 */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/thread.h"

#define VR_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define VR_UNUSED __attribute__((unused))
#define VR_WARN_UNUSED __attribute__((warn_unused_result))

#define KiB(n) ((uint64_t)(n) << 10)
#define MiB(n) ((uint64_t)(n) << 20)
#define GiB(n) ((uint64_t)(n) << 30)
