/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * path: the way from an object to a value or to related objects.
 *
 * A path is a list of steps: into a member, through a link (by id through the
 * inventory), or backwards along the link of another kind.
 */

#include "manager/inventory/inventory.h"

#define VR_SEARCH_STEPS 8

struct vr_search_step {
    const struct vr_field *field;
    int from; /* forwards: -1; backwards: the kind whose link `field` leads here */
};

struct vr_search_path {
    struct vr_search_step steps[VR_SEARCH_STEPS];
    unsigned count;
    const struct vr_field *leaf; /* the last step's field, when it holds a value */
    const char *unit;
};

/* "cluster.data_center.name" from @type on, appended to @path.  A last step that is a link means
 * its id.  False when a name is not there. */
bool vr_search_path_add(struct vr_search_path *path, const struct vr_type *type, const char *text);
/* From objects of @kind to the related ones of @other, appended to @path.  False when there is no
 * way. */
bool vr_search_path_relate(struct vr_search_path *path, int kind, int other);
/* A query's field, `word` or `object.word`, for @kind. */
bool vr_search_path_word(struct vr_search_path *path, int kind, const char *word);
/* A kind by the words that queries use for it, or -1. */
int vr_search_kind(const char *word, size_t length);

/* What has been looked up while one query runs. */
struct vr_search_run {
    struct vr_inventory *inventory;
    GHashTable *backwards; /* "kind link" → id → GPtrArray of objects, where there is no index */
};
void vr_search_run_init(struct vr_search_run *run, struct vr_inventory *inventory);
void vr_search_run_done(struct vr_search_run *run);

/* One value at the end of a path. */
struct vr_search_value {
    const struct vr_field *field;
    union {
        int64_t number; /* boolean, integer, date, enum */
        double real;
        const char *text;
    };
};
/* Return false to stop. */
typedef bool vr_search_visit(const struct vr_search_value *value, void *arg);
/* Visits every value that @path leads to from @object; true when it was stopped. */
bool vr_search_path_walk(struct vr_search_run *run, const struct vr_search_path *path,
                         const void *object, vr_search_visit *visit, void *arg);
