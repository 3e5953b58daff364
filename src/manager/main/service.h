/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * service: the main thread's work once the Manager runs: wait for the signal
 * that ends it, and show systemd meanwhile that the engine still turns.
 *
 * Every quarter of the unit's WatchdogSec the engine is asked for an answer;
 * only an answer is passed on.  An engine that stands still, whatever the
 * reason, is killed and started again: it then goes on from its last commit.
 */

#include <signal.h>

#include "base/base.h"

/* Has the engine thread increment *@answered (atomically) some time; must not wait. */
typedef void vr_service_ask(gint *answered, void *arg);

/*
 * Waits for one of @signals, which every thread blocks; SIGHUP is swallowed.  Returns its number.
 * Without a watchdog @ask is never called.  *@answered of a question may be written after the return.
 */
int vr_service_wait(const sigset_t *signals, vr_service_ask *ask, void *arg);

/*
 * File descriptors: a connection a host, one a client (at most VR_SERVICE_CLIENTS), and the rest: the
 * database, epoll, the log (VR_SERVICE_OWN_FILES).  10,000 hosts take some 14,000.
 */
#define VR_SERVICE_CLIENTS 4096
#define VR_SERVICE_OWN_FILES 256

/* Raises the limit of open files to what this process may have; returns that.  A system that refuses
 * leaves it as it was, which is returned then. */
uint64_t vr_service_raise_files(void);
/* Warns when @limit is too little for @hosts; returns whether it did. */
bool vr_service_warn_files(uint64_t limit, unsigned hosts);
