/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "pgcluster"
#include "setup/pgcluster.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <libpq-fe.h>

#include "setup/file.h"
#include "setup/pghome.h"

/* Milliseconds.  Recovery after a crash may take minutes and is not a failure. */
#define BACKOFF_FIRST 100
#define BACKOFF_MOST 10000
#define STOP_FAST 25000
#define STOP_IMMEDIATE 5000
/* The server's log is moved to LOG.1 at start when it is larger. */
#define LOG_MAX (8 * 1024 * 1024)

struct vr_pgcluster {
    struct vr_pghome home;
    char *log;
    GThread *thread;
    int wake; /* eventfd, written to end the thread */

    /* Of the thread alone. */
    int pidfd;
    bool child; /* ours to reap, not adopted */

    GMutex mutex; /* guards what follows; never held while waiting for anything else */
    GCond changed;
    bool ready;
    unsigned starts;
    pid_t pid;
    char *socket_folder;
    struct vr_error *last;
};

static void note_failure(struct vr_pgcluster *cluster, struct vr_error *error)
{
    g_autofree char *text = vr_error_text(error);
    vr_log_error("%s", text);
    g_mutex_lock(&cluster->mutex);
    vr_error_free(cluster->last);
    cluster->last = error;
    g_cond_broadcast(&cluster->changed);
    g_mutex_unlock(&cluster->mutex);
}

static void set_running(struct vr_pgcluster *cluster, pid_t pid, bool ready)
{
    g_mutex_lock(&cluster->mutex);
    cluster->pid = pid;
    cluster->ready = ready;
    if (ready)
        cluster->starts++;
    g_cond_broadcast(&cluster->changed);
    g_mutex_unlock(&cluster->mutex);
}

/* Waits for the server's end, the wish to stop, or @timeout ms; returns what came as poll bits. */
enum { SERVER_ENDED = 1, STOP_WANTED = 2 };
static unsigned wait_any(struct vr_pgcluster *cluster, int timeout)
{
    struct pollfd fds[] = { { .fd = cluster->wake, .events = POLLIN },
                            { .fd = cluster->pidfd, .events = POLLIN } };
    if (poll(fds, cluster->pidfd >= 0 ? 2 : 1, timeout) <= 0)
        return 0;
    return (fds[0].revents ? STOP_WANTED : 0) |
           (cluster->pidfd >= 0 && fds[1].revents ? SERVER_ENDED : 0);
}

static void forget_server(struct vr_pgcluster *cluster)
{
    if (cluster->child) {
        siginfo_t info = { 0 };
        while (waitid(P_PIDFD, (id_t)cluster->pidfd, &info, WEXITED) < 0 && errno == EINTR)
            ;
    }
    close(cluster->pidfd);
    cluster->pidfd = -1;
    cluster->child = false;
    set_running(cluster, 0, false);
}

static char *link_of(pid_t pid, const char *name)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/%s", (int)pid, name);
    return g_file_read_link(path, NULL);
}

/* The postmaster of an earlier Manager, if it still runs on our data. */
static bool adopt(struct vr_pgcluster *cluster)
{
    g_autofree char *path = g_build_filename(cluster->home.data, "postmaster.pid", NULL);
    vr_auto_error struct vr_error *error = NULL;
    g_autofree char *text = vr_file_read(path, 4096, NULL, &error);
    if (!text)
        return false;
    g_auto(GStrv) lines = g_strsplit(text, "\n", 0);
    pid_t pid = (pid_t)atoi(lines[0]);
    if (pid <= 1 || g_strv_length(lines) < 6)
        return false;
    /* Held by descriptor first, checked afterwards: the number cannot be reused in between. */
    int pidfd = pidfd_open(pid, 0);
    if (pidfd < 0)
        return false;
    g_autofree char *program = link_of(pid, "exe");
    g_autofree char *folder = link_of(pid, "cwd");
    g_autofree char *data = realpath(cluster->home.data, NULL);
    if (!program || !folder || !data || strcmp(folder, data) != 0 ||
        !(g_str_has_suffix(program, "/postgres") ||
          g_str_has_suffix(program, "/postgres (deleted)"))) {
        close(pidfd);
        return false;
    }
    cluster->pidfd = pidfd;
    cluster->child = false;
    g_mutex_lock(&cluster->mutex);
    g_free(cluster->socket_folder);
    cluster->socket_folder = g_strdup(lines[4][0] ? lines[4] : cluster->home.socket_folder);
    g_mutex_unlock(&cluster->mutex);
    set_running(cluster, pid, false);
    vr_log_info("Adopted the running database server %d.", (int)pid);
    return true;
}

