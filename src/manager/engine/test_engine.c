/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/engine/fake.h"
#include "manager/job/job.h"

static int module_connects;

static void seen_state(void *state, const char *host_id, bool connected, const char *reason)
{
    module_connects += connected;
}

static int module_begins;

static void *start_module(struct vr_engine *engine)
{
    return &module_begins;
}

static void begin_module(void *state)
{
    ++*(int *)state;
}

static const struct vr_module test_module = { .name = "test", .start = start_module,
                                              .begin = begin_module, .host_state = seen_state };
const struct vr_module *const vr_modules[] = { &test_module, NULL };
const struct vr_job_type *const vr_job_types[] = { NULL };

static void count(struct vr_engine *engine, void *arg)
{
    ++*(int *)arg;
}

static struct vr_tag *add_tag(struct vr_txn *txn, const char *name) VR_REQUIRES(vr_role_engine)
{
    struct vr_tag *tag = VR_NEW(tag);
    VR_SET_STRING(tag, name, name);
    return vr_txn_add(txn, VR_KIND_TAG, tag);
}

/* --- transactions --- */

static void test_commit(void) VR_NO_THREAD_SAFETY
{
    struct fake *fake = fake_new(NULL);
    int done = 0;
    struct vr_txn *txn = vr_txn_new(fake->engine);
    g_autofree char *id = g_strdup(add_tag(txn, "a")->id);
    g_assert_nonnull(vr_txn_peek(txn, VR_KIND_TAG, id));
    g_assert_null(vr_inventory_peek(vr_engine_head(fake->engine), VR_KIND_TAG, id));
    vr_txn_commit(txn, count, &done);
    g_assert_nonnull(vr_inventory_peek(vr_engine_head(fake->engine), VR_KIND_TAG, id));
    g_assert_null(vr_inventory_peek(fake->committed, VR_KIND_TAG, id));
    g_assert_cmpint(done, ==, 0);
    fake_acknowledge(fake);
    g_assert_cmpint(done, ==, 1);
    g_assert_nonnull(vr_inventory_peek(fake->committed, VR_KIND_TAG, id));

    /* An edit that changes nothing costs no commit and is done all the same. */
    uint64_t sent = fake->sent;
    txn = vr_txn_new(fake->engine);
    VR_SET_STRING(VR_EDIT(txn, TAG, tag, id), name, "a");
    vr_txn_commit(txn, count, &done);
    g_assert_cmpuint(fake->sent, ==, sent);
    g_assert_cmpint(done, ==, 1);
    fake_advance(fake, 0);
    g_assert_cmpint(done, ==, 2);

    txn = vr_txn_new(fake->engine);
    vr_txn_remove(txn, VR_KIND_TAG, id);
    g_assert_null(vr_txn_peek(txn, VR_KIND_TAG, id));
    g_assert_null(vr_txn_edit(txn, VR_KIND_TAG, id));
    vr_txn_abandon(txn);
    g_assert_nonnull(vr_inventory_peek(vr_engine_head(fake->engine), VR_KIND_TAG, id));
    fake_free(fake);
}

static void test_rebase(void) VR_NO_THREAD_SAFETY
{
    struct fake *fake = fake_new(NULL);
    struct vr_txn *txn = vr_txn_new(fake->engine);
    g_autofree char *id = g_strdup(add_tag(txn, "a")->id);
    g_autofree char *gone = g_strdup(add_tag(txn, "b")->id);
    vr_txn_commit(txn, NULL, NULL);

    struct vr_txn *slow = vr_txn_new(fake->engine);
    VR_SET_STRING(VR_EDIT(slow, TAG, tag, id), description, "slow");
    VR_SET_STRING(VR_EDIT(slow, TAG, tag, gone), description, "slow");
    txn = vr_txn_new(fake->engine);
    VR_SET_STRING(VR_EDIT(txn, TAG, tag, id), comment, "fast");
    vr_txn_remove(txn, VR_KIND_TAG, gone);
    vr_txn_commit(txn, NULL, NULL);
    vr_txn_commit(slow, NULL, NULL);

    const struct vr_tag *tag = VR_PEEK(vr_engine_head(fake->engine), TAG, tag, id);
    g_assert_cmpstr(tag->description, ==, "slow");
    g_assert_cmpstr(tag->comment, ==, "fast");
    g_assert_null(vr_inventory_peek(vr_engine_head(fake->engine), VR_KIND_TAG, gone));
    fake_free(fake);
}

