/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * register: this host asks a Manager to take it (VDSM-REG; facts/manager-behaviour.md 1.5).
 *
 * The Manager is known by the fingerprint of its authority, which a person
 * brings.  It is trusted with the root account from then on: its SSH key goes
 * into authorized_keys, so that it can enrol the host once it is approved.
 */

#include "agent/config.h"

struct vr_register {
    const char *manager;     /* NAME, NAME:PORT or an https:// address */
    const char *fingerprint; /* "SHA256:…" */
    const char *name;        /* of the host; NULL: its own */
    const char *address;     /* that the Manager reaches it by; NULL: where the request came from */
    unsigned ssh_port;
};

/* What it does is told on stdout, a line a step. */
bool vr_register(const struct vr_agent_config *config, const struct vr_register *how,
                 struct vr_error **error);
