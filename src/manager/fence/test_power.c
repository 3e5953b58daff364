/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/engine/fake.h"
#include "manager/fence/internal.h"
#include "manager/hosts/hosts.h"
#include "manager/storage/storage.h"
#include "manager/vms/vms.h"

/*
 * The job that switches power, against power devices that misbehave.  What
 * must never happen: a host counts as dead although a feed of it is still on.
 */

const struct vr_module *const vr_modules[] = { NULL };
const struct vr_job_type *const vr_job_types[] = { &vr_job_fence_host, NULL };

/* --- what the job touches of other modules --- */

static unsigned buried; /* how often the host was counted as dead */

void vr_hosts_watch(struct vr_engine *engine, const char *host_id)
{
}
void vr_hosts_unwatch(struct vr_engine *engine, const char *host_id)
{
}
void vr_hosts_set_status(struct vr_txn *txn, const char *host_id, enum vr_host_status status)
{
    VR_SET(VR_EDIT(txn, HOST, host, host_id), status, status);
}
const struct vr_data_center *vr_hosts_data_center(struct vr_engine *engine,
                                                  const struct vr_host *host)
{
    return NULL;
}
void vr_vms_host_restarted(struct vr_txn *txn, const char *host_id)
{
    buried++;
}
void vr_storage_host_dead(struct vr_txn *txn, const char *host_id)
{
}

/* --- power devices --- */

struct device {
    bool on;
    bool silent;        /* answers errors */
    bool blind;         /* takes orders, tells "unknown" */
    bool stuck;         /* takes orders, does nothing */
    unsigned lag;       /* queries until an order shows */
    unsigned ignores;   /* orders it misses */
    /* how it is now */
    bool target;
    unsigned pending;
};

static struct device devices[4];
static GString *orders; /* what they were told, "0off 1off 0on" */

static void order(struct device *device, unsigned index, bool on)
{
    g_string_append_printf(orders, "%s%u%s", orders->len ? " " : "", index, on ? "on" : "off");
    if (device->stuck)
        return;
    if (device->ignores > 0) {
        device->ignores--;
        return;
    }
    device->target = on;
    device->pending = device->lag;
    if (!device->pending)
        device->on = on;
}

static enum vr_rpc_fence_node_power_status_result status_of(struct device *device)
{
    if (device->pending > 0 && --device->pending == 0)
        device->on = device->target;
    return device->blind ? VR_RPC_FENCE_NODE_POWER_STATUS_RESULT_UNKNOWN
           : device->on  ? VR_RPC_FENCE_NODE_POWER_STATUS_RESULT_ON
                         : VR_RPC_FENCE_NODE_POWER_STATUS_RESULT_OFF;
}

/* Answers the oldest call as the device that it means. */
static void answer(struct fake *fake) VR_REQUIRES(vr_role_engine)
{
    const struct fake_call *call = g_queue_peek_head(&fake->calls);
    const struct vr_rpc_host_fence_node_params *params = call->params;
    g_assert_true(call->verb == &vr_verb_host_fence_node);
    g_assert_cmpstr(call->host_id, ==, "proxy");
    unsigned index = (unsigned)(params->addr[0] - '0');
    struct device *device = &devices[index];
    if (device->silent) {
        fake_answer(fake, NULL, 100, "no route to the device");
        return;
    }
    vr_auto struct vr_rpc_fence_node_result *result = VR_NEW(rpc_fence_node_result);
    if (params->action == VR_RPC_FENCE_NODE_ACTION_STATUS)
        VR_SET(result, power, status_of(device));
    else
        order(device, index, params->action == VR_RPC_FENCE_NODE_ACTION_ON);
    fake_answer(fake, result, 0, NULL);
}

/* --- a site --- */

