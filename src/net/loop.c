/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "loop"
#include "net/loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <systemd/sd-event.h>

/* Sockets that are served between two looks at the clock. */
#define BATCH 64

struct post {
    struct post *next;
    vr_loop_fn *fn;
    void *arg;
};

struct vr_loop {
    gint refs;    /* atomic */
    gint exiting; /* atomic */
    char *name;
    sd_event *event;
    sd_event_source *wake, *poll;
    int wake_fd;
    int poll_fd; /* the watches; readable when one of them has something */
    struct epoll_event ready[BATCH];
    int ready_count; /* of those that are being served; data.ptr NULL: freed meanwhile */
    struct vr_mutex lock;                /* a leaf: nothing is locked while it is held */
    struct post *first_post, *last_post; /* guarded by lock */
    bool self_posted;                    /* the loop's thread posted, which needs no wake-up */
    struct vr_deferred *first_deferred, *last_deferred;
    struct vr_loop_end *ends;
    GQueue waiting_turns;
    unsigned held_turns;
    uint8_t *scratch;
    GThread *thread;
};

struct vr_timer {
    sd_event_source *source;
    sd_event *event;
    vr_loop_fn *fn;
    void *arg;
};

struct vr_watch {
    struct vr_loop *loop;
    int fd;
    uint32_t events; /* 0: not in the epoll set */
    vr_watch_fn *fn;
    void *arg;
};

static _Thread_local struct vr_loop *current_loop;

/* What fails here is out of memory, out of descriptors or a defect of ours. */
static void must(int r, const char *what)
{
    if (r < 0)
        g_error("%s: %s", what, g_strerror(-r));
}

static void wake(struct vr_loop *loop)
{
    uint64_t one = 1;
    ssize_t r;
    do
        r = write(loop->wake_fd, &one, sizeof(one));
    while (r < 0 && errno == EINTR);
    /* EAGAIN means that the counter is at its limit: then the loop is awake. */
}

/* Runs what is queued now; what the functions post meanwhile waits for the next round. */
static bool run_posts(struct vr_loop *loop)
{
    vr_mutex_lock(&loop->lock);
    struct post *post = g_steal_pointer(&loop->first_post);
    loop->last_post = NULL;
    vr_mutex_unlock(&loop->lock);

    bool any = post != NULL;
    while (post) {
        struct post *next = post->next;
        post->fn(post->arg);
        g_free(post);
        post = next;
    }
    return any;
}

static bool run_deferred(struct vr_loop *loop)
{
    struct vr_deferred *deferred = g_steal_pointer(&loop->first_deferred);
    loop->last_deferred = NULL;
    bool any = deferred != NULL;
    while (deferred) {
        struct vr_deferred *next = deferred->next;
        deferred->next = NULL;
        deferred->queued = false;
        deferred->fn(deferred); /* may queue or free itself */
        deferred = next;
    }
    return any;
}

static int on_wake(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
    struct vr_loop *loop = arg;
    uint64_t count;
    ssize_t r;
    do
        r = read(fd, &count, sizeof(count));
    while (r < 0 && errno == EINTR);
    run_posts(loop);
    return 0;
}

/*
 * The watches have an epoll set of their own, of which sd-event sees only that something is in it:
 * sd-event looks at everything that is ready before each single callback, which costs the square
 * of what has gathered, just when there is most to do.  (Measured with 5,000 connections that
 * begin: three quarters of the time went there.)
 */
static int on_poll(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
    struct vr_loop *loop = arg;
    int count = epoll_wait(fd, loop->ready, BATCH, 0);
    must(count < 0 && errno != EINTR ? -errno : 0, "epoll_wait");
    loop->ready_count = MAX(count, 0);
    for (int i = 0; i < loop->ready_count && !g_atomic_int_get(&loop->exiting); i++) {
        run_posts(loop); /* what was posted before the bytes came runs before they are read */
        struct vr_watch *watch = loop->ready[i].data.ptr;
        /* An earlier callback may have freed it, or lost interest. */
        uint32_t events =
            watch ? loop->ready[i].events & (watch->events | EPOLLERR | EPOLLHUP) : 0;
        if (!events || !watch->events)
            continue;
        watch->fn(events, watch->arg); /* may free the watch */
        run_deferred(loop);
    }
    loop->ready_count = 0;
    return 0;
}

