/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * helper: a disposable process that does what may hang.
 *
 * The agent starts it with a socket as its standard input and sends requests
 * {"id":1,"op":"stat","args":{...}}; the helper answers, in any order,
 * {"id":1,"result":...} or {"id":1,"error":{"code":358,"message":"..."}}, and
 * may say {"id":1,"progress":42} before.  A helper that does not answer is
 * killed and another one started: a process stuck in the kernel costs a slot,
 * never the agent.
 *
 * Every function may be called from any worker thread; none from a loop.
 */

#include "base/base.h"

struct vr_helper;

struct vr_helper_options {
    const char *program;     /* absolute path of the helper program */
    const char *const *argv; /* further arguments, NULL ended, or NULL */
    const char *name;        /* for log lines: what it serves */
    /* The error of a code that the helper answered; vr_fault_system when NULL. */
    const struct vr_fault *(*fault)(int code);
    const struct vr_fault *hung; /* of a call that got no answer in time */
    unsigned abandoned_max;      /* processes that would not die before no other is started; 0: 3 */
};

/* Copies what it needs.  Starts no process yet.  Never NULL. */
struct vr_helper *vr_helper_new(const struct vr_helper_options *options);
/* Kills the process, fails all calls, and waits for the calls that are inside (not for a stuck
 * process).  Takes NULL. */
void vr_helper_free(struct vr_helper *helper);

/*
 * One call.  @args is a JSON object, borrowed.  @progress (may be NULL) is
 * called on the helper's reader thread.  @cancel (may be NULL) is watched:
 * once not 0, the helper is told to stop the request, whose answer is still awaited.
 * Returns the text of the result, owned; NULL and @error otherwise.
 */
struct vr_helper_call {
    const char *op;
    const char *args;
    uint64_t deadline_ms; /* 0: none */
    void (*progress)(int percent, void *arg);
    void *arg;
    const gint *cancel;
    bool died; /* out: the process ended while the call was under way, so its effect is unknown */
};
char *vr_helper_call(struct vr_helper *helper, struct vr_helper_call *call,
                     struct vr_error **error);

/* Kills the process now; the calls under way fail as `died`.  The next call starts another. */
void vr_helper_abandon(struct vr_helper *helper);
/* The running process, or 0. */
pid_t vr_helper_pid(struct vr_helper *helper);
