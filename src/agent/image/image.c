/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "image"
#include "agent/image/image.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define ANSWER_MAX KiB(256)
#define START_MS 10000
/* A daemon that dies at once is not started more often than this. */
#define RESTART_MS 1000

/* ---- control ---- */

static int connect_control(const char *path, unsigned timeout_ms)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct timeval wait = { timeout_ms / 1000, (timeout_ms % 1000) * 1000 };
    if (strlen(path) >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    int saved = errno;
    close(fd);
    return -saved;
}

static int send_all(int fd, const char *text, size_t length)
{
    while (length) {
        ssize_t n = send(fd, text, length, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        text += n;
        length -= (size_t)n;
    }
    return 0;
}

/* Everything until the daemon closes, as asked for. */
static int receive_all(int fd, GString *out)
{
    char buffer[4096];
    for (;;) {
        ssize_t n = recv(fd, buffer, sizeof(buffer), 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return 0;
        if (out->len + (size_t)n > ANSWER_MAX)
            return -EMSGSIZE;
        g_string_append_len(out, buffer, n);
    }
}

int vr_image_control(const char *socket, const char *method, const char *path, const char *body,
                     unsigned timeout_ms, char **answer)
{
    g_autofree char *request =
        g_strdup_printf("%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                        "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                        method, path, body ? strlen(body) : 0, body ? body : "");
    int fd = connect_control(socket, timeout_ms);
    if (fd < 0)
        return fd;
    g_autoptr(GString) text = g_string_new(NULL);
    int rc = send_all(fd, request, strlen(request));
    if (rc == 0)
        rc = receive_all(fd, text);
    close(fd);
    if (rc < 0)
        return rc;
    /* "HTTP/1.1 200 OK", headers, an empty line, the body. */
    const char *space = strchr(text->str, ' '), *end = strstr(text->str, "\r\n\r\n");
    int status = space ? (int)g_ascii_strtoll(space, NULL, 10) : 0;
    if (!g_str_has_prefix(text->str, "HTTP/1.") || !end || status < 100 || status > 599)
        return -EPROTO;
    *answer = g_strdup(end + 4);
    return status;
}

/* ---- the process ---- */

struct vr_image_daemon {
    GMutex lock;
    GCond changed;
    GThread *thread;
    char **argv;
    unsigned port_argument; /* index in argv */
    unsigned port;
    bool stop;
    pid_t pid;
    int lifeline; /* closed: it ends */
};

static void __attribute__((noreturn)) exec_daemon(char **argv, int lifeline, int out)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0);
    if (dup2(lifeline, 0) < 0 || dup2(out, 1) < 0)
        _exit(126);
    close_range(3, ~0U, 0);
    execv(argv[0], argv);
    _exit(127);
}

/* The port that it tells once it serves; 0 when it does not. */
static unsigned read_port(int fd)
{
    char line[16] = "";
    size_t done = 0;
    gint64 end = g_get_monotonic_time() + START_MS * 1000;
    while (done < sizeof(line) - 1 && !strchr(line, '\n')) {
        struct pollfd poll_fd = { fd, POLLIN, 0 };
        gint64 left = (end - g_get_monotonic_time()) / 1000;
        if (left <= 0 || poll(&poll_fd, 1, (int)left) < 0)
            return 0;
        ssize_t n = read(fd, line + done, 1);
        if (n <= 0)
            return 0;
        done++;
    }
    return (unsigned)g_ascii_strtoull(line, NULL, 10);
}

/* Starts the process; its port, or 0. */
static unsigned spawn(struct vr_image_daemon *d)
{
    int lifeline[2], out[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, lifeline) < 0)
        return 0;
    if (pipe2(out, O_CLOEXEC) < 0) {
        close(lifeline[0]);
        close(lifeline[1]);
        return 0;
    }
    pid_t pid = fork();
    if (pid == 0)
        exec_daemon(d->argv, lifeline[1], out[1]);
    close(lifeline[1]);
    close(out[1]);
    unsigned port = pid > 0 ? read_port(out[0]) : 0;
    close(out[0]);
    g_mutex_lock(&d->lock);
    d->pid = pid;
    d->lifeline = lifeline[0];
    g_mutex_unlock(&d->lock);
    return port;
}

