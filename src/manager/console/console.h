/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * console: the graphics consoles of virtual machines: configured and running
 * ones, their tickets, and who looks at them.
 */

#include "manager/engine/call.h"
#include "manager/rest/reading.h"

#define VR_CONSOLE_TYPES 2 /* of enum vr_graphics_type */

/* --- configured; @object is a virtual machine, a template or an instance type --- */

bool vr_console_has(const void *object, enum vr_graphics_type type);
/* Adds or takes away; display.type shows what is left: SPICE before VNC, nothing of none. */
void vr_console_set(void *object, enum vr_graphics_type type, bool has);
/* A client that names display.type means this console alone.  For bodies and run once; does nothing
 * when @object does not name one. */
void vr_console_choose(void *object);
/* What a new machine has: what its body or template says, else VNC. */
void vr_console_fill(struct vr_vm *vm);
/* False, with an error, when the display says something that does not exist. */
bool vr_console_check(const struct vr_vm *vm, struct vr_error **error);

/* --- running --- */

/* What @host says of a running machine's consoles and their viewers. */
void vr_console_report(struct vr_txn *txn, struct vr_vm *edit, const struct vr_host *host,
                       const struct vr_rpc_vm_stats *stats) VR_REQUIRES(vr_role_engine);
/* The machine does not run any more: nobody looks, and display.type is the configured one. */
void vr_console_down(struct vr_vm *edit);

/* --- shown --- */

/* `detail=current_graphics_consoles` and `all_content` on virtual machines. */
void vr_console_view(struct vr_reading *reading, void *copy);