struct vr_loop *vr_loop_new(const char *name)
{
    struct vr_loop *loop = g_new0(struct vr_loop, 1);
    loop->refs = 1;
    loop->name = g_strdup(name);
    vr_mutex_init(&loop->lock);
    must(sd_event_new(&loop->event), "sd_event_new");
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    must(loop->wake_fd < 0 ? -errno : 0, "eventfd");
    must(sd_event_add_io(loop->event, &loop->wake, loop->wake_fd, EPOLLIN, on_wake, loop),
         "sd_event_add_io");
    loop->poll_fd = epoll_create1(EPOLL_CLOEXEC);
    must(loop->poll_fd < 0 ? -errno : 0, "epoll_create1");
    must(sd_event_add_io(loop->event, &loop->poll, loop->poll_fd, EPOLLIN, on_poll, loop),
         "sd_event_add_io");
    return loop;
}

struct vr_loop *vr_loop_ref(struct vr_loop *loop)
{
    g_atomic_int_inc(&loop->refs);
    return loop;
}

void vr_loop_unref(struct vr_loop *loop)
{
    if (!loop || !g_atomic_int_dec_and_test(&loop->refs))
        return;
    g_assert(!loop->thread);
    /* What is still queued owns memory, perhaps a reference: to run it is to free it. */
    struct vr_loop *before = current_loop;
    current_loop = loop;
    bool again;
    do {
        again = run_posts(loop);
        again |= run_deferred(loop);
        if (loop->ends) {
            struct vr_loop_end *end = loop->ends;
            vr_loop_forget_end(end);
            end->fn(end);
            again = true;
        }
    } while (again);
    current_loop = before;

    sd_event_source_disable_unref(loop->wake);
    sd_event_source_disable_unref(loop->poll);
    sd_event_unref(loop->event);
    close(loop->wake_fd);
    close(loop->poll_fd);
    vr_mutex_done(&loop->lock);
    g_free(loop->scratch);
    g_free(loop->name);
    g_free(loop);
}

void vr_loop_run(struct vr_loop *loop)
{
    struct vr_loop *before = current_loop;
    current_loop = loop;
    while (!g_atomic_int_get(&loop->exiting)) {
        if (loop->self_posted) {
            loop->self_posted = false;
            run_posts(loop);
        }
        run_deferred(loop);
        bool more = loop->self_posted || loop->first_deferred;
        int r = sd_event_run(loop->event, more ? 0 : UINT64_MAX);
        must(r == -EINTR ? 0 : r, "sd_event_run");
    }
    run_posts(loop);
    run_deferred(loop);
    g_atomic_int_set(&loop->exiting, 0);
    current_loop = before;
}

void vr_loop_exit(struct vr_loop *loop)
{
    g_atomic_int_set(&loop->exiting, 1);
    wake(loop);
}

static void *run_thread(void *arg)
{
    vr_role_enter(&vr_role_io);
    vr_loop_run(arg);
    vr_role_leave(&vr_role_io);
    return NULL;
}

void vr_loop_start_thread(struct vr_loop *loop, const char *name)
{
    g_assert(!loop->thread);
    loop->thread = g_thread_new(name, run_thread, loop);
}

void vr_loop_stop_thread(struct vr_loop *loop)
{
    g_assert(loop->thread && !vr_loop_is_current(loop));
    vr_loop_exit(loop);
    g_thread_join(g_steal_pointer(&loop->thread));
}

bool vr_loop_is_current(const struct vr_loop *loop)
{
    return current_loop == loop;
}

void vr_loop_post(struct vr_loop *loop, vr_loop_fn *fn, void *arg)
{
    struct post *post = g_new(struct post, 1);
    *post = (struct post){ .fn = fn, .arg = arg };

    vr_mutex_lock(&loop->lock);
    bool was_empty = !loop->first_post;
    if (was_empty)
        loop->first_post = post;
    else
        loop->last_post->next = post;
    loop->last_post = post;
    /* Under the lock, so that the loop cannot run the post, end and be freed before the wake. */
    if (was_empty && vr_loop_is_current(loop))
        loop->self_posted = true;
    else if (was_empty)
        wake(loop);
    vr_mutex_unlock(&loop->lock);
}

uint64_t vr_loop_now_ms(struct vr_loop *loop)
{
    uint64_t now;
    must(sd_event_now(loop->event, CLOCK_MONOTONIC, &now), "sd_event_now");
    return now / 1000;
}

void vr_loop_defer(struct vr_loop *loop, struct vr_deferred *deferred)
{
    if (deferred->queued)
        return;
    deferred->queued = true;
    deferred->next = NULL;
    if (loop->last_deferred)
        loop->last_deferred->next = deferred;
    else
        loop->first_deferred = deferred;
    loop->last_deferred = deferred;
}

void vr_loop_at_end(struct vr_loop *loop, struct vr_loop_end *end)
{
    end->next = loop->ends;
    end->previous = &loop->ends;
    if (end->next)
        end->next->previous = &end->next;
    loop->ends = end;
}