static int open_log(struct vr_pgcluster *cluster, struct vr_error **error)
{
    struct stat st;
    if (stat(cluster->log, &st) == 0 && st.st_size > LOG_MAX) {
        g_autofree char *old = g_strdup_printf("%s.1", cluster->log);
        rename(cluster->log, old);
    }
    int fd = open(cluster->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0)
        vr_error_set(error, &vr_fault_pgcluster, "Cannot open %s: %s.", cluster->log,
                     g_strerror(errno));
    return fd;
}

static bool spawn_server(struct vr_pgcluster *cluster, struct vr_error **error)
{
    const struct vr_pghome *home = &cluster->home;
    g_autofree char *program = g_build_filename(home->bin, "postgres", NULL);
    g_autofree char *sockets = g_strdup_printf("unix_socket_directories=%s", home->socket_folder);
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    static const char *const settings[] = {
        "listen_addresses=",  "port=5432",           "unix_socket_permissions=0700",
        "cluster_name=vireo", "max_connections=100", "max_wal_size=1GB",
        "jit=off",            "wal_compression=on",  "log_min_messages=warning",
        "log_timezone=UTC",   "timezone=UTC",        "log_line_prefix=%m [%p] ",
    };
    /* Even when fast, a commit is with the kernel before it is answered: a server killed by a
     * signal loses nothing. */
    static const char *const fast[] = { "synchronous_commit=on", "fsync=off",
                                        "full_page_writes=off", "shared_buffers=32MB" };
    static const char *const durable[] = { "synchronous_commit=on", "fsync=on",
                                           "full_page_writes=on", "shared_buffers=128MB" };
    const char *const *kind = home->fast ? fast : durable;
    g_ptr_array_add(argv, program);
    g_ptr_array_add(argv, (char *)"-D");
    g_ptr_array_add(argv, home->data);
    for (size_t i = 0; i < G_N_ELEMENTS(settings); i++) {
        g_ptr_array_add(argv, (char *)"-c");
        g_ptr_array_add(argv, (char *)settings[i]);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(fast); i++) {
        g_ptr_array_add(argv, (char *)"-c");
        g_ptr_array_add(argv, (char *)kind[i]);
    }
    g_ptr_array_add(argv, (char *)"-c");
    g_ptr_array_add(argv, sockets);
    g_ptr_array_add(argv, NULL);

    int log = open_log(cluster, error);
    if (log < 0)
        return false;
    GError *spawn_error = NULL;
    GPid pid = 0;
    bool good = g_spawn_async_with_fds(home->home, (char **)argv->pdata, vr_pghome_environment(),
                                       G_SPAWN_DO_NOT_REAP_CHILD, vr_pghome_become,
                                       &cluster->home, &pid, -1, log, log, &spawn_error);
    close(log);
    if (!good) {
        vr_error_set(error, &vr_fault_pgcluster, "Cannot run %s: %s.", program,
                     spawn_error->message);
        g_error_free(spawn_error);
        return false;
    }
    /* Not reaped yet, so the number is still its own. */
    cluster->pidfd = pidfd_open(pid, 0);
    if (cluster->pidfd < 0) {
        vr_error_set(error, &vr_fault_pgcluster, "pidfd_open: %s.", g_strerror(errno));
        kill(pid, SIGQUIT);
        waitpid(pid, NULL, 0);
        return false;
    }
    cluster->child = true;
    g_mutex_lock(&cluster->mutex);
    g_free(cluster->socket_folder);
    cluster->socket_folder = g_strdup(home->socket_folder);
    g_mutex_unlock(&cluster->mutex);
    set_running(cluster, pid, false);
    return true;
}

