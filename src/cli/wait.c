/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/wait.h"

#include "cli/output.h"

/* Fast at first, because most waits are short. */
#define POLL_FIRST 100
#define POLL_LAST 2000
/* A state that was there before the work began means failure only after this long, in us. */
#define GRACE (10 * G_USEC_PER_SEC)

bool vr_cli_wait_limit(const struct vr_cli *cli, unsigned *ret, struct vr_error **error)
{
    uint64_t seconds;
    if (!vr_cli_number(cli, VR_CLI_TIMEOUT, 1, 86400, 600, &seconds, error))
        return false;
    *ret = (unsigned)seconds;
    return true;
}

/* Whether the wait is over; @error is set when it ended badly.  @moved: the work has begun. */
static bool is_over(const struct vr_cli_goal *goal, json_object *object, bool *moved,
                    struct vr_error **error)
{
    const char *value = vr_cli_text(object, goal->member);
    if (value && g_strv_contains(goal->good, value))
        return true;
    bool bad = value && goal->bad && g_strv_contains(goal->bad, value);
    *moved |= !bad;
    if (bad && *moved) {
        vr_error_set(error, &vr_cli_failed, "It is now '%s'; 'vireo event list' says why.", value);
        return true;
    }
    return false;
}

bool vr_cli_wait_for(struct vr_client *client, const struct vr_cli_goal *goal,
                     json_object **ret_object, struct vr_error **error)
{
    gint64 begin = g_get_monotonic_time();
    gint64 end = begin + (gint64)goal->seconds * G_USEC_PER_SEC;
    unsigned pause = POLL_FIRST;
    bool moved = false;
    for (;;) {
        vr_auto_json json_object *object = NULL;
        vr_auto_error struct vr_error *failure = NULL;
        if (!vr_client_call(client, "GET", goal->path, NULL, &object, &failure)) {
            if (!goal->gone || failure->fault != &vr_cli_not_found) {
                vr_error_move(error, &failure);
                return false;
            }
            if (ret_object)
                *ret_object = NULL;
            return true;
        }
        moved |= g_get_monotonic_time() - begin > GRACE;
        if (is_over(goal, object, &moved, error)) {
            if (!*error && ret_object)
                *ret_object = g_steal_pointer(&object);
            return !*error;
        }
        if (g_get_monotonic_time() >= end) {
            const char *value = vr_cli_text(object, goal->member);
            vr_error_set(error, &vr_cli_failed,
                         "Still '%s' after %u seconds; the work may go on, see 'vireo job list'.",
                         value ? value : "", goal->seconds);
            return false;
        }
        if (!vr_cli_sleep(pause, error))
            return false;
        pause = MIN(pause * 2, POLL_LAST);
    }
}
