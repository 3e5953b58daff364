/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/image/backend.h"

#include <libnbd.h>

#define ALLOCATION LIBNBD_CONTEXT_BASE_ALLOCATION
/* Servers refuse larger requests than 32 MiB; zeroing moves no data and may be longer. */
#define REQUEST_MAX MiB(16)
#define ZERO_MAX MiB(1024)
#define STATUS_MAX MiB(1024)

static bool fail(struct vr_error **error)
{
    const char *why = nbd_get_error();
    vr_error_set(error, &vr_fault_system, "NBD: %s", why ? why : "unknown");
    return false;
}

/* "nbd:unix:/path[:exportname=name]" */
static bool nbd_open(struct vr_backend *b, const char *url, bool write VR_UNUSED,
                     struct vr_error **error)
{
    const char *path = url + strlen("nbd:unix:");
    const char *mark = strstr(path, ":exportname=");
    g_autofree char *socket = mark ? g_strndup(path, (gsize)(mark - path)) : g_strdup(path);
    struct nbd_handle *nbd = nbd_create();
    if (!nbd)
        return fail(error);
    if ((mark && nbd_set_export_name(nbd, mark + strlen(":exportname=")) < 0) ||
        nbd_add_meta_context(nbd, ALLOCATION) < 0 || nbd_connect_unix(nbd, socket) < 0) {
        fail(error);
        nbd_close(nbd);
        return false;
    }
    b->handle = nbd;
    return true;
}

static void nbd_done(struct vr_backend *b)
{
    (void)nbd_shutdown(b->handle, 0);
    nbd_close(b->handle);
}

static bool nbd_read(struct vr_backend *b, void *buffer, size_t length, uint64_t offset,
                     struct vr_error **error)
{
    int64_t size = nbd_get_size(b->handle);
    if (size < 0)
        return fail(error);
    size_t there = offset < (uint64_t)size ? (size_t)MIN(length, (uint64_t)size - offset) : 0;
    memset((char *)buffer + there, 0, length - there);
    for (size_t done = 0; done < there;) {
        size_t n = MIN(there - done, (size_t)REQUEST_MAX);
        if (nbd_pread(b->handle, (char *)buffer + done, n, offset + done, 0) < 0)
            return fail(error);
        done += n;
    }
    return true;
}

static bool nbd_write(struct vr_backend *b, const void *buffer, size_t length, uint64_t offset,
                      struct vr_error **error)
{
    for (size_t done = 0; done < length;) {
        size_t n = MIN(length - done, (size_t)REQUEST_MAX);
        if (nbd_pwrite(b->handle, (const char *)buffer + done, n, offset + done, 0) < 0)
            return fail(error);
        done += n;
    }
    return true;
}

static bool nbd_set_zero(struct vr_backend *b, uint64_t length, uint64_t offset,
                         struct vr_error **error)
{
    uint32_t flags = b->sparse ? 0 : LIBNBD_CMD_FLAG_NO_HOLE;
    for (uint64_t done = 0; done < length;) {
        uint64_t n = MIN(length - done, ZERO_MAX);
        if (nbd_zero(b->handle, n, offset + done, flags) < 0)
            return fail(error);
        done += n;
    }
    return true;
}

static bool nbd_do_flush(struct vr_backend *b, struct vr_error **error)
{
    return nbd_flush(b->handle, 0) == 0 || fail(error);
}

struct status {
    uint64_t at, end;
    unsigned told;
    vr_extent_fn *extent;
    void *arg;
};

static int take_status(void *user, const char *context, uint64_t offset, uint32_t *entries,
                       size_t count, int *error VR_UNUSED)
{
    struct status *s = user;
    if (strcmp(context, ALLOCATION) != 0 || offset != s->at)
        return 0;
    /* An answer may hold millions; what is not taken is asked for again. */
    for (size_t i = 0; i + 1 < count && s->at < s->end && s->told < VR_EXTENTS_MAX; i += 2) {
        /* The last one may reach beyond what was asked. */
        uint64_t length = MIN((uint64_t)entries[i], s->end - s->at);
        if (!length)
            continue;
        s->extent(s->at, length, entries[i + 1] & LIBNBD_STATE_ZERO,
                  entries[i + 1] & LIBNBD_STATE_HOLE, s->arg);
        s->told++;
        s->at += length;
    }
    return 0;
}

static bool nbd_extents(struct vr_backend *b, uint64_t *at, uint64_t size, vr_extent_fn *extent,
                        void *arg, struct vr_error **error)
{
    int64_t there = nbd_get_size(b->handle);
    if (there < 0)
        return fail(error);
    bool behind = *at >= (uint64_t)there;
    if (behind || nbd_can_meta_context(b->handle, ALLOCATION) != 1) {
        extent(*at, size - *at, behind, behind, arg);
        *at = size;
        return true;
    }
    struct status s = { *at, MIN(size, (uint64_t)there), 0, extent, arg };
    if (nbd_block_status(b->handle, MIN(s.end - s.at, STATUS_MAX), s.at,
                         (nbd_extent_callback){ .callback = take_status, .user_data = &s }, 0) < 0)
        return fail(error);
    if (s.at == *at) {
        vr_error_set(error, &vr_fault_system, "The NBD server told no extents.");
        return false;
    }
    *at = s.at;
    return true;
}

const struct vr_backend_driver vr_backend_nbd = {
    "nbd:unix:", nbd_open, nbd_done, nbd_read, nbd_write, nbd_set_zero, nbd_do_flush, nbd_extents,
};
