/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/store/internal.h"
#include "setup/pgcluster.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT_MS 60000
#define PAIRS 8 /* pairs of entities of two kinds that always change together */

static const char *program;
static char *folder;
static struct vr_pgcluster *cluster;
static char *conninfo;

/* --- a store whose acknowledgements can be waited for --- */

struct client {
    struct vr_store *store;
    GMutex lock;
    GCond cond;
    uint64_t acknowledged;
    unsigned downs, ups;
    uint64_t last;  /* sequence */
    int64_t rev;
    int print;      /* a descriptor that gets each acknowledged number, or -1 */
};

static void committed(uint64_t sequence, void *arg)
{
    struct client *client = arg;
    g_mutex_lock(&client->lock);
    g_assert_cmpuint(sequence, >=, client->acknowledged);
    client->acknowledged = sequence;
    g_cond_broadcast(&client->cond);
    g_mutex_unlock(&client->lock);
    if (client->print >= 0)
        g_assert_cmpint(write(client->print, &sequence, sizeof(sequence)), ==, sizeof(sequence));
}

static void state(bool up, void *arg)
{
    struct client *client = arg;
    g_mutex_lock(&client->lock);
    *(up ? &client->ups : &client->downs) += 1;
    g_cond_broadcast(&client->cond);
    g_mutex_unlock(&client->lock);
}

static const struct vr_store_ops ops = { committed, state };

static GArray *load(struct vr_store *store)
{
    vr_auto_error struct vr_error *error = NULL;
    GArray *changes = vr_store_load(store, &error);
    if (!changes)
        g_error("%s: %s", error->fault->name, error->detail);
    return changes;
}

static void client_open(struct client *client, const char *where)
{
    vr_auto_error struct vr_error *error = NULL;
    *client = (struct client){ .print = -1 };
    g_mutex_init(&client->lock);
    g_cond_init(&client->cond);
    client->store = vr_store_open(where, &ops, client, &error);
    if (!client->store)
        g_error("%s: %s", error->fault->name, error->detail);
    GArray *changes = load(client->store);
    for (unsigned i = 0; i < changes->len; i++)
        client->rev = MAX(client->rev, g_array_index(changes, struct vr_change, i).rev);
    g_array_unref(changes);
    vr_store_start(client->store);
}

static void client_close(struct client *client)
{
    vr_store_free(client->store);
    g_mutex_clear(&client->lock);
    g_cond_clear(&client->cond);
}

static void wait_for(struct client *client, uint64_t sequence)
{
    gint64 until = g_get_monotonic_time() + LIMIT_MS * G_TIME_SPAN_MILLISECOND;
    g_mutex_lock(&client->lock);
    while (client->acknowledged < sequence)
        g_assert_true(g_cond_wait_until(&client->cond, &client->lock, until));
    g_mutex_unlock(&client->lock);
}

static struct vr_change put_change(int kind, const char *id, const char *description, int64_t rev)
{
    void *object = vr_object_new(vr_kinds[kind].type);
    vr_set_id(object, id);
    const struct vr_field *field = vr_type_field(vr_kinds[kind].type, "description");
    *(char **)vr_member(object, field) = g_strdup(description);
    vr_set_has(object, field, true);
    return (struct vr_change){ kind, g_strdup(id), object, rev };
}

static void commit(struct client *client, struct vr_change *changes, unsigned count)
{
    const struct vr_change_set set = { ++client->last, changes, count };
    vr_store_commit(client->store, &set);
    for (unsigned i = 0; i < count; i++) {
        vr_unref(changes[i].after);
        g_free(changes[i].id);
    }
}

/* Set number @n changes one pair to that number. */
static void commit_pair(struct client *client, unsigned n)
{
    g_autofree char *id = g_strdup_printf("pair-%u", n % PAIRS);
    g_autofree char *text = g_strdup_printf("%u", n);
    int64_t rev = ++client->rev;
    struct vr_change changes[2] = { put_change(VR_KIND_TAG, id, text, rev),
                                    put_change(VR_KIND_BOOKMARK, id, text, rev) };
    commit(client, changes, 2);
}

/* --- what the database holds, read by a store of its own --- */

static unsigned number_of(const GArray *changes, int kind, const char *id)
{
    for (unsigned i = 0; i < changes->len; i++) {
        const struct vr_change *change = &g_array_index(changes, struct vr_change, i);
        if (change->kind != kind || strcmp(change->id, id) != 0)
            continue;
        const struct vr_field *field = vr_type_field(vr_kinds[kind].type, "description");
        return (unsigned)atoi(*(char **)vr_member(change->after, field));
    }
    return 0;
}

