/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/rest/view.h"

#include "manager/console/console.h"
#include "manager/hosts/view.h"
#include "manager/storage/view.h"

const struct vr_view vr_views[] = {
    { VR_KIND_STORAGE_DOMAIN, 0, vr_storage_domain_view },
    { VR_KIND_HOST, 0, vr_host_view },
    { VR_KIND_VM, VR_VIEW_CONSOLES | VR_VIEW_ALL_CONTENT, vr_console_view },
    { -1, 0, NULL },
};
