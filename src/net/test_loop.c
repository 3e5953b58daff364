/* SPDX-License-Identifier: Apache-2.0 */
#include "net/loop.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct poster {
    struct vr_loop *loop;
    unsigned first, count;
    GArray *seen; /* touched on the loop's thread alone */
    unsigned total;
};

struct posted {
    struct poster *poster;
    unsigned number;
};

static void note_post(void *arg)
{
    struct posted *posted = arg;
    GArray *seen = posted->poster->seen;
    g_assert_true(vr_loop_is_current(posted->poster->loop));
    g_array_append_val(seen, posted->number);
    if (seen->len == posted->poster->total)
        vr_loop_exit(posted->poster->loop);
    g_free(posted);
}

static void *post_many(void *arg)
{
    struct poster *poster = arg;
    for (unsigned i = 0; i < poster->count; i++) {
        struct posted *posted = g_new(struct posted, 1);
        *posted = (struct posted){ poster, poster->first + i };
        vr_loop_post(poster->loop, note_post, posted);
    }
    return NULL;
}

static void test_posts_of_every_thread_arrive_in_their_order(void)
{
    enum { THREADS = 4, EACH = 5000 };
    struct vr_loop *loop = vr_loop_new("test");
    g_autoptr(GArray) seen = g_array_new(FALSE, FALSE, sizeof(unsigned));
    struct poster posters[THREADS];
    GThread *threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        posters[i] = (struct poster){ loop, i * EACH, EACH, seen, THREADS * EACH };
        threads[i] = g_thread_new("poster", post_many, &posters[i]);
    }
    vr_loop_run(loop);
    for (unsigned i = 0; i < THREADS; i++)
        g_thread_join(threads[i]);

    unsigned next[THREADS] = { 0 };
    g_assert_cmpuint(seen->len, ==, THREADS * EACH);
    for (unsigned i = 0; i < seen->len; i++) {
        unsigned number = g_array_index(seen, unsigned, i);
        g_assert_cmpuint(number % EACH, ==, next[number / EACH]++);
    }
    vr_loop_unref(loop);
}

static void count_up(void *arg)
{
    ++*(unsigned *)arg;
}

static void test_what_was_posted_before_exit_runs(void)
{
    struct vr_loop *loop = vr_loop_new("test");
    unsigned count = 0;
    vr_loop_post(loop, count_up, &count);
    vr_loop_exit(loop);
    vr_loop_post(loop, count_up, &count);
    vr_loop_run(loop);
    g_assert_cmpuint(count, ==, 2);
    vr_loop_unref(loop);
}

static void test_what_was_never_run_runs_when_the_loop_is_freed(void)
{
    struct vr_loop *loop = vr_loop_new("test");
    unsigned count = 0;
    vr_loop_post(loop, count_up, &count);
    vr_loop_unref(loop);
    g_assert_cmpuint(count, ==, 1);
}

static void exit_loop(void *arg)
{
    vr_loop_exit(arg);
}

static void test_a_thread_of_a_loop_starts_and_stops(void)
{
    struct vr_loop *loop = vr_loop_new("test");
    unsigned count = 0;
    vr_loop_start_thread(loop, "test-loop");
    for (int i = 0; i < 100; i++)
        vr_loop_post(loop, count_up, &count);
    vr_loop_stop_thread(loop);
    g_assert_cmpuint(count, ==, 100);
    vr_loop_unref(loop);
}

struct timers {
    struct vr_loop *loop;
    struct vr_timer *timer[3];
    GString *order;
    gint64 armed, fired;
};

static void first_timer(void *arg)
{
    struct timers *t = arg;
    t->fired = g_get_monotonic_time();
    g_string_append_c(t->order, 'a');
    vr_timer_disarm(t->timer[1]);
    vr_timer_free(g_steal_pointer(&t->timer[0])); /* itself */
}

static void second_timer(void *arg)
{
    struct timers *t = arg;
    g_string_append_c(t->order, 'b');
}

static void third_timer(void *arg)
{
    struct timers *t = arg;
    g_string_append_c(t->order, 'c');
    if (t->order->len < 4)
        vr_timer_arm(t->timer[2], 1, 0);
    else
        vr_loop_exit(t->loop);
}

