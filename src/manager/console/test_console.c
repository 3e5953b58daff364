/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/console/internal.h"

#include "gen/routes.h"
#include "manager/engine/fake.h"
#include "manager/job/job.h"

/*
 * Machine v runs on host h with a VNC console.  ann and bob may connect to it;
 * cat may reconnect as well.
 */
const struct vr_module *const vr_modules[] = { NULL };
const struct vr_job_type *const vr_job_types[] = { NULL };

#define CONNECT 7
#define RECONNECT 13

static void add(GArray *changes, int kind, void *object)
{
    struct vr_change change = { kind, g_strdup(vr_id(object)), object, 1 };
    g_array_append_val(changes, change);
}

static void add_user(GArray *changes, const char *name, unsigned permit)
{
    struct vr_user *user = VR_NEW(user);
    vr_set_id(user, name);
    VR_SET_STRING(user, user_name, name);
    add(changes, VR_KIND_USER, user);
    struct vr_role *role = VR_NEW(role);
    vr_set_id(role, name);
    VR_APPEND(role, permit_numbers, GSIZE_TO_POINTER((gsize)CONNECT));
    VR_APPEND(role, permit_numbers, GSIZE_TO_POINTER((gsize)permit));
    add(changes, VR_KIND_ROLE, role);
    struct vr_permission *permission = VR_NEW(permission);
    vr_set_id(permission, name);
    VR_SET_LINK(permission, role, role, name);
    VR_SET_LINK(permission, user, user, name);
    VR_SET_LINK(permission, vm, vm, "v");
    add(changes, VR_KIND_PERMISSION, permission);
}

static struct vr_vm *new_vm(void)
{
    struct vr_vm *vm = VR_NEW(vm);
    vr_set_id(vm, "v");
    VR_SET_STRING(vm, name, "web1");
    VR_SET(vm, status, VR_VM_STATUS_UP);
    VR_SET_LINK(vm, host, host, "h");
    vr_console_fill(vm);
    struct vr_graphics_console *live = VR_NEW(graphics_console);
    VR_SET_STRING(live, id, "766e63");
    VR_SET(live, protocol, VR_GRAPHICS_TYPE_VNC);
    VR_SET_STRING(live, address, "192.0.2.11");
    VR_SET(live, port, 5900);
    VR_APPEND(vm, live_consoles, live);
    return vm;
}

static struct fake *fake_site(struct vr_vm *vm) VR_REQUIRES(vr_role_engine);
static struct fake *fake_site(struct vr_vm *vm)
{
    g_autoptr(GArray) changes = g_array_new(FALSE, FALSE, sizeof(struct vr_change));
    add_user(changes, "ann", CONNECT);
    add_user(changes, "bob", CONNECT);
    add_user(changes, "cat", RECONNECT);
    struct vr_host *host = VR_NEW(host);
    vr_set_id(host, "h");
    VR_SET_STRING(host, address, "host1.example.com");
    add(changes, VR_KIND_HOST, host);
    add(changes, VR_KIND_VM, vm);
    struct fake *fake = fake_new(changes);
    for (unsigned i = 0; i < changes->len; i++) {
        struct vr_change *change = &g_array_index(changes, struct vr_change, i);
        g_free(change->id);
        vr_unref(change->after);
    }
    return fake;
}

/* --- tickets --- */

struct got {
    unsigned replies;
    char *fault, *value;
    int status;
};

static void replied(const struct vr_call_reply *reply, void *arg)
{
    struct got *got = arg;
    const struct vr_action *action = reply->object;
    got->replies++;
    got->status = reply->status;
    got->fault = reply->error ? g_strdup(reply->error->fault->name) : NULL;
    got->value = action && action->ticket ? g_strdup(action->ticket->value) : NULL;
}

static const struct vr_operation ticket_operation = { .name = "ticket",
                                                      .method = VR_METHOD_POST,
                                                      .is_action = true,
                                                      .write = vr_vm_ticket };

