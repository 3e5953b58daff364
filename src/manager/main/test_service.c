/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/main/service.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* The other end of NOTIFY_SOCKET, in place of systemd; periods are a millisecond. */

struct engine {
    unsigned asked;
    unsigned answers; /* so many questions are answered, and no more */
    unsigned last;    /* the question that ends the test */
};

static void ask(gint *answered, void *arg)
{
    struct engine *engine = arg;
    engine->asked++;
    if (engine->asked <= engine->answers)
        g_atomic_int_inc(answered);
    if (engine->asked == engine->last)
        g_assert_cmpint(kill(getpid(), SIGTERM), ==, 0);
}

static int listen_as_systemd(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    socklen_t length = sizeof(sa_family_t); /* the kernel picks an abstract name */
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&address, length), ==, 0);
    length = sizeof(address);
    g_assert_cmpint(getsockname(fd, (struct sockaddr *)&address, &length), ==, 0);
    g_autofree char *name =
        g_strdup_printf("@%.*s", (int)(length - sizeof(sa_family_t) - 1), address.sun_path + 1);
    setenv("NOTIFY_SOCKET", name, 1);
    return fd;
}

static unsigned count_pings(int fd)
{
    unsigned count = 0;
    char text[64];
    ssize_t n;
    while ((n = recv(fd, text, sizeof(text), MSG_DONTWAIT)) > 0) {
        g_assert_cmpmem(text, n, "WATCHDOG=1", strlen("WATCHDOG=1"));
        count++;
    }
    return count;
}

static sigset_t blocked(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGALRM);
    sigaddset(&signals, SIGHUP);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    return signals;
}

static void test_turns(void)
{
    struct engine engine = { .answers = 5, .last = 6 };
    sigset_t signals = blocked();
    int fd = listen_as_systemd();
    setenv("WATCHDOG_USEC", "4000", 1);
    kill(getpid(), SIGHUP); /* ends nothing */
    g_assert_cmpint(vr_service_wait(&signals, ask, &engine), ==, SIGTERM);
    g_assert_cmpuint(count_pings(fd), ==, 6);
    close(fd);
}

/* 50 periods pass, and nobody claims that the engine turns. */
static void test_stands(void)
{
    struct engine engine = { .answers = 2 };
    const struct itimerval alarm = { .it_value.tv_usec = 50000 };
    sigset_t signals = blocked();
    int fd = listen_as_systemd();
    setenv("WATCHDOG_USEC", "4000", 1);
    setitimer(ITIMER_REAL, &alarm, NULL);
    g_assert_cmpint(vr_service_wait(&signals, ask, &engine), ==, SIGALRM);
    g_assert_cmpuint(engine.asked, <=, 3);
    g_assert_cmpuint(count_pings(fd), ==, engine.asked);
    close(fd);
}

static void test_unwatched(void)
{
    struct engine engine = { 0 };
    sigset_t signals = blocked();
    unsetenv("WATCHDOG_USEC");
    kill(getpid(), SIGTERM);
    g_assert_cmpint(vr_service_wait(&signals, ask, &engine), ==, SIGTERM);
    g_assert_cmpuint(engine.asked, ==, 0);
}

static void test_files(void)
{
    static const struct {
        const char *what;
        uint64_t limit;
        unsigned hosts;
        bool warns;
    } rows[] = {
        { "no host, what a shell gives", 1024, 0, true },
        { "no host, just enough", 4352, 0, false },
        { "one host more than fits", 4352, 1, true },
        { "10,000 hosts, 14,000 files", 14000, 10000, true },
        { "10,000 hosts, some more", 14352, 10000, false },
        { "the unit's limit", 65536, 60000, false },
        { "no wrap", 65536, UINT_MAX, true },
    };
    struct rlimit before, now;
    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &before), ==, 0);
    const struct rlimit low = { .rlim_cur = MIN(100, before.rlim_max), .rlim_max = before.rlim_max };
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &low), ==, 0);
    g_assert_cmpuint(vr_service_raise_files(), ==, before.rlim_max);
    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &now), ==, 0);
    g_assert_cmpuint(now.rlim_cur, ==, before.rlim_max);
    vr_log_set_level(VR_LOG_ERROR);
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("%s", rows[i].what);
        g_assert_cmpint(vr_service_warn_files(rows[i].limit, rows[i].hosts), ==, rows[i].warns);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/service/an engine that answers keeps the watchdog quiet", test_turns);
    g_test_add_func("/service/an engine that stands still does not", test_stands);
    g_test_add_func("/service/open files: as many as may be, and a warning when too few", test_files);
    g_test_add_func("/service/without a watchdog nobody asks", test_unwatched);
    return g_test_run();
}
