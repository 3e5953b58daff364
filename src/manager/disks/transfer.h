/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The state machine of image transfers, for the handlers of /imagetransfers. */

#include "manager/disks/internal.h"

enum vr_image_transfer_phase transfer_phase(const struct vr_image_transfer *transfer);
bool transfer_is_upload(const struct vr_image_transfer *transfer);
/* Does what the phase asks for, now. */
void transfer_drive(struct vr_engine *engine, const char *id) VR_REQUIRES(vr_role_engine);
/* Starts the timer of a new transfer. */
void transfer_watch(struct vr_engine *engine, const char *id) VR_REQUIRES(vr_role_engine);
/* Ends it as failed, with what to tell. */
void transfer_fail(struct vr_engine *engine, const char *id, const char *why)
    VR_REQUIRES(vr_role_engine);
