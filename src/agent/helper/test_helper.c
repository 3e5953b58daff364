/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/helper/frame.h"
#include "agent/helper/helper.h"
#include "agent/helper/run.h"

#include <errno.h>
#include <json-c/json.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

/* This program is its own helper when called with "serve". */
static int serve(void)
{
    int held = 0;
    for (;;) {
        g_autofree char *text = NULL;
        size_t length;
        if (vr_frame_read(0, &text, &length) <= 0)
            return 0;
        json_object *root = json_tokener_parse(text), *id, *op, *args;
        json_object_object_get_ex(root, "id", &id);
        json_object_object_get_ex(root, "op", &op);
        json_object_object_get_ex(root, "args", &args);
        const char *name = json_object_get_string(op);
        g_autofree char *out = NULL;
        int n = json_object_get_int(id);
        if (g_str_equal(name, "echo"))
            out = g_strdup_printf("{\"id\":%d,\"result\":%s}", n, json_object_to_json_string(args));
        else if (g_str_equal(name, "fail"))
            out = g_strdup_printf("{\"id\":%d,\"error\":{\"code\":358,\"message\":\"gone\"}}", n);
        else if (g_str_equal(name, "hold"))
            held = n;
        else if (g_str_equal(name, "die"))
            _exit(1);
        else if (g_str_equal(name, "garbage"))
            out = g_strdup("not json at all");
        else if (g_str_equal(name, "cancel"))
            out = g_strdup_printf("{\"id\":%d,\"result\":\"stopped\"}", held);
        if (g_str_equal(name, "progress")) {
            g_autofree char *half = g_strdup_printf("{\"id\":%d,\"progress\":50}", n);
            g_assert_cmpint(vr_frame_write(0, half, strlen(half)), ==, 0);
            out = g_strdup_printf("{\"id\":%d,\"result\":true}", n);
        }
        if (out)
            g_assert_cmpint(vr_frame_write(0, out, strlen(out)), ==, 0);
        json_object_put(root);
    }
}

static const char *self;

static const struct vr_fault fault_hung = { .name = "hung", .rpc = 2001, .text = "Hung." };
static const struct vr_fault fault_code = { .name = "code", .rpc = 358, .text = "Code." };

static const struct vr_fault *by_code(int code)
{
    g_assert_cmpint(code, ==, 358);
    return &fault_code;
}

static struct vr_helper *start(void)
{
    static const char *const argv[] = { "serve", NULL };
    return vr_helper_new(&(struct vr_helper_options){
        .program = self, .argv = argv, .name = "the test", .fault = by_code, .hung = &fault_hung });
}

static void test_answers_come_back(void)
{
    struct vr_helper *helper = start();
    vr_auto_error struct vr_error *error = NULL;
    struct vr_helper_call call = { .op = "echo",
                                   .args = "{\"a\":[1,\"x\"]}",
                                   .deadline_ms = 30000 };
    g_autofree char *result = vr_helper_call(helper, &call, &error);
    g_assert_nonnull(result);
    json_object *object = json_tokener_parse(result);
    g_assert_cmpint(json_object_object_length(object), ==, 1);
    json_object_put(object);
    vr_helper_free(helper);
}

static void test_errors_keep_their_code(void)
{
    struct vr_helper *helper = start();
    vr_auto_error struct vr_error *error = NULL;
    struct vr_helper_call call = { .op = "fail", .deadline_ms = 30000 };
    g_assert_null(vr_helper_call(helper, &call, &error));
    g_assert_true(error->fault == &fault_code);
    g_assert_cmpstr(error->detail, ==, "gone");
    g_assert_false(call.died);
    vr_helper_free(helper);
}

static void test_silence_ends_at_the_deadline_and_the_next_call_works(void)
{
    struct vr_helper *helper = start();
    vr_auto_error struct vr_error *error = NULL, *none = NULL;
    struct vr_helper_call call = { .op = "hold", .deadline_ms = 50 };
    g_assert_null(vr_helper_call(helper, &call, &error));
    g_assert_true(error->fault == &fault_hung);
    struct vr_helper_call echo = { .op = "echo", .deadline_ms = 30000 };
    g_autofree char *result = vr_helper_call(helper, &echo, &none);
    g_assert_nonnull(result);
    vr_helper_free(helper);
}

static void count(int percent, void *arg)
{
    *(int *)arg = percent;
}

static void test_progress_is_told(void)
{
    struct vr_helper *helper = start();
    vr_auto_error struct vr_error *error = NULL;
    int seen = 0;
    struct vr_helper_call call = { .op = "progress", .progress = count, .arg = &seen };
    g_autofree char *result = vr_helper_call(helper, &call, &error);
    g_assert_nonnull(result);
    g_assert_cmpint(seen, ==, 50);
    vr_helper_free(helper);
}

static void test_a_cancelled_call_tells_the_helper(void)
{
    struct vr_helper *helper = start();
    vr_auto_error struct vr_error *error = NULL;
    gint cancel = 1;
    struct vr_helper_call call = { .op = "hold", .cancel = &cancel };
    g_autofree char *result = vr_helper_call(helper, &call, &error);
    g_assert_cmpstr(result, ==, "\"stopped\"");
    vr_helper_free(helper);
}

