/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * rest: the interface at /ovirt-engine/api and what stands beside it.
 *
 * A request is authenticated, routed by the generated tree, and then read from
 * the committed inventory on the server's thread, or parsed, checked and
 * posted to the engine, whose reply wakes it.
 */

#include "manager/engine/call.h"
#include "manager/rest/reading.h"
#include "manager/rest/server.h"
#include "manager/session/session.h"

struct vr_rest;

/* A page that another module serves beside the interface, without a login: it answers every method
 * itself. */
struct vr_page {
    const char *path; /* "ovirt-engine/services/x"; with a `/` at its end: everything below */
    void (*serve)(struct vr_request *request, void *arg); /* a step, see request.h */
    void *arg;
};

struct vr_rest_options {
    struct vr_server_options server;
    struct vr_inventory *inventory;   /* committed; borrowed, like all of these */
    struct vr_statistics *statistics;
    const struct vr_config *config;
    struct vr_sessions *sessions;
    const char *ca;          /* PEM */
    const char *certificate; /* PEM */
    const char *manager_certificate; /* PEM, towards hosts; its key is the SSH key; or NULL */
    const struct vr_page *pages;     /* NULL path ended; or NULL */
    const char *instance_id;
    const char *version; /* "4.5.6" */
    const char *openapi; /* the description of the interface, or NULL */
    /* Has vr_call_begin() called with it on the engine thread.  Takes @call. */
    void (*post)(struct vr_call *call, void *arg);
    void *post_arg;
    bool (*database_up)(void *arg);
    void *database_arg;
};

struct vr_rest *vr_rest_start(const struct vr_rest_options *options, struct vr_error **error);
unsigned vr_rest_port(const struct vr_rest *rest);
void vr_rest_stop(struct vr_rest *rest);
