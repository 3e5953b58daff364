/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "iod"
#include "agent/storage/fs.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/storage/fault.h"

#define DIRECT_ALIGN 4096
#define TREE_DEPTH 16

unsigned vr_fs_crash_at;

void vr_fs_step(void)
{
    static gint steps;
    if ((unsigned)g_atomic_int_add(&steps, 1) + 1 == vr_fs_crash_at)
        _exit(137);
}

void vr_fs_error(struct vr_error **error, int saved_errno, const char *format, ...)
{
    static const struct {
        int number;
        const struct vr_fault *fault;
    } rows[] = {
        { ENOSPC, &vr_storage_fault_domain_no_space },
        { EDQUOT, &vr_storage_fault_domain_no_space },
        { EFBIG, &vr_storage_fault_domain_no_space },
        { ESTALE, &vr_storage_fault_domain_stale },
        { EACCES, &vr_storage_fault_domain_access },
        { EPERM, &vr_storage_fault_domain_access },
        { EROFS, &vr_storage_fault_domain_access },
    };
    const struct vr_fault *fault = &vr_storage_fault_io;
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++)
        if (rows[i].number == saved_errno)
            fault = rows[i].fault;
    va_list args;
    va_start(args, format);
    g_autofree char *what = g_strdup_vprintf(format, args);
    va_end(args);
    vr_error_set(error, fault, "%s: %s", what, g_strerror(saved_errno));
}

void vr_fs_become(uid_t uid, gid_t gid)
{
    setfsgid(gid ? gid : getegid());
    setfsuid(uid ? uid : geteuid());
}

int vr_fs_open(int at, const char *path, int flags, mode_t mode)
{
    struct open_how how = {
        .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC | O_NOFOLLOW),
        .mode = flags & (O_CREAT | O_TMPFILE) ? mode : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    for (;;) {
        long fd = syscall(SYS_openat2, at, path, &how, sizeof(how));
        if (fd >= 0)
            return (int)fd;
        if (errno != EINTR && errno != EAGAIN)
            return -errno;
    }
}

int vr_fs_open_root(const char *path, struct vr_error **error)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        vr_storage_error(error, domain_missing, "%s: %s", path, g_strerror(errno));
    else if (fd < 0)
        vr_fs_error(error, errno, "%s", path);
    return fd;
}

int vr_fs_open_dir(int at, const char *path, struct vr_error **error)
{
    int fd = vr_fs_open(at, path, O_RDONLY | O_DIRECTORY, 0);
    if (fd >= 0)
        return fd;
    vr_fs_error(error, -fd, "%s", path);
    return -1;
}

bool vr_fs_stat(int at, const char *name, struct stat *st)
{
    return fstatat(at, name, st, AT_SYMLINK_NOFOLLOW) == 0;
}

bool vr_fs_exists(int at, const char *name)
{
    struct stat st;
    return vr_fs_stat(at, name, &st);
}

