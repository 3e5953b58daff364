/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "store"
#include "manager/store/internal.h"

#include <errno.h>
#include <poll.h>

/* A server that is silent in the middle of a transaction for longer than this has hung. */
#define ANSWER_TIMEOUT_MS 60000

bool is_transient(const char *sqlstate)
{
    static const char *const classes[] = { "08", "53", "57", "58", "40", "25006" };
    if (!sqlstate)
        return true; /* libpq itself: the connection */
    for (unsigned i = 0; i < G_N_ELEMENTS(classes); i++) {
        if (g_str_has_prefix(sqlstate, classes[i]))
            return true;
    }
    return false;
}

bool pipeline_send(struct vr_store *store, const struct statement *statement)
{
    if (statement->name)
        return PQsendQueryPrepared(store->conn, statement->name, statement->count,
                                   statement->values, NULL, NULL, 0) == 1;
    return PQsendQueryParams(store->conn, statement->sql, statement->count, NULL, statement->values,
                             NULL, NULL, 0) == 1;
}

/* Reads what has come and sends what has not gone, so that neither side waits for the other with
 * full buffers; returns when a result can be taken. */
static bool wait_result(struct vr_store *store)
{
    while (PQisBusy(store->conn)) {
        int unsent = PQflush(store->conn);
        if (unsent < 0)
            return false;
        struct pollfd poll_fd = { .fd = PQsocket(store->conn),
                                  .events = (short)(POLLIN | (unsent ? POLLOUT : 0)) };
        int ready = poll(&poll_fd, 1, ANSWER_TIMEOUT_MS);
        if (ready == 0) {
            vr_log_warning("the database has been silent for %d s", ANSWER_TIMEOUT_MS / 1000);
            return false;
        }
        if (ready < 0 && errno != EINTR)
            return false;
        if (ready > 0 && (poll_fd.revents & (POLLIN | POLLERR | POLLHUP)) &&
            !PQconsumeInput(store->conn))
            return false;
    }
    return true;
}

/* Whether the pipeline can go on after @result; aborts on a statement that can never work. */
static bool check(const PGresult *result, unsigned index)
{
    switch (PQresultStatus(result)) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_PIPELINE_SYNC:
        return true;
    case PGRES_PIPELINE_ABORTED:
        return false;
    default:
        break;
    }
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    if (!is_transient(sqlstate))
        g_error("store: statement %u of a transaction is refused: %s", index,
                PQresultErrorMessage(result));
    vr_log_warning("the database refuses for now: %s", PQresultErrorMessage(result));
    return false;
}

enum outcome pipeline_finish(struct vr_store *store,
                             void (*rows)(unsigned index, PGresult *result, void *arg), void *arg)
{
    unsigned index = 0;
    bool good = true;
    if (!PQpipelineSync(store->conn))
        return OUTCOME_LOST;
    for (;;) {
        if (!wait_result(store))
            return OUTCOME_LOST;
        PGresult *result = PQgetResult(store->conn);
        if (!result) { /* the end of one statement's results */
            if (PQstatus(store->conn) != CONNECTION_OK)
                return OUTCOME_LOST;
            index++;
            continue;
        }
        bool end = PQresultStatus(result) == PGRES_PIPELINE_SYNC;
        good = check(result, index) && good;
        if (good && rows && PQresultStatus(result) == PGRES_TUPLES_OK)
            rows(index, result, arg);
        PQclear(result);
        if (end)
            return good ? OUTCOME_OK : OUTCOME_LOST;
    }
}
