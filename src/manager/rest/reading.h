/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * reading: one read request, for the `read` handlers of the schema.  They run
 * on a REST thread, see only the committed inventory and the latest
 * statistics, and never wait.
 */

#include "manager/engine/call.h"

struct vr_statistics;
struct vr_statistics *vr_statistics_new(void);
void vr_statistics_free(struct vr_statistics *statistics);
/* Takes a reference; NULL forgets.  Any thread. */
void vr_statistics_put(struct vr_statistics *statistics, int kind, const char *id,
                       const void *object);
/* The latest statistics object of an entity (struct vr_rpc_vm_stats, struct vr_rpc_host_stats), or
 * NULL.  A reference.  Any thread. */
void *vr_statistics_get(struct vr_statistics *statistics, int kind, const char *id);
/* What a device (vnet0, eth0: bytes received and sent; vda: reads and writes) of a machine or host
 * does in a second; false, and zeros, when that is not known.  Any thread. */
bool vr_statistics_rate(struct vr_statistics *statistics, int kind, const char *id,
                        const char *device, double *ret_in, double *ret_out);

struct vr_reading {
    struct vr_inventory *inventory;
    struct vr_statistics *statistics;
    const struct vr_config *config;
    const struct vr_operation *operation;
    const char *ids[VR_PATH_IDS];
    unsigned id_count;
    const struct vr_caller *caller;
    int64_t now_ms; /* epoch */

    /* The answer: one object (owned by the reading), or a list; NULL of a `get` is a 404.  Or an
     * error. */
    void *object;
    struct vr_list list; /* of owned objects */
    struct vr_error *error;
};

const char *vr_reading_param(const struct vr_reading *reading, const char *name);
bool vr_reading_flag(const struct vr_reading *reading, const char *name, bool otherwise);
/* Whether the caller asked for statistics in place (`detail=statistics`). */
bool vr_reading_wants_statistics(const struct vr_reading *reading);
/* Whether the caller asked for running consoles in place (`detail=current_graphics_consoles`). */
bool vr_reading_wants_consoles(const struct vr_reading *reading);
/* Has the sub-collection of objects of @type shown where it is filled; without this it is only a
 * link. */
void vr_reading_show(struct vr_reading *reading, const struct vr_type *type,
                     const char *collection);
/* An id for something that has none of its own, in the form of a UUID: the same at every reading
 * for the same @owner and @name.  Owned. */
char *vr_reading_id(const char *owner, const char *name);
/* Turns the list of a `list` handler into the answer of its `get`: the object with this id. */
void vr_reading_choose(struct vr_reading *reading, const char *id);
