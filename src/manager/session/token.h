/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * token: the sessions there are, found by what their client shows: a bearer
 * token or a cookie.  Only its SHA-256 is kept.  They live in memory; a
 * restart of the Manager ends them, and clients log in again.
 */

#include "base/base.h"

/* 64 random bytes as base64url without padding, and a NUL. */
#define VR_TOKEN_SIZE 87

struct vr_credential {
    gint refs; /* atomic */
    char *user_id;
    char *user_name; /* admin@internal-authz */
    char *scope;
    bool cookie;        /* shown as JSESSIONID, else as a bearer token */
    int64_t created_ms; /* monotonic */
    int64_t idle_ms;
    int64_t hard_ms;  /* 0: no limit */
    gint64 last_use_ms; /* atomic */
};

struct vr_credential *vr_credential_ref(struct vr_credential *session);
void vr_credential_unref(struct vr_credential *session); /* takes NULL */

struct vr_tokens;

/* Sessions at most in all: more than clients that behave will have, few enough for memory. */
#define VR_TOKENS_MAX 100000

struct vr_tokens *vr_tokens_new(void);
void vr_tokens_free(struct vr_tokens *tokens);

/* Takes a reference of @session and writes what finds it to @out.  False when there are too many. */
bool vr_tokens_add(struct vr_tokens *tokens, struct vr_credential *session, char out[VR_TOKEN_SIZE],
                   int64_t now_ms);
/* The session behind @text, which counts as a use of it, or NULL when there is none or its time is
 * over.  A reference. */
struct vr_credential *vr_tokens_use(struct vr_tokens *tokens, const char *text, int64_t now_ms);
/* Ends a session; returns it (a reference) when there was one. */
struct vr_credential *vr_tokens_remove(struct vr_tokens *tokens, const char *text);
unsigned vr_tokens_count(struct vr_tokens *tokens);
