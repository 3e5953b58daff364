/* SPDX-License-Identifier: Apache-2.0 */
/* Against a real sshd: one process a connection (sshd -i), behind a socket of the test's own. */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "manager/ssh/ssh.h"

#define SSHD "/usr/sbin/sshd"

static struct {
    char *folder;
    int listener;
    unsigned port;
    char *key;  /* PEM that sshd lets in */
    char *other; /* PEM that it does not */
    char *prints[3]; /* of the host's keys */
    pid_t acceptor;
} site;

static char *in_folder(const char *name)
{
    return g_build_filename(site.folder, name, NULL);
}

static char *contents(const char *name)
{
    g_autofree char *path = in_folder(name);
    char *text = NULL;
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return text;
}

static void make_key(const char *name, const char *type)
{
    g_autofree char *path = in_folder(name);
    const char *argv[] = { "ssh-keygen", "-q",   "-t", type, "-N", "", "-m", "PKCS8",
                           "-f",         path,   NULL };
    int status = 0;
    g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL,
                               NULL, &status, NULL));
    g_assert_cmpint(status, ==, 0);
}

/* Every connection gets an sshd of its own; runs until it is killed. */
static _Noreturn void accept_all(const char *config)
{
    /* sshd wants its empty folder, which is there while the service runs only. */
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", "/run", "tmpfs", 0, "mode=755") < 0 || mkdir("/run/sshd", 0755) < 0)
        _exit(1);
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int fd = accept(site.listener, NULL, NULL);
        if (fd < 0)
            _exit(1);
        if (fork() == 0) {
            dup2(fd, 0);
            dup2(fd, 1);
            execl(SSHD, SSHD, "-i", "-f", config, NULL);
            _exit(1);
        }
        close(fd);
    }
}

static int listen_somewhere(unsigned *ret_port)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&address, size), ==, 0);
    g_assert_cmpint(listen(fd, 8), ==, 0);
    g_assert_cmpint(getsockname(fd, (struct sockaddr *)&address, &size), ==, 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static void start_site(void)
{
    static const char *const types[] = { "ed25519", "ecdsa", "rsa" };
    site.folder = g_dir_make_tmp("vireo-ssh-XXXXXX", NULL);
    GString *config = g_string_new("UsePAM no\nStrictModes no\nPermitRootLogin yes\n"
                                   "PasswordAuthentication yes\nLogLevel VERBOSE\n");
    for (unsigned i = 0; i < 3; i++) {
        g_autofree char *name = g_strconcat("host_", types[i], NULL);
        g_autofree char *public_name = g_strconcat(name, ".pub", NULL);
        make_key(name, types[i]);
        g_autofree char *public = contents(public_name);
        site.prints[i] = vr_ssh_fingerprint(public);
        g_assert_nonnull(site.prints[i]);
        g_string_append_printf(config, "HostKey %s/%s\n", site.folder, name);
    }
    make_key("client", "rsa");
    make_key("other", "rsa");
    site.key = contents("client");
    site.other = contents("other");
    g_string_append_printf(config, "AuthorizedKeysFile %s/client.pub\n", site.folder);
    g_autofree char *path = in_folder("sshd_config");
    g_assert_true(g_file_set_contents(path, config->str, -1, NULL));
    g_string_free(config, TRUE);
    site.listener = listen_somewhere(&site.port);
    site.acceptor = fork();
    if (site.acceptor == 0)
        accept_all(path);
}

static void end_site(void)
{
    const char *argv[] = { "rm", "-rf", site.folder, NULL };
    kill(site.acceptor, SIGKILL);
    waitpid(site.acceptor, NULL, 0);
    g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL);
}

static struct vr_ssh_order order_of(const char *command)
{
    return (struct vr_ssh_order){ .address = "127.0.0.1",
                                  .port = site.port,
                                  .user = "root",
                                  .key = site.key,
                                  .command = command,
                                  .input = "",
                                  .connect_s = 30,
                                  .silence_s = 30,
                                  .limit_s = 60,
                                  .output_max = MiB(4),
                                  .noise_max = 100,
                                  .bytes_max = MiB(16),
                                  .cancel_fd = -1 };
}

static void test_runs(void)
{
    g_autofree char *input = g_strnfill(MiB(1), 'x');
    struct vr_ssh_order order = order_of("cat; printf %200s end >&2; exit 3");
    struct vr_ssh_answer answer;
    order.input = input;
    order.input_size = MiB(1);
    vr_ssh_run(&order, &answer);
    g_assert_cmpstr(answer.message, ==, NULL);
    g_assert_cmpint(answer.outcome, ==, VR_SSH_DONE);
    g_assert_cmpint(answer.exit_status, ==, 3);
    g_assert_cmpuint(answer.output->len, ==, MiB(1));
    g_assert_cmpuint(answer.noise->len, ==, 100); /* the end of it */
    g_assert_true(g_str_has_suffix(answer.noise->str, "end"));
    g_autofree char *print = vr_ssh_fingerprint(answer.public_key);
    g_assert_cmpstr(print, ==, answer.fingerprint);
    g_assert_cmpstr(print, ==, site.prints[0]);
    vr_ssh_answer_clear(&answer);
}

/* A fingerprint does not say of which key it is. */
static void test_pinned(void)
{
    for (unsigned i = 0; i < 3; i++) {
        struct vr_ssh_order order = order_of("true");
        struct vr_ssh_answer answer;
        order.fingerprint = site.prints[i];
        vr_ssh_run(&order, &answer);
        g_assert_cmpstr(answer.message, ==, NULL);
        g_assert_cmpint(answer.exit_status, ==, 0);
        g_autofree char *print = vr_ssh_fingerprint(answer.public_key);
        g_assert_cmpstr(print, ==, site.prints[i]);
        vr_ssh_answer_clear(&answer);
    }
}

