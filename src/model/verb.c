/* SPDX-License-Identifier: Apache-2.0 */
#include "model/verb.h"

const struct vr_verb *vr_verb_find(const char *name)
{
    unsigned low = 0, high = vr_verb_count;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        int order = strcmp(vr_verbs[middle]->name, name);
        if (order == 0)
            return vr_verbs[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}
