/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/helper/frame.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static int write_all(int fd, struct iovec *parts, int count)
{
    while (count > 0) {
        /* MSG_NOSIGNAL: a helper that died must not take the agent with it. */
        struct msghdr message = { .msg_iov = parts, .msg_iovlen = (size_t)count };
        ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        while (count > 0 && (size_t)n >= parts->iov_len) {
            n -= (ssize_t)parts->iov_len;
            parts++;
            count--;
        }
        if (count > 0) {
            parts->iov_base = (char *)parts->iov_base + n;
            parts->iov_len -= (size_t)n;
        }
    }
    return 0;
}

int vr_frame_write(int fd, const char *text, size_t length)
{
    if (length > VR_FRAME_MAX)
        return -EMSGSIZE;
    uint8_t head[4] = { (uint8_t)(length >> 24), (uint8_t)(length >> 16), (uint8_t)(length >> 8),
                        (uint8_t)length };
    struct iovec parts[2] = { { head, sizeof(head) }, { (void *)(uintptr_t)text, length } };
    return write_all(fd, parts, 2);
}

/* 1 when all came, 0 at an end before the first byte, else a negative errno. */
static int read_all(int fd, void *buffer, size_t length)
{
    size_t done = 0;
    while (done < length) {
        ssize_t n = read(fd, (char *)buffer + done, length - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return done ? -ECONNRESET : 0;
        done += (size_t)n;
    }
    return 1;
}

int vr_frame_read(int fd, char **text, size_t *length)
{
    uint8_t head[4];
    int rc = read_all(fd, head, sizeof(head));
    if (rc <= 0)
        return rc;
    size_t size = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
    if (size > VR_FRAME_MAX)
        return -EMSGSIZE;
    char *buffer = g_malloc(size + 1);
    rc = size ? read_all(fd, buffer, size) : 1;
    if (rc <= 0) {
        g_free(buffer);
        return rc == 0 ? -ECONNRESET : rc;
    }
    buffer[size] = '\0';
    *text = buffer;
    *length = size;
    return 1;
}
