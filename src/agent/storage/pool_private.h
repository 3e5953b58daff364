/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the sources about the pool share.  Callers hold storage->pool_lock. */

#include "agent/storage/storage_private.h"

#define VR_ST_DOMAINS_MAX 100 /* facts/storage-format.md 13 */

struct vr_st_pool *vr_st_pool_new(const char *id, int host_id, const char *master,
                                  int64_t master_version);
/* "Active" or "Attached" for a word of the wire. */
const char *vr_st_status_word(const char *wire);
/* <run_root>/<sp>; owned. */
char *vr_st_pool_dir(struct vr_storage *s, const char *id);
/* "sd:Active,sd:Attached", sorted; owned.  storage->lock held. */
char *vr_st_domains_text(const struct vr_st_pool *pool);
/* Starts what a connected pool needs: host ids and monitoring of its active domains. */
void vr_st_watch_domains(struct vr_storage *s);
void vr_st_remove_links(struct vr_storage *s, const char *id);
/* Writes keys of a domain; pairs ended by NULL. */
bool vr_st_set_keys(struct vr_storage *s, const char *sd, struct vr_error **error,
                    ...) G_GNUC_NULL_TERMINATED;
/* A domain's metadata as {KEY: text}; owned. */
json_object *vr_st_info(struct vr_storage *s, const char *sd, struct vr_error **error);
/* 304 when it cannot be found, 324 when storage says otherwise. */
bool vr_st_check_master(struct vr_storage *s, const char *sp, const char *master, int64_t version,
                        struct vr_error **error);
bool vr_st_make_master(struct vr_storage *s, const char *sp, const char *name, const char *master,
                       int64_t version, const char *domains, struct vr_error **error);
/* The pool's own list of domains, written on its master (SPM only). */
bool vr_st_write_domains(struct vr_storage *s, struct vr_error **error);
