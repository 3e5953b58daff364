/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/engine/fake.h"
#include "manager/job/job.h"

/* The life of jobs beside the simulation: what they notice, and what ends them at a start. */

#define TAG "00000000-0000-4000-8000-000000000001"
#define JOB "00000000-0000-4000-8000-000000000002"

const struct vr_module *const vr_modules[] = { NULL };

/* --- a job that waits until somebody names its tag "ripe", and eats it --- */

static unsigned noticed_times;

static void noticed(struct vr_job_run *run) VR_REQUIRES(vr_role_engine)
{
    const struct vr_tag *tag = vr_txn_peek(run->txn, VR_KIND_TAG, TAG);
    noticed_times++;
    if (tag && g_strcmp0(tag->name, "ripe") == 0) {
        VR_SET_STRING(VR_EDIT(run->txn, TAG, tag, TAG), comment, "eaten");
        vr_job_done(run);
    }
}

static void wait_until_ripe(struct vr_job_run *run) VR_REQUIRES(vr_role_engine)
{
    vr_job_on_change(run, noticed);
}

static const struct vr_job_step eat_steps[] = { { "wait", wait_until_ripe, NULL } };
static const struct vr_job_type eat_job = { .name = "Eat",
                                            .context = &vr_type_property,
                                            .steps = eat_steps,
                                            .step_count = G_N_ELEMENTS(eat_steps) };

/* --- a job with a step that can be undone --- */

static void done(struct vr_job_run *run) VR_REQUIRES(vr_role_engine)
{
    vr_job_done(run);
}

static void undo(struct vr_job_run *run) VR_REQUIRES(vr_role_engine)
{
    VR_SET_STRING(VR_EDIT(run->txn, TAG, tag, TAG), comment, "undone");
    vr_job_done(run);
}

static const struct vr_job_step undo_steps[] = { { "do", done, undo } };
static const struct vr_job_type undo_job = { .name = "Undo",
                                             .context = &vr_type_property,
                                             .steps = undo_steps,
                                             .step_count = G_N_ELEMENTS(undo_steps) };

const struct vr_job_type *const vr_job_types[] = { &eat_job, &undo_job, NULL };

/* --- a Manager that finds a tag and perhaps an unfinished job that has locked it --- */

static struct vr_change tag_change(void)
{
    struct vr_tag *tag = VR_NEW(tag);
    vr_set_id(tag, TAG);
    VR_SET_STRING(tag, name, "green");
    return (struct vr_change){ VR_KIND_TAG, (char *)(uintptr_t)TAG, tag, 1 };
}

static struct vr_change job_change(const char *type, int64_t position, const char *context)
{
    struct vr_job *job = VR_NEW(job);
    vr_set_id(job, JOB);
    VR_SET_STRING(job, job_type, type);
    VR_SET_STRING(job, description, "Something old");
    VR_SET_STRING(job, context, context);
    VR_SET(job, position, position);
    VR_SET(job, status, VR_JOB_STATUS_STARTED);
    struct vr_job_lock *lock = VR_NEW(job_lock);
    VR_SET_STRING(lock, kind, "tag");
    VR_SET_STRING(lock, target, TAG);
    VR_SET(lock, exclusive, true);
    VR_APPEND(job, locks, lock);
    return (struct vr_change){ VR_KIND_JOB, (char *)(uintptr_t)JOB, job, 2 };
}

static struct vr_change step_change(void)
{
    struct vr_step *step = VR_NEW(step);
    vr_set_id(step, "00000000-0000-4000-8000-000000000003");
    VR_SET(step, status, VR_STEP_STATUS_STARTED);
    VR_SET_LINK(step, job, job, JOB);
    return (struct vr_change){ VR_KIND_STEP, step->id, step, 3 };
}

static struct fake *start_with(const struct vr_change *changes, unsigned count)
    VR_REQUIRES(vr_role_engine)
{
    g_autoptr(GArray) loaded = g_array_new(FALSE, FALSE, sizeof(struct vr_change));
    g_array_append_vals(loaded, changes, count);
    struct fake *fake = fake_new(loaded);
    for (unsigned i = 0; i < count; i++)
        vr_unref(changes[i].after);
    return fake;
}

static bool is_free(struct fake *fake) VR_REQUIRES(vr_role_engine)
{
    const struct vr_lock lock = { VR_KIND_TAG, TAG, true };
    vr_auto_error struct vr_error *error = NULL;
    return vr_locks_free(fake->engine, &lock, 1, &error);
}

static void rename_tag(struct fake *fake, const char *name) VR_REQUIRES(vr_role_engine)
{
    struct vr_txn *txn = vr_txn_new(fake->engine);
    VR_SET_STRING(VR_EDIT(txn, TAG, tag, TAG), name, name);
    vr_txn_commit(txn, NULL, NULL);
}

/* --- a change by another and the end of the job that waited for it are one --- */