static struct vr_host *add_host(GArray *changes, const char *id, enum vr_host_status status)
{
    struct vr_host *host = VR_NEW(host);
    VR_SET_STRING(host, id, id);
    VR_SET_STRING(host, name, id);
    VR_SET(host, status, status);
    VR_SET_LINK(host, cluster, cluster, "cluster");
    g_array_append_val(changes, ((struct vr_change){ VR_KIND_HOST, host->id, host }));
    return host;
}

struct row {
    const char *what, *goal;
    struct device devices[3]; /* address "0", "1", "2" */
    int order[3];             /* 0: there is no such agent */
    bool no_proxy;
    enum vr_host_status want;
    unsigned want_buried; /* 0: never */
    const char *want_orders;
};

static GArray *site(const struct row *row)
{
    GArray *changes = g_array_new(FALSE, FALSE, sizeof(struct vr_change));
    add_host(changes, "host", VR_HOST_STATUS_NON_RESPONSIVE);
    add_host(changes, "proxy", row->no_proxy ? VR_HOST_STATUS_CONNECTING : VR_HOST_STATUS_UP);
    for (unsigned i = 0; i < G_N_ELEMENTS(row->order); i++) {
        if (!row->order[i])
            continue;
        struct vr_agent *agent = VR_NEW(agent);
        VR_TAKE_STRING(agent, id, g_strdup_printf("agent%u", i));
        VR_TAKE_STRING(agent, address, g_strdup_printf("%u", i));
        VR_SET_STRING(agent, type, "ipmilan");
        VR_SET(agent, order, row->order[i]);
        VR_SET_LINK(agent, host, host, "host");
        g_array_append_val(changes, ((struct vr_change){ VR_KIND_AGENT, agent->id, agent }));
    }
    return changes;
}

static void free_changes(GArray *changes)
{
    for (unsigned i = 0; i < changes->len; i++)
        vr_unref((void *)(uintptr_t)g_array_index(changes, struct vr_change, i).after);
    g_array_free(changes, TRUE);
}

static char *start(struct fake *fake, const char *goal) VR_REQUIRES(vr_role_engine)
{
    struct vr_fence_job_context *context = VR_NEW(fence_job_context);
    VR_SET_STRING(context, host_id, "host");
    VR_SET_STRING(context, goal, goal);
    struct vr_txn *txn = vr_txn_new(fake->engine);
    char *id = g_strdup(vr_job_start(
        txn, &(struct vr_job_start){ .type = &vr_job_fence_host,
                                     .context = context,
                                     .description = "test",
                                     .locks = &(struct vr_lock){ VR_KIND_HOST, "host", true },
                                     .lock_count = 1 }));
    vr_txn_commit(txn, NULL, NULL);
    return id;
}

/* A Manager that starts from what the one that was killed had in its database. */
static struct fake *reborn(struct fake *old) VR_REQUIRES(vr_role_engine)
{
    static const int kinds[] = { VR_KIND_HOST, VR_KIND_AGENT, VR_KIND_JOB, VR_KIND_STEP,
                                 VR_KIND_EVENT };
    GArray *changes = g_array_new(FALSE, FALSE, sizeof(struct vr_change));
    for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
        vr_auto_objects struct vr_objects all = { 0 };
        vr_inventory_list(old->committed, kinds[i], &all);
        VR_OBJECTS (struct vr_object, object, &all)
            g_array_append_val(changes, ((struct vr_change){ kinds[i], (char *)(uintptr_t)vr_id(object),
                                                             vr_ref(object) }));
    }
    fake_free(old);
    struct fake *fake = fake_new(changes);
    free_changes(changes);
    return fake;
}

