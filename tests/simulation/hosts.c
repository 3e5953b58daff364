/* SPDX-License-Identifier: Apache-2.0 */
#include "hosts.h"

/* A connection on which nothing comes for this long is lost (facts/host-rpc.md 2). */
#define SILENCE_MS 22500

/* One request; referred to by its events and by the list of those that are not answered. */
struct sim_call {
    struct sim_host *host; /* NULL: the Manager has no connection to such a host */
    uint64_t call;
    uint64_t incarnation;
    uint64_t connection;
    const struct vr_verb *verb;
    void *params;
    struct sim_answer answer;
    bool answered;
};

static void call_clear(gpointer data)
{
    struct sim_call *call = data;
    vr_unref(call->params);
    vr_unref(call->answer.result);
}

static void call_unref(gpointer call)
{
    g_rc_box_release_full(call, call_clear);
}

static void guest_free(gpointer data)
{
    struct sim_guest *guest = data;
    g_free(guest->id);
    g_free(guest->dump);
    g_free(guest);
}

void sim_hosts_init(struct sim *sim)
{
    sim->images = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    for (unsigned i = 0; i < SIM_HOSTS; i++) {
        struct sim_host *host = &sim->hosts[i];
        host->sim = sim;
        host->id = g_strdup_printf("00000000-0000-4000-8000-00000000000%u", i + 1);
        host->alive = true;
        host->guests = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, guest_free);
    }
}

void sim_hosts_done(struct sim *sim)
{
    g_queue_clear_full(&sim->calls, call_unref);
    g_hash_table_destroy(sim->images);
    for (unsigned i = 0; i < SIM_HOSTS; i++) {
        g_queue_clear_full(&sim->hosts[i].inbox, call_unref);
        g_hash_table_destroy(sim->hosts[i].guests);
        g_free(sim->hosts[i].id);
    }
}

struct sim_host *sim_host_at(struct sim *sim, unsigned index)
{
    return &sim->hosts[index];
}

struct sim_host *sim_host_find(struct sim *sim, const char *id)
{
    for (unsigned i = 0; id && i < SIM_HOSTS; i++) {
        if (strcmp(sim->hosts[i].id, id) == 0)
            return &sim->hosts[i];
    }
    return NULL;
}

bool sim_guest_runs(const struct sim_host *host, const char *id)
{
    const struct sim_guest *guest = g_hash_table_lookup(host->guests, id);
    return guest && (!guest->down_at || guest->down_at > host->sim->now) &&
           (!guest->saved_at || guest->saved_at > host->sim->now);
}

static unsigned delay(struct sim *sim)
{
    return sim_fault(sim, 2) ? 100 + sim_below(sim, 3000) : sim_below(sim, 6);
}

/* --- the way back --- */

static void answer(struct sim *sim, void *arg) VR_REQUIRES(vr_role_engine)
{
    struct sim_call *call = arg;
    if (call->answered)
        return;
    call->answered = true;
    g_queue_remove(&sim->calls, call);
    sim_note(sim, "%s answers %d", call->verb->name, call->answer.code);
    vr_engine_host_answer(sim->engine, call->call, call->answer.result, call->answer.code,
                          call->answer.message);
    call_unref(call);
}

/* An answer still on its way loses to this one. */
static void fail(struct sim *sim, void *arg) VR_REQUIRES(vr_role_engine)
{
    struct sim_call *call = arg;
    if (call->answered)
        return;
    g_clear_pointer(&call->answer.result, vr_unref);
    call->answer.code = VR_RPC_NETWORK_ERROR;
    call->answer.message = "no answer";
    answer(sim, call);
}

static void state(struct sim *sim, void *arg) VR_REQUIRES(vr_role_engine)
{
    struct sim_host *host = arg;
    vr_engine_host_state(sim->engine, host->id, host->linked, host->linked ? NULL : "lost");
}

/* The Manager's end of the connection is lost: all that it waits for fails. */
static void lose_link(struct sim_host *host)
{
    struct sim *sim = host->sim;
    if (!host->linked)
        return;
    host->linked = false;
    for (GList *link = sim->calls.head; link; link = link->next) {
        struct sim_call *call = link->data;
        if (call->host == host)
            sim_after(sim, 0, call->incarnation, "call fails", fail, g_rc_box_acquire(call),
                      call_unref);
    }
    sim_after(sim, 0, sim->incarnation, "link is lost", state, host, NULL);
}

/* --- the way there --- */

static void execute(struct sim_host *host, struct sim_call *call)
{
    struct sim *sim = host->sim;
    const struct sim_verb *row = sim_verbs;
    while (row->verb && row->verb != call->verb)
        row++;
    struct sim_answer out = { 0 };
    if (row->verb)
        row->run(host, call->params, &out);
    else
        out = (struct sim_answer){ NULL, -32601, "no such method" };
    sim_note(sim, "%s runs %s: %d", host->id, call->verb->name, out.code);
    if (call->answered || call->incarnation != sim->incarnation ||
        call->connection != host->connection) {
        vr_unref(out.result);
        return;
    }
    call->answer = out;
    if (sim_fault(sim, 0.5)) {
        host->connection++;
        lose_link(host);
    } else {
        sim_after(sim, delay(sim), call->incarnation, "answer", answer, g_rc_box_acquire(call),
                  call_unref);
    }
}

