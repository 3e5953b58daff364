/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * server: the HTTPS listener.  libmicrohttpd's threads, one epoll each, read
 * requests and run their steps (request.h); everything that a client sends
 * has a cap.
 */

#include "manager/rest/request.h"

struct vr_server_options {
    const char *address;     /* NULL: every address */
    unsigned port;           /* 0: the kernel picks one */
    const char *certificate; /* PEM text, the chain */
    const char *key;         /* PEM text */
    unsigned threads;        /* 0: one a processor, 2 at least */
    size_t body_max;         /* 0: 8 MiB */
    unsigned connections;        /* 0: 4096 */
    unsigned connections_per_address; /* 0: 1024 */
    unsigned idle_s;         /* 0: 60; of a connection */
};

/* The first step of every request, after its headers (@body false: fill the reply to refuse a body
 * before it is read) and again once the body is there. */
typedef void vr_server_handler(struct vr_request *request, bool body, void *arg);

/* NULL and @error when the address cannot be bound or the certificate is bad. */
struct vr_server *vr_server_start(const struct vr_server_options *options,
                                  vr_server_handler *handler, void *arg, struct vr_error **error);
unsigned vr_server_port(const struct vr_server *server);
/* No request may be suspended without a waker that still comes. */
void vr_server_stop(struct vr_server *server);

/* What the handler was started with. */
void *vr_server_arg(const struct vr_server *server);
