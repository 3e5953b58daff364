/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * image: the agent's side of the image daemon, vireo-imaged.
 *
 * The daemon is a process of its own, because it serves bytes to clients from
 * anywhere; it ends with the agent.
 */

#include "base/base.h"

/*
 * One request to the daemon's control socket; blocks up to @timeout_ms.
 * @body may be NULL.  Returns the HTTP status and the answer's text (owned),
 * or a negative errno: -ECONNREFUSED and -ENOENT mean that no daemon runs.
 */
int vr_image_control(const char *socket, const char *method, const char *path, const char *body,
                     unsigned timeout_ms, char **answer);

struct vr_image_daemon;

struct vr_image_daemon_options {
    const char *program;           /* absolute path of vireo-imaged */
    const char *address;           /* NULL: all */
    unsigned port;                 /* 0: the kernel chooses */
    const char *certificate, *key; /* PEM files; NULL: no TLS */
    const char *control;           /* the socket it makes */
    uid_t uid;                     /* whom it becomes; 0: stays */
    gid_t gid;
};

/* Starts the daemon and waits until it serves; blocks up to 10 s.  It is started again whenever
 * it ends, on the same port. */
struct vr_image_daemon *vr_image_daemon_start(const struct vr_image_daemon_options *options,
                                              struct vr_error **error);
unsigned vr_image_daemon_port(const struct vr_image_daemon *daemon);
/* Ends the process, and with it what it serves; the next one reads its certificate anew. */
void vr_image_daemon_restart(struct vr_image_daemon *daemon);
/* Ends it.  Takes NULL. */
void vr_image_daemon_stop(struct vr_image_daemon *daemon);