static void arrive(struct sim *sim, void *arg)
{
    struct sim_call *call = arg;
    struct sim_host *host = call->host;
    bool in_time = call->connection == host->connection ||
                   (call->connection == host->cut_connection && sim->now <= host->cut_at);
    if (!host->alive || !in_time) {
        sim_note(sim, "%s to %s is lost", call->verb->name, host->id);
        return;
    }
    if (host->frozen)
        g_queue_push_tail(&host->inbox, g_rc_box_acquire(call));
    else
        execute(host, call);
}

static void connected(struct sim *sim, void *arg) VR_REQUIRES(vr_role_engine)
{
    struct sim_host *host = arg;
    if (host->alive && !host->frozen && !sim_fault(sim, 3)) {
        host->connection++;
        host->linked = true;
    }
    state(sim, host);
}

void sim_host_connect(struct vr_world *world, const struct vr_host_target *target)
{
    struct sim *sim = (struct sim *)(void *)((char *)world - offsetof(struct sim, world));
    struct sim_host *host = sim_host_find(sim, target->host_id);
    g_assert(host);
    sim_after(sim, 1 + delay(sim), sim->incarnation, "connect", connected, host, NULL);
}

void sim_host_disconnect(struct vr_world *world, const char *host_id)
{
    struct sim *sim = (struct sim *)(void *)((char *)world - offsetof(struct sim, world));
    struct sim_host *host = sim_host_find(sim, host_id);
    host->connection++;
    host->linked = false;
}

void sim_host_call(struct vr_world *world, uint64_t number, const char *host_id,
                   const struct vr_verb *verb, const void *params, unsigned timeout_ms,
                   const char *correlation_id)
{
    struct sim *sim = (struct sim *)(void *)((char *)world - offsetof(struct sim, world));
    struct sim_host *host = sim_host_find(sim, host_id);
    struct sim_call *call = g_rc_box_new0(struct sim_call);
    call->host = host;
    call->call = number;
    call->incarnation = sim->incarnation;
    call->verb = verb;
    call->params = vr_ref(params);
    g_queue_push_tail(&sim->calls, call);
    if (!host || !host->linked) {
        sim_after(sim, 0, sim->incarnation, "not connected", fail, g_rc_box_acquire(call),
                  call_unref);
        return;
    }
    call->connection = host->connection;
    int64_t at = sim->now + delay(sim); /* once: MAX() names its arguments twice */
    host->last_arrival = MAX(host->last_arrival, at);
    sim_note(sim, "calls %s of %s", verb->name, host->id);
    sim_after(sim, host->last_arrival - sim->now, 0, "arrival", arrive, g_rc_box_acquire(call),
              call_unref);
    sim_after(sim, timeout_ms, sim->incarnation, "timeout", fail, g_rc_box_acquire(call),
              call_unref);
}

void sim_hosts_crash(struct sim *sim)
{
    for (unsigned i = 0; i < SIM_HOSTS; i++) {
        struct sim_host *host = &sim->hosts[i];
        host->cut_connection = host->linked ? host->connection : 0;
        host->cut_at = sim->now + sim_below(sim, 8);
        host->connection++;
        host->linked = false;
    }
    g_queue_clear_full(&sim->calls, call_unref);
}

/* --- faults --- */

static void thaw(struct sim *sim, void *arg)
{
    struct sim_host *host = arg;
    if (!host->frozen)
        return;
    host->frozen = false;
    sim_note(sim, "%s thaws", host->id);
    for (struct sim_call *call; (call = g_queue_pop_head(&host->inbox));) {
        execute(host, call);
        call_unref(call);
    }
}

static void notice_silence(struct sim *sim, void *arg)
{
    struct sim_host *host = arg;
    if (host->frozen || !host->alive)
        lose_link(host);
}

static void power_on(struct sim *sim, void *arg)
{
    struct sim_host *host = arg;
    host->alive = true;
    lose_link(host); /* its answer to an old connection is a reset */
    sim_note(sim, "%s has booted", host->id);
}

static void power_off(struct sim_host *host)
{
    struct sim *sim = host->sim;
    host->alive = false;
    host->frozen = false;
    host->connection++;
    host->boot++;
    if (sim->spm == host)
        sim->spm = NULL;
    g_hash_table_remove_all(host->guests);
    g_queue_clear_full(&host->inbox, call_unref);
    sim_note(sim, "%s loses power", host->id);
    sim_after(sim, 5000 + sim_below(sim, 60000), 0, "power on", power_on, host, NULL);
    sim_after(sim, SILENCE_MS, 0, "silence", notice_silence, host, NULL);
}

void sim_hosts_torment(struct sim *sim, void *nothing)
{
    if (sim->calm)
        return;
    struct sim_host *host = &sim->hosts[sim_below(sim, SIM_HOSTS)];
    unsigned what = sim_below(sim, 4);
    if (what == 0 && host->alive) {
        power_off(host);
    } else if (what == 1 && host->alive && !host->frozen) {
        host->frozen = true;
        sim_note(sim, "%s freezes", host->id);
        sim_after(sim, SILENCE_MS, 0, "silence", notice_silence, host, NULL);
        sim_after(sim, 500 + sim_below(sim, 60000), 0, "thaw", thaw, host, NULL);
    } else if (what > 1 && host->linked) {
        host->connection++;
        lose_link(host);
    }
    sim_after(sim, 3000 + sim_below(sim, 30000), 0, "torment", sim_hosts_torment, NULL, NULL);
}

void sim_hosts_heal(struct sim *sim)
{
    for (unsigned i = 0; i < SIM_HOSTS; i++) {
        if (!sim->hosts[i].alive)
            power_on(sim, &sim->hosts[i]);
        thaw(sim, &sim->hosts[i]);
    }
}
