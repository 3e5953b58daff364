/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * event: the audit log beyond adding to it (vr_event_add() is the engine's):
 * events that clients bring, removal, and the end of old ones.
 */

#include "manager/engine/engine.h"

extern const struct vr_module vr_event_module;
