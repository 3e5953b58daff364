/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/engine/fake_site.h"
#include "manager/storage/internal.h"

/* Who is told what when a domain goes into maintenance. */

const struct vr_module *const vr_modules[] = { NULL };
const struct vr_job_type *const vr_job_types[] = { NULL };

static struct vr_data_center *center, *elsewhere;

const struct vr_data_center *vr_hosts_data_center(struct vr_engine *engine, const struct vr_host *host)
{
    return strcmp(host->id, "far") == 0 ? elsewhere : center;
}

/* --- a site: the SPM, another host, a lost one and one of another data centre --- */

static struct vr_storage_domain *domain_new(const char *id, const char *path,
                                            enum vr_storage_domain_status status)
{
    struct vr_storage_domain *domain = VR_NEW(storage_domain);
    VR_SET_STRING(domain, id, id);
    VR_SET_STRING(domain, name, id);
    VR_SET_LINK(domain, data_center, data_center, "dc");
    VR_SET(domain, pool_status, status);
    struct vr_host_storage *storage = VR_SUB(domain, storage, host_storage);
    VR_SET(storage, type, VR_STORAGE_TYPE_NFS);
    VR_SET_STRING(storage, address, "store");
    VR_SET_STRING(storage, path, path);
    return domain;
}

static const struct row {
    const char *what;
    bool last;
    const char *path;                         /* of another domain; that of ours is /a */
    enum vr_storage_domain_status neighbour;
    bool busy;                                /* a job has that one in hand */
    const char *fails;                        /* the host that does not answer */
    const char *want;                         /* what is sent, in order */
} rows[] = {
    { "one of two", false, "/b", VR_STORAGE_DOMAIN_STATUS_ACTIVE, false, NULL,
      "other connect, spm server, other server" },
    { "the last one", true, "/b", VR_STORAGE_DOMAIN_STATUS_MAINTENANCE, false, NULL,
      "other disconnect, spm disconnect, other server, spm server" },
    { "an active domain is at the same place", false, "/a", VR_STORAGE_DOMAIN_STATUS_ACTIVE, false,
      NULL, "other connect" },
    { "one that is out of order, too", false, "/a", VR_STORAGE_DOMAIN_STATUS_INACTIVE, false, NULL,
      "other connect" },
    { "one there is in maintenance", false, "/a", VR_STORAGE_DOMAIN_STATUS_MAINTENANCE, false, NULL,
      "other connect, spm server, other server" },
    { "but a job works on it", false, "/a", VR_STORAGE_DOMAIN_STATUS_MAINTENANCE, true, NULL,
      "other connect" },
    { "another host is gone just then", false, "/b", VR_STORAGE_DOMAIN_STATUS_ACTIVE, false, "other",
      "other connect, spm server" },
    { "the SPM is", false, "/b", VR_STORAGE_DOMAIN_STATUS_ACTIVE, false, "spm",
      "other connect, spm server, other server" },
    { "with the last one", true, "/b", VR_STORAGE_DOMAIN_STATUS_MAINTENANCE, false, "other",
      "other disconnect, spm disconnect, spm server" },
};

static struct fake *site(const struct row *row) VR_REQUIRES(vr_role_engine)
{
    static const char *const names[] = { "far", "lost", "other", "spm" };
    GArray *changes = site_new();
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        struct vr_host *host = VR_NEW(host);
        VR_SET_STRING(host, id, names[i]);
        VR_SET(host, host_id, (int64_t)i + 1);
        VR_SET(host, status, i == 1 ? VR_HOST_STATUS_NON_RESPONSIVE : VR_HOST_STATUS_UP);
        site_add(changes, VR_KIND_HOST, host);
    }
    elsewhere = VR_NEW(data_center);
    VR_SET_STRING(elsewhere, id, "elsewhere");
    site_add(changes, VR_KIND_DATA_CENTER, elsewhere);
    center = VR_NEW(data_center);
    VR_SET_STRING(center, id, "dc");
    VR_SET(center, pool_created, true);
    VR_SET_LINK(center, master_storage_domain, storage_domain, row->last ? "ours" : "second");
    site_add(changes, VR_KIND_DATA_CENTER, center);
    site_add(changes, VR_KIND_STORAGE_DOMAIN,
             domain_new("ours", "/a", VR_STORAGE_DOMAIN_STATUS_PREPARING_FOR_MAINTENANCE));
    struct vr_storage_domain *second = domain_new("second", row->path, row->neighbour);
    if (row->busy)
        VR_SET_LINK(second, job, job, "job");
    site_add(changes, VR_KIND_STORAGE_DOMAIN, second);
    return site_start(changes);
}

