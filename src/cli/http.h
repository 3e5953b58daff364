/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * http: one request after the other by libcurl.  Only https, no redirect is ever followed, an
 * answer has a cap, and what the caller does not pass is not sent.
 */

#include "base/base.h"

struct vr_http;

typedef void vr_http_progress(void *arg, uint64_t sent);

struct vr_http_request {
    const char *method, *url;
    const char *token;           /* Bearer, or NULL */
    const char *const *headers;  /* "Name: value", NULL at the end; or NULL */
    const void *body;            /* or NULL */
    size_t size;
    size_t cap;                  /* bytes of answer taken; more is an error */
    unsigned seconds;            /* longest time without any byte moving */
    bool untrusted;              /* the certificate is not checked: only to fetch one */
    vr_http_progress *progress;  /* bytes of the body sent so far; or NULL */
    void *progress_arg;
};

struct vr_http_answer {
    long status;
    char *type;    /* Content-Type without parameters, lower case; "" when absent */
    GString *body; /* NUL terminated; may hold NULs */
    bool distrust; /* it failed because the certificate is not trusted */
};

/* @ca: PEM text of what to trust, or NULL for what the system trusts. */
struct vr_http *vr_http_new(const char *ca, struct vr_error **error);
void vr_http_free(struct vr_http *http); /* takes NULL */

/* Fills *@ret also when it fails; vr_http_answer_done() it in any case. */
bool vr_http_perform(struct vr_http *http, const struct vr_http_request *request,
                     struct vr_http_answer *ret, struct vr_error **error);
void vr_http_answer_done(struct vr_http_answer *answer);

/* "https://host:port" of what a person wrote, which may end in /ovirt-engine or its /api. */
char *vr_http_origin(const char *url, struct vr_error **error);
