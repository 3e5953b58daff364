/* SPDX-License-Identifier: Apache-2.0 */
#include "setup/pgcluster.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <libpq-fe.h>

/* Milliseconds; a second suffices on an idle machine. */
#define LIMIT 60000

static char *new_folder(unsigned mode)
{
    char *folder = g_strdup("/tmp/vireo-db-XXXXXX");
    g_assert_nonnull(mkdtemp(folder));
    g_assert_cmpint(chmod(folder, mode), ==, 0);
    return folder;
}

static void remove_folder(const char *folder)
{
    const char *argv[] = { "rm", "-rf", folder, NULL };
    g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL,
                               NULL, NULL, NULL));
}

static struct vr_pgcluster *start(const char *folder)
{
    g_autofree char *directory = g_build_filename(folder, "db", NULL);
    const struct vr_pgcluster_options options = { .directory = directory, .fast = true };
    vr_auto_error struct vr_error *error = NULL;
    struct vr_pgcluster *cluster = vr_pgcluster_start(&options, &error);
    if (!cluster) {
        g_autofree char *text = vr_error_text(error);
        g_error("%s", text);
    }
    return cluster;
}

static void wait_ready(struct vr_pgcluster *cluster, unsigned starts)
{
    vr_auto_error struct vr_error *error = NULL;
    if (!vr_pgcluster_wait_ready(cluster, starts, LIMIT, &error)) {
        g_autofree char *text = vr_error_text(error);
        g_error("%s", text);
    }
}

/* The first value of the last result of @sql, owned; fails the test on any error. */
static char *query(struct vr_pgcluster *cluster, const char *sql)
{
    g_autofree char *where = vr_pgcluster_conninfo(cluster);
    PGconn *connection = PQconnectdb(where);
    if (PQstatus(connection) != CONNECTION_OK)
        g_error("%s", PQerrorMessage(connection));
    PGresult *result = PQexec(connection, sql);
    if (PQresultStatus(result) != PGRES_TUPLES_OK && PQresultStatus(result) != PGRES_COMMAND_OK)
        g_error("%s", PQerrorMessage(connection));
    char *value = PQntuples(result) ? g_strdup(PQgetvalue(result, 0, 0)) : NULL;
    PQclear(result);
    PQfinish(connection);
    return value;
}

static void put_row(struct vr_pgcluster *cluster)
{
    g_free(query(cluster, "CREATE TABLE kept (what text); INSERT INTO kept VALUES ('a row')"));
}

static void check_row(struct vr_pgcluster *cluster)
{
    g_autofree char *value = query(cluster, "SELECT what FROM kept");
    g_assert_cmpstr(value, ==, "a row");
}

static void test_fresh(void)
{
    g_autofree char *folder = new_folder(0755);
    struct vr_pgcluster *cluster = start(folder);
    wait_ready(cluster, 0);
    put_row(cluster);
    g_autofree char *listen = query(cluster, "SHOW listen_addresses");
    g_assert_cmpstr(listen, ==, "");
    pid_t pid = vr_pgcluster_pid(cluster);
    g_assert_cmpint(pid, >, 1);
    vr_pgcluster_stop(cluster);
    g_assert_cmpint(kill(pid, 0), ==, -1);
    g_assert_cmpint(errno, ==, ESRCH);

    cluster = start(folder);
    wait_ready(cluster, 0);
    check_row(cluster);
    vr_pgcluster_stop(cluster);
    remove_folder(folder);
}

static void test_killed_server(void)
{
    g_autofree char *folder = new_folder(0755);
    struct vr_pgcluster *cluster = start(folder);
    wait_ready(cluster, 0);
    put_row(cluster);
    pid_t before = vr_pgcluster_pid(cluster);
    for (unsigned round = 1; round <= 2; round++) {
        g_assert_cmpint(kill(vr_pgcluster_pid(cluster), SIGKILL), ==, 0);
        wait_ready(cluster, round);
        check_row(cluster);
    }
    g_assert_cmpint(vr_pgcluster_pid(cluster), !=, before);
    vr_pgcluster_stop(cluster);
    remove_folder(folder);
}