#define OTHER_PRINT "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

static const struct {
    const char *what;
    const char *command;
    const char *password, *fingerprint;
    bool other_key;
    enum vr_ssh_outcome want;
    int status;
} rows[] = {
    { "another host key", "true", NULL, OTHER_PRINT, false, VR_SSH_HOST_KEY, -1 },
    { "a key that is not let in", "true", NULL, NULL, true, VR_SSH_LOGIN_REFUSED, -1 },
    { "a wrong password", "true", "no such password", NULL, false, VR_SSH_LOGIN_REFUSED, -1 },
    { "silence", "sleep 30", NULL, NULL, false, VR_SSH_TIMED_OUT, -1 },
    { "chatter without end", "while sleep 0.1; do echo >&2; done", NULL, NULL, false,
      VR_SSH_TIMED_OUT, -1 },
    { "more output than fits", "head -c 5000000 /dev/zero", NULL, NULL, false, VR_SSH_LOST, -1 },
    { "a command that is killed", "kill -9 $$", NULL, NULL, false, VR_SSH_DONE, -1 },
    { "a server that dies", "kill -9 $PPID", NULL, NULL, false, VR_SSH_LOST, -1 },
};

static void test_failures(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct vr_ssh_order order = order_of(rows[i].command);
        struct vr_ssh_answer answer;
        order.password = rows[i].password;
        order.fingerprint = rows[i].fingerprint;
        order.key = rows[i].other_key ? site.other : site.key;
        if (rows[i].want == VR_SSH_TIMED_OUT) {
            order.silence_s = 1;
            order.limit_s = 3;
        }
        vr_ssh_run(&order, &answer);
        g_test_message("%s: %d %s", rows[i].what, answer.outcome,
                       answer.message ? answer.message : "");
        g_assert_cmpint(answer.outcome, ==, rows[i].want);
        g_assert_cmpint(answer.exit_status, ==, rows[i].status);
        g_assert_cmpint(!answer.message, ==, rows[i].want == VR_SSH_DONE);
        vr_ssh_answer_clear(&answer);
    }
}

/* Somebody who accepts and never says a word, and nobody at all. */
static void test_nobody(void)
{
    unsigned port = 0;
    int fd = listen_somewhere(&port);
    struct vr_ssh_order order = order_of("true");
    struct vr_ssh_answer answer;
    order.port = port;
    order.connect_s = 1;
    vr_ssh_run(&order, &answer);
    g_assert_cmpint(answer.outcome, ==, VR_SSH_TIMED_OUT);
    vr_ssh_answer_clear(&answer);
    close(fd);
    vr_ssh_run(&order, &answer);
    g_assert_cmpint(answer.outcome, ==, VR_SSH_UNREACHABLE);
    vr_ssh_answer_clear(&answer);
    order.address = "no.such.host.invalid";
    vr_ssh_run(&order, &answer);
    g_assert_cmpint(answer.outcome, ==, VR_SSH_UNREACHABLE);
    vr_ssh_answer_clear(&answer);
}

/* The command itself says when, by a pipe: it runs by then. */
static void test_cancelled(void)
{
    g_autofree char *pipe = in_folder("pipe");
    g_autofree char *command = g_strdup_printf("echo >%s; sleep 30", pipe);
    struct vr_ssh_order order = order_of(command);
    struct vr_ssh_answer answer;
    g_assert_cmpint(mkfifo(pipe, 0600), ==, 0);
    order.cancel_fd = open(pipe, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    vr_ssh_run(&order, &answer);
    g_assert_cmpint(answer.outcome, ==, VR_SSH_CANCELLED);
    vr_ssh_answer_clear(&answer);
    close(order.cancel_fd);
}

static const struct {
    const char *text;
    bool good;
} prints[] = {
    { OTHER_PRINT, true },
    { OTHER_PRINT "=", true },
    { OTHER_PRINT "==", false },
    { OTHER_PRINT "A", false },
    { "SHA256:", false },
    { "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", false },
    { "MD5:00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff", false },
    { "", false },
};

static void test_fingerprints(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(prints); i++)
        g_assert_cmpint(vr_ssh_is_fingerprint(prints[i].text), ==, prints[i].good);
    g_assert_true(vr_ssh_same_fingerprint(OTHER_PRINT, OTHER_PRINT "="));
    g_assert_false(vr_ssh_same_fingerprint(OTHER_PRINT, NULL));
    static const char *const none[] = { "", "ssh-rsa", "ssh-rsa !!!!", "ssh-rsa AAAA",
                                        "ssh-ed25519 AAAAB3NzaC1yc2EAAAADAQAB" };
    for (unsigned i = 0; i < G_N_ELEMENTS(none); i++)
        g_assert_null(vr_ssh_fingerprint(none[i]));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ssh/fingerprints", test_fingerprints);
    if (geteuid() != 0 || access(SSHD, X_OK) < 0) {
        g_test_message("the rest needs root and the package openssh-server");
        return g_test_run();
    }
    start_site();
    g_test_add_func("/ssh/runs", test_runs);
    g_test_add_func("/ssh/pinned", test_pinned);
    g_test_add_func("/ssh/failures", test_failures);
    g_test_add_func("/ssh/nobody", test_nobody);
    g_test_add_func("/ssh/cancelled", test_cancelled);
    int failed = g_test_run();
    end_site();
    return failed;
}
