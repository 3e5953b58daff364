/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/main/service.h"

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