/* --- timers --- */

struct order {
    GString *text;
    const char *letter;
};

static void append(struct vr_engine *engine, void *arg)
{
    struct order *order = arg;
    g_string_append(order->text, order->letter);
}

static void test_timers(void) VR_NO_THREAD_SAFETY
{
    struct fake *fake = fake_new(NULL);
    g_autoptr(GString) text = g_string_new(NULL);
    struct order orders[26];
    uint64_t ids[26];
    static const unsigned when[] = { 50, 10, 30, 10, 20, 40, 10, 60, 30, 5 };
    for (unsigned i = 0; i < G_N_ELEMENTS(when); i++) {
        char letter[2] = { (char)('a' + i), 0 };
        orders[i] = (struct order){ text, g_intern_string(letter) };
        ids[i] = vr_engine_after(fake->engine, when[i], append, &orders[i]);
    }
    vr_engine_cancel(fake->engine, ids[4]);
    vr_engine_cancel(fake->engine, 0);
    fake_advance(fake, 29);
    g_assert_cmpstr(text->str, ==, "jbdg");
    vr_engine_cancel(fake->engine, ids[1]); /* has run */
    fake_advance(fake, 31);
    g_assert_cmpstr(text->str, ==, "jbdgcifah");
    fake_free(fake);
}

static void released(void *data)
{
    struct order *order = data;
    g_string_append(order->text, "-");
    g_string_append(order->text, order->letter);
    g_string_append(order->text, " ");
}

/* What a timer owns goes with it, once: after it ran, when it is cancelled, when the engine ends. */
static void test_timers_own(void) VR_NO_THREAD_SAFETY
{
    struct fake *fake = fake_new(NULL);
    g_autoptr(GString) text = g_string_new(NULL);
    struct order orders[] = { { text, "a" }, { text, "b" }, { text, "c" } };
    static const unsigned when[] = { 10, 20, 30 };
    uint64_t ids[3];
    for (unsigned i = 0; i < 3; i++)
        ids[i] = vr_engine_after_with(fake->engine, when[i], append, &orders[i], released);
    fake_advance(fake, 10);
    g_assert_cmpstr(text->str, ==, "a-a ");
    vr_engine_cancel(fake->engine, ids[0]);
    vr_engine_cancel(fake->engine, ids[1]);
    g_assert_cmpstr(text->str, ==, "a-a -b ");
    fake_free(fake);
    g_assert_cmpstr(text->str, ==, "a-a -b -c ");
}

/* --- calls --- */

struct got {
    int replies, status, kind;
    bool created;
    char *id, *action_status, *creation_status, *fault;
};

static void got_clear(struct got *got)
{
    g_free(got->id);
    g_free(got->action_status);
    g_free(got->creation_status);
    g_free(got->fault);
    *got = (struct got){ 0 };
}

static void replied(const struct vr_call_reply *reply, void *arg)
{
    struct got *got = arg;
    got->replies++;
    got->status = reply->status;
    got->kind = reply->kind;
    got->created = reply->created;
    got->id = g_strdup(reply->id);
    got->action_status = g_strdup(reply->action_status);
    got->creation_status = g_strdup(reply->creation_status);
    got->fault = reply->error ? g_strdup(reply->error->fault->name) : NULL;
}

static void write_add(struct vr_call *call) VR_REQUIRES(vr_role_engine)
{
    struct vr_txn *txn = vr_txn_new(call->engine);
    struct vr_tag *tag = add_tag(txn, "made");
    vr_call_commit(call, txn, VR_KIND_TAG, tag->id);
}

static void write_fail(struct vr_call *call) VR_REQUIRES(vr_role_engine)
{
    vr_auto_error struct vr_error *error = NULL;
    g_assert_null(vr_call_target(call, VR_KIND_TAG, &error));
    vr_call_fail(call, &error);
}

static void write_remove(struct vr_call *call) VR_REQUIRES(vr_role_engine)
{
    vr_call_commit_remove(call, NULL, NULL);
}

static void write_action(struct vr_call *call) VR_REQUIRES(vr_role_engine)
{
    vr_call_commit_action(call, NULL, NULL);
}