static void count(struct vr_engine *engine, void *arg)
{
    ++*(unsigned *)arg;
}

/* What a call says, in a word, and that it says it of the right things. */
static const char *word_of(const struct fake_call *call)
{
    if (call->verb == &vr_verb_storage_pool_connect) {
        const struct vr_rpc_storage_pool_connect_params *params = call->params;
        g_assert_cmpstr(vr_map_get(&params->domain_dict, "ours"), ==, "attached");
        return "connect";
    }
    if (call->verb == &vr_verb_storage_pool_disconnect) {
        const struct vr_rpc_storage_pool_disconnect_params *params = call->params;
        g_assert_cmpstr(params->storagepool_id, ==, "dc");
        g_assert_cmpint(params->host_id, ==, strcmp(call->host_id, "spm") == 0 ? 4 : 3);
        return "disconnect";
    }
    g_assert_true(call->verb == &vr_verb_storage_pool_disconnect_storage_server);
    const struct vr_rpc_storage_pool_disconnect_storage_server_params *params = call->params;
    g_assert_cmpint(params->domain_type, ==, 1);
    const struct vr_rpc_connection_ref_parameters *place = params->connection_params.items[0];
    g_assert_cmpstr(place->connection, ==, "store:/a");
    return "server";
}

/* Answers every call, in turn; what was sent, in order.  Owned. */
static char *answer_all(struct fake *fake, const char *fails) VR_REQUIRES(vr_role_engine)
{
    GString *sent = g_string_new(NULL);
    for (struct fake_call *call; (call = g_queue_peek_head(&fake->calls));) {
        g_string_append_printf(sent, "%s%s %s", sent->len ? ", " : "", call->host_id, word_of(call));
        bool fail = g_strcmp0(call->host_id, fails) == 0;
        fake_answer(fake, NULL, fail ? VR_RPC_NETWORK_ERROR : 0, fail ? "no answer" : NULL);
    }
    return g_string_free(sent, FALSE);
}

static void test_rows(void) VR_NO_THREAD_SAFETY
{
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("%s", rows[i].what);
        struct fake *fake = site(&rows[i]);
        unsigned done = 0;
        storage_leave(fake->engine, "ours", "spm", rows[i].last, count, &done);
        fake_settle(fake);
        g_assert_cmpuint(done, ==, 0);
        g_autofree char *sent = answer_all(fake, rows[i].fails);
        fake_settle(fake);
        g_assert_cmpstr(sent, ==, rows[i].want);
        g_assert_cmpuint(done, ==, 1);
        fake_free(fake);
    }
}

/* After a start of the Manager: a host that was up is not connected yet, and is waited for. */
static void test_expected(void) VR_NO_THREAD_SAFETY
{
    struct fake *fake = site(&rows[0]);
    unsigned done = 0;
    vr_engine_host_expect(fake->engine, "other", true);
    storage_leave(fake->engine, "ours", "spm", false, count, &done);
    fake_settle(fake);
    g_autofree char *first = answer_all(fake, NULL);
    g_assert_cmpstr(first, ==, "spm server");
    g_assert_cmpuint(done, ==, 0);
    vr_engine_host_expect(fake->engine, "other", false);
    fake_settle(fake);
    g_autofree char *then = answer_all(fake, NULL);
    g_assert_cmpstr(then, ==, "other connect, other server");
    g_assert_cmpuint(done, ==, 1);
    fake_free(fake);
}

/* Nobody to tell: it ends all the same, and not from inside. */
static void test_alone(void) VR_NO_THREAD_SAFETY
{
    struct fake *fake = site(&rows[0]);
    struct vr_txn *txn = vr_txn_new(fake->engine);
    VR_SET(VR_EDIT(txn, HOST, host, "spm"), status, VR_HOST_STATUS_MAINTENANCE);
    VR_SET(VR_EDIT(txn, HOST, host, "other"), status, VR_HOST_STATUS_CONNECTING);
    vr_txn_commit(txn, NULL, NULL);
    unsigned done = 0;
    storage_leave(fake->engine, "ours", "spm", false, count, &done);
    g_assert_cmpuint(done, ==, 0);
    fake_settle(fake);
    g_assert_cmpuint(done, ==, 1);
    g_assert_true(g_queue_is_empty(&fake->calls));
    fake_free(fake);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/storage/leave", test_rows);
    g_test_add_func("/storage/leave/expected", test_expected);
    g_test_add_func("/storage/leave/alone", test_alone);
    return g_test_run();
}
