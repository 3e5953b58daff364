/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/engine/fake_site.h"
#include "manager/storage/internal.h"

/* Who is the SPM when the one that was gives the role back. */

const struct vr_module *const vr_modules[] = { NULL };
const struct vr_job_type *const vr_job_types[] = { NULL };

/* --- what it touches of other modules --- */

const struct vr_host *vr_hosts_pick(struct vr_engine *engine, const char *data_center_id)
{
    return VR_PEEK(vr_engine_head(engine), HOST, host, "b");
}

/* Two hosts, of which a is the SPM. */
static struct fake *site(void) VR_REQUIRES(vr_role_engine)
{
    static const char *const names[] = { "a", "b" };
    GArray *changes = site_new();
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        struct vr_host *host = VR_NEW(host);
        VR_SET_STRING(host, id, names[i]);
        VR_SET_STRING(host, address, names[i]);
        site_add(changes, VR_KIND_HOST, host);
    }
    struct vr_data_center *center = VR_NEW(data_center);
    VR_SET_STRING(center, id, "dc");
    VR_SET(center, pool_created, true);
    VR_SET(center, status, VR_DATA_CENTER_STATUS_UP);
    VR_SET_LINK(center, spm_host, host, "a");
    site_add(changes, VR_KIND_DATA_CENTER, center);
    return site_start(changes);
}

static const struct {
    const char *what;
    int code;            /* of spmStop */
    const char *removed; /* meanwhile */
    const char *left;    /* who has it then; NULL: nobody */
    bool elects;
} rows[] = {
    { "it has given it back", 0, NULL, NULL, true },
    { "it did not have it", 654, NULL, NULL, true },
    { "it has work to do yet", 652, NULL, "a", false },
    { "it does not answer", VR_RPC_NETWORK_ERROR, NULL, "a", false },
    { "the data center is gone", 0, "dc", NULL, false },
};

static void test_given_back(void) VR_NO_THREAD_SAFETY
{
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("%s", rows[i].what);
        struct fake *fake = site();
        spm_give_back(fake->engine, "dc", "a");
        const struct fake_call *call = g_queue_peek_head(&fake->calls);
        g_assert_true(call->verb == &vr_verb_storage_pool_spm_stop);
        g_assert_cmpstr(call->host_id, ==, "a");
        if (rows[i].removed) {
            struct vr_txn *txn = vr_txn_new(fake->engine);
            vr_txn_remove(txn, VR_KIND_DATA_CENTER, rows[i].removed);
            vr_txn_commit(txn, NULL, NULL);
        }
        fake_answer(fake, NULL, rows[i].code, rows[i].code ? "no" : NULL);
        fake_settle(fake);
        const struct vr_data_center *dc =
            VR_PEEK(vr_engine_head(fake->engine), DATA_CENTER, data_center, "dc");
        g_assert_cmpstr(dc ? VR_LINK_ID(dc, spm_host) : NULL, ==, rows[i].left);
        call = g_queue_peek_head(&fake->calls);
        g_assert_cmpint(call != NULL, ==, rows[i].elects);
        if (rows[i].elects) {
            g_assert_true(call->verb == &vr_verb_storage_pool_get_spm_status);
            g_assert_cmpstr(call->host_id, ==, "b");
            fake_answer(fake, NULL, VR_RPC_NETWORK_ERROR, "not connected");
        }
        fake_free(fake);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/storage/spm/given back", test_given_back);
    return g_test_run();
}