static int by_name(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

GPtrArray *vr_fs_list(int dir, unsigned max, struct vr_error **error)
{
    /* A descriptor of its own: a directory stream moves the position. */
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd >= 0 ? fdopendir(fd) : NULL;
    if (!stream) {
        vr_fs_error(error, errno, "Listing a directory");
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    struct dirent *entry;
    while (errno = 0, (entry = readdir(stream))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (names->len >= max) {
            errno = E2BIG;
            break;
        }
        g_ptr_array_add(names, g_strdup(entry->d_name));
    }
    int saved = errno;
    closedir(stream);
    if (saved) {
        vr_fs_error(error, saved, "Listing a directory");
        return NULL;
    }
    g_ptr_array_sort(names, by_name);
    return g_steal_pointer(&names);
}

static ssize_t read_whole(int fd, char *buffer, size_t size)
{
    size_t done = 0;
    while (done < size) {
        ssize_t n = pread(fd, buffer + done, size - done, (off_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        done += (size_t)n;
        /* A short direct read is the end of the file; another would not be aligned. */
        if (done % DIRECT_ALIGN)
            break;
    }
    return (ssize_t)done;
}

char *vr_fs_read(int at, const char *name, size_t max, size_t *length, struct vr_error **error)
{
    int fd = vr_fs_open(at, name, O_RDONLY | O_DIRECT | O_NONBLOCK, 0);
    if (fd == -EINVAL)
        fd = vr_fs_open(at, name, O_RDONLY | O_NONBLOCK, 0);
    if (fd == -ENOENT)
        return NULL;
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        vr_fs_error(error, fd < 0 ? -fd : EINVAL, "%s", name);
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    size_t room = (max + 1 + DIRECT_ALIGN - 1) / DIRECT_ALIGN * DIRECT_ALIGN;
    void *buffer = NULL;
    g_assert(posix_memalign(&buffer, DIRECT_ALIGN, room) == 0);
    ssize_t n = read_whole(fd, buffer, room);
    close(fd);
    char *text = NULL;
    if (n < 0)
        vr_fs_error(error, (int)-n, "%s", name);
    else if ((size_t)n > max)
        vr_storage_error(error, meta_too_big, "%s has more than %zu bytes.", name, max);
    else {
        text = g_malloc((size_t)n + 1);
        memcpy(text, buffer, (size_t)n);
        text[n] = '\0';
        *length = (size_t)n;
    }
    free(buffer);
    return text;
}

static bool flush_dir(int dir, struct vr_error **error)
{
    if (fsync(dir) == 0 || errno == EINVAL || errno == EROFS)
        return true;
    vr_fs_error(error, errno, "Flushing a directory");
    return false;
}

static int write_whole(int fd, const char *text, size_t length)
{
    while (length) {
        ssize_t n = write(fd, text, length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        text += n;
        length -= (size_t)n;
    }
    return 0;
}

bool vr_fs_write(int at, const char *name, const char *text, size_t length, struct vr_error **error)
{
    g_autofree char *new_name = g_strconcat(name, ".new", NULL);
    vr_fs_step();
    int fd = vr_fs_open(at, new_name, O_WRONLY | O_CREAT | O_TRUNC, 0660);
    if (fd < 0) {
        vr_fs_error(error, -fd, "%s", new_name);
        return false;
    }
    int rc = fchmod(fd, 0660) < 0 ? -errno : write_whole(fd, text, length);
    if (rc == 0 && fsync(fd) < 0)
        rc = -errno;
    if (close(fd) < 0 && rc == 0)
        rc = -errno;
    if (rc < 0) {
        vr_fs_error(error, -rc, "%s", new_name);
        unlinkat(at, new_name, 0);
        return false;
    }
    return vr_fs_rename(at, new_name, at, name, error);
}

bool vr_fs_make(int at, const char *name, uint64_t size, struct vr_error **error)
{
    vr_fs_step();
    vr_auto_fd int fd = vr_fs_open(at, name, O_WRONLY | O_CREAT, 0660);
    if (fd < 0 || fchmod(fd, 0660) < 0 || ftruncate(fd, (off_t)size) < 0 || fsync(fd) < 0) {
        vr_fs_error(error, fd < 0 ? -fd : errno, "%s", name);
        return false;
    }
    return flush_dir(at, error);
}

int vr_fs_create(int at, const char *name, struct vr_error **error)
{
    vr_fs_step();
    int fd = vr_fs_open(at, name, O_RDWR | O_CREAT | O_EXCL, 0660);
    if (fd < 0) {
        vr_fs_error(error, -fd, "%s", name);
        return -1;
    }
    if (fchmod(fd, 0660) < 0) {
        vr_fs_error(error, errno, "%s", name);
        close(fd);
        return -1;
    }
    return fd;
}

bool vr_fs_mkdir(int at, const char *name, mode_t mode, struct vr_error **error)
{
    vr_fs_step();
    if (mkdirat(at, name, mode) < 0) {
        if (errno == EEXIST)
            return true;
        vr_fs_error(error, errno, "%s", name);
        return false;
    }
    /* The umask must not decide what other hosts may do. */
    if (fchmodat(at, name, mode, 0) < 0) {
        vr_fs_error(error, errno, "%s", name);
        return false;
    }
    return flush_dir(at, error);
}

bool vr_fs_rename(int from_dir, const char *from, int to_dir, const char *to,
                  struct vr_error **error)
{
    vr_fs_step();
    if (renameat(from_dir, from, to_dir, to) < 0) {
        vr_fs_error(error, errno, "%s to %s", from, to);
        return false;
    }
    return flush_dir(to_dir, error);
}

bool vr_fs_link(int from_dir, const char *from, int to_dir, const char *to, struct vr_error **error)
{
    vr_fs_step();
    if (linkat(from_dir, from, to_dir, to, 0) < 0) {
        if (errno == EEXIST)
            return true;
        vr_fs_error(error, errno, "%s to %s", from, to);
        return false;
    }
    return flush_dir(to_dir, error);
}

static bool remove_one(int at, const char *name, int flags, struct vr_error **error)
{
    vr_fs_step();
    if (unlinkat(at, name, flags) < 0 && errno != ENOENT) {
        vr_fs_error(error, errno, "%s", name);
        return false;
    }
    return flush_dir(at, error);
}

bool vr_fs_unlink(int at, const char *name, struct vr_error **error)
{
    return remove_one(at, name, 0, error);
}

bool vr_fs_rmdir(int at, const char *name, struct vr_error **error)
{
    return remove_one(at, name, AT_REMOVEDIR, error);
}

static bool remove_tree(int at, const char *name, unsigned depth, struct vr_error **error)
{
    struct stat st;
    if (!vr_fs_stat(at, name, &st))
        return true;
    if (!S_ISDIR(st.st_mode))
        return vr_fs_unlink(at, name, error);
    if (depth >= TREE_DEPTH) {
        vr_fs_error(error, ELOOP, "%s", name);
        return false;
    }
    vr_auto_fd int dir = vr_fs_open_dir(at, name, error);
    if (dir < 0)
        return false;
    g_autoptr(GPtrArray) names = vr_fs_list(dir, 1000000, error);
    for (unsigned i = 0; names && i < names->len; i++)
        if (!remove_tree(dir, names->pdata[i], depth + 1, error))
            return false;
    return names && vr_fs_rmdir(at, name, error);
}

bool vr_fs_remove_tree(int at, const char *name, struct vr_error **error)
{
    return remove_tree(at, name, 0, error);
}

static int write_zeroes(int fd, uint64_t from, uint64_t to, const gint *cancel)
{
    const size_t chunk = MiB(1);
    g_autofree char *zeroes = g_malloc0(chunk);
    while (from < to) {
        if (cancel && g_atomic_int_get(cancel))
            return -ECANCELED;
        ssize_t n = pwrite(fd, zeroes, (size_t)MIN((uint64_t)chunk, to - from), (off_t)from);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        from += (uint64_t)n;
    }
    return 0;
}

bool vr_fs_allocate(int fd, uint64_t from, uint64_t to, const gint *cancel, struct vr_error **error)
{
    /* In pieces, so that a cancelled job ends soon on a slow file system. */
    while (from < to) {
        uint64_t piece = MIN(to - from, GiB(1));
        if (cancel && g_atomic_int_get(cancel)) {
            vr_storage_error(error, task_aborted, NULL);
            return false;
        }
        vr_fs_step();
        int rc = fallocate(fd, 0, (off_t)from, (off_t)piece) < 0 ? -errno : 0;
        if (rc == -EOPNOTSUPP)
            rc = write_zeroes(fd, from, from + piece, cancel);
        if (rc == -ECANCELED)
            vr_storage_error(error, task_aborted, NULL);
        else if (rc < 0 && rc != -EINTR)
            vr_fs_error(error, -rc, "Allocating space");
        if (*error)
            return false;
        if (rc == 0)
            from += piece;
    }
    return true;
}