static void test_notice(void) VR_NO_THREAD_SAFETY
{
    const struct vr_change change = tag_change();
    struct fake *fake = start_with(&change, 1);
    struct vr_txn *txn = vr_txn_new(fake->engine);
    const struct vr_lock lock = { VR_KIND_TAG, TAG, true };
    g_autofree char *job_id =
        g_strdup(vr_job_start(txn, &(struct vr_job_start){ .type = &eat_job,
                                                           .context = VR_NEW(property),
                                                           .description = "Eating",
                                                           .locks = &lock,
                                                           .lock_count = 1 }));
    vr_txn_commit(txn, NULL, NULL);
    noticed_times = 0;
    rename_tag(fake, "ripe"); /* before the job has begun to wait: it looks when it does */
    rename_tag(fake, "green");
    fake_settle(fake);
    g_assert_cmpuint(noticed_times, ==, 0);
    rename_tag(fake, "yellow");
    fake_settle(fake);
    g_assert_cmpuint(noticed_times, ==, 1);
    g_assert_false(is_free(fake));
    g_assert_true(vr_job_running(fake->engine, job_id) == &eat_job);

    uint64_t sent = fake->sent;
    rename_tag(fake, "ripe");
    g_assert_true(is_free(fake));
    g_assert_null(vr_job_running(fake->engine, job_id));
    g_assert_cmpuint(fake->sent, ==, sent + 1); /* one transaction */
    const struct vr_tag *seen = VR_PEEK(fake->committed, TAG, tag, TAG);
    g_assert_cmpstr(seen->name, ==, "yellow");
    fake_acknowledge(fake);
    seen = VR_PEEK(fake->committed, TAG, tag, TAG);
    const struct vr_job *job = VR_PEEK(fake->committed, JOB, job, job_id);
    g_assert_cmpstr(seen->comment, ==, "eaten");
    g_assert_cmpint(job->status, ==, VR_JOB_STATUS_FINISHED);

    rename_tag(fake, "ripe again");
    g_assert_cmpuint(noticed_times, ==, 2); /* nobody waits any more */
    fake_free(fake);
}

/* --- records that this Manager cannot go on with --- */

static const struct vr_event *find_event(struct fake *fake, int code) VR_REQUIRES(vr_role_engine)
{
    vr_auto_objects struct vr_objects events = { 0 };
    vr_inventory_list(fake->committed, VR_KIND_EVENT, &events);
    VR_OBJECTS(struct vr_event, event, &events)
        if (event->code == code)
            return VR_PEEK(fake->committed, EVENT, event, event->id);
    return NULL;
}

static void test_lost(void) VR_NO_THREAD_SAFETY
{
    static const struct {
        const char *what, *type, *context;
        int64_t position;
        const char *comment; /* of the tag, afterwards */
        int event;
        const char *text; /* in the event or the job's fault */
    } rows[] = {
        { "a type that is gone", "Gone", "{}", 0, NULL, VR_EVENT_JOB_GIVEN_UP,
          "no jobs of type Gone" },
        { "a context that does not read", "Undo", "{", 0, NULL, VR_EVENT_JOB_GIVEN_UP,
          "does not read" },
        { "a step that is gone", "Undo", "{}", 7, "undone", VR_EVENT_JOB_UNWOUND, "no step 7" },
        { "a step before the first", "Undo", "{}", -1, "undone", VR_EVENT_JOB_UNWOUND, "no step -1" },
        { "a step that is gone, nothing to undo", "Eat", "{}", 3, NULL, VR_EVENT_JOB_UNWOUND,
          "no step 3" },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("%s", rows[i].what);
        const struct vr_change changes[] = {
            tag_change(), job_change(rows[i].type, rows[i].position, rows[i].context), step_change()
        };
        struct fake *fake = start_with(changes, G_N_ELEMENTS(changes));
        fake_settle(fake);
        g_assert_true(is_free(fake));
        const struct vr_job *job = VR_PEEK(fake->committed, JOB, job, JOB);
        g_assert_cmpint(job->status, ==, VR_JOB_STATUS_FAILED);
        g_assert_true(job->has.end_time && !job->has.locks && !job->has.context);
        g_assert_nonnull(strstr(job->fault_detail, rows[i].text));
        const struct vr_tag *tag = VR_PEEK(fake->committed, TAG, tag, TAG);
        g_assert_cmpstr(tag->comment, ==, rows[i].comment);
        const struct vr_event *event = find_event(fake, rows[i].event);
        g_assert_nonnull(event);
        g_assert_nonnull(strstr(event->description, rows[i].text));
        if (rows[i].event == VR_EVENT_JOB_GIVEN_UP)
            g_assert_nonnull(strstr(event->description, "tag green"));
        vr_auto_objects struct vr_objects steps = { 0 };
        vr_inventory_list(fake->committed, VR_KIND_STEP, &steps);
        VR_OBJECTS(struct vr_step, step, &steps)
            g_assert_cmpint(step->status, !=, VR_STEP_STATUS_STARTED);
        fake_free(fake);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/job/what a job waited for and its end are one transaction", test_notice);
    g_test_add_func("/job/a record that cannot go on fails and frees its locks", test_lost);
    return g_test_run();
}
