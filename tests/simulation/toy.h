/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the toy's Manager side (toy.c) and its clients (clients.c) share. */

#include "manager/job/job.h"
#include "sim.h"

enum toy_operation { TOY_ADD, TOY_START, TOY_STOP, TOY_REMOVE, TOY_OPERATIONS };
extern const struct vr_operation toy_operations[];
