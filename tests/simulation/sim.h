/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * sim: a whole site in one process, for one seed.
 *
 *     clients --calls--> [ Manager: the real engine ] --verbs--> hosts (guests)
 *                              |  commits
 *                              v
 *                          database (an image of JSON documents)
 *
 * Everything that happens is an event at a time in a queue; one random source
 * decides delays and faults, so a seed gives one history.  The Manager can be
 * killed between any two events: what was acknowledged stays, of what was not
 * a prefix, and of the messages on their way a prefix per host.
 */

#include "manager/engine/engine.h"
#include "manager/engine/call.h"

struct sim;
struct sim_host;

typedef void sim_fn(struct sim *sim, void *arg);

struct sim_options {
    uint64_t seed;
    bool trace;
};

/* --- the queue (sim.c) --- */

struct sim *sim_new(const struct sim_options *options);
void sim_free(struct sim *sim);
/* Runs @fn(@arg) @ms from now.  @arg is freed by @done (may be NULL) after it ran, or when the
 * simulation ends, or when a Manager that it was meant for is gone: @incarnation, 0 for any. */
void sim_after(struct sim *sim, int64_t ms, uint64_t incarnation, const char *what, sim_fn *fn,
               void *arg, GDestroyNotify done);
/* Runs the next event; false when there is none. */
bool sim_step(struct sim *sim);
int64_t sim_now(const struct sim *sim);
bool sim_calm(const struct sim *sim); /* faults have stopped */

uint64_t sim_random(struct sim *sim);
/* 0 .. @limit - 1. */
unsigned sim_below(struct sim *sim, unsigned limit);
/* True in @percent of the cases; never when calm. */
bool sim_fault(struct sim *sim, double percent);

/* Adds a line to the history: hashed, and shown with --trace. */
void sim_note(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* An invariant does not hold: this seed fails.  The first one counts. */
void sim_broken(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* --- database (database.c) --- */

struct sim_database;
struct sim_database *sim_database_new(struct sim *sim);
void sim_database_free(struct sim_database *database);
void sim_database_commit(struct sim_database *database, const struct vr_change_set *set);
/* The Manager is gone: a prefix of what was on its way arrives. */
void sim_database_crash(struct sim_database *database);
void sim_database_load(struct sim_database *database, struct vr_engine *engine)
    VR_REQUIRES(vr_role_engine);
/* Writes an entity into the image before the first Manager starts.  Takes @object. */
void sim_database_put(struct sim_database *database, int kind, void *object);

/* --- hosts (hosts.c, verbs.c) --- */

#define SIM_HOSTS 4
#define SIM_DOMAIN "00000000-0000-4000-a000-000000000003" /* the site's storage */

struct sim_answer {
    void *result; /* taken */
    int code;
    const char *message;
};
/* One verb of a simulated host: the row of a table in verbs.c. */
struct sim_verb {
    const struct vr_verb *verb;
    void (*run)(struct sim_host *host, const void *params, struct sim_answer *answer);
};
extern const struct sim_verb sim_verbs[]; /* verb NULL ends */

struct sim_guest {
    char *id;
    int64_t since;
    int64_t down_at; /* shuts down then; 0: runs on */
    int64_t saved_at; /* its memory is on storage then, and it is down; 0: nobody asked */
    char *dump;       /* the image that it is saved to */
};
/* An image on the site's storage, which outlives hosts and Managers. */
struct sim_image {
    bool saved;    /* holds the memory of a machine */
    bool restored; /* and was given to a host: never again */
};

bool sim_guest_runs(const struct sim_host *host, const char *id);

struct sim_host {
    struct sim *sim;
    char *id;
    bool alive;  /* has power */
    bool frozen; /* alive, but does and says nothing */
    bool linked; /* connected, as the Manager sees it */
    uint64_t connection; /* counts up: messages of an older one are lost, but for ... */
    uint64_t cut_connection; /* ... those of the one that a killed Manager had, until then */
    int64_t cut_at;
    unsigned boot; /* counts up */
    GHashTable *guests;   /* id -> struct sim_guest */
    GQueue inbox;         /* struct sim_call: arrived while it was frozen */
    int64_t last_arrival; /* requests arrive in order */
};

void sim_hosts_init(struct sim *sim);
void sim_hosts_done(struct sim *sim);
struct sim_host *sim_host_at(struct sim *sim, unsigned index);
struct sim_host *sim_host_find(struct sim *sim, const char *id);
/* The Manager is gone: messages to hosts arrive as a prefix, connections end. */
void sim_hosts_crash(struct sim *sim);
/* Every fault ends: hosts get power and thaw. */
void sim_hosts_heal(struct sim *sim);
/* Faults of hosts, from time to time. */
void sim_hosts_torment(struct sim *sim, void *nothing);

/* --- Manager (manager.c) --- */

void sim_manager_start(struct sim *sim);
void sim_manager_kill(struct sim *sim);
void sim_manager_done(struct sim *sim);
/* Fills in @errand, with faults while the history is not calm (errands.c). */
void sim_errand_run(struct sim *sim, struct vr_errand *errand);
struct vr_engine *sim_engine(struct sim *sim); /* NULL between a kill and a start */
struct vr_inventory *sim_committed(struct sim *sim);
uint64_t sim_incarnation(const struct sim *sim);
struct sim_database *sim_db(struct sim *sim);

/* --- what clients do (clients.c) and what must hold (invariants.c) --- */

void sim_clients_start(struct sim *sim);
void sim_clients_killed(struct sim *sim);
/* A new Manager has loaded: what was acknowledged must be there. */
void sim_clients_restarted(struct sim *sim) VR_REQUIRES(vr_role_engine);
/* After every event: what readers see is true for who acts on it. */
void sim_clients_check(struct sim *sim) VR_REQUIRES(vr_role_engine);
void sim_clients_check_end(struct sim *sim) VR_REQUIRES(vr_role_engine);
void sim_clients_done(struct sim *sim);
/* After every event. */
void sim_check(struct sim *sim) VR_REQUIRES(vr_role_engine);
/* When the faults are long over. */
void sim_check_end(struct sim *sim) VR_REQUIRES(vr_role_engine);

struct clients;
struct sim {
    struct sim_options options;
    uint64_t state[2]; /* of the random source */
    int64_t now;
    uint64_t last_event;
    GSequence *queue;
    uint64_t hash;
    unsigned events;
    char *broken;
    bool calm;

    struct vr_world world;
    struct vr_engine *engine;
    struct vr_inventory *committed;
    struct vr_config *config;
    uint64_t incarnation;
    uint64_t wake; /* counts up: older wake-ups are void */
    int64_t wall_offset, monotonic_offset;

    struct sim_database *database;
    struct sim_host hosts[SIM_HOSTS];
    GHashTable *images;  /* id -> struct sim_image */
    struct sim_host *spm; /* or NULL */
    GQueue calls; /* struct sim_call that the Manager waits for, oldest first */
    struct clients *clients;
};
