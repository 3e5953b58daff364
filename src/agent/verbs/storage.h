/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* storage: what machines and reports ask of agent/storage, for callers that may block. */

#include "agent/storage/storage.h"

/* Image.prepare; the path, owned.  Not on the loop's thread, which brings the answer. */
char *vr_agent_image_prepare(struct vr_storage *storage, const char *pool, const char *domain,
                             const char *image, const char *volume, struct vr_error **error);
/* Image.teardown, not waited for. */
void vr_agent_image_teardown(struct vr_storage *storage, const char *pool, const char *domain,
                             const char *image, const char *volume);