static void ask(struct fake *fake, const struct vr_caller *caller, struct got *got)
    VR_REQUIRES(vr_role_engine);
static void ask(struct fake *fake, const struct vr_caller *caller, struct got *got)
{
    static const char *const ids[] = { "v" };
    static const char *const none[] = { NULL };
    *got = (struct got){ 0 };
    vr_call_begin(fake->engine, vr_call_new(&ticket_operation, ids, 1, VR_NEW(action), caller, "c",
                                            none, replied, got));
    fake_settle(fake);
}

static void got_clear(struct got *got)
{
    g_free(got->fault);
    g_free(got->value);
}

static const struct vr_vm *machine(struct fake *fake) VR_REQUIRES(vr_role_engine)
{
    return VR_PEEK(vr_engine_head(fake->engine), VM, vm, "v");
}

static void test_ticket(void) VR_NO_THREAD_SAFETY
{
    struct fake *fake = fake_site(new_vm());
    const struct vr_caller ann = { .user_id = "ann" };
    struct got got;
    ask(fake, &ann, &got);
    g_assert_cmpuint(got.replies, ==, 0); /* the host has not answered */
    const struct fake_call *call = g_queue_peek_head(&fake->calls);
    g_assert_true(call->verb == &vr_verb_vm_update_device);
    g_assert_cmpstr(call->host_id, ==, "h");
    const struct vr_rpc_vm_update_device_params *params = call->params;
    g_assert_cmpstr(params->params->graphics_type, ==, "vnc");
    g_assert_cmpint(params->params->ttl, ==, 7200);
    g_autofree char *password = g_strdup(params->params->password);
    g_assert_cmpuint(strlen(password), ==, 8);
    fake_answer(fake, NULL, 0, NULL);
    fake_settle(fake);
    g_assert_cmpint(got.status, ==, 200);
    g_assert_cmpstr(got.value, ==, password);
    g_assert_cmpstr(VR_LINK_ID(machine(fake), console_user), ==, "ann");
    got_clear(&got);

    ask(fake, &ann, &got);
    params = ((const struct fake_call *)g_queue_peek_head(&fake->calls))->params;
    g_assert_cmpstr(params->params->password, !=, password); /* each ticket has its own */
    fake_answer(fake, NULL, 18, "no display");
    fake_settle(fake);
    g_assert_cmpint(got.status, >=, 400);
    g_assert_null(got.value);
    got_clear(&got);
    fake_free(fake);
}

static void test_reconnect(void) VR_NO_THREAD_SAFETY
{
    static const struct {
        const char *what, *at_the_console; /* NULL: ann has a ticket and does not look */
        bool everybody;
        const char *who;
        bool allowed;
    } rows[] = {
        { "nobody looks", NULL, false, "bob", true },
        { "the one who looks takes another ticket", "192.0.2.7", false, "ann", true },
        { "somebody else does not", "192.0.2.7", false, "bob", false },
        { "unless he may reconnect", "192.0.2.7", false, "cat", true },
        { "or the machine lets everybody", "192.0.2.7", true, "bob", true },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("%s", rows[i].what);
        struct vr_vm *vm = new_vm();
        VR_SET_LINK(vm, console_user, user, "ann");
        VR_SET_STRING(vm, console_address, rows[i].at_the_console);
        VR_SET(vm->display, allow_override, rows[i].everybody);
        struct fake *fake = fake_site(vm);
        const struct vr_caller caller = { .user_id = rows[i].who };
        struct got got;
        ask(fake, &caller, &got);
        g_assert_cmpuint(g_queue_get_length(&fake->calls), ==, rows[i].allowed);
        if (!rows[i].allowed)
            g_assert_cmpstr(got.fault, ==, "not_authorized");
        else
            fake_answer(fake, NULL, 0, NULL);
        fake_settle(fake);
        g_assert_cmpuint(got.replies, ==, 1);
        g_assert_cmpstr(VR_LINK_ID(machine(fake), console_user), ==,
                        rows[i].allowed ? rows[i].who : "ann");
        got_clear(&got);
        fake_free(fake);
    }
}