/* Every pair is whole; together they are the state after some set not before @acknowledged. */
static unsigned check_pairs(unsigned acknowledged)
{
    struct client client;
    client_open(&client, conninfo);
    client_close(&client);
    vr_auto_error struct vr_error *error = NULL;
    struct vr_store *store = vr_store_open(conninfo, &ops, &client, &error);
    g_assert_nonnull(store);
    g_autoptr(GArray) changes = load(store);
    vr_store_free(store);

    unsigned numbers[PAIRS], newest = 0;
    for (unsigned i = 0; i < PAIRS; i++) {
        g_autofree char *id = g_strdup_printf("pair-%u", i);
        numbers[i] = number_of(changes, VR_KIND_TAG, id);
        g_assert_cmpuint(numbers[i], ==, number_of(changes, VR_KIND_BOOKMARK, id));
        newest = MAX(newest, numbers[i]);
    }
    g_assert_cmpuint(newest, >=, acknowledged);
    for (unsigned n = newest; n + PAIRS > newest && n > 0; n--)
        g_assert_cmpuint(numbers[n % PAIRS], ==, n);
    return newest;
}

static void clear(void)
{
    PGconn *conn = PQconnectdb(conninfo);
    g_assert_true(PQstatus(conn) == CONNECTION_OK);
    PGresult *result = PQexec(conn, "set client_min_messages = error;"
                                    " drop schema public cascade; create schema public");
    g_assert_true(PQresultStatus(result) == PGRES_COMMAND_OK);
    PQclear(result);
    PQfinish(conn);
}

/* --- tests --- */

static void test_keeps(void)
{
    struct client client;
    clear();
    client_open(&client, conninfo);
    g_autofree char *instance = g_strdup(vr_store_instance_id(client.store));
    g_assert_true(vr_uuid_valid(instance));
    struct vr_change changes[2] = { put_change(VR_KIND_TAG, "a", "1", 1),
                                    put_change(VR_KIND_GROUP, "b \"'\\ \xc3\xa4", "it's", 1) };
    commit(&client, changes, 2);
    struct vr_change newer = put_change(VR_KIND_TAG, "a", "2", 2);
    commit(&client, &newer, 1);
    wait_for(&client, 2);
    /* Removed and added again, in one group or in two: the newest version stays. */
    struct vr_change gone = { VR_KIND_TAG, g_strdup("a"), NULL, 3 };
    commit(&client, &gone, 1);
    struct vr_change again = put_change(VR_KIND_TAG, "a", "3", 4);
    commit(&client, &again, 1);
    wait_for(&client, 4);
    client_close(&client);

    client_open(&client, conninfo);
    g_assert_cmpstr(vr_store_instance_id(client.store), ==, instance);
    g_assert_cmpint(client.rev, ==, 4);
    client_close(&client);
    vr_auto_error struct vr_error *error = NULL;
    struct vr_store *store = vr_store_open(conninfo, &ops, &client, &error);
    g_autoptr(GArray) loaded = load(store);
    vr_store_free(store);
    g_assert_cmpuint(loaded->len, ==, 2);
    g_assert_cmpuint(number_of(loaded, VR_KIND_TAG, "a"), ==, 3);
    g_assert_cmpstr(((struct vr_group *)g_array_index(loaded, struct vr_change, 0).after)->id, ==,
                    "b \"'\\ \xc3\xa4");
}

static void test_one_manager(void)
{
    struct client client;
    vr_auto_error struct vr_error *error = NULL;
    client_open(&client, conninfo);
    g_assert_null(vr_store_open(conninfo, &ops, &client, &error));
    g_assert_true(error->fault == &vr_fault_conflict);
    client_close(&client);
}

static void test_no_database(void)
{
    vr_auto_error struct vr_error *error = NULL;
    g_assert_null(vr_store_open("host=/nowhere dbname=vireo", &ops, NULL, &error));
    g_assert_true(error->fault == &vr_fault_database_unavailable);
}

static void test_transient(void)
{
    static const struct {
        const char *sqlstate;
        bool transient;
    } rows[] = {
        { NULL, true },     { "08006", true },  { "53100", true },  { "53300", true },
        { "57P01", true },  { "58030", true },  { "40001", true },  { "25006", true },
        { "23505", false }, { "42601", false }, { "22P02", false }, { "25P02", false },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++)
        g_assert_cmpint(is_transient(rows[i].sqlstate), ==, rows[i].transient);
}

#define SERVER_KILLS 6
#define SETS 400