static void end_process(struct vr_image_daemon *d, bool force)
{
    if (d->lifeline >= 0)
        close(d->lifeline);
    d->lifeline = -1;
    if (d->pid > 0 && force)
        kill(d->pid, SIGKILL);
}

/* Waits for the process's end, and starts the next one. */
static gpointer supervise(gpointer data)
{
    struct vr_image_daemon *d = data;
    for (;;) {
        (void)waitpid(d->pid, NULL, 0);
        g_mutex_lock(&d->lock);
        d->pid = 0;
        end_process(d, false);
        g_cond_broadcast(&d->changed);
        gint64 next = g_get_monotonic_time() + RESTART_MS * 1000;
        while (!d->stop && g_cond_wait_until(&d->changed, &d->lock, next))
            ;
        bool stop = d->stop;
        g_mutex_unlock(&d->lock);
        if (stop)
            return NULL;
        vr_log_warning("The image daemon ended and is started again.");
        if (!spawn(d))
            vr_log_error("The image daemon does not start.");
        g_mutex_lock(&d->lock);
        /* Asked to stop while it was being started. */
        if (d->stop)
            end_process(d, true);
        bool gone = d->pid <= 0;
        g_mutex_unlock(&d->lock);
        if (gone)
            return NULL;
    }
}

static char **make_argv(struct vr_image_daemon *d, const struct vr_image_daemon_options *o)
{
    g_autofree char *uid = g_strdup_printf("%u", o->uid), *gid = g_strdup_printf("%u", o->gid);
    g_autofree char *port = g_strdup_printf("%u", o->port);
    const struct {
        const char *name, *value;
    } rows[] = { { "--port", port },
                 { "--control", o->control },
                 { "--address", o->address },
                 { "--certificate", o->certificate },
                 { "--key", o->key },
                 { "--uid", uid },
                 { "--gid", gid } };
    GPtrArray *argv = g_ptr_array_new();
    g_ptr_array_add(argv, g_strdup(o->program));
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (!rows[i].value)
            continue;
        g_ptr_array_add(argv, g_strdup(rows[i].name));
        g_ptr_array_add(argv, g_strdup(rows[i].value));
    }
    g_ptr_array_add(argv, NULL);
    d->port_argument = 2;
    return (char **)g_ptr_array_free(argv, FALSE);
}

struct vr_image_daemon *vr_image_daemon_start(const struct vr_image_daemon_options *o,
                                              struct vr_error **error)
{
    struct vr_image_daemon *d = g_new0(struct vr_image_daemon, 1);
    g_mutex_init(&d->lock);
    g_cond_init(&d->changed);
    d->lifeline = -1;
    d->argv = make_argv(d, o);
    d->port = spawn(d);
    if (!d->port) {
        vr_error_set(error, &vr_fault_system, "%s does not serve port %u.", o->program, o->port);
        end_process(d, true);
        if (d->pid > 0)
            (void)waitpid(d->pid, NULL, 0);
        d->pid = 0;
        vr_image_daemon_stop(d);
        return NULL;
    }
    /* Clients know the port by now; the next process takes the same one. */
    g_free(d->argv[d->port_argument]);
    d->argv[d->port_argument] = g_strdup_printf("%u", d->port);
    d->thread = g_thread_new("imaged", supervise, d);
    return d;
}

unsigned vr_image_daemon_port(const struct vr_image_daemon *d)
{
    return d->port;
}

void vr_image_daemon_restart(struct vr_image_daemon *d)
{
    g_mutex_lock(&d->lock);
    end_process(d, false);
    g_mutex_unlock(&d->lock);
}

void vr_image_daemon_stop(struct vr_image_daemon *d)
{
    if (!d)
        return;
    g_mutex_lock(&d->lock);
    d->stop = true;
    end_process(d, false);
    gint64 end = g_get_monotonic_time() + 5 * G_TIME_SPAN_SECOND;
    g_cond_broadcast(&d->changed);
    while (d->thread && d->pid > 0 && g_cond_wait_until(&d->changed, &d->lock, end))
        ;
    end_process(d, d->pid > 0);
    g_mutex_unlock(&d->lock);
    if (d->thread)
        g_thread_join(d->thread);
    g_strfreev(d->argv);
    g_cond_clear(&d->changed);
    g_mutex_clear(&d->lock);
    g_free(d);
}
