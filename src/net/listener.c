/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "net"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gen/faults.h"
#include "net/stream.h"

#define BACKLOG 128
/* At most so many in a row, so that a flood of connections does not stop everything else. */
#define ACCEPTS_A_ROUND 16
/* Without descriptors the socket stays readable: look again only after a while. */
#define PAUSE_MS 100

struct vr_listener {
    int fd;
    struct vr_watch *watch;
    struct vr_timer *pause;
    vr_listener_fn *fn;
    void *arg;
};

static void on_connection(uint32_t events, void *arg)
{
    struct vr_listener *listener = arg;
    for (int i = 0; i < ACCEPTS_A_ROUND; i++) {
        int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            listener->fn(fd, listener->arg);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            vr_log_warning("Cannot accept a connection: %s.", g_strerror(errno));
            vr_watch_set_events(listener->watch, 0);
            vr_timer_arm(listener->pause, PAUSE_MS, 0);
            return;
        } else if (errno != ECONNABORTED && errno != EINTR) {
            return; /* EAGAIN; or a network error of that one connection */
        }
    }
}

static void on_pause_over(void *arg)
{
    struct vr_listener *listener = arg;
    vr_watch_set_events(listener->watch, EPOLLIN);
}

static int open_listening(const struct sockaddr *address, socklen_t len, bool dual)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    int on = 1, v6only = !dual;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (address->sa_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof(v6only));
    if (bind(fd, address, len) < 0 || listen(fd, BACKLOG) < 0) {
        int r = -errno;
        close(fd);
        return r;
    }
    return fd;
}

static int open_any(const char *address, uint16_t port)
{
    struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
    struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(port) };
    if (!address) {
        int fd = open_listening((struct sockaddr *)&six, sizeof(six), true);
        if (fd != -EAFNOSUPPORT && fd != -EADDRNOTAVAIL)
            return fd;
        return open_listening((struct sockaddr *)&four, sizeof(four), false);
    }
    if (inet_pton(AF_INET6, address, &six.sin6_addr) == 1)
        return open_listening((struct sockaddr *)&six, sizeof(six), false);
    if (inet_pton(AF_INET, address, &four.sin_addr) == 1)
        return open_listening((struct sockaddr *)&four, sizeof(four), false);
    return -EINVAL;
}

struct vr_listener *vr_listener_new(struct vr_loop *loop, const char *address, uint16_t port,
                                    vr_listener_fn *fn, void *arg, struct vr_error **error)
{
    int fd = open_any(address, port);
    if (fd < 0) {
        vr_error_set(error, &vr_fault_peer_unreachable, "Cannot listen on %s port %u: %s.",
                     address ? address : "any address", port, g_strerror(-fd));
        return NULL;
    }
    struct vr_listener *listener = g_new0(struct vr_listener, 1);
    listener->fd = fd;
    listener->fn = fn;
    listener->arg = arg;
    listener->watch = vr_watch_new(loop, fd, EPOLLIN, on_connection, listener);
    listener->pause = vr_timer_new(loop, on_pause_over, listener);
    return listener;
}

uint16_t vr_listener_port(const struct vr_listener *listener)
{
    struct sockaddr_storage address = { 0 };
    socklen_t len = sizeof(address);
    getsockname(listener->fd, (struct sockaddr *)&address, &len);
    /* The port is at the same place in both families. */
    return ntohs(((const struct sockaddr_in *)&address)->sin_port);
}

void vr_listener_free(struct vr_listener *listener)
{
    if (!listener)
        return;
    vr_timer_free(listener->pause);
    vr_watch_free(listener->watch);
    close(listener->fd);
    g_free(listener);
}
