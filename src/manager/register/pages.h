/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* pages: services/host-register and services/host-renew on the Manager's HTTPS server. */

#include "manager/rest/rest.h"

#define VR_REGISTER_PATH "ovirt-engine/services/host-register"
#define VR_RENEW_PATH "ovirt-engine/services/host-renew"

struct vr_register_pages;

/* @engine outlives the pages; @ca and @ssh_key (PEM, one line; may be NULL) are borrowed. */
struct vr_register_pages *vr_register_pages_new(struct vr_engine *engine, const char *ca,
                                                const char *ssh_key);
void vr_register_pages_free(struct vr_register_pages *pages);

/* @pages is a struct vr_register_pages. */
void vr_register_serve(struct vr_request *request, void *pages);
void vr_register_serve_renewal(struct vr_request *request, void *pages);