/* To the job's end; the Manager is killed after @crash answers.  Returns how many there were. */
static unsigned play(const struct row *row, unsigned crash, enum vr_host_status *ret_status)
    VR_REQUIRES(vr_role_engine)
{
    memcpy(devices, row->devices, sizeof(row->devices));
    g_string_truncate(orders, 0);
    buried = 0;
    GArray *changes = site(row);
    struct fake *fake = fake_new(changes);
    free_changes(changes);
    fake_settle(fake);
    g_autofree char *job = start(fake, row->goal);
    unsigned answers = 0;
    fake_settle(fake);
    for (unsigned guard = 0; vr_job_running(fake->engine, job); guard++) {
        g_assert_cmpuint(guard, <, 20000);
        if (!g_queue_is_empty(&fake->calls)) {
            answer(fake);
            if (++answers == crash)
                fake = reborn(fake);
        } else {
            fake_advance(fake, 1000);
        }
        fake_settle(fake);
    }
    fake_settle(fake);
    *ret_status = VR_PEEK(vr_engine_head(fake->engine), HOST, host, "host")->status;
    fake_free(fake);
    return answers;
}

#define ON .on = true
static const struct row rows[] = {
    { "a restart is off, dead, on", "restart", { { ON } }, { 1 }, false, VR_HOST_STATUS_REBOOT, 1,
      "0off 0on" },
    { "what is off is not switched off", "stop", { { .on = false } }, { 1 }, false,
      VR_HOST_STATUS_DOWN, 1, "" },
    { "a start buries nobody", "start", { { .on = false } }, { 1 }, false, VR_HOST_STATUS_REBOOT, 0,
      "0on" },
    { "a slow device is waited for", "stop", { { ON, .lag = 4 } }, { 1 }, false, VR_HOST_STATUS_DOWN,
      1, "0off" },
    { "a missed order to start is given again", "start", { { .ignores = 1 } }, { 1 }, false,
      VR_HOST_STATUS_REBOOT, 0, "0on 0on" },
    { "two feeds are both switched", "restart", { { ON }, { ON } }, { 1, 1 }, false,
      VR_HOST_STATUS_REBOOT, 1, "0off 1off 0on 1on" },
    { "a feed that stays on keeps the host alive", "restart", { { ON }, { ON, .stuck = true } },
      { 1, 1 }, false, VR_HOST_STATUS_NON_RESPONSIVE, 0, "0off 1off" },
    { "a feed that cannot be asked may be on", "restart", { { ON }, { ON, .silent = true } },
      { 1, 1 }, false, VR_HOST_STATUS_NON_RESPONSIVE, 0, "0off" },
    { "the second group helps where the first is silent", "stop", { { ON, .silent = true }, { ON } },
      { 1, 2 }, false, VR_HOST_STATUS_DOWN, 1, "1off" },
    { "the lower order comes first", "stop", { { ON }, { ON } }, { 7, 3 }, false,
      VR_HOST_STATUS_DOWN, 1, "1off" },
    { "unknown is not off", "restart", { { ON, .blind = true } }, { 1 }, false,
      VR_HOST_STATUS_NON_RESPONSIVE, 0, "0off" },
    { "nobody to ask", "restart", { { ON } }, { 1 }, true, VR_HOST_STATUS_NON_RESPONSIVE, 0, "" },
};

static void test_rows(void) VR_NO_THREAD_SAFETY
{
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        enum vr_host_status status;
        g_test_message("%s", rows[i].what);
        play(&rows[i], 0, &status);
        g_assert_cmpstr(orders->str, ==, rows[i].want_orders);
        g_assert_cmpint(status, ==, rows[i].want);
        g_assert_cmpuint(buried, ==, rows[i].want_buried);
    }
}

/* Killed after any answer, the Manager comes to the same end, and buries nobody alive. */
static void test_crashes(void) VR_NO_THREAD_SAFETY
{
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        enum vr_host_status status;
        unsigned answers = play(&rows[i], 0, &status);
        for (unsigned crash = 1; crash <= answers; crash++) {
            g_test_message("%s, killed after answer %u", rows[i].what, crash);
            play(&rows[i], crash, &status);
            g_assert_cmpint(status, ==, rows[i].want);
            g_assert_cmpuint(buried > 0, ==, rows[i].want_buried > 0);
        }
    }
}

