/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * site: what the Manager has for its hosts and what it does for them off the
 * engine thread: its SSH key, its authority's signature, the agent's package
 * behind URLs that work for a short time.
 *
 * Errands (engine/errand.h) run on worker threads; packages are handed out on
 * REST's threads.
 */

#include "manager/engine/errand.h"

struct vr_config;

struct vr_deploy_site;

struct vr_deploy_site_options {
    const struct vr_config *config; /* borrowed; time limits */
    const char *authority;          /* folder with ca.pem and ca.key, or NULL: nothing is signed */
    const char *ca;                 /* PEM that our HTTPS certificate is checked with */
    const char *https_certificate;  /* PEM */
    const char *certificate;        /* PEM of the Manager's own, whose key is the SSH key; or NULL */
    const char *key;                /* PEM; or NULL */
    const char *packages;           /* folder with vireo-agent_*.deb, or NULL */
    const char *name;               /* of the Manager, as hosts reach it */
};

struct vr_deploy_site *vr_deploy_site_new(const struct vr_deploy_site_options *options);
void vr_deploy_site_free(struct vr_deploy_site *site);
/* Once the port is known, for which offers wait. */
void vr_deploy_site_set_port(struct vr_deploy_site *site, unsigned port);

/* Does @errand; worker threads.  @arg is the site (engine/real.h). */
void vr_deploy_site_run(struct vr_errand *errand, int cancel_fd, void *arg);

/* "ssh-rsa AAAA… vireo-manager", or NULL; lives as long as the site. */
const char *vr_deploy_site_ssh_key(const struct vr_deploy_site *site);
/* "https://NAME:PORT"; waits up to a minute for the port; NULL when it is not known.  Owned. */
char *vr_deploy_site_url(struct vr_deploy_site *site);

/* The file behind the token of an offer's URL, or NULL when it is unknown, used up or too old.
 * Owned.  Any thread. */
char *vr_deploy_site_package(struct vr_deploy_site *site, const char *token);

/* Where packages lie on the Manager's HTTPS server: PATH/TOKEN/FILE. */
#define VR_DEPLOY_PACKAGE_PATH "ovirt-engine/services/host-package"
