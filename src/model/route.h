/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * route: the tree of addresses of the interface and what each of them does.
 * gen/routes.c holds the tables, written from the services of model/api/.
 *
 *     GET /vms/123/nics
 *         vr_route_root -> "vms" -> (any id) -> "nics" -> operations[VR_METHOD_GET]
 *
 * An action is a child of its own: POST /vms/123/start ends at the route "start".
 */

#include "model/model.h"

struct vr_reading; /* manager/rest/reading.h: a read on a REST thread */
struct vr_call;    /* manager/engine/call.h: a write on the engine thread */

enum vr_way {
    VR_WAY_MISSING, /* answers 501 */
    VR_WAY_GENERIC, /* get or list straight from the inventory, by `kind` and `by` */
    VR_WAY_READ,
    VR_WAY_WRITE,
};

enum vr_http_method { VR_METHOD_GET, VR_METHOD_POST, VR_METHOD_PUT, VR_METHOD_DELETE };
#define VR_METHOD_COUNT 4

/* A parameter.  Those of add and update beside the body come in the query; those of an action are
 * members of its body, which vr_type_action has all of. */
struct vr_param {
    const char *name;
    const void *sub; /* const struct vr_type * or const struct vr_enum *, as `kind` says */
    uint8_t kind;    /* enum vr_field_kind */
    bool in, out, list;
};

struct vr_operation {
    const char *name; /* "vms.add", "vm.start": service and method */
    enum vr_way way;
    enum vr_http_method method;
    bool is_list;   /* GET of a collection */
    bool is_action; /* POST of an <action> */
    const struct vr_type *body;   /* of add and update; vr_type_action; else NULL */
    const struct vr_type *result; /* of one item, for a list; NULL: no body of its own (remove) */
    /* What the body must hold: "name", "cluster.id|cluster.name"; NULL ended, never NULL. */
    const char *const *mandatory;
    const struct vr_param *params;
    unsigned param_count;
    const char *permit; /* "create_vm", or NULL: whoever may log in */
    int kind;           /* enum vr_kind of the entity of the service, or -1 */
    /* The link of that entity to the entity whose id is the last but this one's in the address:
     * `vm` for /vms/{id}/nics and for /vms/{id}/nics/{id}.  NULL: not below another entity. */
    const struct vr_field *by;
    void (*read)(struct vr_reading *reading); /* VR_WAY_READ */
    void (*write)(struct vr_call *call);      /* VR_WAY_WRITE */
};

struct vr_route {
    const char *segment; /* lower case; NULL matches any id */
    /* Sorted by segment (strcmp); the one that matches any id comes last. */
    const struct vr_route *children;
    unsigned child_count;
    const struct vr_operation *operations[VR_METHOD_COUNT]; /* NULL: 405 */
    /* What an object at this address links to, in the order to be shown; NULL ended, never NULL:
     * the segments of sub-collections (`<link rel="nics">`) and of actions. */
    const char *const *links;
    const char *const *actions;
    int kind; /* enum vr_kind of the entity of the service, or -1 */
};

/* The route of "/"; its segment is NULL. */
extern const struct vr_route vr_route_root;

/*
 * The routes of the objects of a kind, parallel to the hrefs of vr_kinds[kind]: the route of
 * hrefs[0], of hrefs[1], ..., NULL.  The array is NULL for a kind without addresses.
 */
extern const struct vr_route *const *const vr_kind_routes[];

/* Every operation, sorted by name; NULL ended.  One that stands below several kinds of parents
 * (permissions) is there once for each link it is narrowed by. */
extern const struct vr_operation *const vr_operations[];

/* The child of @route for one segment of an address, or NULL.  @is_id says whether it is the one
 * that matches any id. */
const struct vr_route *vr_route_child(const struct vr_route *route, const char *segment,
                                      size_t length, bool *is_id);
