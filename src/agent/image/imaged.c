/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "image"
#include <errno.h>
#include <gcrypt.h>
#include <glib/gstdio.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/image/server.h"

/*
 * vireo-imaged: serves image transfers.  The agent starts it with one end of
 * a socket as standard input and it ends when that does; it writes the bound
 * port there as a line.
 */

static const char *option(int argc, char **argv, const char *name)
{
    for (int i = 1; i + 1 < argc; i += 2)
        if (strcmp(argv[i], name) == 0)
            return argv[i + 1];
    return NULL;
}

static unsigned number(const char *text)
{
    return text ? (unsigned)g_ascii_strtoull(text, NULL, 10) : 0;
}

/* Only the agent's own user may install tickets. */
static int listen_control(const char *path, struct vr_error **error)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof(address.sun_path)) {
        vr_error_set(error, &vr_fault_bad_request, "The control socket's path is too long.");
        return -1;
    }
    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)g_unlink(path);
    mode_t old = umask(0177);
    bool good = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
                listen(fd, 16) == 0;
    umask(old);
    if (good)
        return fd;
    vr_error_set(error, &vr_fault_system, "%s: %s", path, g_strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

static bool drop_rights(uid_t uid, gid_t gid, struct vr_error **error)
{
    if (!uid || geteuid() != 0 ||
        (setgroups(1, &gid) == 0 && setresgid(gid, gid, gid) == 0 && setresuid(uid, uid, uid) == 0))
        return true;
    vr_error_set(error, &vr_fault_system, "Taking on uid %u: %s", uid, g_strerror(errno));
    return false;
}

/* Until the agent ends or asks us to. */
static void wait_for_end(int signals)
{
    struct pollfd polls[2] = { { 0, POLLIN, 0 }, { signals, POLLIN, 0 } };
    for (;;) {
        char byte;
        if (poll(polls, 2, -1) < 0 && errno != EINTR)
            return;
        if (polls[1].revents || (polls[0].revents && read(0, &byte, 1) <= 0))
            return;
    }
}

static struct vr_image_server *start(int argc, char **argv, struct vr_error **error)
{
    const char *control = option(argc, argv, "--control");
    const char *cert_file = option(argc, argv, "--certificate"),
               *key_file = option(argc, argv, "--key");
    g_autofree char *cert = NULL, *key = NULL;
    g_autoptr(GError) unreadable = NULL;
    if (!control) {
        vr_error_set(error, &vr_fault_bad_request, "--control is missing.");
        return NULL;
    }
    if ((cert_file && !g_file_get_contents(cert_file, &cert, NULL, &unreadable)) ||
        (key_file && !g_file_get_contents(key_file, &key, NULL, &unreadable))) {
        vr_error_set(error, &vr_fault_system, "%s", unreadable->message);
        return NULL;
    }
    int fd = listen_control(control, error);
    if (fd < 0 || !drop_rights(number(option(argc, argv, "--uid")),
                               number(option(argc, argv, "--gid")), error))
        return NULL;
    struct vr_image_server *server = vr_image_server_start(
        &(struct vr_image_server_options){ .address = option(argc, argv, "--address"),
                                           .port = number(option(argc, argv, "--port")),
                                           .certificate = cert,
                                           .key = key,
                                           .control_fd = fd,
                                           .delete_wait_s =
                                               number(option(argc, argv, "--delete-wait")),
                                           .idle_s = number(option(argc, argv, "--idle")) },
        error);
    return server;
}

int main(int argc, char **argv)
{
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGINT);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    signal(SIGPIPE, SIG_IGN);
    int signals = signalfd(-1, &mask, SFD_CLOEXEC);
    gcry_check_version(NULL);
    gcry_control(GCRYCTL_DISABLE_SECMEM, 0);
    gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
    vr_auto_error struct vr_error *error = NULL;
    struct vr_image_server *server = start(argc, argv, &error);
    if (!server) {
        g_autofree char *text = vr_error_text(error);
        vr_log_error("%s", text);
        return 1;
    }
    g_autofree char *line = g_strdup_printf("%u\n", vr_image_server_port(server));
    if (write(1, line, strlen(line)) < 0)
        vr_log_warning("The port could not be told.");
    wait_for_end(signals);
    vr_image_server_stop(server);
    return 0;
}
