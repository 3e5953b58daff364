/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * viewer_file: the file that remote-viewer(1) opens a console with, in the
 * order and with the words of its field (facts/manager-behaviour.md 2.9).
 */

#include "base/base.h"

struct vr_viewer_file {
    bool spice; /* else VNC */
    const char *host;
    int64_t port, tls_port; /* 0: none */
    const char *password;
    int64_t seconds; /* that the password is valid */
    const char *vm_name;
    bool fullscreen;
    /* of SPICE */
    bool smartcard, usb;
    const char *host_subject, *ca, *proxy; /* NULL: left out; @ca is PEM */
};

/* The text; owned, to be wiped.  NULL when a value cannot stand in a line. */
char *vr_viewer_file_text(const struct vr_viewer_file *file);
