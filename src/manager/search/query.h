/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* query: a parsed query, as the parts of this module share it. */

#include "manager/search/path.h"
#include "manager/search/search.h"

enum vr_search_relation {
    VR_SEARCH_EQ,
    VR_SEARCH_NE,
    VR_SEARCH_LT,
    VR_SEARCH_LE,
    VR_SEARCH_GT,
    VR_SEARCH_GE,
};

/* A text to compare with, prepared once. */
struct vr_search_pattern {
    char *text;   /* folded unless the query is case sensitive */
    bool wild;    /* holds `*` */
    bool fold;
    bool inside;  /* matches a part of the value: free text */
};
void vr_search_pattern_init(struct vr_search_pattern *pattern, const char *text,
                            bool case_sensitive);
void vr_search_pattern_done(struct vr_search_pattern *pattern);
bool vr_search_pattern_matches(const struct vr_search_pattern *pattern, const char *text);

/* `field relation value`, the value as its field's kind needs it. */
struct vr_search_condition {
    struct vr_search_path path;
    enum vr_search_relation relation;
    struct vr_search_pattern pattern; /* strings; enums and any other kind with wildcards */
    int64_t low, high;                /* numbers, enums, dates: from low to high, both included */
    double real;
};
/* False when the relation or the value does not fit what the path leads to. */
bool vr_search_condition_init(struct vr_search_condition *condition,
                              const struct vr_search_path *path, enum vr_search_relation relation,
                              const char *value, bool case_sensitive, int64_t now_ms);
void vr_search_condition_done(struct vr_search_condition *condition);
bool vr_search_condition_matches(const struct vr_search_condition *condition,
                                 struct vr_search_run *run, const void *object);

/* The first and the last millisecond of what @text names: a day, or a moment.  False: no date. */
bool vr_search_date(const char *text, int64_t now_ms, int64_t *ret_first, int64_t *ret_last);

enum vr_search_node_kind { VR_SEARCH_AND, VR_SEARCH_OR, VR_SEARCH_CONDITION, VR_SEARCH_TEXT };

struct vr_search_node {
    enum vr_search_node_kind kind;
    struct vr_search_node *left, *right;   /* of AND and OR */
    struct vr_search_condition *condition; /* owned */
    struct vr_search_pattern text;         /* of TEXT */
};

struct vr_search {
    int kind;
    bool case_sensitive;
    int64_t now_ms;
    struct vr_search_node *root; /* NULL: everything matches */
    bool sorted, descending;
    struct vr_search_path order;
    int64_t page; /* from 1; 0: not asked for */
};
