/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/access/access.h"
#include "manager/engine/engine.h"
#include "manager/deploy/deploy.h"
#include "manager/event/event.h"
#include "manager/disks/disks.h"
#include "manager/hosts/hosts.h"
#include "manager/networks/networks.h"
#include "manager/site/site.h"
#include "manager/storage/storage.h"
#include "manager/vms/vms.h"

/*
 * Every part of the Manager that lives on the engine thread, in the order they
 * start.  A test that wants others defines vr_modules itself.
 */
const struct vr_module *const vr_modules[] = {
    &vr_module_access,
    &vr_event_module,
    &vr_site_module,
    &vr_networks_module,
    &vr_storage_module,
    &vr_disks_module,
    &vr_deploy_module,
    &vr_hosts_module,
    &vr_vms_module,
    NULL,
};