static void test_killed_supervisor(void)
{
    g_autofree char *folder = new_folder(0755);
    int pipes[2];
    g_assert_cmpint(pipe(pipes), ==, 0);
    pid_t supervisor = fork();
    if (supervisor == 0) {
        struct vr_pgcluster *cluster = start(folder);
        wait_ready(cluster, 0);
        put_row(cluster);
        pid_t pid = vr_pgcluster_pid(cluster);
        if (write(pipes[1], &pid, sizeof(pid)) != sizeof(pid))
            _exit(1);
        pause();
        _exit(0);
    }
    pid_t server = 0;
    close(pipes[1]);
    g_assert_cmpint(read(pipes[0], &server, sizeof(server)), ==, sizeof(server));
    close(pipes[0]);

    /* While it lives, nobody else may supervise. */
    g_autofree char *directory = g_build_filename(folder, "db", NULL);
    const struct vr_pgcluster_options options = { .directory = directory, .fast = true };
    vr_auto_error struct vr_error *error = NULL;
    g_assert_null(vr_pgcluster_start(&options, &error));
    g_assert_nonnull(strstr(error->detail, "Another Manager"));

    g_assert_cmpint(kill(supervisor, SIGKILL), ==, 0);
    g_assert_cmpint(waitpid(supervisor, NULL, 0), ==, supervisor);
    g_assert_cmpint(kill(server, 0), ==, 0);

    struct vr_pgcluster *cluster = start(folder);
    wait_ready(cluster, 0);
    g_assert_cmpint(vr_pgcluster_pid(cluster), ==, server);
    check_row(cluster);

    /* An adopted server is watched and stopped like one of its own. */
    g_assert_cmpint(kill(server, SIGKILL), ==, 0);
    wait_ready(cluster, 1);
    check_row(cluster);
    g_assert_cmpint(vr_pgcluster_pid(cluster), !=, server);
    vr_pgcluster_stop(cluster);
    remove_folder(folder);
}

static void test_half_made(void)
{
    g_autofree char *folder = new_folder(0755);
    g_autofree char *db = g_build_filename(folder, "db", NULL);
    g_autofree char *half = g_build_filename(db, "data.new", "base", NULL);
    g_autofree char *file = g_build_filename(half, "1", NULL);
    g_assert_cmpint(g_mkdir_with_parents(half, 0700), ==, 0);
    g_assert_true(g_file_set_contents(file, "rubbish", -1, NULL));
    struct vr_pgcluster *cluster = start(folder);
    wait_ready(cluster, 0);
    put_row(cluster);
    vr_pgcluster_stop(cluster);
    remove_folder(folder);
}

/* A stale postmaster.pid that names a process which is no server of ours: this one. */
static void test_stale_pid(void)
{
    g_autofree char *folder = new_folder(0755);
    struct vr_pgcluster *cluster = start(folder);
    wait_ready(cluster, 0);
    vr_pgcluster_stop(cluster);
    g_autofree char *path = g_build_filename(folder, "db", "data", "postmaster.pid", NULL);
    g_autofree char *text = g_strdup_printf("%d\n%s/db/data\n1\n5432\n/nowhere\n\n0 0\nready\n",
                                            (int)getpid(), folder);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    /* PostgreSQL itself reads the file, as its own user. */
    struct stat st;
    g_autofree char *data = g_path_get_dirname(path);
    g_assert_cmpint(stat(data, &st), ==, 0);
    g_assert_cmpint(chown(path, st.st_uid, st.st_gid), ==, 0);
    cluster = start(folder);
    if (geteuid() == 0) {
        wait_ready(cluster, 0);
        g_assert_cmpint(vr_pgcluster_pid(cluster), !=, getpid());
    }
    vr_pgcluster_stop(cluster);
    remove_folder(folder);
}

/* A folder that only root can enter: the data goes where the server's user can, and stays there. */
static void test_unreachable(void)
{
    if (geteuid() != 0) {
        g_test_skip("only root has folders that its server cannot reach");
        return;
    }
    g_autofree char *folder = new_folder(0700);
    struct vr_pgcluster *cluster = start(folder);
    wait_ready(cluster, 0);
    put_row(cluster);
    vr_pgcluster_stop(cluster);
    g_autofree char *location = g_build_filename(folder, "db", "location", NULL);
    g_autofree char *elsewhere = NULL;
    g_assert_true(g_file_get_contents(location, &elsewhere, NULL, NULL));
    g_strstrip(elsewhere);
    cluster = start(folder);
    wait_ready(cluster, 0);
    check_row(cluster);
    vr_pgcluster_stop(cluster);
    g_assert_true(g_str_has_prefix(elsewhere, "/var/lib/vireo-db/db-"));
    remove_folder(elsewhere);
    remove_folder(folder);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pgcluster/a fresh folder becomes a database that a restart finds again",
                    test_fresh);
    g_test_add_func("/pgcluster/a killed server comes back with its rows", test_killed_server);
    g_test_add_func("/pgcluster/the server of a killed supervisor is adopted",
                    test_killed_supervisor);
    g_test_add_func("/pgcluster/a half-made cluster is made again", test_half_made);
    g_test_add_func("/pgcluster/a stale pid file does not adopt a stranger", test_stale_pid);
    g_test_add_func("/pgcluster/data moves to where the server's user can reach it",
                    test_unreachable);
    return g_test_run();
}
