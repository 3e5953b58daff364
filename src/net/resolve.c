/* SPDX-License-Identifier: Apache-2.0 */
#include "net/resolve.h"

#include <stdio.h>

#include "gen/faults.h"

/* Names that a server does not answer for block a worker for its resolver's patience. */
#define WORKERS 4

struct vr_resolve {
    struct vr_loop *loop;
    char *host;
    char port[8];
    vr_resolve_fn *fn; /* NULL once cancelled; loop's thread */
    void *arg;
    struct addrinfo *addresses;
    int result;
};

static int look_up(struct vr_resolve *resolve, int flags)
{
    const struct addrinfo hints = {
        .ai_socktype = SOCK_STREAM,
        .ai_flags = flags | AI_NUMERICSERV,
    };
    return getaddrinfo(resolve->host, resolve->port, &hints, &resolve->addresses);
}

static void report(void *arg)
{
    struct vr_resolve *resolve = arg;
    if (!resolve->fn) {
        if (resolve->addresses)
            freeaddrinfo(resolve->addresses);
    } else if (resolve->result) {
        vr_auto_error struct vr_error *error = NULL;
        vr_error_set(&error, &vr_fault_peer_unreachable, "Cannot resolve '%s': %s.", resolve->host,
                     gai_strerror(resolve->result));
        resolve->fn(NULL, error, resolve->arg);
    } else {
        resolve->fn(resolve->addresses, NULL, resolve->arg);
    }
    g_free(resolve->host);
    g_free(resolve);
}

static void work(void *data, void *user_data)
{
    struct vr_resolve *resolve = data;
    vr_thread_acquire(resolve);
    /* After the post the loop's thread may have freed it. */
    struct vr_loop *loop = resolve->loop;
    resolve->result = look_up(resolve, 0);
    vr_loop_post(loop, report, resolve);
    vr_loop_unref(loop);
}

static GThreadPool *workers(void)
{
    static gsize once;
    static GThreadPool *pool;
    if (g_once_init_enter(&once)) {
        pool = g_thread_pool_new(work, NULL, WORKERS, FALSE, NULL);
        g_once_init_leave(&once, 1);
    }
    return pool;
}

struct vr_resolve *vr_resolve_start(struct vr_loop *loop, const char *host, uint16_t port,
                                    vr_resolve_fn *fn, void *arg)
{
    struct vr_resolve *resolve = g_new0(struct vr_resolve, 1);
    resolve->loop = loop;
    resolve->host = g_strdup(host);
    snprintf(resolve->port, sizeof(resolve->port), "%u", port);
    resolve->fn = fn;
    resolve->arg = arg;
    resolve->result = look_up(resolve, AI_NUMERICHOST);
    if (resolve->result == 0) {
        vr_loop_post(loop, report, resolve);
    } else {
        vr_loop_ref(loop);
        vr_thread_release(resolve);
        g_thread_pool_push(workers(), resolve, NULL);
    }
    return resolve;
}

void vr_resolve_cancel(struct vr_resolve *resolve)
{
    resolve->fn = NULL;
}