static const struct vr_operation add = { .name = "add", .method = VR_METHOD_POST, .write = write_add },
                                 update = { .name = "update", .method = VR_METHOD_PUT,
                                            .write = write_add },
                                 fail = { .name = "fail", .method = VR_METHOD_POST, .is_action = true,
                                          .write = write_fail },
                                 removal = { .name = "remove", .method = VR_METHOD_DELETE,
                                             .write = write_remove },
                                 action = { .name = "action", .method = VR_METHOD_POST,
                                            .is_action = true, .write = write_action };

static void begin(struct fake *fake, const struct vr_operation *operation,
                  const char *const *params, struct got *got) VR_REQUIRES(vr_role_engine)
{
    static const char *const ids[] = { "some" };
    got_clear(got);
    vr_call_begin(fake->engine, vr_call_new(operation, ids, 1, NULL, NULL, "c", params, replied, got));
    g_assert_cmpint(got->replies, ==, 0);
}

static void test_calls(void) VR_NO_THREAD_SAFETY
{
    static const struct {
        const char *what;
        const struct vr_operation *operation;
        const char *params[3];
        int status;
        bool created;
        const char *action_status, *fault;
    } rows[] = {
        { "an add is 201", &add, { NULL }, 201, true, NULL, NULL },
        { "an update is 200", &update, { NULL }, 200, false, NULL, NULL },
        { "a removal is 200", &removal, { NULL }, 200, false, "complete", NULL },
        { "a removal may be 202", &removal, { "async", "true" }, 202, false, "complete", NULL },
        { "an action without a job is 200", &action, { NULL }, 200, false, "complete", NULL },
        { "a failure has its fault's status", &fail, { NULL }, 404, false, "failed", "not_found" },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct fake *fake = fake_new(NULL);
        struct got got = { 0 };
        g_test_message("%s", rows[i].what);
        begin(fake, rows[i].operation, rows[i].params, &got);
        fake_settle(fake);
        g_assert_cmpint(got.replies, ==, 1);
        g_assert_cmpint(got.status, ==, rows[i].status);
        g_assert_cmpint(got.created, ==, rows[i].created);
        g_assert_cmpstr(got.action_status, ==, rows[i].action_status);
        g_assert_cmpstr(got.fault, ==, rows[i].fault);
        fake_free(fake);
        g_assert_cmpint(got.replies, ==, 1);
        got_clear(&got);
    }
}

static void test_reply_after_commit(void) VR_NO_THREAD_SAFETY
{
    struct fake *fake = fake_new(NULL);
    struct got got = { 0 };
    begin(fake, &add, NULL, &got);
    fake_advance(fake, 60000);
    g_assert_cmpint(got.replies, ==, 0);
    fake_acknowledge(fake);
    g_assert_cmpint(got.replies, ==, 1);
    g_assert_nonnull(vr_inventory_peek(fake->committed, VR_KIND_TAG, got.id));
    fake_free(fake);
    got_clear(&got);
}

static void test_database_down(void) VR_NO_THREAD_SAFETY
{
    struct fake *fake = fake_new(NULL);
    struct got early = { 0 }, late = { 0 }, under_way = { 0 };
    int64_t limit = fake->config->CommitTimeoutInSeconds * 1000;
    fake_settle(fake);
    begin(fake, &add, NULL, &under_way);
    vr_engine_database(fake->engine, false);
    begin(fake, &add, NULL, &early);
    fake_advance(fake, limit - 1);
    begin(fake, &add, NULL, &late);
    g_assert_cmpint(early.replies + under_way.replies, ==, 0);
    fake_advance(fake, 1);
    g_assert_cmpstr(early.fault, ==, "database_unavailable");
    g_assert_cmpint(early.status, ==, 503);
    g_assert_cmpstr(under_way.fault, ==, "database_unavailable");

    vr_engine_database(fake->engine, true);
    fake_settle(fake);
    g_assert_cmpint(late.status, ==, 201);
    g_assert_cmpint(under_way.replies + early.replies, ==, 2);
    /* What was under way is done nevertheless, what had not begun is not. */
    g_assert_cmpuint(vr_inventory_count(fake->committed, VR_KIND_TAG), ==, 2);
    fake_free(fake);
    got_clear(&early);
    got_clear(&late);
    got_clear(&under_way);
}

