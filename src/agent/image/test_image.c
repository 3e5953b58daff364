/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/image/image.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <unistd.h>

#define ID "/tickets/11111111-aaaa-4000-8000-000000000001"
#define TICKET "{\"size\":1,\"url\":\"file:///x\",\"ops\":[\"read\"],\"timeout\":100}"

static char *directory, *control;

static struct vr_image_daemon *start(struct vr_error **error)
{
    return vr_image_daemon_start(
        &(struct vr_image_daemon_options){
            .program = g_getenv("VIREO_IMAGED"), .address = "127.0.0.1", .control = control },
        error);
}

static int ask(const char *method, const char *path, const char *body)
{
    g_autofree char *answer = NULL;
    int status = vr_image_control(control, method, path, body, 30000, &answer);
    return status;
}

static void test_tickets_pass_through_the_control_socket(void)
{
    vr_auto_error struct vr_error *error = NULL;
    g_assert_cmpint(ask("GET", ID, NULL), ==, -ENOENT);
    struct vr_image_daemon *daemon = start(&error);
    g_assert_nonnull(daemon);
    g_assert_cmpuint(vr_image_daemon_port(daemon), >, 0);
    g_assert_cmpint(ask("PUT", ID, TICKET), ==, 200);
    g_assert_cmpint(ask("GET", ID, NULL), ==, 200);
    g_assert_cmpint(ask("DELETE", ID, NULL), ==, 204);
    g_assert_cmpint(ask("GET", ID, NULL), ==, 404);
    vr_image_daemon_stop(daemon);
    g_assert_cmpint(ask("GET", ID, NULL), ==, -ECONNREFUSED);
}

static void test_a_killed_daemon_comes_back_on_its_port(void)
{
    vr_auto_error struct vr_error *error = NULL;
    struct vr_image_daemon *daemon = start(&error);
    g_assert_nonnull(daemon);
    unsigned port = vr_image_daemon_port(daemon);
    g_assert_cmpint(ask("PUT", ID, TICKET), ==, 200);
    g_autofree char *command = g_strdup_printf("pgrep -P %d -f vireo-imaged", (int)getpid());
    const char *argv[] = { "sh", "-c", command, NULL };
    g_autofree char *output = NULL;
    g_assert_true(g_spawn_sync(NULL, (char **)(uintptr_t)argv, NULL, G_SPAWN_SEARCH_PATH, NULL,
                               NULL, &output, NULL, NULL, NULL));
    pid_t pid = (pid_t)g_ascii_strtoll(output, NULL, 10);
    g_assert_cmpint(pid, >, 1);
    g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
    /* Its tickets were in its memory: clients have to ask for new ones. */
    int status;
    while ((status = ask("GET", ID, NULL)) != 404)
        g_assert_true(status < 0 || status == 200);
    g_assert_cmpuint(vr_image_daemon_port(daemon), ==, port);
    vr_image_daemon_stop(daemon);
}

static void test_a_daemon_that_cannot_serve_is_an_error(void)
{
    vr_auto_error struct vr_error *error = NULL;
    g_assert_null(vr_image_daemon_start(
        &(struct vr_image_daemon_options){ .program = g_getenv("VIREO_IMAGED"),
                                           .certificate = "/no/such/file",
                                           .key = "/no/such/file",
                                           .control = control },
        &error));
    g_assert_nonnull(error);
    vr_auto_error struct vr_error *missing = NULL;
    g_assert_null(vr_image_daemon_start(
        &(struct vr_image_daemon_options){ .program = "/no/such/program", .control = control },
        &missing));
    g_assert_nonnull(missing);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    directory = g_dir_make_tmp("vireo-image-XXXXXX", NULL);
    control = g_build_filename(directory, "control", NULL);
    g_test_add_func("/image/tickets_pass_through_the_control_socket",
                    test_tickets_pass_through_the_control_socket);
    g_test_add_func("/image/a_killed_daemon_comes_back_on_its_port",
                    test_a_killed_daemon_comes_back_on_its_port);
    g_test_add_func("/image/a_daemon_that_cannot_serve_is_an_error",
                    test_a_daemon_that_cannot_serve_is_an_error);
    int rc = g_test_run();
    (void)g_unlink(control);
    g_assert_cmpint(g_rmdir(directory), ==, 0);
    g_free(control);
    g_free(directory);
    return rc;
}
