/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* http: one request to the Manager over HTTPS. */

#include "base/base.h"

#define VR_ENROLL_ANSWER_MAX (64 * 1024)

struct vr_enroll_http {
    const char *authority; /* PEM; NULL: whoever answers, for asking who the Manager is */
    const char *url;
    const char *body; /* POST; NULL: GET */
};

/* The body of the answer 200, owned; else NULL and @error, with what the Manager said. */
char *vr_enroll_http(const struct vr_enroll_http *request, struct vr_error **error);
/* @text in a query. */
char *vr_enroll_escape(const char *text);