/* Each of these ends the process; the slot must serve the next call with a new one. */
static void test_a_dead_helper_is_replaced(void)
{
    static const char *const deaths[] = { "die", "garbage" };
    struct vr_helper *helper = start();
    for (unsigned i = 0; i < 20; i++) {
        vr_auto_error struct vr_error *error = NULL, *none = NULL;
        struct vr_helper_call call = { .op = deaths[i % 2], .deadline_ms = 30000 };
        g_assert_null(vr_helper_call(helper, &call, &error));
        g_assert_true(error->fault == &fault_hung);
        g_assert_true(call.died);
        struct vr_helper_call echo = { .op = "echo", .deadline_ms = 30000 };
        g_autofree char *result = vr_helper_call(helper, &echo, &none);
        g_assert_nonnull(result);
    }
    vr_helper_free(helper);
}

static gpointer hold(gpointer helper)
{
    struct vr_error *error = NULL;
    struct vr_helper_call call = { .op = "hold" };
    g_assert_null(vr_helper_call(helper, &call, &error));
    g_assert_true(call.died);
    vr_error_free(error);
    return NULL;
}

static void test_an_abandoned_or_freed_helper_fails_its_calls(void)
{
    struct vr_helper *helper = start();
    GThread *first = g_thread_new("hold", hold, helper);
    while (!vr_helper_pid(helper))
        g_thread_yield();
    vr_helper_abandon(helper);
    g_thread_join(first);
    g_assert_cmpint(vr_helper_pid(helper), ==, 0);
    GThread *second = g_thread_new("hold", hold, helper);
    while (!vr_helper_pid(helper))
        g_thread_yield();
    vr_helper_free(helper);
    g_thread_join(second);
}

static void test_frames_have_a_cap(void)
{
    int fds[2];
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), ==, 0);
    static const uint8_t huge[4] = { 0xff, 0xff, 0xff, 0xff };
    g_assert_cmpint(write(fds[0], huge, 4), ==, 4);
    char *text;
    size_t length;
    g_assert_cmpint(vr_frame_read(fds[1], &text, &length), ==, -EMSGSIZE);
    static const uint8_t cut[6] = { 0, 0, 0, 9, '{', '}' };
    g_assert_cmpint(write(fds[0], cut, 6), ==, 6);
    close(fds[0]);
    g_assert_cmpint(vr_frame_read(fds[1], &text, &length), ==, -ECONNRESET);
    g_assert_cmpint(vr_frame_read(fds[1], &text, &length), ==, 0);
    close(fds[1]);
}

static const struct {
    const char *what;
    const char *argv[4];
    uint64_t deadline_ms;
    size_t output_max;
    bool good;
    int status;
    const char *output;
} runs[] = {
    { "output is kept", { "echo", "a b", NULL }, 0, 0, true, 0, "a b\n" },
    { "a status is told", { "false", NULL }, 0, 0, false, 1, "" },
    { "a program that is not there", { "vireo-no-such-program", NULL }, 0, 0, false, 0, NULL },
    { "too slow", { "sleep", "1000", NULL }, 50, 0, false, 128 + SIGKILL, "" },
    { "too talkative", { "yes", NULL }, 0, 4096, false, 128 + SIGKILL, NULL },
    { "no shell reads the arguments", { "echo", "$(id)", NULL }, 0, 0, true, 0, "$(id)\n" },
};

static void test_programs_end(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(runs); i++) {
        vr_auto_error struct vr_error *error = NULL;
        struct vr_run run = { .argv = runs[i].argv,
                              .deadline_ms = runs[i].deadline_ms,
                              .output_max = runs[i].output_max };
        g_test_message("%s", runs[i].what);
        g_assert_cmpint(vr_run(&run, &error), ==, runs[i].good);
        g_assert_cmpint(run.status, ==, runs[i].status);
        if (runs[i].output)
            g_assert_cmpstr(run.output, ==, runs[i].output);
        vr_run_done(&run);
    }
}

static void test_a_cancelled_program_ends(void)
{
    static const char *const argv[] = { "sleep", "1000", NULL };
    vr_auto_error struct vr_error *error = NULL;
    gint cancel = 1;
    struct vr_run run = { .argv = argv, .cancel = &cancel };
    g_assert_false(vr_run(&run, &error));
    g_assert_true(run.cancelled);
    vr_run_done(&run);
}

int main(int argc, char **argv)
{
    if (argc == 2 && g_str_equal(argv[1], "serve"))
        return serve();
    g_test_init(&argc, &argv, NULL);
    g_autofree char *path = g_file_read_link("/proc/self/exe", NULL);
    self = path;
#define ADD(name) g_test_add_func("/helper/" #name, test_##name)
    ADD(answers_come_back);
    ADD(errors_keep_their_code);
    ADD(silence_ends_at_the_deadline_and_the_next_call_works);
    ADD(progress_is_told);
    ADD(a_cancelled_call_tells_the_helper);
    ADD(a_dead_helper_is_replaced);
    ADD(an_abandoned_or_freed_helper_fails_its_calls);
    ADD(frames_have_a_cap);
    ADD(programs_end);
    ADD(a_cancelled_program_ends);
    return g_test_run();
}
