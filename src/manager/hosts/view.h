/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a host shows beyond what is stored; named in rest/views.c. */

#include "manager/rest/reading.h"

void vr_host_view(struct vr_reading *reading, void *copy);
