/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * loop: the event loop of one thread, on sd-event (epoll).
 *
 * A loop belongs to the thread that runs it.  Only vr_loop_post(), vr_loop_exit()
 * and the reference count may be used from other threads; everything else is
 * called from the loop's thread, or from any one thread before the loop runs.
 * Callbacks never block.
 *
 *     other threads --- vr_loop_post() ---> queue --+
 *     sockets ----------- vr_watch ---------------- +--> callbacks --> deferred work --> epoll
 *     clock ------------- vr_timer -----------------+
 */

#include "base/base.h"

struct vr_loop;
struct vr_timer;
struct vr_watch;

typedef void vr_loop_fn(void *arg);

/* A loop with one reference, which nobody runs yet; @name is for logs and copied.  Aborts when
 * the system has no descriptors left, for nothing could work then. */
struct vr_loop *vr_loop_new(const char *name);
struct vr_loop *vr_loop_ref(struct vr_loop *loop); /* any thread */
/* Any thread.  The last reference runs what was posted and not yet run, then frees the loop;
 * timers and watches must be gone by then.  Takes NULL. */
void vr_loop_unref(struct vr_loop *loop);

/* Runs until vr_loop_exit(), which finishes what was posted before it. */
void vr_loop_run(struct vr_loop *loop);
void vr_loop_exit(struct vr_loop *loop); /* any thread */
/* Runs the loop in a new thread, until vr_loop_stop_thread() ends and joins it. */
void vr_loop_start_thread(struct vr_loop *loop, const char *name);
void vr_loop_stop_thread(struct vr_loop *loop);

/* Whether the calling thread is the one that runs @loop. */
bool vr_loop_is_current(const struct vr_loop *loop);

/* Any thread: runs @fn(@arg) on the loop's thread, in the order of the posts.  One wake-up a
 * burst.  Never called from inside vr_loop_post(). */
void vr_loop_post(struct vr_loop *loop, vr_loop_fn *fn, void *arg);

/* Monotonic milliseconds, the same for all that happens in one round of the loop. */
uint64_t vr_loop_now_ms(struct vr_loop *loop);

/*
 * Work for the end of the current callback, before the loop waits again: what
 * many small writes of one callback share.  The member is embedded in its
 * owner, all zero but @fn; queueing it twice runs it once.
 */
struct vr_deferred {
    void (*fn)(struct vr_deferred *self);
    struct vr_deferred *next;
    bool queued;
};
void vr_loop_defer(struct vr_loop *loop, struct vr_deferred *deferred);

/*
 * Something that has no owner left but the loop: @fn is called when the loop
 * is freed, unless it was forgotten before.  Embedded, all zero but @fn.
 */
struct vr_loop_end {
    void (*fn)(struct vr_loop_end *self);
    struct vr_loop_end *next, **previous;
};
void vr_loop_at_end(struct vr_loop *loop, struct vr_loop_end *end);
void vr_loop_forget_end(struct vr_loop_end *end); /* also when it is not remembered */

/*
 * Turns: how many expensive beginnings (TLS handshakes) a loop has under way
 * at once.  Ten thousand that begin together would all last as long as their
 * sum, and so all fail; in turns each is quick.  Embedded, all zero but @fn,
 * which is called when its turn comes, perhaps at once.
 */
#define VR_LOOP_TURNS 64
struct vr_turn {
    void (*fn)(struct vr_turn *self);
    GList link;
    enum { VR_TURN_NONE, VR_TURN_WAITING, VR_TURN_HELD } state;
};
void vr_turn_take(struct vr_loop *loop, struct vr_turn *turn);
/* Ends a turn, or the waiting for it; also when there is neither. */
void vr_turn_end(struct vr_loop *loop, struct vr_turn *turn);

/* Where streams read to.  Its content is gone when the next stream reads. */
#define VR_LOOP_SCRATCH_SIZE (64 * 1024)
uint8_t *vr_loop_scratch(struct vr_loop *loop);

/* A one-shot timer, not armed.  Its callback may arm or free it. */
struct vr_timer *vr_timer_new(struct vr_loop *loop, vr_loop_fn *fn, void *arg);
/* (Re)arms it to run @ms from now, at most @slack_ms later: slack lets wake-ups be shared. */
void vr_timer_arm(struct vr_timer *timer, uint64_t ms, uint64_t slack_ms);
void vr_timer_disarm(struct vr_timer *timer);
void vr_timer_free(struct vr_timer *timer); /* takes NULL */

typedef void vr_watch_fn(uint32_t events, void *arg);
/* Calls @fn when @fd has any of @events (EPOLLIN, EPOLLOUT; level-triggered), an error or a
 * hang-up.  @fd is borrowed and must be closed after the watch is freed.  @events of 0 sees
 * nothing at all, not even a hang-up. */
struct vr_watch *vr_watch_new(struct vr_loop *loop, int fd, uint32_t events, vr_watch_fn *fn,
                              void *arg);
void vr_watch_set_events(struct vr_watch *watch, uint32_t events);
void vr_watch_free(struct vr_watch *watch); /* takes NULL */