static void test_timers_run_in_order_once_and_can_be_disarmed_and_freed(void)
{
    struct timers t = { .loop = vr_loop_new("test"), .order = g_string_new(NULL) };
    t.timer[0] = vr_timer_new(t.loop, first_timer, &t);
    t.timer[1] = vr_timer_new(t.loop, second_timer, &t);
    t.timer[2] = vr_timer_new(t.loop, third_timer, &t);
    vr_timer_arm(t.timer[2], 40, 1);
    vr_timer_arm(t.timer[1], 30, 1);
    t.armed = g_get_monotonic_time();
    vr_timer_arm(t.timer[0], 20, 1);
    vr_loop_run(t.loop);
    g_assert_cmpstr(t.order->str, ==, "accc");
    g_assert_cmpint(t.fired - t.armed, >=, 20000);
    vr_timer_free(t.timer[1]);
    vr_timer_free(t.timer[2]);
    g_string_free(t.order, TRUE);
    vr_loop_unref(t.loop);
}

static void test_fifty_thousand_timers_are_armed_and_freed_quickly(void)
{
    enum { COUNT = 50000 };
    struct vr_loop *loop = vr_loop_new("test");
    struct vr_timer **timers = g_new(struct vr_timer *, COUNT);
    unsigned count = 0;
    for (unsigned i = 0; i < COUNT; i++) {
        timers[i] = vr_timer_new(loop, count_up, &count);
        vr_timer_arm(timers[i], 3600 * 1000 + i * 7919 % COUNT, 500);
    }
    struct vr_timer *end = vr_timer_new(loop, exit_loop, loop);
    vr_timer_arm(end, 1, 0);
    vr_loop_run(loop);
    g_assert_cmpuint(count, ==, 0);
    for (unsigned i = 0; i < COUNT; i++)
        vr_timer_free(timers[i]);
    vr_timer_free(end);
    g_free(timers);
    vr_loop_unref(loop);
}

struct watched {
    struct vr_loop *loop;
    struct vr_watch *watch;
    int fds[2];
    GString *seen;
};

static void on_watched(uint32_t events, void *arg)
{
    struct watched *w = arg;
    if (events & EPOLLOUT) {
        g_string_append_c(w->seen, 'w');
        vr_watch_set_events(w->watch, EPOLLIN);
        g_assert_cmpint(write(w->fds[1], "x", 1), ==, 1);
    } else if (events & EPOLLIN) {
        char c;
        ssize_t r = read(w->fds[0], &c, 1);
        g_string_append_c(w->seen, r == 1 ? 'r' : 'e');
        if (r == 1) {
            close(w->fds[1]);
        } else {
            /* Nobody wants to hear of the hang-up any more: the loop must be able to sleep. */
            vr_watch_set_events(w->watch, 0);
            vr_loop_exit(w->loop);
        }
    }
}

static void test_a_watch_reports_what_it_was_asked_for(void)
{
    struct watched w = { .loop = vr_loop_new("test"), .seen = g_string_new(NULL) };
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, w.fds), ==, 0);
    w.watch = vr_watch_new(w.loop, w.fds[0], EPOLLOUT, on_watched, &w);
    vr_loop_run(w.loop);
    g_assert_cmpstr(w.seen->str, ==, "wre");
    vr_watch_free(w.watch);
    close(w.fds[0]);
    g_string_free(w.seen, TRUE);
    vr_loop_unref(w.loop);
}

struct pair {
    struct vr_loop *loop;
    struct watched side[2];
    unsigned calls;
};

static void pair_init(struct pair *pair, vr_watch_fn *fn)
{
    *pair = (struct pair){ .loop = vr_loop_new("test") };
    for (unsigned i = 0; i < 2; i++) {
        struct watched *side = &pair->side[i];
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, side->fds), ==, 0);
        g_assert_cmpint(write(side->fds[1], "x", 1), ==, 1);
        side->watch = vr_watch_new(pair->loop, side->fds[0], EPOLLIN, fn, pair);
    }
}

static void pair_done(struct pair *pair)
{
    for (unsigned i = 0; i < 2; i++) {
        vr_watch_free(pair->side[i].watch);
        close(pair->side[i].fds[0]);
        close(pair->side[i].fds[1]);
    }
    vr_loop_unref(pair->loop);
}

static void free_both(uint32_t events, void *arg)
{
    struct pair *pair = arg;
    pair->calls++;
    for (unsigned i = 0; i < 2; i++)
        vr_watch_free(g_steal_pointer(&pair->side[i].watch));
    vr_loop_exit(pair->loop);
}

/* Both are ready in the same look at the sockets. */
static void test_a_watch_that_is_freed_before_its_turn_is_not_called(void)
{
    struct pair pair;
    pair_init(&pair, free_both);
    vr_loop_run(pair.loop);
    g_assert_cmpuint(pair.calls, ==, 1);
    pair_done(&pair);
}

