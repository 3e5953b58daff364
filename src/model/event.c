/* SPDX-License-Identifier: Apache-2.0 */
#include "model/event.h"

#include <stdlib.h>

static int compare(const void *code, const void *info)
{
    int a = *(const int *)code, b = ((const struct vr_event_info *)info)->code;
    return (a > b) - (a < b);
}

const struct vr_event_info *vr_event_info(int code)
{
    return bsearch(&code, vr_events, vr_event_count, sizeof(vr_events[0]), compare);
}
