/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "manager"
#include "manager/main/service.h"

#include <errno.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>
#include <time.h>

/* Pings are late at most by one period and one answer, far from the limit. */
#define PERIODS 4

int vr_service_wait(const sigset_t *signals, vr_service_ask *ask, void *arg)
{
    static gint answered; /* outlives us: an answer may be on its way */
    gint asked = g_atomic_int_get(&answered);
    uint64_t usec = 0;
    bool watched = sd_watchdog_enabled(0, &usec) > 0;
    usec = MAX(usec / PERIODS, 1);
    const struct timespec period = { .tv_sec = (time_t)(usec / G_USEC_PER_SEC),
                                     .tv_nsec = (long)(usec % G_USEC_PER_SEC) * 1000 };
    for (;;) {
        if (watched && g_atomic_int_get(&answered) == asked) {
            sd_notify(0, "WATCHDOG=1");
            asked++;
            ask(&answered, arg);
        }
        int number =
            watched ? sigtimedwait(signals, NULL, &period) : sigwaitinfo(signals, NULL);
        if (number > 0 && number != SIGHUP)
            return number;
    }
}

uint64_t vr_service_raise_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 0;
    const struct rlimit raised = { .rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max };
    if (limit.rlim_cur == limit.rlim_max)
        return limit.rlim_cur; /* under systemd, which also forbids the call below */
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
        return raised.rlim_cur;
    vr_log_warning("The limit of open files stays at %" G_GUINT64_FORMAT ": %s.",
                   (uint64_t)limit.rlim_cur, g_strerror(errno));
    return limit.rlim_cur;
}

bool vr_service_warn_files(uint64_t limit, unsigned hosts)
{
    uint64_t need = (uint64_t)hosts + VR_SERVICE_CLIENTS + VR_SERVICE_OWN_FILES;
    if (limit >= need)
        return false;
    vr_log_warning("This process may open %" G_GUINT64_FORMAT " files, and %u hosts with up to %u "
                   "clients need %" G_GUINT64_FORMAT ": raise LimitNOFILE= of its unit, or the hard "
                   "limit of open files (ulimit -Hn).", limit, hosts, VR_SERVICE_CLIENTS, need);
    return true;
}
