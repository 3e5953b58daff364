/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "netconf"
#include "agent/netconf/private.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* Changes come in bursts; the last one is waited for, but not longer than a burst lasts. */
#define QUIET_MS 100
#define BURST_US (1 * G_USEC_PER_SEC)
/* What could not be done is tried again, at first soon. */
#define RETRY_MIN_MS 1000
#define RETRY_MAX_MS 60000

struct vr_net_watch {
    bool (*changed)(void *arg);
    void *arg;
    int events; /* rtnetlink */
    int stop;   /* eventfd */
    GThread *thread;
};

/* The content does not matter: what there is now is looked up. */
static void drain(int fd)
{
    char buffer[8192];
    while (recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT) > 0 || errno == ENOBUFS)
        errno = 0;
}

/* False: the watch ends. */
static bool wait_for_change(struct vr_net_watch *watch, int timeout_ms, bool *ret_any)
{
    struct pollfd fds[] = { { .fd = watch->stop, .events = POLLIN },
                            { .fd = watch->events, .events = POLLIN } };
    int ready;
    do
        ready = poll(fds, G_N_ELEMENTS(fds), timeout_ms);
    while (ready < 0 && errno == EINTR);
    *ret_any = fds[1].revents != 0;
    if (*ret_any)
        drain(watch->events);
    return fds[0].revents == 0;
}

static void *run(void *arg)
{
    struct vr_net_watch *watch = arg;
    int retry_ms = 0;
    bool any = true, first = true;
    while (first || wait_for_change(watch, retry_ms ? retry_ms : -1, &any)) {
        gint64 end = g_get_monotonic_time() + BURST_US;
        while (!first && any && g_get_monotonic_time() < end)
            if (!wait_for_change(watch, QUIET_MS, &any))
                return NULL;
        first = false;
        if (watch->changed(watch->arg)) {
            retry_ms = 0;
            continue;
        }
        /* An attempt in vain changes things as well, which must not be what the next one begins with. */
        drain(watch->events);
        retry_ms = CLAMP(retry_ms * 2, RETRY_MIN_MS, RETRY_MAX_MS);
    }
    return NULL;
}

struct vr_net_watch *vr_net_watch_start(bool (*changed)(void *arg), void *arg,
                                        struct vr_error **error)
{
    struct vr_net_watch *watch = g_new0(struct vr_net_watch, 1);
    const struct sockaddr_nl groups = { .nl_family = AF_NETLINK,
                                        .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR |
                                                     RTMGRP_IPV6_IFADDR };
    watch->changed = changed;
    watch->arg = arg;
    watch->stop = eventfd(0, EFD_CLOEXEC);
    watch->events = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (watch->stop >= 0 && watch->events >= 0 &&
        bind(watch->events, (const struct sockaddr *)&groups, sizeof(groups)) == 0) {
        watch->thread = g_thread_new("netconf", run, watch);
        return watch;
    }
    vr_error_set(error, &vr_fault_system, "Changes of interfaces cannot be watched: %s",
                 g_strerror(errno));
    vr_net_watch_stop(watch);
    return NULL;
}

void vr_net_watch_stop(struct vr_net_watch *watch)
{
    if (!watch)
        return;
    if (watch->thread) {
        eventfd_write(watch->stop, 1);
        g_thread_join(watch->thread);
    }
    if (watch->stop >= 0)
        close(watch->stop);
    if (watch->events >= 0)
        close(watch->events);
    g_free(watch);
}