/* --- what hosts report --- */

static struct vr_rpc_vm_stats *stats_new(const char *type, int64_t port, int64_t tls_port,
                                         const char *address, const char *client)
{
    struct vr_rpc_vm_stats *stats = VR_NEW(rpc_vm_stats);
    struct vr_rpc_vm_display_info *info = VR_NEW(rpc_vm_display_info);
    VR_SET_STRING(info, type, type);
    VR_SET(info, port, port);
    VR_SET(info, tls_port, tls_port);
    VR_SET_STRING(info, ip_address, address);
    VR_APPEND(stats, display_info, info);
    VR_SET_STRING(stats, client_ip, client);
    return stats;
}

static void test_addresses(void) VR_NO_THREAD_SAFETY
{
    static const struct {
        const char *what, *override, *listens, *want;
    } rows[] = {
        { "everything is the host's address", NULL, "0", "host1.example.com" },
        { "so are all addresses of IPv4", NULL, "0.0.0.0", "host1.example.com" },
        { "so are all of IPv6", NULL, "::", "host1.example.com" },
        { "one address is that one", NULL, "192.0.2.11", "192.0.2.11" },
        { "the host's console address overrides it", "c.example.com", "192.0.2.11",
          "c.example.com" },
        { "an empty one does not", "", "192.0.2.11", "192.0.2.11" },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("%s", rows[i].what);
        struct fake *fake = fake_site(new_vm());
        struct vr_txn *txn = vr_txn_new(fake->engine);
        struct vr_vm *vm = VR_EDIT(txn, VM, vm, "v");
        vr_auto struct vr_host *host = VR_NEW(host);
        VR_SET_STRING(host, address, "host1.example.com");
        if (rows[i].override)
            VR_SET_STRING(VR_SUB(host, display, display), address, rows[i].override);
        vr_auto struct vr_rpc_vm_stats *stats = stats_new("vnc", 5907, -1, rows[i].listens, "");
        vr_console_report(txn, vm, host, stats);
        g_assert_cmpstr(vm->display->address, ==, rows[i].want);
        g_assert_cmpint(vm->display->port, ==, 5907);
        g_assert_false(VR_HAS(vm->display, secure_port));
        vr_txn_abandon(txn);
        fake_free(fake);
    }
}

static unsigned events_of(struct fake *fake, int code) VR_REQUIRES(vr_role_engine)
{
    unsigned count = 0;
    vr_auto_objects struct vr_objects events = { 0 };
    vr_inventory_list(vr_engine_head(fake->engine), VR_KIND_EVENT, &events);
    VR_OBJECTS (struct vr_event, event, &events)
        count += event->code == code;
    return count;
}

static void report_client(struct fake *fake, const char *client) VR_REQUIRES(vr_role_engine)
{
    struct vr_txn *txn = vr_txn_new(fake->engine);
    vr_auto struct vr_rpc_vm_stats *stats = stats_new("vnc", 5900, -1, "0", client);
    vr_console_report(txn, VR_EDIT(txn, VM, vm, "v"), NULL, stats);
    vr_txn_commit(txn, NULL, NULL);
    fake_settle(fake);
}

static void test_viewers(void) VR_NO_THREAD_SAFETY
{
    struct vr_vm *vm = new_vm();
    VR_SET_LINK(vm, console_user, user, "ann");
    struct fake *fake = fake_site(vm);
    report_client(fake, "");
    report_client(fake, "192.0.2.7");
    report_client(fake, "192.0.2.7");
    g_assert_cmpuint(events_of(fake, VR_EVENT_VM_CONSOLE_CONNECTED), ==, 1);
    g_assert_cmpstr(machine(fake)->console_address, ==, "192.0.2.7");
    report_client(fake, "");
    g_assert_cmpuint(events_of(fake, VR_EVENT_VM_CONSOLE_DISCONNECTED), ==, 1);
    g_assert_null(machine(fake)->console_address);
    g_assert_null(VR_LINK_ID(machine(fake), console_user));
    fake_free(fake);
}

