/* SPDX-License-Identifier: Apache-2.0 */
#include "toy.h"

/* Clients: they call at random, remember what they were told, and hold the Manager to it. */

#define MACHINES 12

/* What clients know of a machine's existence. */
enum known { NOTHING, THERE, GONE, MAYBE };

struct open_call {
    struct sim *sim;
    enum toy_operation operation;
    unsigned machine;
    bool sync;
};

struct clients {
    enum known known[MACHINES];
    char *ids[MACHINES];
    unsigned names; /* counts up: a machine that is gone makes way for one with another id */
    GQueue open;    /* struct open_call */
    GHashTable *jobs; /* id -> when it was promised, ms; promised by a reply */
    unsigned calls, replies, good;
};

static const struct vr_tag *committed(struct sim *sim, const char *id)
{
    return VR_PEEK(sim->committed, TAG, tag, id);
}

static void new_id(struct clients *clients, unsigned machine)
{
    g_free(clients->ids[machine]);
    clients->ids[machine] = g_strdup_printf("00000000-0000-4000-9000-%012x", ++clients->names);
    clients->known[machine] = NOTHING;
}

/* --- replies --- */

static void good_reply(struct sim *sim, const struct open_call *call,
                       const struct vr_call_reply *reply)
{
    struct clients *clients = sim->clients;
    const char *id = clients->ids[call->machine];
    const struct vr_tag *tag = committed(sim, id);
    clients->good++;
    switch (call->operation) {
    case TOY_ADD:
        clients->known[call->machine] = THERE;
        if (!tag)
            sim_broken(sim, "the reply to an add comes before readers see it");
        break;
    case TOY_REMOVE:
        if (tag)
            sim_broken(sim, "the reply to a remove comes while readers still see it");
        new_id(clients, call->machine);
        break;
    case TOY_START:
        if (call->sync && (!tag || g_strcmp0(tag->comment, "up") != 0))
            sim_broken(sim, "a start that was waited for did not start the machine");
        break;
    case TOY_STOP:
        if (call->sync && (!tag || tag->description))
            sim_broken(sim, "a stop that was waited for did not stop the machine");
        break;
    case TOY_OPERATIONS:
        break;
    }
    if (reply->job_id)
        g_hash_table_replace(clients->jobs, g_strdup(reply->job_id),
                             g_memdup2(&sim->now, sizeof(sim->now)));
}

static void replied(const struct vr_call_reply *reply, void *arg)
{
    struct open_call *call = arg;
    struct sim *sim = call->sim;
    struct clients *clients = sim->clients;
    clients->replies++;
    sim_note(sim, "%s of %u: %d", toy_operations[call->operation].name, call->machine,
             reply->status);
    if (!g_queue_remove(&clients->open, call)) {
        sim_broken(sim, "a call was replied to twice");
        return;
    }
    if (!reply->error)
        good_reply(sim, call, reply);
    else if (reply->error->fault == &vr_fault_database_unavailable &&
             (call->operation == TOY_ADD || call->operation == TOY_REMOVE))
        clients->known[call->machine] = MAYBE;
    g_free(call);
}

/* --- calls --- */

static void call_again(struct sim *sim, void *nothing);

static void make_call(struct sim *sim) VR_REQUIRES(vr_role_engine)
{
    static const struct vr_caller caller = { .user_name = "admin@internal", .admin = true };
    struct clients *clients = sim->clients;
    unsigned machine = sim_below(sim, MACHINES), chance = sim_below(sim, 100);
    if (clients->known[machine] == MAYBE)
        clients->known[machine] = committed(sim, clients->ids[machine]) ? THERE : MAYBE;
    struct open_call *call = g_new(struct open_call, 1);
    *call = (struct open_call){ sim,
                                clients->known[machine] == NOTHING ? TOY_ADD
                                : chance < 45                      ? TOY_START
                                : chance < 90                      ? TOY_STOP
                                                                   : TOY_REMOVE,
                                machine, sim_below(sim, 2) };
    /* One remove or add of a machine at a time, so that clients know what a reply means. */
    for (GList *link = clients->open.head; link; link = link->next) {
        const struct open_call *other = link->data;
        if (other->machine == machine && (other->operation == TOY_ADD ||
                                          other->operation == TOY_REMOVE ||
                                          call->operation == TOY_REMOVE)) {
            g_free(call);
            return;
        }
    }
    const char *id = clients->ids[machine];
    const char *const params[] = { "async", call->sync ? "false" : "true", NULL };
    struct vr_tag *body = NULL;
    if (call->operation == TOY_ADD) {
        body = VR_NEW(tag);
        vr_set_id(body, id);
        VR_SET_STRING(body, name, id);
    }
    clients->calls++;
    sim_note(sim, "client: %s of %u", toy_operations[call->operation].name, machine);
    g_queue_push_tail(&clients->open, call);
    vr_call_begin(sim->engine,
                  vr_call_new(&toy_operations[call->operation], &id, 1, body, &caller, "sim",
                              call->operation == TOY_ADD ? NULL : params, replied, call));
}

