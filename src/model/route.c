/* SPDX-License-Identifier: Apache-2.0 */
#include "model/route.h"

/* Like strcmp() of a segment that is not NUL terminated. */
static int compare(const char *segment, size_t length, const char *other)
{
    int order = strncmp(segment, other, length);
    return order ? order : other[length] ? -1 : 0;
}

const struct vr_route *vr_route_child(const struct vr_route *route, const char *segment,
                                      size_t length, bool *is_id)
{
    unsigned count = route->child_count;
    const struct vr_route *any = NULL;
    if (count && !route->children[count - 1].segment)
        any = &route->children[--count];
    *is_id = false;
    for (unsigned low = 0, high = count; low < high;) {
        unsigned middle = (low + high) / 2;
        int order = compare(segment, length, route->children[middle].segment);
        if (order == 0)
            return &route->children[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    *is_id = any != NULL;
    return any;
}