/* What a host says may be anything. */
static void test_hostile_displays(void) VR_NO_THREAD_SAFETY
{
    static const struct {
        const char *type;
        int64_t port, tls_port;
    } rows[] = { { "rdp", 5900, -1 }, { NULL, 5900, -1 }, { "vnc", -1, -1 }, { "vnc", 65536, -1 },
                 { "vnc", 0, 0 } };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct fake *fake = fake_site(new_vm());
        struct vr_txn *txn = vr_txn_new(fake->engine);
        struct vr_vm *vm = VR_EDIT(txn, VM, vm, "v");
        vr_auto struct vr_rpc_vm_stats *stats =
            stats_new(rows[i].type, rows[i].port, rows[i].tls_port, "0", "");
        vr_console_report(txn, vm, NULL, stats);
        g_assert_cmpuint(vm->live_consoles.len, ==, 0);
        g_assert_false(VR_HAS(vm->display, port));
        vr_txn_abandon(txn);
        fake_free(fake);
    }
}

/* --- sessions --- */

/* The names of the sessions, in their order: "console ann, guest root". */
static char *sessions_of(struct vr_inventory *inventory, const char *username)
{
    struct vr_statistics *statistics = vr_statistics_new();
    vr_auto struct vr_rpc_vm_stats *stats = VR_NEW(rpc_vm_stats);
    VR_SET_STRING(stats, username, username);
    vr_statistics_put(statistics, VR_KIND_VM, "v", stats);
    struct vr_reading reading = { .inventory = inventory, .statistics = statistics,
                                  .ids = { "v" }, .id_count = 1 };
    vr_vm_sessions_list(&reading);
    GString *names = g_string_new(NULL);
    VR_EACH (struct vr_session, session, &reading.list)
        g_string_append_printf(names, "%s%s %s", names->len ? ", " : "",
                               session->console_user ? "console" : "guest",
                               session->user->user_name);
    /* Each is found by its id, which is the same at another reading. */
    for (unsigned i = 0; i < reading.list.len; i++) {
        struct vr_reading one = { .inventory = inventory, .statistics = statistics,
                                  .ids = { "v", vr_id(reading.list.items[i]) }, .id_count = 2 };
        vr_vm_session_get(&one);
        g_assert_true(vr_equal(one.object, reading.list.items[i]));
        vr_unref(one.object);
    }
    vr_list_clear_objects(&reading.list);
    vr_statistics_free(statistics);
    return g_string_free(names, FALSE);
}

static void test_sessions(void) VR_NO_THREAD_SAFETY
{
    static const struct {
        const char *what, *console, *guest, *want;
    } rows[] = {
        { "nobody", NULL, "None", "" },
        { "nothing is known", NULL, "Unknown", "" },
        { "at the console", "192.0.2.7", "None", "console ann" },
        { "inside", NULL, "root", "guest root" },
        { "many, some twice", "192.0.2.7", "root, bob,root ,, ", "console ann, guest root, guest bob" },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("%s", rows[i].what);
        struct vr_vm *vm = new_vm();
        VR_SET_LINK(vm, console_user, user, "ann");
        VR_SET_STRING(vm, console_address, rows[i].console);
        struct fake *fake = fake_site(vm);
        g_autofree char *names = sessions_of(vr_engine_head(fake->engine), rows[i].guest);
        g_assert_cmpstr(names, ==, rows[i].want);
        fake_free(fake);
    }
}

/* --- what is configured --- */

