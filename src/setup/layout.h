/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * layout: what a state folder holds, and how it comes to hold it.
 *
 *   STATE/pki/ca.{pem,key}  https.{pem,key}  manager.{pem,key}
 *   STATE/agent/pki/cacert.pem  vdsmcert.pem  vdsmkey.pem     this machine as a host
 *   STATE/admin-password        of admin@internal, 0600
 *   STATE/db/                   the embedded database (pgcluster.h)
 *   STATE/manager.conf  agent.conf                            made once, then the administrator's
 *   STATE/run/ log/ storage/
 *
 * Every function may be run again and again; a run that was killed is completed by the next.
 */

#include "base/base.h"

struct vr_layout_options {
    const char *state;              /* absolute; made when missing */
    const char *const *host_names;  /* the Manager's, NULL-ended; the first is its main name */
    const char *const *manager_set; /* "section.key=value" for manager.conf, NULL-ended, or NULL */
    const char *const *agent_set;   /* the same for agent.conf */
    unsigned key_bits;              /* 0: VR_PKI_KEY_BITS */
    bool database;                  /* also make the embedded database */
    /* Configuration files are somebody else's (a package's) and no agent runs here: makes the
     * Manager's certificates and password, and neither manager.conf nor agent.conf. */
    bool manager_alone;
};

bool vr_layout_init(const struct vr_layout_options *options, struct vr_error **error);

/*
 * Signs a host's certificate: OUT/vdsmkey.pem (made there, kept), OUT/vdsmcert.pem and
 * OUT/cacert.pem, for @name and @addresses (NULL-ended, or NULL).
 */
bool vr_layout_enrol_host(const char *state, const char *name, const char *const *addresses,
                          const char *out, unsigned key_bits, struct vr_error **error);