static void drop_other(uint32_t events, void *arg)
{
    struct pair *pair = arg;
    pair->calls++;
    for (unsigned i = 0; i < 2; i++)
        vr_watch_set_events(pair->side[i].watch, 0);
    vr_loop_exit(pair->loop);
}

static void test_a_watch_that_lost_interest_before_its_turn_is_not_called(void)
{
    struct pair pair;
    pair_init(&pair, drop_other);
    vr_loop_run(pair.loop);
    g_assert_cmpuint(pair.calls, ==, 1);
    pair_done(&pair);
}

struct deferral {
    struct vr_deferred deferred;
    struct vr_loop *loop;
    unsigned runs;
};

static void run_deferral(struct vr_deferred *self)
{
    struct deferral *d = (struct deferral *)self;
    if (++d->runs < 3)
        vr_loop_defer(d->loop, self);
    else
        vr_loop_exit(d->loop);
}

static void defer_twice(void *arg)
{
    struct deferral *d = arg;
    vr_loop_defer(d->loop, &d->deferred);
    vr_loop_defer(d->loop, &d->deferred);
    g_assert_cmpuint(d->runs, ==, 0);
}

static void test_deferred_work_runs_once_after_the_callback_and_may_be_deferred_again(void)
{
    struct deferral d = { .deferred.fn = run_deferral, .loop = vr_loop_new("test") };
    vr_loop_post(d.loop, defer_twice, &d);
    vr_loop_run(d.loop);
    g_assert_cmpuint(d.runs, ==, 3);
    vr_loop_unref(d.loop);
}

struct turns {
    struct vr_turn turn;
    unsigned *begun;
    unsigned number;
};

static void begin_turn(struct vr_turn *self)
{
    struct turns *t = (struct turns *)self;
    /* In the order in which they asked; the fifth of those that waited went away. */
    g_assert_cmpuint(t->number, ==, *t->begun + (*t->begun >= VR_LOOP_TURNS + 4));
    ++*t->begun;
}

static void test_turns_are_given_in_order_and_come_back(void)
{
    enum { COUNT = VR_LOOP_TURNS + 10 };
    struct vr_loop *loop = vr_loop_new("test");
    struct turns turns[COUNT];
    unsigned begun = 0;
    for (unsigned i = 0; i < COUNT; i++) {
        turns[i] = (struct turns){ .turn.fn = begin_turn, .begun = &begun, .number = i };
        vr_turn_take(loop, &turns[i].turn);
    }
    g_assert_cmpuint(begun, ==, VR_LOOP_TURNS);
    vr_turn_end(loop, &turns[VR_LOOP_TURNS + 4].turn); /* stops waiting */
    g_assert_cmpuint(begun, ==, VR_LOOP_TURNS);
    for (unsigned i = 0; i < 4; i++)
        vr_turn_end(loop, &turns[i].turn);
    g_assert_cmpuint(begun, ==, VR_LOOP_TURNS + 4);
    for (unsigned i = 0; i < COUNT; i++)
        vr_turn_end(loop, &turns[i].turn);
    g_assert_cmpuint(begun, ==, COUNT - 1);
    vr_loop_unref(loop);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/loop/posts of every thread arrive in their order",
                    test_posts_of_every_thread_arrive_in_their_order);
    g_test_add_func("/loop/what was posted before exit runs",
                    test_what_was_posted_before_exit_runs);
    g_test_add_func("/loop/what was never run runs when the loop is freed",
                    test_what_was_never_run_runs_when_the_loop_is_freed);
    g_test_add_func("/loop/a thread of a loop starts and stops",
                    test_a_thread_of_a_loop_starts_and_stops);
    g_test_add_func("/loop/timers run in order, once, and can be disarmed and freed",
                    test_timers_run_in_order_once_and_can_be_disarmed_and_freed);
    g_test_add_func("/loop/fifty thousand timers are armed and freed quickly",
                    test_fifty_thousand_timers_are_armed_and_freed_quickly);
    g_test_add_func("/loop/a watch reports what it was asked for",
                    test_a_watch_reports_what_it_was_asked_for);
    g_test_add_func("/loop/a watch that is freed before its turn is not called",
                    test_a_watch_that_is_freed_before_its_turn_is_not_called);
    g_test_add_func("/loop/a watch that lost interest before its turn is not called",
                    test_a_watch_that_lost_interest_before_its_turn_is_not_called);
    g_test_add_func("/loop/deferred work runs once after the callback and may be deferred again",
                    test_deferred_work_runs_once_after_the_callback_and_may_be_deferred_again);
    g_test_add_func("/loop/turns are given in order and come back",
                    test_turns_are_given_in_order_and_come_back);
    return g_test_run();
}
