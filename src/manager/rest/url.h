/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * url: the request target, taken apart.
 *
 * A target is a path of segments, each of which may carry matrix parameters
 * (`/vms;max=20`), and a query.  Only the matrix parameters of the last
 * segment count (facts/rest-api.md 1.8), and the query is looked at first.
 */

#include "base/base.h"

/* The deepest path of the interface has 12 segments behind the prefix. */
#define VR_URL_SEGMENTS 24
#define VR_URL_PARAMS 64

struct vr_argument {
    const char *name;
    const char *value; /* NULL: a bare name, as in `?current` */
};

struct vr_url {
    char *text; /* owned; everything below points into it */
    const char *segments[VR_URL_SEGMENTS];
    unsigned segment_count;
    struct vr_argument params[VR_URL_PARAMS]; /* the query's, then the last segment's */
    unsigned param_count;
};

/* Takes @raw ("/a/b;c=d?e=f") apart.  False when it is malformed: a bad percent escape, a NUL,
 * bytes that are not UTF-8, or more segments or parameters than the caps. */
bool vr_url_parse(struct vr_url *url, const char *raw);
void vr_url_done(struct vr_url *url);

/* A form body (application/x-www-form-urlencoded) into @url's parameters, before those there are.
 * @url must have been parsed.  False as above; then nothing has been added. */
bool vr_url_add_form(struct vr_url *url, char **ret_text, const char *form, size_t length);

/* The value of the first parameter of that name: "" for a bare one, NULL when absent. */
const char *vr_url_param(const struct vr_url *url, const char *name);

/* Words of truth (facts/rest-api.md 1.8); "" is true; an unknown word or NULL gives @otherwise. */
bool vr_truth(const char *value, bool otherwise);
/* A whole decimal number, or @otherwise when it is none or out of 64 bits. */
int64_t vr_number(const char *value, int64_t otherwise);
