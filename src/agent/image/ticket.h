/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * ticket: who may read or write which image, and for how long
 * (facts/rest-api.md 9.3).
 *
 * The table is safe from any thread.  A connection's use of a ticket is a
 * struct vr_ticket_use: it holds the backend between requests, and a cancelled
 * ticket takes idle uses away at once and waits for busy ones.
 */

#include "agent/image/backend.h"

struct vr_ticket;
struct vr_tickets;

struct vr_tickets *vr_tickets_new(void);
/* No call may be under way; backends may still be closing. */
void vr_tickets_free(struct vr_tickets *tickets);

/* Installs a ticket from its JSON; one of the same id is replaced only when nobody uses it.
 * False and @error for a bad one (its fault's HTTP status is the answer). */
bool vr_tickets_put(struct vr_tickets *tickets, const char *id, const char *json, size_t length,
                    struct vr_error **error);
/* The ticket's state as JSON, owned; NULL when there is none. */
char *vr_tickets_show(struct vr_tickets *tickets, const char *id);
/* Sets its remaining life.  False when there is none. */
bool vr_tickets_extend(struct vr_tickets *tickets, const char *id, int64_t timeout_s);
/* Cancels and removes; true when nobody uses it any more and its backends are closed, false after
 * @wait_s (409), as when storage that hangs does not let one be closed. */
bool vr_tickets_delete(struct vr_tickets *tickets, const char *id, unsigned wait_s);

struct vr_ticket_use {
    struct vr_ticket *ticket;   /* a reference */
    struct vr_backend *backend; /* opened at the first need */
    bool busy;
    uint64_t start, end; /* of the operation under way, for the accounting */
};

/*
 * Begins a request on a ticket; @use is NULL for the connection's first.
 * NULL and @error (403) when there is no such ticket, it expired or was
 * cancelled, or does not allow writing.
 */
struct vr_ticket_use *vr_ticket_begin(struct vr_tickets *tickets, struct vr_ticket_use *use,
                                      const char *id, bool write, struct vr_error **error);
/* The backend of a begun use. */
struct vr_backend *vr_ticket_backend(struct vr_ticket_use *use, struct vr_error **error);
/* Whether a long operation must stop; 403 then. */
bool vr_ticket_go_on(struct vr_ticket_use *use, struct vr_error **error);
/* Counts bytes as transferred; the same byte twice counts once. */
void vr_ticket_count(struct vr_ticket_use *use, uint64_t start, uint64_t end);
/* Ends a request; with @close the backend is closed, too. */
void vr_ticket_end(struct vr_ticket_use *use, bool close);
/* Ends the use; does not wait until its backend is closed.  Takes NULL. */
void vr_ticket_leave(struct vr_ticket_use *use);

/* Constants of a begun use's ticket. */
uint64_t vr_ticket_size(const struct vr_ticket_use *use);
unsigned vr_ticket_inactivity(const struct vr_ticket_use *use);  /* seconds, 0: never */
const char *vr_ticket_filename(const struct vr_ticket_use *use); /* or NULL */
bool vr_ticket_writable(const struct vr_ticket_use *use);

extern const struct vr_fault vr_fault_ticket_denied;