static void test_flags(void) VR_NO_THREAD_SAFETY
{
    static const char *const params[] = { "a", "", "b", "No", "c", "maybe", "d", "1", "a", "f", NULL };
    struct got got = { 0 };
    struct fake *fake = fake_new(NULL);
    struct vr_call *call = vr_call_new(&action, NULL, 0, NULL, NULL, NULL, params, replied, &got);
    g_assert_true(vr_call_flag(call, "a", false));
    g_assert_false(vr_call_flag(call, "b", true));
    g_assert_true(vr_call_flag(call, "c", true));
    g_assert_false(vr_call_flag(call, "c", false));
    g_assert_true(vr_call_flag(call, "d", false));
    g_assert_true(vr_call_flag(call, "e", true));
    vr_call_begin(fake->engine, call);
    fake_settle(fake);
    fake_free(fake);
    got_clear(&got);
}

/* --- events --- */

static void test_events(void) VR_NO_THREAD_SAFETY
{
    g_autoptr(GArray) loaded = g_array_new(FALSE, FALSE, sizeof(struct vr_change));
    vr_auto struct vr_event *old = VR_NEW(event);
    vr_set_id(old, "41");
    VR_SET(old, index, 41);
    const struct vr_change change = { VR_KIND_EVENT, (char *)(uintptr_t)"41", old, 7 };
    g_array_append_val(loaded, change);
    struct fake *fake = fake_new(loaded);
    vr_auto struct vr_host *host = VR_NEW(host);
    vr_set_id(host, "h");
    VR_SET_STRING(host, name, "host1");
    const struct vr_event_about about = { .host = host };

    struct vr_txn *txn = vr_txn_new(fake->engine);
    vr_event_add(txn, VR_EVENT_VDS_DETECTED, &about, "hoststatus", "Up", NULL);
    vr_event_add(txn, VR_EVENT_VDS_ACTIVATE_FAILED, &about, NULL);
    vr_event_add(txn, VR_EVENT_VDS_ACTIVATE_FAILED, &about, NULL); /* flood 60 */
    vr_txn_commit(txn, NULL, NULL);
    struct vr_inventory *head = vr_engine_head(fake->engine);
    g_assert_cmpuint(vr_inventory_count(head, VR_KIND_EVENT), ==, 3);
    const struct vr_event *event = VR_PEEK(head, EVENT, event, "42");
    g_assert_cmpstr(event->description, ==, "Status of host host1 was set to Up.");
    g_assert_cmpstr(VR_LINK_ID(event, host), ==, "h");
    g_assert_cmpint(event->code, ==, VR_EVENT_VDS_DETECTED);
    event = VR_PEEK(head, EVENT, event, "43");
    g_assert_cmpstr(event->description, ==, "Host host1 could not be activated by <UNKNOWN>.");

    fake_advance(fake, 60000);
    txn = vr_txn_new(fake->engine);
    vr_event_add(txn, VR_EVENT_VDS_ACTIVATE_FAILED, &about, NULL);
    vr_txn_commit(txn, NULL, NULL);
    g_assert_nonnull(vr_inventory_peek(head, VR_KIND_EVENT, "44"));
    fake_free(fake);
}

/* --- hosts and checks --- */

static void host_answered(struct vr_engine *engine, const void *result, int code,
                          const char *message, void *arg)
{
    *(int *)arg = code;
    g_assert_null(result);
}

static void test_host_calls(void) VR_NO_THREAD_SAFETY
{
    struct fake *fake = fake_new(NULL);
    int code = -1;
    vr_auto void *params = vr_object_new(vr_verb_host_ping2.params);
    vr_engine_host_call(fake->engine, "h", &vr_verb_host_ping2, params, 0, NULL, host_answered,
                        &code);
    const struct fake_call *call = g_queue_peek_head(&fake->calls);
    g_assert_cmpuint(call->timeout_ms, ==, 1000 * fake->config->vdsTimeout);
    g_assert_cmpint(code, ==, -1);
    fake_answer(fake, params, VR_RPC_NETWORK_ERROR, "gone");
    g_assert_cmpint(code, ==, VR_RPC_NETWORK_ERROR);
    /* Who needs no answer gives no function. */
    vr_engine_host_call(fake->engine, "h", &vr_verb_host_ping2, params, 0, NULL, NULL, NULL);
    fake_answer(fake, params, 0, NULL);
    vr_engine_host_state(fake->engine, "h", true, NULL);
    g_assert_cmpint(module_connects, ==, 1);
    g_assert_cmpint(module_begins, >=, 1);
    fake_free(fake);
}

