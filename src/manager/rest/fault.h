/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * fault: how a refusal looks on the wire (facts/rest-api.md 6): a root `fault`,
 * or inside an `action` when an action was asked for; nothing at all behind a
 * 404 for an unknown id.
 */

#include "manager/rest/request.h"

/* XML or JSON, whichever the client accepts. */
void vr_fault_reply(struct vr_request *request, int status, const char *reason,
                    const char *detail);
/* The same in the shape of a failed action. */
void vr_fault_reply_action(struct vr_request *request, int status, const char *reason,
                           const char *detail);
/* The answer to an error; @action: in the shape of a failed action. */
void vr_fault_reply_error(struct vr_request *request, const struct vr_error *error, bool action);
/* 404 with an empty body: what clients take for "no such object". */
void vr_fault_reply_missing(struct vr_request *request);
