/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a storage domain shows beyond what is stored; named in rest/views.c. */

#include "manager/rest/reading.h"

void vr_storage_domain_view(struct vr_reading *reading, void *copy);
