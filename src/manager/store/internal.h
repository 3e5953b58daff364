/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of `store` share. */

#include "manager/store/store.h"

#include <libpq-fe.h>

/* A change set of the queue, with references of its own. */
struct queued {
    uint64_t sequence;
    GArray *changes; /* struct vr_change, owned */
};

enum outcome {
    OUTCOME_OK,
    OUTCOME_LOST, /* the connection, or for now the server */
};

struct vr_store {
    char *conninfo;
    const struct vr_store_ops *ops;
    void *arg;
    PGconn *conn; /* the store's thread once it runs; NULL: not connected */
    char *instance_id;
    char *run_id;     /* of this process: who the sequence numbers in the database belong to */
    int last_backend; /* process id of the last connection's server process */
    bool prepared[VR_KIND_COUNT];

    GThread *thread;
    int wake; /* eventfd: something was queued, or stop */

    struct vr_mutex lock; /* over everything below; docs/threads.md: a leaf */
    GQueue queue;         /* struct queued: not yet acknowledged, oldest first */
    bool stop;
    bool up;
    int64_t since; /* monotonic ms */
};

/* connect.c */
bool store_connect(struct vr_store *store, bool first, struct vr_error **error);
void store_disconnect(struct vr_store *store);
/* The last sequence number of this run that the database has. */
enum outcome store_read_sequence(struct vr_store *store, uint64_t *ret_sequence);

/* pipeline.c: sends statements without waiting, then waits for all their results. */
struct statement {
    const char *name; /* of a prepared statement, or NULL */
    const char *sql;  /* for messages, and to run when @name is NULL */
    int count;
    const char *values[3];
};
bool pipeline_send(struct vr_store *store, const struct statement *statement);
/* Sends the sync and reads every result; each result with rows goes to @rows (may be NULL). */
enum outcome pipeline_finish(struct vr_store *store,
                             void (*rows)(unsigned index, PGresult *result, void *arg), void *arg);
bool is_transient(const char *sqlstate);

/* writer.c */
enum outcome store_write(struct vr_store *store, GPtrArray *group);
gpointer store_thread(gpointer store);
void queued_free(gpointer queued);
