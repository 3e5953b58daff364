/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/image/backend.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct vr_backend_driver *const drivers[] = { &vr_backend_file, &vr_backend_nbd };

static const struct vr_backend_driver *find(const char *url)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(drivers); i++)
        if (g_str_has_prefix(url, drivers[i]->prefix))
            return drivers[i];
    return NULL;
}

bool vr_backend_known(const char *url)
{
    return find(url) != NULL;
}

struct vr_backend *vr_backend_open(const char *url, bool write, bool sparse,
                                   struct vr_error **error)
{
    const struct vr_backend_driver *driver = find(url);
    if (!driver) {
        vr_error_set(error, &vr_fault_bad_request, "The ticket's URL is of an unknown kind.");
        return NULL;
    }
    struct vr_backend *backend = g_new0(struct vr_backend, 1);
    backend->driver = driver;
    backend->sparse = sparse;
    backend->fd = -1;
    if (driver->open(backend, url, write, error))
        return backend;
    g_free(backend);
    return NULL;
}

void vr_backend_close(struct vr_backend *backend)
{
    if (!backend)
        return;
    backend->driver->close(backend);
    g_free(backend);
}

/* ---- file:// ---- */

static bool fail(struct vr_error **error, const char *what)
{
    vr_error_set(error, &vr_fault_system, "%s: %s", what, g_strerror(errno));
    return false;
}

static bool file_open(struct vr_backend *b, const char *url, bool write, struct vr_error **error)
{
    const char *path = url + strlen("file://");
    struct stat st;
    if (*path != '/') {
        vr_error_set(error, &vr_fault_bad_request, "A file's URL is file:///path.");
        return false;
    }
    /* O_NONBLOCK: a pipe planted under the name must not hold us. */
    b->fd = open(path, (write ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (b->fd < 0)
        return fail(error, "Opening the image");
    if (fstat(b->fd, &st) == 0 && (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)))
        return true;
    close(b->fd);
    vr_error_set(error, &vr_fault_bad_request, "The image is not a file.");
    return false;
}

static void file_close(struct vr_backend *b)
{
    close(b->fd);
}

static bool file_read(struct vr_backend *b, void *buffer, size_t length, uint64_t offset,
                      struct vr_error **error)
{
    size_t done = 0;
    while (done < length) {
        ssize_t n = pread(b->fd, (char *)buffer + done, length - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(error, "Reading the image");
        if (n == 0)
            break;
        done += (size_t)n;
    }
    memset((char *)buffer + done, 0, length - done);
    return true;
}

static bool file_write(struct vr_backend *b, const void *buffer, size_t length, uint64_t offset,
                       struct vr_error **error)
{
    size_t done = 0;
    while (done < length) {
        ssize_t n =
            pwrite(b->fd, (const char *)buffer + done, length - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(error, "Writing the image");
        done += (size_t)n;
    }
    return true;
}

static bool file_zero(struct vr_backend *b, uint64_t length, uint64_t offset,
                      struct vr_error **error)
{
    struct stat st;
    if (fstat(b->fd, &st) < 0)
        return fail(error, "Zeroing the image");
    /* A hole beyond the end does not make the file longer; that takes ftruncate. */
    if (S_ISREG(st.st_mode) && offset + length > (uint64_t)st.st_size &&
        ftruncate(b->fd, (off_t)(offset + length)) < 0)
        return fail(error, "Zeroing the image");
    if (b->sparse && fallocate(b->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
                               (off_t)length) == 0)
        return true;
    if (!b->sparse && fallocate(b->fd, FALLOC_FL_ZERO_RANGE, (off_t)offset, (off_t)length) == 0)
        return true;
    g_autofree char *zeroes = g_malloc0(MiB(1));
    for (uint64_t done = 0; done < length;) {
        size_t n = (size_t)MIN(length - done, MiB(1));
        if (!file_write(b, zeroes, n, offset + done, error))
            return false;
        done += n;
    }
    return true;
}

static bool file_flush(struct vr_backend *b, struct vr_error **error)
{
    return fsync(b->fd) == 0 || fail(error, "Flushing the image");
}

/* A hole, if there is one, and the data behind it. */
static bool file_extents(struct vr_backend *b, uint64_t *at, uint64_t size, vr_extent_fn *extent,
                         void *arg, struct vr_error **error)
{
    off_t data = lseek(b->fd, (off_t)*at, SEEK_DATA);
    if (data < 0 && errno != ENXIO && errno != EINVAL)
        return fail(error, "Looking for holes");
    /* Where holes cannot be asked for, all is data. */
    uint64_t start = data >= 0 ? MIN((uint64_t)data, size) : errno == ENXIO ? size : *at;
    if (start > *at)
        extent(*at, start - *at, true, true, arg);
    off_t hole = start < size ? lseek(b->fd, (off_t)start, SEEK_HOLE) : 0;
    uint64_t end = start < size ? (hole > (off_t)start ? MIN((uint64_t)hole, size) : size) : size;
    if (end > start)
        extent(start, end - start, false, false, arg);
    *at = end;
    return true;
}

const struct vr_backend_driver vr_backend_file = {
    "file://", file_open, file_close, file_read, file_write, file_zero, file_flush, file_extents,
};