static void test_names(void)
{
    static const struct {
        const char *name;
        enum vr_name_rule rule;
        unsigned max;
        bool fits;
    } rows[] = {
        { "web-1.example_x", VR_NAME_HOST, 255, true },
        { "web 1", VR_NAME_HOST, 255, false },
        { "a.b", VR_NAME_SIMPLE, 40, false },
        { "a_b-C9", VR_NAME_SIMPLE, 40, true },
        { "", VR_NAME_FREE, 40, false },
        { NULL, VR_NAME_FREE, 40, false },
        { "\xc3\xa4rger", VR_NAME_VM, 64, true },
        { "\xc3\xa4rger", VR_NAME_HOST, 64, false },
        { "\xff", VR_NAME_FREE, 64, false },
        { "a\nb", VR_NAME_FREE, 64, false },
        { "a b", VR_NAME_FREE, 3, true },
        { "a bc", VR_NAME_FREE, 3, false },
        { "\xc3\xa4\xc3\xa4\xc3\xa4", VR_NAME_VM, 3, true },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        vr_auto_error struct vr_error *error = NULL;
        g_assert_cmpint(vr_check_name("Tag", rows[i].name, rows[i].rule, rows[i].max, &error), ==,
                        rows[i].fits);
        g_assert_cmpint(error != NULL, ==, !rows[i].fits);
    }
}

static void test_resolve(void) VR_NO_THREAD_SAFETY
{
    struct fake *fake = fake_new(NULL);
    struct vr_txn *txn = vr_txn_new(fake->engine);
    const char *id = add_tag(txn, "one")->id;
    add_tag(txn, "two");
    add_tag(txn, "two");
    vr_auto struct vr_tag *by_id = VR_STUB(tag, id), *by_name = VR_NEW(tag), *twice = VR_NEW(tag),
                          *nobody = VR_STUB(tag, "nobody"), *empty = VR_NEW(tag);
    VR_SET_STRING(by_name, name, "one");
    VR_SET_STRING(twice, name, "two");
    vr_txn_commit(txn, NULL, NULL);
    vr_auto_error struct vr_error *e1 = NULL, *e2 = NULL, *e3 = NULL, *e4 = NULL, *none = NULL;
    const struct vr_tag *found = VR_RESOLVE(fake->engine, TAG, tag, by_id, "Tag", &none);
    g_assert_cmpstr(found->name, ==, "one");
    g_assert_true(VR_RESOLVE(fake->engine, TAG, tag, by_name, "Tag", &none) == found);
    g_assert_null(VR_RESOLVE(fake->engine, TAG, tag, twice, "Tag", &e1));
    g_assert_null(VR_RESOLVE(fake->engine, TAG, tag, nobody, "Tag", &e2));
    g_assert_null(VR_RESOLVE(fake->engine, TAG, tag, empty, "Tag", &e3));
    g_assert_null(VR_RESOLVE(fake->engine, TAG, tag, NULL, "Tag", &e4));
    g_assert_cmpstr(e4->detail, ==, "Tag [id|name] required");
    fake_free(fake);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/engine/readers see a commit when the database has it", test_commit);
    g_test_add_func("/engine/a slow transaction keeps what fast ones did", test_rebase);
    g_test_add_func("/engine/timers run in time and in order", test_timers);
    g_test_add_func("/engine/what a timer owns goes with it", test_timers_own);
    g_test_add_func("/engine/every call has its status", test_calls);
    g_test_add_func("/engine/no reply before the database has it", test_reply_after_commit);
    g_test_add_func("/engine/calls wait for a database that is down, but not for ever",
                    test_database_down);
    g_test_add_func("/engine/flags are words", test_flags);
    g_test_add_func("/engine/events tell, count on and do not flood", test_events);
    g_test_add_func("/engine/a host call is answered once", test_host_calls);
    g_test_add_func("/engine/names follow their rule", test_names);
    g_test_add_func("/engine/links are found by id or by a name that is the only one",
                    test_resolve);
    return g_test_run();
}
