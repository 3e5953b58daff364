/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * server: the image daemon's two doors (facts/rest-api.md 9.3).
 *
 * The data door is HTTPS for clients anywhere: it serves image bytes to those
 * who know a ticket.  The control door is a Unix socket for the agent: it
 * installs, shows and removes tickets.  A connection has a thread, so that a
 * slow disk or client delays nobody else.
 */

#include "agent/image/ticket.h"

struct vr_image_server;

struct vr_image_server_options {
    const char *address;           /* numeric; NULL: every address, both families */
    unsigned port;                 /* 0: the kernel chooses */
    const char *certificate, *key; /* PEM texts; both NULL: plain HTTP, for tests */
    int control_fd;                /* a listening Unix socket, taken over */
    unsigned delete_wait_s;        /* how long a removal waits for users; 0: 60 */
    unsigned idle_s;               /* how long a connection without a ticket may be idle; 0: 60 */
};

struct vr_image_server *vr_image_server_start(const struct vr_image_server_options *options,
                                              struct vr_error **error);
unsigned vr_image_server_port(const struct vr_image_server *server);
void vr_image_server_stop(struct vr_image_server *server); /* takes NULL */