static void call_again(struct sim *sim, void *nothing) VR_REQUIRES(vr_role_engine)
{
    if (sim->calm)
        return;
    if (sim->engine)
        make_call(sim);
    sim_after(sim, 20 + sim_below(sim, 800), 0, "client", call_again, NULL, NULL);
}

void sim_clients_start(struct sim *sim)
{
    struct clients *clients = sim->clients = g_new0(struct clients, 1);
    clients->jobs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    for (unsigned i = 0; i < MACHINES; i++)
        new_id(clients, i);
    sim_after(sim, 1, 0, "client", call_again, NULL, NULL);
}

void sim_clients_done(struct sim *sim)
{
    struct clients *clients = sim->clients;
    if (!clients)
        return;
    for (unsigned i = 0; i < MACHINES; i++)
        g_free(clients->ids[i]);
    g_queue_clear_full(&clients->open, g_free);
    g_hash_table_destroy(clients->jobs);
    g_free(clients);
}

/* --- what must hold --- */

void sim_clients_killed(struct sim *sim)
{
    struct clients *clients = sim->clients;
    for (struct open_call *call; (call = g_queue_pop_head(&clients->open)); g_free(call)) {
        if (call->operation == TOY_ADD || call->operation == TOY_REMOVE)
            clients->known[call->machine] = MAYBE;
    }
}

void sim_clients_restarted(struct sim *sim)
{
    struct clients *clients = sim->clients;
    for (unsigned i = 0; i < MACHINES; i++) {
        const struct vr_tag *tag = committed(sim, clients->ids[i]);
        if (clients->known[i] == THERE && !tag)
            sim_broken(sim, "an acknowledged add is missing after a crash");
        if (clients->known[i] == MAYBE) {
            clients->known[i] = THERE;
            if (!tag)
                new_id(clients, i);
        }
    }
    GHashTableIter iter;
    gpointer id, promised;
    g_hash_table_iter_init(&iter, clients->jobs);
    while (g_hash_table_iter_next(&iter, &id, &promised)) {
        bool young = sim->now - *(int64_t *)promised < 60000;
        if (young && !VR_PEEK(sim->committed, JOB, job, id) && sim->wall_offset == 0)
            sim_broken(sim, "an acknowledged job is missing after a crash");
    }
}

void sim_clients_check(struct sim *sim)
{
}

void sim_clients_check_end(struct sim *sim)
{
    struct clients *clients = sim->clients;
    if (clients->open.length)
        sim_broken(sim, "%u calls never got a reply", clients->open.length);
    sim_note(sim, "%u calls, %u replies, %u good ones", clients->calls, clients->replies,
             clients->good);
    vr_auto_objects struct vr_objects tags = { 0 };
    vr_inventory_list(sim->committed, VR_KIND_TAG, &tags);
    unsigned running = 0;
    VR_OBJECTS(struct vr_tag, tag, &tags)
    {
        const struct sim_host *host = sim_host_find(sim, tag->description);
        if (tag->description && (!host || !g_hash_table_contains(host->guests, tag->id)))
            sim_broken(sim, "readers see machine %s on a host that does not run it", tag->id);
        running += tag->description != NULL;
    }
    unsigned guests = 0;
    for (unsigned i = 0; i < SIM_HOSTS; i++)
        guests += g_hash_table_size(sim->hosts[i].guests);
    if (guests != running)
        sim_broken(sim, "hosts run %u machines, readers see %u", guests, running);
}
