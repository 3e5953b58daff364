/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The description of the interface that the schema compiler wrote; NUL terminated. */
extern const char vr_openapi[];
