/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * iod: the inside of vireo-iod, the process that works on one storage domain.
 *
 * A request names the directory of the mount (`root`) and the domain (`sd`)
 * each time, so that the process keeps no state worth losing.  Every request
 * runs on a thread of a small pool; what must not overlap takes a named lock.
 */

#include "base/base.h"

#include <json-c/json.h>

#include "agent/storage/driver.h"
#include "agent/storage/fault.h"
#include "agent/storage/format.h"
#include "agent/storage/fs.h"
#include "agent/storage/qcow2.h"

struct iod_request {
    gint64 id;
    json_object *args;
    gint cancel; /* atomic */
    uid_t uid;   /* whose rights the accesses have; 0: our own */
    gid_t gid;
};

/* Returns an owned value, json_object_new_boolean(1) for nothing, or NULL and @error. */
typedef json_object *iod_op(struct iod_request *request, struct vr_error **error);

/* Tells the agent how far a request is; the same number again is not sent. */
void iod_progress(struct iod_request *request, int percent);

/* Arguments.  The first three set 1000 when the value is missing or of another shape; borrowed. */
const char *iod_string(struct iod_request *request, const char *key, struct vr_error **error);
const char *iod_uuid(struct iod_request *request, const char *key, struct vr_error **error);
bool iod_size(struct iod_request *request, const char *key, uint64_t *value,
              struct vr_error **error);
const char *iod_string_or(struct iod_request *request, const char *key, const char *otherwise);
int64_t iod_integer(struct iod_request *request, const char *key, int64_t otherwise);
bool iod_bool(struct iod_request *request, const char *key);

/* Results. */
json_object *iod_true(void);
void iod_put(json_object *object, const char *key, const char *value); /* NULL: left out */
void iod_put_integer(json_object *object, const char *key, int64_t value);
void iod_put_number(json_object *object, const char *key, uint64_t value); /* as a string */

/* Locks by name, exclusive, for as long as the guard lives; one thread takes "dom" before "img". */
struct iod_guard {
    char *name;
};
struct iod_guard iod_lock(const char *kind, const char *id);
void iod_unlock(struct iod_guard *guard);
#define iod_auto_guard __attribute__((cleanup(iod_unlock), unused))

/* A domain's directory and metadata, read afresh. */
struct iod_domain {
    char *root, *sd;
    int dir, images;
    struct vr_keys *keys;
    int version;
};
/* From the request's `root` and `sd`; 358 when there is none. */
bool iod_domain_open(struct iod_request *request, struct iod_domain *domain,
                     struct vr_error **error);
void iod_domain_close(struct iod_domain *domain);
#define iod_auto_domain __attribute__((cleanup(iod_domain_close)))
#define IOD_DOMAIN_NONE                                                                            \
    {                                                                                              \
        .dir = -1, .images = -1                                                                    \
    }

/* Volumes, given the open directory of an image. */
bool iod_meta_read(int dir, const char *vol, struct vr_volume_meta *meta, struct vr_error **error);
bool iod_meta_write(int dir, const char *vol, const struct vr_volume_meta *meta,
                    struct vr_error **error);
/* images/<img>; 268 when absent. */
int iod_image_open(struct iod_domain *domain, const char *img, struct vr_error **error);
/* The UUIDs of the volumes with a record in an image, sorted. */
GPtrArray *iod_volume_names(int dir, struct vr_error **error);
/* Whether another volume of the image has @vol as its parent. */
bool iod_has_children(int dir, const char *vol);
/* The checked header of a COW volume, or of a file that claims to be one. */
bool iod_qcow2_read(int dir, const char *vol, struct vr_qcow2 *image, struct vr_error **error);
/* Finishes or undoes what a crash left half done in one image.  Its lock is held. */
bool iod_image_heal(struct iod_domain *domain, const char *img, struct vr_error **error);
/* The same for the whole domain; images that are busy are left alone. */
bool iod_domain_heal(struct iod_domain *domain, struct vr_error **error);
/* Unlinks a volume's three files in the order that healing understands. */
bool iod_volume_unlink(int dir, const char *vol, struct vr_error **error);

/* The rows of the table in iod.c. */
iod_op iod_op_connect, iod_op_disconnect, iod_op_probe;
iod_op iod_op_domain_create, iod_op_domain_info, iod_op_domain_stats, iod_op_domain_set,
    iod_op_domain_format, iod_op_domain_check, iod_op_domain_heal, iod_op_master_make,
    iod_op_file_stats;
iod_op iod_op_task_save, iod_op_task_remove, iod_op_task_list;
iod_op iod_op_image_list, iod_op_volume_list, iod_op_volume_info, iod_op_volume_size,
    iod_op_volume_create, iod_op_volume_update, iod_op_volume_extend, iod_op_volume_delete,
    iod_op_image_delete, iod_op_image_prepare, iod_op_image_chain;
iod_op iod_op_qemu_info, iod_op_measure, iod_op_verify, iod_op_copy_in, iod_op_copy_out,
    iod_op_merge_prepare, iod_op_merge, iod_op_merge_finalize;
