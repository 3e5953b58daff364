/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * store: keeps what the engine decides in PostgreSQL.
 *
 *     engine thread -- vr_store_commit() --> queue --> store thread -- pipeline --> PostgreSQL
 *                   <-- ops->committed() (posted by the real world) --
 *
 * One thread, one connection.  It takes everything that is queued, makes one
 * transaction of it and acknowledges the last sequence number, so the load
 * sets the size of the groups.  The transaction also writes that number; after
 * a lost connection the store asks for it and replays exactly what is missing.
 *
 * An SQL error that the server may get over (connection, resources, operator,
 * system, rollback: SQLSTATE classes 08 53 57 58 40, and a server that is
 * read-only for now) makes it reconnect with growing pauses.  Any other one is
 * a defect: it aborts with the statement.
 */

#include "manager/engine/world.h"

struct vr_store;

/* The tables' shape.  A database with a higher number is not touched. */
#define VR_STORE_SCHEMA 1

/* Called on the store's thread. */
struct vr_store_ops {
    /* Every change set up to @sequence is durable. */
    void (*committed)(uint64_t sequence, void *arg);
    /* The database went away, or came back. */
    void (*state)(bool up, void *arg);
};

/*
 * Connects, makes sure that no other Manager uses the database, and creates
 * what is missing in it.  @conninfo is libpq's ("host=/run/… dbname=vireo" or a
 * URI).  NULL and @error (vr_fault_database_unavailable, or conflict when
 * another Manager holds it) on failure.  @ops is borrowed.
 */
struct vr_store *vr_store_open(const char *conninfo, const struct vr_store_ops *ops, void *arg,
                               struct vr_error **error);
/* Every entity, for vr_engine_load().  Before vr_store_start().  The array holds struct vr_change
 * and frees what they own. */
GArray *vr_store_load(struct vr_store *store, struct vr_error **error);
/* Starts the thread. */
void vr_store_start(struct vr_store *store);
/* Queues a change set, taking the references it needs.  Any one thread.  Sequence numbers count up
 * from 1 without a gap. */
void vr_store_commit(struct vr_store *store, const struct vr_change_set *set);
/* Whether the database answers, and since when it does or does not (monotonic ms).  Any thread. */
bool vr_store_up(struct vr_store *store, int64_t *ret_since);
/* UUID of this installation, made with its database.  Borrowed. */
const char *vr_store_instance_id(const struct vr_store *store);
/* Ends the thread after the transaction under way; what is queued behind it is dropped, as by a
 * crash.  Takes NULL. */
void vr_store_free(struct vr_store *store);
