/* SPDX-License-Identifier: Apache-2.0 */
#include "net/linger.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/thread.h"
#include "net/loop.h"

/* Reads of one connection in a row, so that a fast sender does not keep the others waiting. */
#define READS 16

struct vr_linger {
    struct vr_loop *loop;
    GQueue all; /* of struct closing; the loop's thread */
};

struct closing {
    struct vr_linger *linger;
    int fd;
    uint64_t left, end_ms;
    struct vr_watch *watch;
    struct vr_timer *timer;
    GList link;
};

static void finish(struct closing *c)
{
    vr_watch_free(c->watch);
    vr_timer_free(c->timer);
    g_queue_unlink(&c->linger->all, &c->link);
    close(c->fd);
    g_free(c);
}

static void on_time(void *arg)
{
    finish(arg);
}

/* False: that was the last of it. */
static bool drop(struct closing *c)
{
    uint8_t *scratch = vr_loop_scratch(c->linger->loop);
    for (int i = 0; i < READS && c->left; i++) {
        ssize_t n = recv(c->fd, scratch, MIN(VR_LOOP_SCRATCH_SIZE, c->left), MSG_DONTWAIT);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        if (n == 0)
            return false;
        c->left -= (uint64_t)n;
    }
    return c->left > 0;
}

static void wait_on(struct closing *c)
{
    uint64_t now = vr_loop_now_ms(c->linger->loop);
    uint64_t rest = c->end_ms > now ? c->end_ms - now : 0;
    vr_timer_arm(c->timer, MIN(rest, VR_LINGER_SILENCE_MS), 0);
}

static void on_readable(uint32_t events VR_UNUSED, void *arg)
{
    struct closing *c = arg;
    if (drop(c))
        wait_on(c);
    else
        finish(c);
}

static void begin(void *arg)
{
    struct closing *c = arg;
    g_queue_push_tail_link(&c->linger->all, &c->link);
    c->watch = vr_watch_new(c->linger->loop, c->fd, EPOLLIN, on_readable, c);
    c->timer = vr_timer_new(c->linger->loop, on_time, c);
    c->end_ms = vr_loop_now_ms(c->linger->loop) + VR_LINGER_MS;
    if (c->linger->all.length > VR_LINGER_CONNECTIONS)
        finish(c);
    else
        wait_on(c);
}

struct vr_linger *vr_linger_new(const char *name)
{
    struct vr_linger *linger = g_new0(struct vr_linger, 1);
    linger->loop = vr_loop_new(name);
    vr_loop_start_thread(linger->loop, name);
    return linger;
}

void vr_linger_take(struct vr_linger *linger, int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN))
        return;
    int mine = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (mine < 0)
        return;
    shutdown(mine, SHUT_WR);
    struct closing *c = g_new0(struct closing, 1);
    *c = (struct closing){ .linger = linger, .fd = mine, .left = VR_LINGER_BYTES };
    c->link.data = c;
    vr_loop_post(linger->loop, begin, c);
}

static void close_all(void *arg)
{
    struct vr_linger *linger = arg;
    GList *link;
    while ((link = linger->all.head))
        finish(link->data);
}

void vr_linger_free(struct vr_linger *linger)
{
    if (!linger)
        return;
    vr_loop_post(linger->loop, close_all, linger);
    vr_loop_stop_thread(linger->loop);
    vr_loop_unref(linger->loop);
    g_free(linger);
}