static void test_configured(void)
{
    vr_auto struct vr_vm *vm = VR_NEW(vm);
    g_assert_true(vr_console_has(vm, VR_GRAPHICS_TYPE_VNC)); /* nothing said is VNC */
    g_assert_false(vr_console_has(vm, VR_GRAPHICS_TYPE_SPICE));
    vr_console_set(vm, VR_GRAPHICS_TYPE_SPICE, true);
    g_assert_true(vr_console_has(vm, VR_GRAPHICS_TYPE_VNC));
    g_assert_cmpint(vm->display->type, ==, VR_DISPLAY_TYPE_SPICE);
    vr_console_set(vm, VR_GRAPHICS_TYPE_SPICE, false);
    g_assert_cmpint(vm->display->type, ==, VR_DISPLAY_TYPE_VNC);
    vr_console_set(vm, VR_GRAPHICS_TYPE_VNC, false);
    g_assert_false(VR_HAS(vm->display, type));
    vr_console_fill(vm);
    g_assert_false(vr_console_has(vm, VR_GRAPHICS_TYPE_VNC)); /* none stays none */

    vr_auto struct vr_template *template = VR_NEW(template);
    VR_SET(VR_SUB(template, display, display), type, VR_DISPLAY_TYPE_SPICE);
    g_assert_true(vr_console_has(template, VR_GRAPHICS_TYPE_SPICE));
    g_assert_false(vr_console_has(template, VR_GRAPHICS_TYPE_VNC));
    vr_console_set(template, VR_GRAPHICS_TYPE_VNC, true);
    vr_console_choose(template); /* its display says SPICE */
    g_assert_false(vr_console_has(template, VR_GRAPHICS_TYPE_VNC));
}

static void test_display_of_run(void) VR_NO_THREAD_SAFETY
{
    /* It runs once with SPICE; when it is down it has VNC again. */
    struct fake *fake = fake_site(new_vm());
    struct vr_txn *txn = vr_txn_new(fake->engine);
    struct vr_vm *vm = VR_EDIT(txn, VM, vm, "v");
    vr_auto struct vr_rpc_vm_stats *stats = stats_new("spice", 5900, 5901, "0", "192.0.2.7");
    vr_console_report(txn, vm, NULL, stats);
    g_assert_cmpint(vm->display->type, ==, VR_DISPLAY_TYPE_SPICE);
    g_assert_cmpint(vm->display->secure_port, ==, 5901);
    vr_console_down(vm);
    g_assert_cmpint(vm->display->type, ==, VR_DISPLAY_TYPE_VNC);
    g_assert_false(VR_HAS(vm->display, port) || VR_HAS(vm->display, secure_port));
    g_assert_null(vm->console_address);
    vr_txn_abandon(txn);
    fake_free(fake);
}

static void test_check(void)
{
    static const struct {
        const char *action;
        int64_t delay;
        bool good;
        const char *layout;
    } rows[] = { { "LOCK_SCREEN", 0, true },    { "shutdown", 5, true },
                 { "none", 0, true },           { "explode", 0, false },
                 { "", 0, false },              { "reboot", -1, false },
                 { "none", 0, true, "en-us" },  { "none", 0, false, "../de" } };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("%s", rows[i].action);
        vr_auto_error struct vr_error *error = NULL;
        vr_auto struct vr_vm *vm = VR_NEW(vm);
        struct vr_display *display = VR_SUB(vm, display, display);
        VR_SET_STRING(display, disconnect_action, rows[i].action);
        VR_SET(display, disconnect_action_delay, rows[i].delay);
        VR_SET_STRING(display, keyboard_layout, rows[i].layout);
        g_assert_true(vr_console_check(vm, &error) == rows[i].good);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/console/a ticket is set on the host before it is told", test_ticket);
    g_test_add_func("/console/who may take it from whom", test_reconnect);
    g_test_add_func("/console/where it is", test_addresses);
    g_test_add_func("/console/who comes and goes is an event each", test_viewers);
    g_test_add_func("/console/displays that make no sense are none", test_hostile_displays);
    g_test_add_func("/console/sessions at it and inside", test_sessions);
    g_test_add_func("/console/what is configured", test_configured);
    g_test_add_func("/console/a run's display ends with it", test_display_of_run);
    g_test_add_func("/console/actions at the end have names", test_check);
    return g_test_run();
}
