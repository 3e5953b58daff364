/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* exchange: one request to the interface, as the files of this folder share it. */

#include "manager/rest/fault.h"
#include "manager/rest/rest.h"

struct vr_rest {
    struct vr_rest_options options;
    struct vr_server *server;
    struct vr_cache *cache;
};

struct vr_exchange {
    struct vr_rest *rest;
    struct vr_request *request;
    const char *const *segments; /* behind the prefix */
    unsigned segment_count;
    const struct vr_route *route;
    const struct vr_operation *operation;
    const char *ids[VR_PATH_IDS];
    int id_kinds[VR_PATH_IDS]; /* of the routes that matched them; -1: none */
    unsigned id_count;
    const char *prefix; /* "/ovirt-engine/api" or the same with "/v4" */
    enum vr_media media;
    unsigned detail; /* enum vr_detail */
    unsigned views;  /* enum vr_view_when: what was asked for */
    struct vr_caller caller;
    /* Sub-collections that are shown: followed ones, and those that a view filled. */
    GHashTable *shown; /* set of const struct vr_field * */
    char *location;    /* of the href hook: where objects without a kind live */
};

/* --- href.c --- */

/* Appends the address of @object, behind the prefix, and finds its route.  @parent (may be NULL):
 * the object it stands in.  False when it has none; then nothing is appended.  Sets
 * *@ret_elsewhere when that depends on more than these two. */
bool vr_href_append(GString *out, struct vr_inventory *inventory, const void *object,
                    const void *parent, const struct vr_route **ret_route, bool *ret_elsewhere);
/* The ids in the address of @object, outermost first, as its route's operations want them. */
bool vr_href_ids(struct vr_inventory *inventory, const void *object,
                 const char *ids[VR_PATH_IDS], unsigned *ret_count,
                 const struct vr_route **ret_route);

/* --- render.c --- */

/* Replies with one object or a collection of @type. */
void vr_render_object(struct vr_exchange *x, int status, const void *object);
void vr_render_list(struct vr_exchange *x, const struct vr_type *type, void *const *objects,
                    unsigned count);
/* The address of @object with the prefix, or NULL.  Owned. */
char *vr_render_href(struct vr_exchange *x, const void *object);
void vr_render_root(struct vr_exchange *x, const void *api);

/* --- cache.c: the text of objects as they were last rendered --- */

/*
 * An object of the inventory never changes, so its text does not either.  The cache holds
 * references, which makes the object's address its name.
 */
struct vr_cache *vr_cache_new(size_t bytes);
void vr_cache_free(struct vr_cache *cache); /* takes NULL */
/* For each of @objects its text (a reference), or NULL. */
void vr_cache_get(struct vr_cache *cache, void *const *objects, unsigned count, const char *prefix,
                  enum vr_media media, struct vr_text **ret_texts);
/* Takes references. */
void vr_cache_put(struct vr_cache *cache, const void *object, const char *prefix,
                  enum vr_media media, struct vr_text *text);

/* --- read.c --- */

/* Whether what this request is shown of a kind is the inventory's own object. */
bool vr_read_is_plain(const struct vr_exchange *x, int kind);

void vr_read_serve(struct vr_exchange *x);
/* The objects of a GET of a collection at @route below @ids, permitted to the caller, in default
 * order.  False and @error. */
bool vr_read_collection(struct vr_exchange *x, const struct vr_operation *operation,
                        const char *const *ids, unsigned id_count, struct vr_objects *objects,
                        struct vr_error **error);
/* A copy with what its view adds when there is one, else a reference. */
void *vr_read_decorate(struct vr_exchange *x, void *object);

/* --- follow.c --- */

/* Replaces the items of @objects (of @type) by copies with what `follow` asks for. */
bool vr_follow(struct vr_exchange *x, const char *follow, const struct vr_type *type,
               void **objects, unsigned count, struct vr_error **error);

/* --- write.c --- */

void vr_write_serve(struct vr_exchange *x);

/* --- root.c, pages.c --- */

void vr_root_serve(struct vr_exchange *x);
/* What is not below /ovirt-engine/api.  @segments are all of the path. */
void vr_pages_serve(struct vr_rest *rest, struct vr_request *request);
