/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * search: the query language of collections (facts/rest-api.md 4.2), evaluated
 * on inventory objects along the paths that the schema's `word` lines name.
 *
 *     name=web* and cluster=Default or (status=up and host.name=h1) sortby name page 2
 *
 * A query is parsed once for a kind and then matched against objects of that
 * kind.  Whatever does not parse, or names what the kind does not have, is no
 * query; its caller answers with an empty list.
 */

#include "manager/inventory/inventory.h"

struct vr_search;

#define VR_SEARCH_LENGTH 4096 /* bytes of a query */
#define VR_SEARCH_TERMS 200   /* conditions in one query */
#define VR_SEARCH_DEPTH 32    /* parentheses in each other */

/* @now_ms: what "Today" means.  NULL and @error when @query is none. */
struct vr_search *vr_search_new(int kind, const char *query, bool case_sensitive, int64_t now_ms,
                                struct vr_error **error);
void vr_search_free(struct vr_search *search); /* takes NULL */

/* Drops from @objects what does not match. */
void vr_search_filter(const struct vr_search *search, struct vr_inventory *inventory,
                      struct vr_objects *objects);
/* Puts @objects of @kind into the kind's default order, then, where @search (may be NULL) says so,
 * into its own; equal ones stay in default order. */
void vr_search_sort(const struct vr_search *search, struct vr_inventory *inventory, int kind,
                    struct vr_objects *objects);
/* Keeps the page that @search asks for; @max is its size, negative for none. */
void vr_search_page(const struct vr_search *search, int64_t max, struct vr_objects *objects);
