/* SPDX-License-Identifier: Apache-2.0 */
#include "setup/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static bool fail(struct vr_error **error, const char *verb, const char *path)
{
    vr_error_set(error, &vr_fault_system, "Cannot %s %s: %s.", verb, path, g_strerror(errno));
    return false;
}

bool vr_file_sync_folder(const char *path, struct vr_error **error)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return fail(error, "open", path);
    int rc = fsync(fd);
    close(fd);
    return rc == 0 || fail(error, "sync", path);
}

static bool write_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, data, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        data += n;
        size -= (size_t)n;
    }
    return true;
}

bool vr_file_replace(const char *path, const void *data, size_t size, mode_t mode,
                     struct vr_error **error)
{
    /* One name a file, so that a crash leaves at most one leftover, which the next run reuses. */
    g_autofree char *temporary = g_strdup_printf("%s.new", path);
    g_autofree char *folder = g_path_get_dirname(path);

    unlink(temporary);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return fail(error, "create", temporary);
    bool good = write_all(fd, data, size) && fchmod(fd, mode) == 0 && fsync(fd) == 0;
    if (!good)
        fail(error, "write", temporary);
    if (close(fd) < 0 && good)
        good = fail(error, "close", temporary);
    if (good && rename(temporary, path) < 0)
        good = fail(error, "rename", temporary);
    if (!good) {
        unlink(temporary);
        return false;
    }
    return vr_file_sync_folder(folder, error);
}

char *vr_file_read(const char *path, size_t limit, size_t *ret_size, struct vr_error **error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        if (errno != ENOENT)
            fail(error, "open", path);
        return NULL;
    }
    g_autofree char *data = g_malloc(limit + 2);
    size_t size = 0;
    while (size <= limit) {
        ssize_t n = read(fd, data + size, limit + 1 - size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            fail(error, "read", path);
            close(fd);
            return NULL;
        }
        if (n == 0)
            break;
        size += (size_t)n;
    }
    close(fd);
    if (size > limit) {
        vr_error_set(error, &vr_fault_system, "%s is larger than %zu bytes.", path, limit);
        return NULL;
    }
    data[size] = '\0';
    if (ret_size)
        *ret_size = size;
    return g_steal_pointer(&data);
}

bool vr_file_make_folder(const char *path, mode_t mode, struct vr_error **error)
{
    if (mkdir(path, mode) < 0 && errno != EEXIST)
        return fail(error, "make the folder", path);
    struct stat st;
    if (stat(path, &st) < 0)
        return fail(error, "look at", path);
    if (!S_ISDIR(st.st_mode)) {
        errno = ENOTDIR;
        return fail(error, "use", path);
    }
    /* The umask may have taken bits away. */
    if ((st.st_mode & 07777) != mode && chmod(path, mode) < 0)
        return fail(error, "set the permissions of", path);
    return true;
}
