/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/helper/run.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define ERRORS_MAX 4096
/* How long an ended or cancelled child may still take before the kernel has taken it away. */
#define REAP_MS 5000
/* A cancel flag is looked at this often. */
#define POLL_MS 100

extern char **environ;

static const char *const child_environment[] = {
    "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL=C",
    NULL,
};

/* Between fork and exec: only calls that are safe after a fork of many threads. */
static void __attribute__((noreturn))
child(const struct vr_run *run, const char *path, int in, int out, int err, pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    setpgid(0, 0);
    if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
        _exit(126);
    if (run->directory > 0 && fchdir(run->directory) < 0)
        _exit(126);
    close_range(3, ~0U, 0);
    if (run->uid && (setgroups(1, &run->gid) < 0 || setresgid(run->gid, run->gid, run->gid) < 0 ||
                     setresuid(run->uid, run->uid, run->uid) < 0))
        _exit(126);
    /* After the change of identity, which clears it.  Two writers of one volume would be worse
     * than a copy cut short, so the child must not outlive us. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(126);
    environ = (char **)(uintptr_t)child_environment;
    execv(path, (char *const *)(uintptr_t)run->argv);
    _exit(127);
}

struct pipes {
    int fd[2];
    GString *text[2];
    GString *partial; /* of the current line */
};

static void feed_lines(struct vr_run *run, struct pipes *p, const char *data, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (data[i] != '\n' && data[i] != '\r') {
            if (p->partial->len < 1024)
                g_string_append_c(p->partial, data[i]);
        } else if (p->partial->len) {
            run->line(p->partial->str, run->arg);
            g_string_truncate(p->partial, 0);
        }
    }
}

/* Takes what is there.  False when stdout grew beyond its cap. */
static bool take(struct vr_run *run, struct pipes *p, unsigned i, size_t cap)
{
    char buffer[16384];
    ssize_t n = read(p->fd[i], buffer, sizeof(buffer));
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return true;
    if (n <= 0) {
        close(p->fd[i]);
        p->fd[i] = -1;
        return true;
    }
    if (i == 0 && run->line) {
        feed_lines(run, p, buffer, (size_t)n);
        return true;
    }
    size_t room = cap - p->text[i]->len;
    g_string_append_len(p->text[i], buffer, (gssize)MIN((size_t)n, room));
    return i == 1 || (size_t)n <= room;
}

static bool reap(pid_t pid, int *status, uint64_t wait_ms)
{
    gint64 end = g_get_monotonic_time() + (gint64)wait_ms * 1000;
    for (;;) {
        pid_t got = waitpid(pid, status, WNOHANG);
        if (got == pid || (got < 0 && errno == ECHILD))
            return got == pid;
        if (g_get_monotonic_time() >= end)
            return false;
        g_usleep(2000);
    }
}

/* Reads until both pipes ended, or the reason to stop came.  Returns that reason or NULL. */
static const char *drain(struct vr_run *run, struct pipes *p, size_t cap)
{
    gint64 end = g_get_monotonic_time() + (gint64)run->deadline_ms * 1000;
    while (p->fd[0] >= 0 || p->fd[1] >= 0) {
        struct pollfd polls[2] = { { p->fd[0], POLLIN, 0 }, { p->fd[1], POLLIN, 0 } };
        int n = poll(polls, 2, POLL_MS);
        if (n < 0 && errno != EINTR)
            return "poll failed";
        for (unsigned i = 0; n > 0 && i < 2; i++)
            if (polls[i].revents && !take(run, p, i, i == 0 ? cap : ERRORS_MAX))
                return "it wrote more than allowed";
        if (run->cancel && g_atomic_int_get(run->cancel)) {
            run->cancelled = true;
            return "it was cancelled";
        }
        if (run->deadline_ms && g_get_monotonic_time() >= end) {
            run->timed_out = true;
            return "it took too long";
        }
    }
    return NULL;
}

static void finish(struct vr_run *run, struct pipes *p, pid_t pid, const char *stop)
{
    int status = 0;
    if (stop)
        kill(-pid, SIGKILL);
    /* Pipes ended: it is leaving.  A child in uninterruptible sleep is left to the kernel. */
    bool gone = reap(pid, &status, stop ? REAP_MS : 60000);
    if (!gone && !stop) {
        kill(-pid, SIGKILL);
        gone = reap(pid, &status, REAP_MS);
    }
    run->status = !gone                 ? 128 + SIGKILL
                  : WIFEXITED(status)   ? WEXITSTATUS(status)
                  : WIFSIGNALED(status) ? 128 + WTERMSIG(status)
                                        : 1;
    if (run->line && p->partial->len)
        run->line(p->partial->str, run->arg);
}

static const char *last_line(char *text)
{
    g_strchomp(text);
    const char *line = strrchr(text, '\n');
    return line ? line + 1 : text;
}

/* A descriptor that reads @input to its end.  In memory, because it may hold a password, and not a
 * pipe, because nobody has to feed it then. */
static int open_input(const char *input)
{
    if (!input)
        return open("/dev/null", O_RDONLY | O_CLOEXEC);
    int fd = memfd_create("stdin", MFD_CLOEXEC);
    size_t length = strlen(input);
    if (fd >= 0 && (write(fd, input, length) != (ssize_t)length || lseek(fd, 0, SEEK_SET) != 0)) {
        close(fd);
        return -1;
    }
    return fd;
}

bool vr_run(struct vr_run *run, struct vr_error **error)
{
    g_autofree char *path = g_find_program_in_path(run->argv[0]);
    int in = open_input(run->input), out[2] = { -1, -1 }, err[2] = { -1, -1 };
    if (!path || in < 0 || pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0) {
        vr_error_set(error, &vr_fault_system, "%s cannot be run.", run->argv[0]);
        if (in >= 0)
            close(in);
        if (out[0] >= 0) {
            close(out[0]);
            close(out[1]);
        }
        return false;
    }
    pid_t parent = getpid(), pid = fork();
    if (pid == 0)
        child(run, path, in, out[1], err[1], parent);
    close(in);
    close(out[1]);
    close(err[1]);
    if (pid < 0) {
        close(out[0]);
        close(err[0]);
        vr_error_set(error, &vr_fault_system, "%s: %s", run->argv[0], g_strerror(errno));
        return false;
    }
    struct pipes p = { { out[0], err[0] },
                       { g_string_new(NULL), g_string_new(NULL) },
                       g_string_new(NULL) };
    const char *stop = drain(run, &p, run->output_max ? run->output_max : MiB(1));
    finish(run, &p, pid, stop);
    for (unsigned i = 0; i < 2; i++)
        if (p.fd[i] >= 0)
            close(p.fd[i]);
    g_string_free(p.partial, TRUE);
    run->output = g_string_free(p.text[0], FALSE);
    run->errors = g_string_free(p.text[1], FALSE);
    if (!stop && run->status == 0)
        return true;
    g_autofree char *valid = g_utf8_make_valid(run->errors, -1);
    if (stop)
        vr_error_set(error, &vr_fault_system, "%s was ended: %s.", run->argv[0], stop);
    else
        vr_error_set(error, &vr_fault_system, "%s ended with status %d: %s", run->argv[0],
                     run->status, last_line(valid));
    return false;
}

void vr_run_done(struct vr_run *run)
{
    g_clear_pointer(&run->output, g_free);
    g_clear_pointer(&run->errors, g_free);
}