static char *conninfo(struct vr_pgcluster *cluster, const char *database)
{
    g_mutex_lock(&cluster->mutex);
    g_autofree char *folder = g_strdup(cluster->socket_folder);
    g_mutex_unlock(&cluster->mutex);
    /* libpq: a value in quotes escapes quotes and backslashes. */
    g_autoptr(GString) quoted = g_string_new(NULL);
    for (const char *c = folder ? folder : ""; *c; c++) {
        if (*c == '\'' || *c == '\\')
            g_string_append_c(quoted, '\\');
        g_string_append_c(quoted, *c);
    }
    return g_strdup_printf("host='%s' port=5432 user=vireo dbname=%s connect_timeout=10",
                           quoted->str, database);
}

static bool ensure_database(struct vr_pgcluster *cluster, struct vr_error **error)
{
    g_autofree char *where = conninfo(cluster, "postgres");
    PGconn *connection = PQconnectdb(where);
    bool good = PQstatus(connection) == CONNECTION_OK;
    if (good) {
        PGresult *found = PQexec(connection, "SELECT 1 FROM pg_database WHERE datname = 'vireo'");
        good = PQresultStatus(found) == PGRES_TUPLES_OK;
        if (good && PQntuples(found) == 0) {
            PGresult *made = PQexec(connection, "CREATE DATABASE vireo");
            good = PQresultStatus(made) == PGRES_COMMAND_OK;
            PQclear(made);
        }
        PQclear(found);
    }
    if (!good)
        vr_error_set(error, &vr_fault_pgcluster, "%s", PQerrorMessage(connection));
    PQfinish(connection);
    return good;
}

/* Until the server accepts connections; false when it ended or we are to stop. */
static bool become_ready(struct vr_pgcluster *cluster)
{
    g_autofree char *where = conninfo(cluster, "postgres");
    for (int delay = 10;; delay = MIN(delay * 2, 250)) {
        vr_auto_error struct vr_error *error = NULL;
        if (PQping(where) == PQPING_OK) {
            if (ensure_database(cluster, &error))
                break;
            note_failure(cluster, g_steal_pointer(&error));
            delay = MAX(delay, 250);
        }
        unsigned what = wait_any(cluster, delay);
        if (what & SERVER_ENDED) {
            forget_server(cluster);
            vr_error_set(&error, &vr_fault_pgcluster, "The server ended while starting; see %s.",
                         cluster->log);
            note_failure(cluster, g_steal_pointer(&error));
            return false;
        }
        if (what & STOP_WANTED)
            return false;
    }
    g_mutex_lock(&cluster->mutex);
    pid_t pid = cluster->pid;
    g_mutex_unlock(&cluster->mutex);
    set_running(cluster, pid, true);
    return true;
}

/* Asks ever more firmly.  SIGINT is PostgreSQL's fast shutdown, SIGQUIT the immediate one. */
static void end_server(struct vr_pgcluster *cluster)
{
    static const struct {
        int signal;
        int timeout;
    } ways[] = { { SIGINT, STOP_FAST }, { SIGQUIT, STOP_IMMEDIATE }, { SIGKILL, -1 } };
    for (size_t i = 0; i < G_N_ELEMENTS(ways); i++) {
        pidfd_send_signal(cluster->pidfd, ways[i].signal, NULL, 0);
        struct pollfd fd = { .fd = cluster->pidfd, .events = POLLIN };
        if (poll(&fd, 1, ways[i].timeout) > 0)
            break;
    }
    forget_server(cluster);
}

