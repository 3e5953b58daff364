/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of `console` share. */

#include "manager/console/console.h"

/* Hex of the protocol's name: what clients know (facts/rest-api.md 5.3). */
const char *console_id(enum vr_graphics_type type);
/* -1: there is no such console. */
int console_type(const char *id);
/* Of a running machine; NULL when it runs without.  Borrowed. */
const struct vr_graphics_console *console_live(const struct vr_vm *vm, enum vr_graphics_type type);
