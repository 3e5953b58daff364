/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/rest/view.h"

const struct vr_view vr_views[] = {
    { -1, NULL },
};
