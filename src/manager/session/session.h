/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * session: who sends a request (facts/rest-api.md 1.2 to 1.6).
 *
 * Logging in takes its time (a delay after failures, a slow hash), so it is a
 * chain of request steps that never holds a thread of the server.
 */

#include "manager/inventory/inventory.h"
#include "manager/rest/request.h"
#include "manager/session/token.h"

struct vr_sessions;

enum vr_session_fact {
    VR_SESSION_LOGIN,
    VR_SESSION_LOGOUT,
    VR_SESSION_FAILED,
    VR_SESSION_LOCKED, /* after so many failures; @locked_until_ms is set */
};

/* What happened, for the audit log.  Any member may be NULL. */
struct vr_session_news {
    enum vr_session_fact fact;
    const char *user_id;   /* NULL: no such user */
    const char *user_name; /* as the client wrote it, or the user's own */
    const char *address;
    const char *correlation_id;
    int64_t locked_until_ms; /* epoch */
};
/* Called on any thread; copies what it needs. */
typedef void vr_session_tell(const struct vr_session_news *news, void *arg);

struct vr_sessions_options {
    struct vr_inventory *inventory; /* committed; borrowed */
    int64_t token_idle_ms;          /* 0: 100 hours */
    int64_t session_idle_ms;        /* 0: 30 minutes; of a cookie */
    int64_t session_hard_ms;        /* 0: 10 hours; of a cookie */
    unsigned lock_failures;         /* 0: 5 */
    int64_t lock_ms;                /* 0: one hour */
    vr_session_tell *tell;          /* may be NULL */
    void *tell_arg;
};

struct vr_sessions *vr_sessions_new(const struct vr_sessions_options *options);
void vr_sessions_free(struct vr_sessions *sessions);

/*
 * Finds out who sends @request: a bearer token, a cookie, or a name and a
 * password.  Then request->session is set and @next runs; or the reply is a
 * 401.
 */
void vr_sessions_authenticate(struct vr_sessions *sessions, struct vr_request *request,
                              vr_request_step *next);
/* Whether the request carries a token that is none, known from its headers alone: then it is not
 * worth reading its body.  The reply is set. */
bool vr_sessions_refuse_early(struct vr_sessions *sessions, struct vr_request *request);

/* The endpoints below /ovirt-engine/sso and /ovirt-engine/services/sso-logout; @path is what follows
 * "/ovirt-engine/".  False when there is none of that name. */
bool vr_sessions_serve(struct vr_sessions *sessions, struct vr_request *request, const char *path);
