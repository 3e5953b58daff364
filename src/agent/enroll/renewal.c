/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "enroll"
#include "agent/enroll/renewal.h"

#include "agent/enroll/identity.h"
#include "agent/helper/run.h"

#define DAILY_S (24 * 60 * 60)
#define HOURLY_S (60 * 60)
#define RUN_MS (3 * 60 * 1000)

struct renewal {
    struct vr_loop *loop;
    const struct vr_agent_config *config;
    const char *path;
    vr_renewal_looked *looked;
    void *arg;
};

struct look {
    struct renewal *renewal;
    bool renewed;
    int64_t expires;
};

static void tell(void *arg)
{
    struct look *look = arg;
    look->renewal->looked(look->renewed, look->expires, look->renewal->arg);
    g_free(look);
}

/* False when it has to be tried again soon. */
static bool look(struct renewal *renewal, struct look *ret)
{
    vr_auto_error struct vr_error *error = NULL;
    const char *argv[] = { renewal->config->enroll, "renew", renewal->path ? "--config" : NULL,
                           renewal->path, NULL };
    struct vr_run run = { .argv = argv, .deadline_ms = RUN_MS };
    bool good = vr_run(&run, &error);
    ret->renewed = good && run.output && g_str_has_prefix(run.output, "renewed");
    if (!good) {
        g_autofree char *text = vr_error_text(error);
        vr_log_warning("The host's certificate was not renewed: %s", text);
    } else if (ret->renewed) {
        vr_log_info("The host's certificate was renewed.");
    }
    vr_run_done(&run);
    vr_auto_error struct vr_error *unknown = NULL;
    if (!vr_identity_expires(renewal->config, &ret->expires, &unknown))
        ret->expires = 0;
    return good;
}

static gpointer run_renewal(gpointer arg)
{
    struct renewal *renewal = arg;
    vr_role_enter(&vr_role_worker);
    for (;;) {
        struct look *found = g_new0(struct look, 1);
        found->renewal = renewal;
        bool good = look(renewal, found);
        vr_loop_post(renewal->loop, tell, found);
        g_usleep((good ? DAILY_S : HOURLY_S) * (gulong)G_USEC_PER_SEC);
    }
    vr_role_leave(&vr_role_worker);
    return NULL;
}

void vr_renewal_start(struct vr_loop *loop, const struct vr_agent_config *config, const char *path,
                      vr_renewal_looked *looked, void *arg)
{
    struct renewal *renewal = g_new(struct renewal, 1);
    *renewal = (struct renewal){ loop, config, path, looked, arg };
    g_thread_unref(g_thread_new("renewal", run_renewal, renewal));
}
