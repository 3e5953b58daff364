/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "store"
#include "manager/store/internal.h"

/* A Manager that was killed leaves a session that ends when the server notices; a start waits for it. */
#define LOCK_WAIT_MS 10000
#define LOCK_PAUSE_MS 50

/* The key of the advisory lock: "vireo" in ASCII. */
#define LOCK_KEY "508827463023"

static void quiet(void *arg, const char *message)
{
}

static bool run(struct vr_store *store, const char *sql, struct vr_error **error)
{
    PGresult *result = PQexec(store->conn, sql);
    ExecStatusType status = PQresultStatus(result);
    bool good = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
    if (!good)
        vr_error_set(error, &vr_fault_database_unavailable, "%s", PQerrorMessage(store->conn));
    PQclear(result);
    return good;
}

/* The first column of the only row, or NULL.  Owned by the caller. */
static char *ask(struct vr_store *store, const char *sql, const char *value)
{
    PGresult *result = PQexecParams(store->conn, sql, value ? 1 : 0, NULL, &value, NULL, NULL, 0);
    char *answer = NULL;
    if (PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) > 0 &&
        !PQgetisnull(result, 0, 0))
        answer = g_strdup(PQgetvalue(result, 0, 0));
    PQclear(result);
    return answer;
}

/*
 * One Manager a database.  The lock belongs to the session; when a session of
 * ours was cut off without the server noticing, its ghost still holds it, and
 * is ended first.
 */
static bool take_lock(struct vr_store *store, int wait_ms, struct vr_error **error)
{
    if (store->last_backend) {
        g_autofree char *pid = g_strdup_printf("%d", store->last_backend);
        g_free(ask(store,
                   "select count(pg_terminate_backend(pid)) from pg_locks"
                   " where locktype = 'advisory' and pid = $1::int and pid <> pg_backend_pid()",
                   pid));
    }
    g_autofree char *got = ask(store, "select pg_try_advisory_lock(" LOCK_KEY ")", NULL);
    if (g_strcmp0(got, "t") == 0) {
        store->last_backend = PQbackendPID(store->conn);
        return true;
    }
    if (got && wait_ms > 0) {
        g_usleep(LOCK_PAUSE_MS * 1000);
        return take_lock(store, wait_ms - LOCK_PAUSE_MS, error);
    }
    if (got)
        vr_error_set(error, &vr_fault_conflict, "Another Manager uses this database.");
    else
        vr_error_set(error, &vr_fault_database_unavailable, "%s", PQerrorMessage(store->conn));
    return false;
}

static bool create_tables(struct vr_store *store, struct vr_error **error)
{
    g_autoptr(GString) sql = g_string_new(
        "begin; create table if not exists vireo_meta (key text primary key, value text not null);"
        "insert into vireo_meta values ('schema', '" G_STRINGIFY(VR_STORE_SCHEMA) "'),"
        " ('instance', gen_random_uuid()::text) on conflict do nothing;");
    for (unsigned kind = 0; kind < VR_KIND_COUNT; kind++)
        g_string_append_printf(sql,
                               "create table if not exists \"%s\" (id text primary key,"
                               " rev bigint not null, doc jsonb not null);",
                               vr_kinds[kind].name);
    g_string_append(sql, "commit");
    return run(store, sql->str, error);
}

static bool check_schema(struct vr_store *store, struct vr_error **error)
{
    /* Most starts find every table there; 150 times "create if not exists" costs 50 ms. */
    g_autofree char *found = ask(store, "select count(*) from pg_tables where schemaname ="
                                        " any (current_schemas(false))", NULL);
    g_autofree char *meta = ask(store, "select to_regclass('vireo_meta')::text", NULL);
    if ((!meta || !found || atoi(found) <= VR_KIND_COUNT) && !create_tables(store, error))
        return false;
    g_autofree char *version = ask(store, "select value from vireo_meta where key = 'schema'", NULL);
    if (!version || atoi(version) > VR_STORE_SCHEMA) {
        vr_error_set(error, &vr_fault_conflict,
                     "The database has schema %s; this Manager knows schema %d.",
                     version ? version : "none", VR_STORE_SCHEMA);
        return false;
    }
    store->instance_id = ask(store, "select value from vireo_meta where key = 'instance'", NULL);
    return store->instance_id != NULL;
}

/* From here on the sequence numbers in the database are this process's. */
static bool begin_run(struct vr_store *store, struct vr_error **error)
{
    store->run_id = vr_uuid_new();
    g_autofree char *sql =
        g_strdup_printf("insert into vireo_meta values ('run', '%s'), ('sequence', '0')"
                        " on conflict (key) do update set value = excluded.value", store->run_id);
    return run(store, sql, error);
}

enum outcome store_read_sequence(struct vr_store *store, uint64_t *ret_sequence)
{
    g_autofree char *run_id = ask(store, "select value from vireo_meta where key = 'run'", NULL);
    g_autofree char *sequence =
        ask(store, "select value from vireo_meta where key = 'sequence'", NULL);
    if (!run_id || !sequence)
        return OUTCOME_LOST;
    /* Going on would overwrite what the other one decided. */
    if (strcmp(run_id, store->run_id) != 0)
        g_error("store: another Manager has used the database while it was away; start again");
    *ret_sequence = g_ascii_strtoull(sequence, NULL, 10);
    return OUTCOME_OK;
}

void store_disconnect(struct vr_store *store)
{
    g_clear_pointer(&store->conn, PQfinish);
    memset(store->prepared, 0, sizeof(store->prepared));
}

bool store_connect(struct vr_store *store, bool first, struct vr_error **error)
{
    static const char *const names[] = { "dbname", "connect_timeout", "tcp_user_timeout",
                                         "fallback_application_name", NULL };
    const char *const values[] = { store->conninfo, "5", "30000", "vireo-managerd", NULL };
    store_disconnect(store);
    store->conn = PQconnectdbParams(names, values, 1);
    if (PQstatus(store->conn) != CONNECTION_OK) {
        vr_error_set(error, &vr_fault_database_unavailable, "%s", PQerrorMessage(store->conn));
        store_disconnect(store);
        return false;
    }
    PQsetNoticeProcessor(store->conn, quiet, NULL);
    bool good = run(store, "set standard_conforming_strings = on; set client_encoding = 'UTF8';"
                           " set synchronous_commit = on", error) &&
                take_lock(store, first ? LOCK_WAIT_MS : 0, error);
    if (good && first)
        good = check_schema(store, error) && begin_run(store, error);
    if (good && (PQsetnonblocking(store->conn, 1) != 0))
        good = false;
    if (!good) {
        store_disconnect(store);
        if (!*error)
            vr_error_set(error, &vr_fault_database_unavailable, NULL);
    }
    return good;
}