void vr_loop_forget_end(struct vr_loop_end *end)
{
    if (!end->previous)
        return;
    *end->previous = end->next;
    if (end->next)
        end->next->previous = end->previous;
    end->next = NULL;
    end->previous = NULL;
}

static void give_turns(struct vr_loop *loop)
{
    while (loop->held_turns < VR_LOOP_TURNS && loop->waiting_turns.head) {
        struct vr_turn *turn = g_queue_pop_head_link(&loop->waiting_turns)->data;
        loop->held_turns++;
        turn->state = VR_TURN_HELD;
        turn->fn(turn);
    }
}

void vr_turn_take(struct vr_loop *loop, struct vr_turn *turn)
{
    g_assert(turn->state == VR_TURN_NONE);
    turn->state = VR_TURN_WAITING;
    turn->link.data = turn;
    g_queue_push_tail_link(&loop->waiting_turns, &turn->link);
    give_turns(loop);
}

void vr_turn_end(struct vr_loop *loop, struct vr_turn *turn)
{
    if (turn->state == VR_TURN_WAITING)
        g_queue_unlink(&loop->waiting_turns, &turn->link);
    if (turn->state == VR_TURN_HELD)
        loop->held_turns--;
    turn->state = VR_TURN_NONE;
    give_turns(loop);
}

uint8_t *vr_loop_scratch(struct vr_loop *loop)
{
    if (!loop->scratch)
        loop->scratch = g_malloc(VR_LOOP_SCRATCH_SIZE);
    return loop->scratch;
}

static int on_time(sd_event_source *source, uint64_t usec, void *arg)
{
    struct vr_timer *timer = arg;
    timer->fn(timer->arg); /* may free the timer */
    return 0;
}

struct vr_timer *vr_timer_new(struct vr_loop *loop, vr_loop_fn *fn, void *arg)
{
    struct vr_timer *timer = g_new(struct vr_timer, 1);
    *timer = (struct vr_timer){ .event = loop->event, .fn = fn, .arg = arg };
    must(sd_event_add_time(loop->event, &timer->source, CLOCK_MONOTONIC, UINT64_MAX, 1, on_time,
                           timer),
         "sd_event_add_time");
    must(sd_event_source_set_enabled(timer->source, SD_EVENT_OFF), "disarm");
    return timer;
}

void vr_timer_arm(struct vr_timer *timer, uint64_t ms, uint64_t slack_ms)
{
    /* Not the round's time: a round may have been long, and a timer must not run early. */
    uint64_t now = (uint64_t)g_get_monotonic_time();
    uint64_t accuracy = slack_ms ? slack_ms * 1000 : 1; /* 0 would mean sd-event's 250 ms */
    must(sd_event_source_set_time(timer->source, now + ms * 1000), "set_time");
    must(sd_event_source_set_time_accuracy(timer->source, accuracy), "set_time_accuracy");
    must(sd_event_source_set_enabled(timer->source, SD_EVENT_ONESHOT), "arm");
}

void vr_timer_disarm(struct vr_timer *timer)
{
    must(sd_event_source_set_enabled(timer->source, SD_EVENT_OFF), "disarm");
}

void vr_timer_free(struct vr_timer *timer)
{
    if (!timer)
        return;
    sd_event_source_disable_unref(timer->source);
    g_free(timer);
}

static void control(struct vr_watch *watch, int operation, uint32_t events)
{
    struct epoll_event event = { .events = events, .data.ptr = watch };
    int r = epoll_ctl(watch->loop->poll_fd, operation, watch->fd, &event);
    must(r < 0 ? -errno : 0, "epoll_ctl");
    watch->events = events;
}

struct vr_watch *vr_watch_new(struct vr_loop *loop, int fd, uint32_t events, vr_watch_fn *fn,
                              void *arg)
{
    struct vr_watch *watch = g_new(struct vr_watch, 1);
    *watch = (struct vr_watch){ .loop = loop, .fd = fd, .fn = fn, .arg = arg };
    vr_watch_set_events(watch, events);
    return watch;
}

void vr_watch_set_events(struct vr_watch *watch, uint32_t events)
{
    if (watch->events == events)
        return;
    if (!watch->events)
        control(watch, EPOLL_CTL_ADD, events);
    else if (events)
        control(watch, EPOLL_CTL_MOD, events);
    else /* out of the set, which shows hang-ups without being asked */
        control(watch, EPOLL_CTL_DEL, 0);
}

void vr_watch_free(struct vr_watch *watch)
{
    if (!watch)
        return;
    vr_watch_set_events(watch, 0);
    for (int i = 0; i < watch->loop->ready_count; i++)
        if (watch->loop->ready[i].data.ptr == watch)
            watch->loop->ready[i].data.ptr = NULL;
    g_free(watch);
}
