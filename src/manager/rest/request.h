/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * request: one HTTP request from its headers to its answer.
 *
 * A request is handled in steps on one of the server's threads.  A step
 * either fills the reply, or suspends the request: then some other thread
 * wakes it later, and the step it named runs next.  No thread waits.
 */

#include "manager/rest/media.h"
#include "manager/rest/text.h"
#include "manager/rest/url.h"

struct MHD_Connection;
struct vr_server;
struct vr_request;
struct vr_credential;
struct vr_waiter;

typedef void vr_request_step(struct vr_request *request);

#define VR_REPLY_HEADERS 8

struct vr_reply {
    int status;               /* 0: not answered yet */
    const char *content_type; /* static; NULL: XML */
    GString *body;            /* NULL: empty, or: */
    struct vr_texts *texts;   /* a long body; NULL: none */
    struct {
        const char *name; /* static */
        char *value;
    } headers[VR_REPLY_HEADERS];
    unsigned header_count;
    int fd;            /* -1: none; a file that is the body */
    uint64_t fd_size;
    bool close; /* the connection, after this */
};

struct vr_request {
    struct vr_server *server;
    struct MHD_Connection *connection;
    const char *method;
    char *raw; /* the target as it came */
    struct vr_url url;
    char *form; /* what the parameters of a form body point into */
    GString *body;
    size_t received; /* bytes of the body */
    char correlation[51];
    struct vr_reply reply;

    struct vr_credential *session; /* of who sent it; owned; NULL before that is known */
    vr_request_step *next;
    struct vr_waiter *waiter; /* while suspended and until the next step has looked */
    void *data;               /* what the waker handed over; NULL after a timeout */
    GDestroyNotify data_free;
    void *state;              /* of the steps */
    GDestroyNotify state_free;
    bool begun;
    bool suspended;
};

/* A request header, or NULL. */
const char *vr_request_header(const struct vr_request *request, const char *name);
/* Query, matrix, then (for the names that have one) a header. */
const char *vr_request_param(const struct vr_request *request, const char *name);
/* "https://host:port" as the client addressed us.  Owned. */
char *vr_request_origin(const struct vr_request *request);
/* The client's address as text; @out holds 64. */
void vr_request_peer(const struct vr_request *request, char out[64]);
/* Whether a comma-separated `Prefer` header holds @word. */
bool vr_request_prefers(const struct vr_request *request, const char *word);

/* Takes @body (may be NULL).  @content_type is static. */
void vr_reply(struct vr_request *request, int status, const char *content_type, GString *body);
/* The same with a body of pieces. */
void vr_reply_texts(struct vr_request *request, int status, const char *content_type,
                    struct vr_texts *texts);
void vr_reply_text(struct vr_request *request, int status, const char *content_type,
                   const char *text);
/* The body is the file behind @fd, which is taken, from its beginning to @size. */
void vr_reply_file(struct vr_request *request, const char *content_type, int fd, uint64_t size);
/* Takes @value; blanks and control characters end it. */
void vr_reply_header(struct vr_request *request, const char *name, char *value);

/* --- suspending --- */

/*
 * Suspends the request until vr_waiter_wake() or @timeout_ms (0: never), then
 * runs @next.  Call it before the work is handed out.  The waiter has one
 * reference for the request and one for the caller's waker, which
 * vr_waiter_wake() consumes.
 */
struct vr_waiter *vr_request_suspend(struct vr_request *request, int64_t timeout_ms,
                                     vr_request_step *next);
/* Hands @data over and wakes the request.  False when its time had run out: then @data has been
 * freed with @data_free (may be NULL).  Any thread. */
bool vr_waiter_wake(struct vr_waiter *waiter, void *data, GDestroyNotify data_free);
/* Suspends the request for @ms, then runs @next. */
void vr_request_delay(struct vr_request *request, int64_t ms, vr_request_step *next);
