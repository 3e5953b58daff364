/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * fs: file operations inside one storage domain, for vireo-iod.
 *
 * The content of a domain is hostile: whoever else writes it may plant
 * symbolic links.  So everything below a mount is opened relative to a
 * descriptor, never through a link and never outside (openat2), and a name is
 * one path component.
 *
 * Every change counts as one step, and vr_fs_crash_at makes the process end,
 * as by SIGKILL, right before the n-th one.  The contract test sweeps it.
 */

#include "base/base.h"

#include <sys/stat.h>
#include <unistd.h>

/* Counts one change; may not return (see above).  Called before each one. */
void vr_fs_step(void);
extern unsigned vr_fs_crash_at; /* 0: never; set before any thread starts */

/* Turns -@saved_errno into the storage fault that the Manager must see. */
void vr_fs_error(struct vr_error **error, int saved_errno, const char *format, ...) VR_PRINTF(3, 4);

/* Takes on @uid and @gid for this thread's file accesses; 0 is the process's own. */
void vr_fs_become(uid_t uid, gid_t gid);

/* An open directory, or -1.  The first follows links (it is our own configuration). */
int vr_fs_open_root(const char *path, struct vr_error **error);
int vr_fs_open_dir(int at, const char *path, struct vr_error **error);
/* Like openat2 with RESOLVE_BENEATH and no links; the descriptor or a negative errno. */
int vr_fs_open(int at, const char *path, int flags, mode_t mode);
bool vr_fs_exists(int at, const char *name);
/* fstatat without following; false when absent. */
bool vr_fs_stat(int at, const char *name, struct stat *st);

/* The names in a directory other than . and .., sorted; at most @max (error beyond). */
GPtrArray *vr_fs_list(int dir, unsigned max, struct vr_error **error);
/* The whole of a small file, past the page cache where the file system allows it.
 * NULL with *error unset when there is no such file. */
char *vr_fs_read(int at, const char *name, size_t max, size_t *length, struct vr_error **error);
/* Replaces @name by @text through "@name.new", a flush and a rename. */
bool vr_fs_write(int at, const char *name, const char *text, size_t length,
                 struct vr_error **error);
/* Makes an empty file of @size bytes, mode 0660; an existing one is cut to it. */
bool vr_fs_make(int at, const char *name, uint64_t size, struct vr_error **error);
/* A new file opened for reading and writing, mode 0660; -1 and @error when it exists. */
int vr_fs_create(int at, const char *name, struct vr_error **error);
/* True as well when it exists. */
bool vr_fs_mkdir(int at, const char *name, mode_t mode, struct vr_error **error);
bool vr_fs_rename(int from_dir, const char *from, int to_dir, const char *to,
                  struct vr_error **error);
bool vr_fs_link(int from_dir, const char *from, int to_dir, const char *to,
                struct vr_error **error);
/* True as well when it is absent. */
bool vr_fs_unlink(int at, const char *name, struct vr_error **error);
bool vr_fs_rmdir(int at, const char *name, struct vr_error **error);
/* Removes a directory with all it holds, up to 16 levels; links are removed, not followed. */
bool vr_fs_remove_tree(int at, const char *name, struct vr_error **error);
/* Allocates [from, to) of an open file, by writing zeroes where fallocate is not supported. */
bool vr_fs_allocate(int fd, uint64_t from, uint64_t to, const gint *cancel,
                    struct vr_error **error);

static inline void vr_fs_closep(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}
/* vr_auto_fd int fd = -1; */
#define vr_auto_fd __attribute__((cleanup(vr_fs_closep)))