/* The record of the host went while a power agent was asked, however that one answers. */
static void test_gone(void) VR_NO_THREAD_SAFETY
{
    static const int codes[] = { 0, 100, VR_RPC_NETWORK_ERROR, VR_RPC_RECOVERING };
    for (unsigned i = 0; i < G_N_ELEMENTS(codes); i++) {
        GArray *changes = site(&rows[0]);
        struct fake *fake = fake_new(changes);
        free_changes(changes);
        buried = 0;
        fake_settle(fake);
        g_autofree char *job = start(fake, "restart");
        fake_settle(fake);
        g_assert_cmpuint(g_queue_get_length(&fake->calls), ==, 1);
        struct vr_txn *txn = vr_txn_new(fake->engine);
        vr_txn_remove(txn, VR_KIND_HOST, "host");
        vr_txn_commit(txn, NULL, NULL);
        fake_settle(fake);
        vr_auto struct vr_rpc_fence_node_result *result = VR_NEW(rpc_fence_node_result);
        VR_SET(result, power, VR_RPC_FENCE_NODE_POWER_STATUS_RESULT_ON);
        fake_answer(fake, codes[i] ? NULL : result, codes[i], codes[i] ? "no answer" : NULL);
        fake_settle(fake);
        g_assert_false(vr_job_running(fake->engine, job));
        g_assert_true(g_queue_is_empty(&fake->calls)); /* nothing is switched */
        g_assert_cmpuint(buried, ==, 0);
        fake_free(fake);
    }
}

/* What a program of fence-agents is told for one agent of each kind. */
static void test_params(void)
{
    static const struct {
        const char *type, *option, *value;
        int port;
        bool secure;
        const char *want_program, *want_options;
        bool want_secure;
    } params_rows[] = {
        { "ipmilan", NULL, NULL, 0, false, "ipmilan", "", false },
        { "ipmilan", "lanplus", "1", 9623, true, "ipmilan", "ipport=9623\nlanplus=1", false },
        { "apc", "slot", "4", 2222, true, "apc", "ipport=2222\nport=4", true },
        { "cisco_ucs", "secure", "true", 0, false, "cisco_ucs", "ssl=yes", false },
        { "ilo3", NULL, NULL, 0, false, "ilo3", "power_wait=4", false },
        { "ilo3", "power_wait", "9", 0, false, "ilo3", "power_wait=9", false },
        { "drac7", NULL, NULL, 0, false, "ipmilan", "privlvl=OPERATOR\nlanplus=1\ndelay=10", false },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(params_rows); i++) {
        vr_auto struct vr_agent *agent = VR_NEW(agent);
        VR_SET_STRING(agent, type, params_rows[i].type);
        VR_SET_STRING(agent, address, "192.0.2.1");
        VR_SET(agent, encrypt_options, params_rows[i].secure);
        if (params_rows[i].port)
            VR_SET(agent, port, params_rows[i].port);
        if (params_rows[i].option) {
            struct vr_option *option = VR_NEW(option);
            VR_SET_STRING(option, name, params_rows[i].option);
            VR_SET_STRING(option, value, params_rows[i].value);
            VR_APPEND(agent, options, option);
        }
        vr_auto struct vr_rpc_host_fence_node_params *params =
            fence_params(agent, VR_RPC_FENCE_NODE_ACTION_STATUS);
        g_assert_cmpstr(params->agent, ==, params_rows[i].want_program);
        g_assert_cmpstr(params->options, ==, params_rows[i].want_options);
        g_assert_cmpint(params->secure, ==, params_rows[i].want_secure);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    orders = g_string_new(NULL);
    g_test_add_func("/power/rows", test_rows);
    g_test_add_func("/power/crashes", test_crashes);
    g_test_add_func("/power/gone", test_gone);
    g_test_add_func("/power/parameters", test_params);
    int code = g_test_run();
    g_string_free(orders, TRUE);
    return code;
}
