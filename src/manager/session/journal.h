/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* journal: what happens to sessions, as events of the audit log and locks of users. */

#include "manager/engine/engine.h"
#include "manager/session/session.h"

/* Has the engine write it down; @post runs @fn(engine, @arg) on the engine thread. */
void vr_session_journal(const struct vr_session_news *news, struct vr_engine *engine,
                        void (*post)(struct vr_engine *engine, vr_timer_fn *fn, void *arg));
