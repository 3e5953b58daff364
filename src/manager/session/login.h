/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* login: from a name and a password to a user, as request steps; shared inside this module. */

#include "manager/session/attempt.h"
#include "manager/session/password.h"
#include "manager/session/session.h"

struct vr_sessions {
    struct vr_sessions_options options;
    struct vr_tokens *tokens;
    struct vr_passwords *passwords;
    struct vr_attempts *attempts;
};

enum vr_login_verdict {
    VR_LOGIN_RIGHT,
    VR_LOGIN_WRONG,   /* name or password */
    VR_LOGIN_PROFILE, /* the name says no profile, or none that there is */
    VR_LOGIN_LOCKED,
    VR_LOGIN_BUSY, /* too many at once */
};

struct vr_login {
    struct vr_sessions *sessions;
    char *name;     /* as given: admin@internal */
    char *password; /* wiped when the login ends */
    char *user_id, *user_name;
    char *hash;
    char address[64];
    enum vr_login_verdict verdict;
    bool fresh;      /* the password was checked just now, not remembered */
    bool attempting; /* counted as a pending attempt */
    void (*done)(struct vr_request *request, struct vr_login *login);
    vr_request_step *next; /* for @done */
    char *scope;           /* for @done */
};

/* Checks @name and @password (copied), then calls @done, which may reply or suspend. */
void vr_login_start(struct vr_sessions *sessions, struct vr_request *request, const char *name,
                    const char *password, struct vr_login *login);
/* "user:password" of a Basic header's value; both owned.  False when it is none. */
bool vr_login_basic(const char *header, char **ret_name, char **ret_password);
/* A new session for the user of a login that was right. */
struct vr_credential *vr_login_credential(const struct vr_login *login, const char *scope, bool cookie,
                                    int64_t idle_ms, int64_t hard_ms);
void vr_login_tell(const struct vr_sessions *sessions, const struct vr_request *request,
                   enum vr_session_fact fact, const char *user_id, const char *user_name,
                   const char *address);
int64_t vr_login_now_ms(void); /* monotonic */
