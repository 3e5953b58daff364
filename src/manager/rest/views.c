/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/rest/view.h"

#include "manager/storage/view.h"

const struct vr_view vr_views[] = {
    { VR_KIND_STORAGE_DOMAIN, vr_storage_domain_view },
    { -1, NULL },
};
