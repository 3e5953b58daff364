/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* pages: what hosts fetch from the Manager's HTTPS server while they are deployed. */

#include "manager/rest/rest.h"

struct vr_deploy_site;

/* GET VR_DEPLOY_PACKAGE_PATH/TOKEN/FILE; @site is a struct vr_deploy_site. */
void vr_deploy_serve_package(struct vr_request *request, void *site);