static void *supervise(void *arg)
{
    struct vr_pgcluster *cluster = arg;
    vr_role_enter(&vr_role_worker);
    int backoff = 0;
    while (!(wait_any(cluster, backoff) & STOP_WANTED)) {
        backoff = CLAMP(backoff * 2, BACKOFF_FIRST, BACKOFF_MOST);
        vr_auto_error struct vr_error *error = NULL;
        if (!adopt(cluster) && (!vr_pghome_ensure_cluster(&cluster->home, &error) ||
                                !spawn_server(cluster, &error))) {
            note_failure(cluster, g_steal_pointer(&error));
            continue;
        }
        if (!become_ready(cluster)) {
            if (cluster->pidfd >= 0)
                break; /* we are to stop */
            continue;
        }
        backoff = BACKOFF_FIRST;
        if (wait_any(cluster, -1) & STOP_WANTED)
            break;
        forget_server(cluster);
        vr_log_warning("The database server ended by itself; starting it again.");
    }
    if (cluster->pidfd >= 0)
        end_server(cluster);
    vr_role_leave(&vr_role_worker);
    return NULL;
}

struct vr_pgcluster *vr_pgcluster_start(const struct vr_pgcluster_options *options,
                                        struct vr_error **error)
{
    struct vr_pgcluster *cluster = g_new0(struct vr_pgcluster, 1);
    cluster->pidfd = -1;
    if (!vr_pghome_init(&cluster->home, options->directory, options->fast, error)) {
        vr_pghome_done(&cluster->home);
        g_free(cluster);
        return NULL;
    }
    cluster->log = options->log ? g_strdup(options->log)
                                : g_build_filename(options->directory, "log", NULL);
    cluster->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    g_mutex_init(&cluster->mutex);
    g_cond_init(&cluster->changed);
    cluster->thread = g_thread_new("pgcluster", supervise, cluster);
    return cluster;
}

bool vr_pgcluster_wait_ready(struct vr_pgcluster *cluster, unsigned starts, unsigned timeout,
                             struct vr_error **error)
{
    gint64 end = g_get_monotonic_time() + (gint64)timeout * 1000;
    g_mutex_lock(&cluster->mutex);
    while (!(cluster->ready && cluster->starts > starts))
        if (!g_cond_wait_until(&cluster->changed, &cluster->mutex, end))
            break;
    bool good = cluster->ready && cluster->starts > starts;
    if (!good && cluster->last)
        *error = vr_error_copy(cluster->last);
    else if (!good)
        vr_error_set(error, &vr_fault_pgcluster, "It is not ready after %u ms.", timeout);
    g_mutex_unlock(&cluster->mutex);
    return good;
}

unsigned vr_pgcluster_starts(struct vr_pgcluster *cluster)
{
    g_mutex_lock(&cluster->mutex);
    unsigned starts = cluster->starts;
    g_mutex_unlock(&cluster->mutex);
    return starts;
}

pid_t vr_pgcluster_pid(struct vr_pgcluster *cluster)
{
    g_mutex_lock(&cluster->mutex);
    pid_t pid = cluster->pid;
    g_mutex_unlock(&cluster->mutex);
    return pid;
}

char *vr_pgcluster_conninfo(struct vr_pgcluster *cluster)
{
    return conninfo(cluster, "vireo");
}

void vr_pgcluster_stop(struct vr_pgcluster *cluster)
{
    if (!cluster)
        return;
    uint64_t one = 1;
    while (write(cluster->wake, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
    g_thread_join(cluster->thread);
    close(cluster->wake);
    vr_pghome_done(&cluster->home);
    g_mutex_clear(&cluster->mutex);
    g_cond_clear(&cluster->changed);
    vr_error_free(cluster->last);
    g_free(cluster->socket_folder);
    g_free(cluster->log);
    g_free(cluster);
}

bool vr_pgcluster_prepare(const struct vr_pgcluster_options *options, struct vr_error **error)
{
    struct vr_pghome home;
    bool good = vr_pghome_init(&home, options->directory, options->fast, error) &&
                vr_pghome_ensure_cluster(&home, error);
    vr_pghome_done(&home);
    return good;
}