static void test_server_killed(void)
{
    struct client client;
    clear();
    client_open(&client, conninfo);
    g_autoptr(GRand) rand = g_rand_new_with_seed(5);
    unsigned n = 0;
    for (unsigned i = 0; i < SERVER_KILLS; i++) {
        unsigned starts = vr_pgcluster_starts(cluster);
        unsigned kill_at = n + (unsigned)g_rand_int_range(rand, 1, SETS);
        for (unsigned end = n + SETS; n < end;) {
            commit_pair(&client, ++n);
            if (n == kill_at) {
                wait_for(&client, n - (unsigned)g_rand_int_range(rand, 0, 2));
                g_assert_cmpint(kill(vr_pgcluster_pid(cluster), SIGKILL), ==, 0);
            }
        }
        vr_auto_error struct vr_error *error = NULL;
        g_assert_true(vr_pgcluster_wait_ready(cluster, starts, LIMIT_MS, &error));
        wait_for(&client, n);
    }
    g_mutex_lock(&client.lock);
    g_assert_cmpuint(client.downs, >=, 1);
    while (client.ups < client.downs) /* the last acknowledgement comes first */
        g_cond_wait(&client.cond, &client.lock);
    g_mutex_unlock(&client.lock);
    int64_t since;
    g_assert_true(vr_store_up(client.store, &since));
    client_close(&client);
    g_assert_cmpuint(check_pairs(n), ==, n);
}

#define SESSION_KILLS 40

/* The server ends the session in the middle of things, as a fail-over or an administrator does. */
static void test_session_killed(void)
{
    struct client client;
    clear();
    client_open(&client, conninfo);
    unsigned n = 0;
    for (unsigned i = 0; i < SESSION_KILLS; i++) {
        for (unsigned k = 0; k < 50; k++)
            commit_pair(&client, ++n);
        PGconn *conn = PQconnectdb(conninfo);
        PGresult *result = PQexec(conn, "select pg_terminate_backend(pid) from pg_stat_activity"
                                        " where application_name = 'vireo-managerd'");
        g_assert_true(PQresultStatus(result) == PGRES_TUPLES_OK);
        PQclear(result);
        PQfinish(conn);
    }
    wait_for(&client, n);
    client_close(&client);
    g_assert_cmpuint(check_pairs(n), ==, n);
}

#define WRITER_KILLS 12

static G_NORETURN void run_writer(const char *where)
{
    struct client client;
    client_open(&client, where);
    client.print = STDOUT_FILENO;
    for (unsigned n = 1;; n++) {
        commit_pair(&client, n);
        if (n % 50 == 0)
            wait_for(&client, n - 30);
    }
}

static void test_writer_killed(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(9);
    for (unsigned i = 0; i < WRITER_KILLS; i++) {
        clear();
        const char *argv[] = { program, "--writer", conninfo, NULL };
        GPid pid;
        int out;
        g_assert_true(g_spawn_async_with_pipes(NULL, (char **)(uintptr_t)argv, NULL,
                                               G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &pid, NULL,
                                               &out, NULL, NULL));
        uint64_t last = 0, stop_after = (uint64_t)g_rand_int_range(rand, 1, 1500), got;
        while (last < stop_after && read(out, &got, sizeof(got)) == sizeof(got))
            last = got;
        g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
        while (read(out, &got, sizeof(got)) == sizeof(got))
            last = got; /* said before it died */
        close(out);
        g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
        g_assert_cmpuint(last, >=, stop_after);
        check_pairs((unsigned)last);
    }
}

static void start_cluster(void)
{
    vr_auto_error struct vr_error *error = NULL;
    folder = g_strdup("/tmp/vireo-store-XXXXXX");
    g_assert_nonnull(mkdtemp(folder));
    g_autofree char *directory = g_build_filename(folder, "db", NULL);
    const struct vr_pgcluster_options options = { .directory = directory, .fast = true };
    cluster = vr_pgcluster_start(&options, &error);
    if (!cluster || !vr_pgcluster_wait_ready(cluster, 0, LIMIT_MS, &error))
        g_error("%s: %s", error->fault->name, error->detail);
    conninfo = vr_pgcluster_conninfo(cluster);
}

static void stop_cluster(void)
{
    const char *argv[] = { "rm", "-rf", folder, NULL };
    vr_pgcluster_stop(cluster);
    g_spawn_sync(NULL, (char **)(uintptr_t)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL,
                 NULL, NULL);
    g_free(conninfo);
    g_free(folder);
}

int main(int argc, char **argv)
{
    program = argv[0];
    if (argc == 3 && strcmp(argv[1], "--writer") == 0)
        run_writer(argv[2]);
    vr_log_set_level(VR_LOG_ERROR);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/store/only what the server may get over is tried again", test_transient);
    g_test_add_func("/store/no database is an error", test_no_database);
    g_test_add_func("/store/what was acknowledged is there after a new start", test_keeps);
    g_test_add_func("/store/one Manager uses a database", test_one_manager);
    g_test_add_func("/store/kill -9 of the server loses nothing", test_server_killed);
    g_test_add_func("/store/an ended session loses nothing", test_session_killed);
    g_test_add_func("/store/kill -9 of the writer leaves whole transactions", test_writer_killed);
    start_cluster();
    int code = g_test_run();
    stop_cluster();
    return code;
}
