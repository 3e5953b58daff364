/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/netconf/private.h"

#include "agent/helper/run.h"

#include <errno.h>
#include <sched.h>

/* When the host's networks are looked at again. */

static struct {
    GMutex lock;
    GCond cond;
    unsigned count;
    gint64 at[3];     /* of the first calls, monotonic us */
    bool self, good;  /* it changes links itself; what it says */
} calls;

static void ip(const char *const *words)
{
    struct vr_run run = { .argv = words, .deadline_ms = 10000 };
    vr_auto_error struct vr_error *error = NULL;
    g_assert_true(vr_run(&run, &error));
    vr_run_done(&run);
}

/* Of a bridge that is down, of which nothing else is heard. */
static void touch_bridge(void)
{
    ip((const char *const[]){ "ip", "link", "set", "br0", "mtu", "1400", NULL });
    ip((const char *const[]){ "ip", "link", "set", "br0", "mtu", "1500", NULL });
}

static bool changed(void *arg)
{
    g_mutex_lock(&calls.lock);
    if (calls.count < G_N_ELEMENTS(calls.at))
        calls.at[calls.count] = g_get_monotonic_time();
    calls.count++;
    bool good = calls.good;
    g_mutex_unlock(&calls.lock);
    if (calls.self)
        touch_bridge();
    /* Only now, so that what this call did came before what the test does next. */
    g_mutex_lock(&calls.lock);
    g_cond_signal(&calls.cond);
    g_mutex_unlock(&calls.lock);
    return good;
}

static void wait_for(unsigned count)
{
    g_mutex_lock(&calls.lock);
    while (calls.count < count)
        g_cond_wait(&calls.cond, &calls.lock);
    g_mutex_unlock(&calls.lock);
}

static struct vr_net_watch *start(bool self, bool good)
{
    vr_auto_error struct vr_error *error = NULL;
    calls.count = 0;
    calls.self = self;
    calls.good = good;
    struct vr_net_watch *watch = vr_net_watch_start(changed, NULL, &error);
    g_assert_nonnull(watch);
    return watch;
}

/* What is tried in vain is not tried again because of what the attempt changed, but after a while. */
static void test_in_vain(void)
{
    struct vr_net_watch *watch = start(true, false);
    wait_for(3);
    vr_net_watch_stop(watch);
    g_assert_cmpint(calls.at[1] - calls.at[0], >=, 1 * G_USEC_PER_SEC);
    g_assert_cmpint(calls.at[2] - calls.at[1], >=, 2 * G_USEC_PER_SEC);
}

/* A change by others is looked at, at once. */
static void test_others(void)
{
    struct vr_net_watch *watch = start(false, true);
    wait_for(1);
    touch_bridge();
    wait_for(2); /* which never comes by itself */
    vr_net_watch_stop(watch);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) {
        g_print("1..0 # SKIP a network namespace of its own: %s\n", g_strerror(errno));
        return 0;
    }
    /* IPv6 would give the bridge an address by itself, in a while. */
    g_assert_true(g_file_set_contents_full("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1", 1,
                                           G_FILE_SET_CONTENTS_NONE, 0644, NULL) ||
                  !g_file_test("/proc/sys/net/ipv6", G_FILE_TEST_EXISTS));
    ip((const char *const[]){ "ip", "link", "add", "br0", "type", "bridge", NULL });
    g_test_add_func("/netconf/watch/in-vain", test_in_vain);
    g_test_add_func("/netconf/watch/others", test_others);
    return g_test_run();
}
