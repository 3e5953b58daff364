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

/* The answer of the engine to one call; what became of it belongs to whoever gets it. */
struct vr_rest_answer {
    int status;              /* HTTP; 0 with an error */
    void *object;            /* to show, or NULL */
    struct vr_error *error;  /* owned, or NULL */
    char *creation_ids;      /* of jobs that still build the object, or NULL */
};
void vr_rest_answer_free(struct vr_rest_answer *answer);

/* One write on its way to the engine.  The texts live until the answer. */
struct vr_rest_write {
    const struct vr_operation *operation;
    const char *ids[VR_PATH_IDS];
    unsigned id_count;
    void *body; /* owned by the receiver */
    const struct vr_caller *caller;
    const char *correlation_id;
    const char *(*param)(const char *name, void *arg);
    void *param_arg;
    /* Called once, on any thread; takes @answer. */
    void (*done)(struct vr_rest_answer *answer, void *arg);
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
    const char *instance_id;
    const char *version; /* "4.5.6" */
    /* Hands a write to the engine. */
    void (*post)(const struct vr_rest_write *write, void *arg);
    void *post_arg;
    bool (*database_up)(void *arg);
    void *database_arg;
    int64_t write_timeout_ms; /* 0: 30 s, and without end for a job that the client awaits */
};

struct vr_rest *vr_rest_start(const struct vr_rest_options *options, struct vr_error **error);
unsigned vr_rest_port(const struct vr_rest *rest);
void vr_rest_stop(struct vr_rest *rest);
