/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/engine/fake_site.h"
#include "manager/storage/internal.h"

/* What hosts report of a domain, and who gets the blame. */

const struct vr_module *const vr_modules[] = { &vr_storage_module, NULL };
const struct vr_job_type *const vr_job_types[] = { NULL };

/* --- what it touches of other modules --- */

static struct vr_data_center *center;
static GString *said; /* "unfit a", "join b", in order */

const struct vr_data_center *vr_hosts_data_center(struct vr_engine *engine, const struct vr_host *host)
{
    return center;
}
void vr_hosts_set_unfit(struct vr_txn *txn, const char *host_id, enum vr_unfit reason,
                        const char *detail)
{
    g_assert_cmpint(reason, ==, VR_UNFIT_STORAGE);
    g_assert_cmpstr(detail, ==, "data");
    g_string_append_printf(said, "unfit %s ", host_id);
    VR_SET(VR_EDIT(txn, HOST, host, host_id), status, VR_HOST_STATUS_NON_OPERATIONAL);
}
void vr_storage_connect_host(struct vr_engine *engine, const char *host_id, vr_storage_ready *done,
                             void *arg)
{
    g_string_append_printf(said, "join %s ", host_id);
    done(engine, host_id, NULL, arg);
}
void spm_elect(struct vr_engine *engine, const char *data_center_id)
{
}
void spm_give_back(struct vr_engine *engine, const char *data_center_id, const char *host_id)
{
    g_assert_cmpstr(data_center_id, ==, "dc");
    g_string_append_printf(said, "give back %s ", host_id);
}

/* --- a site of two hosts that are up, one that is lost, and one domain --- */

static struct fake *site(void) VR_REQUIRES(vr_role_engine)
{
    static const char *const names[] = { "a", "b", "lost" };
    GArray *changes = site_new();
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        struct vr_host *host = VR_NEW(host);
        VR_SET_STRING(host, id, names[i]);
        VR_SET(host, status, i < 2 ? VR_HOST_STATUS_UP : VR_HOST_STATUS_NON_RESPONSIVE);
        site_add(changes, VR_KIND_HOST, host);
    }
    center = VR_NEW(data_center);
    VR_SET_STRING(center, id, "dc");
    VR_SET(center, pool_created, true);
    site_add(changes, VR_KIND_DATA_CENTER, center);
    struct vr_storage_domain *domain = VR_NEW(storage_domain);
    VR_SET_STRING(domain, id, "sd");
    VR_SET_STRING(domain, name, "data");
    VR_SET_LINK(domain, data_center, data_center, "dc");
    VR_SET(domain, pool_status, VR_STORAGE_DOMAIN_STATUS_ACTIVE);
    site_add(changes, VR_KIND_STORAGE_DOMAIN, domain);
    struct fake *fake = site_start(changes);
    g_string_truncate(said, 0);
    return fake;
}

/* What the hosts say, one letter each: (w)ell, (b)ad, (s)tale, (m)issing, (?) not checked yet. */
static void report(struct fake *fake, const char *host_id, char word) VR_REQUIRES(vr_role_engine)
{
    vr_auto struct vr_rpc_host_stats *stats = VR_NEW(rpc_host_stats);
    struct vr_rpc_storage_domain_vitals *vitals = VR_NEW(rpc_storage_domain_vitals);
    VR_SET(vitals, actual, word != '?');
    VR_SET(vitals, code, word == 'b' ? 2001 : 0);
    VR_SET_STRING(vitals, last_check, word == 's' ? "30.5" : "3.0");
    stats->has.storage_domains = true;
    if (word == 'm')
        vr_unref(vitals);
    else
        vr_map_set(&stats->storage_domains, "sd", vitals);
    vr_storage_host_report(fake->engine, host_id, stats);
    fake_settle(fake);
}

static enum vr_storage_domain_status status(struct fake *fake) VR_REQUIRES(vr_role_engine)
{
    return VR_PEEK(vr_engine_head(fake->engine), STORAGE_DOMAIN, storage_domain, "sd")->pool_status;
}

static const struct row {
    const char *what;
    const char *a, *b; /* reports, one a minute */
    bool active;
    const char *said;
} rows[] = {
    { "both well", "wwwwwwww", "wwwwwwww", true, "" },
    { "one host alone has trouble", "bbbbbbb", "wwwwwww", true, "unfit a " },
    { "and the other", "wwwwwww", "bbbbbbb", true, "unfit b " },
    { "not for long enough", "bbbbb", "wwwww", true, "" },
    { "it recovers in time", "bbbbbwbbb", "wwwwwwwww", true, "" },
    { "both have trouble", "bbbbbbb", "bbbbbbb", false, "" },
    { "one of two recovers", "bbbbbbbbb", "bbbbwwwww", true, "unfit a " },
    { "both recover, one after the other", "bbbwwwwww", "bbbbbwwww", true, "" },
    { "one good report is enough", "bbbbbbbw", "bbbbbbbb", true, "" },
    { "stale is bad", "sssssss", "sssssss", false, "" },
    { "not checked yet is not bad", "???????", "???????", true, "" },
    { "nor good", "bbbbbbb?", "bbbbbbb?", false, "" },
};

static void test_blame(void) VR_NO_THREAD_SAFETY
{
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("%s", rows[i].what);
        struct fake *fake = site();
        for (unsigned minute = 0; rows[i].a[minute]; minute++) {
            report(fake, "a", rows[i].a[minute]);
            report(fake, "b", rows[i].b[minute]);
            fake_advance(fake, 60 * 1000);
        }
        g_assert_cmpint(status(fake), ==, rows[i].active ? VR_STORAGE_DOMAIN_STATUS_ACTIVE
                                                         : VR_STORAGE_DOMAIN_STATUS_INACTIVE);
        g_assert_cmpstr(said->str, ==, rows[i].said);
        fake_free(fake);
    }
}

/* --- trouble that nobody has any more --- */

static void edit(struct fake *fake, const char *host_id, enum vr_host_status status,
                 enum vr_storage_domain_status domain) VR_REQUIRES(vr_role_engine)
{
    struct vr_txn *txn = vr_txn_new(fake->engine);
    VR_SET(VR_EDIT(txn, HOST, host, host_id), status, status);
    VR_SET(VR_EDIT(txn, STORAGE_DOMAIN, storage_domain, "sd"), pool_status, domain);
    vr_txn_commit(txn, NULL, NULL);
    fake_settle(fake);
}

#define LONG_MS (60 * 60 * 1000)
static const struct {
    const char *what;
    enum vr_host_status away;           /* of host a, after its complaint and for an hour */
    enum vr_storage_domain_status then; /* the domain in that hour */
    int64_t for_ms;
    const char *next; /* the host that complains then */
} old_rows[] = {
    { "of a host in maintenance, and another complains", VR_HOST_STATUS_MAINTENANCE,
      VR_STORAGE_DOMAIN_STATUS_ACTIVE, LONG_MS, "b" },
    { "of a host that left a little while ago", VR_HOST_STATUS_NON_RESPONSIVE,
      VR_STORAGE_DOMAIN_STATUS_ACTIVE, 4 * 60 * 1000, "b" },
    { "of a host that was in maintenance", VR_HOST_STATUS_MAINTENANCE,
      VR_STORAGE_DOMAIN_STATUS_ACTIVE, LONG_MS, "a" },
    { "of a domain that was in maintenance", VR_HOST_STATUS_UP, VR_STORAGE_DOMAIN_STATUS_MAINTENANCE,
      LONG_MS, "a" },
};

/* What a host once complained of does not shorten the time of whoever complains later. */
static void test_old(void) VR_NO_THREAD_SAFETY
{
    for (unsigned i = 0; i < G_N_ELEMENTS(old_rows); i++) {
        g_test_message("%s", old_rows[i].what);
        struct fake *fake = site();
        report(fake, "a", 'b');
        edit(fake, "a", old_rows[i].away, old_rows[i].then);
        fake_advance(fake, old_rows[i].for_ms);
        bool same = strcmp(old_rows[i].next, "a") == 0;
        edit(fake, "a", same ? VR_HOST_STATUS_UP : old_rows[i].away, VR_STORAGE_DOMAIN_STATUS_ACTIVE);
        for (unsigned minute = 0; minute < 5; minute++) {
            report(fake, old_rows[i].next, 'b');
            g_assert_cmpint(status(fake), ==, VR_STORAGE_DOMAIN_STATUS_ACTIVE);
            g_assert_cmpstr(said->str, ==, "");
            fake_advance(fake, 60 * 1000);
        }
        fake_free(fake);
    }
}

/* A host that does not mention the domain is connected to it again, every 30 s at most. */
static void test_missing(void) VR_NO_THREAD_SAFETY
{
    struct fake *fake = site();
    for (unsigned second = 0; second <= 60; second += 3) {
        report(fake, "a", 'm');
        report(fake, "b", 'w');
        fake_advance(fake, 3000);
    }
    g_assert_cmpstr(said->str, ==, "join a join a join a ");
    report(fake, "a", 'w');
    fake_advance(fake, 60 * 1000);
    report(fake, "a", 'w');
    g_assert_cmpstr(said->str, ==, "join a join a join a ");
    fake_free(fake);
}

/* The SPM that alone does not reach the domain gives its role back, and is not connected again. */
static void test_spm(void) VR_NO_THREAD_SAFETY
{
    struct fake *fake = site();
    VR_SET_LINK(center, spm_host, host, "a");
    for (unsigned minute = 0; minute < 7; minute++) {
        report(fake, "b", 'w');
        report(fake, "a", minute < 6 ? 'b' : 'm');
        fake_advance(fake, 60 * 1000);
    }
    g_assert_cmpstr(said->str, ==, "unfit a give back a ");
    fake_free(fake);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    said = g_string_new(NULL);
    g_test_add_func("/storage/blame", test_blame);
    g_test_add_func("/storage/old trouble", test_old);
    g_test_add_func("/storage/missing", test_missing);
    g_test_add_func("/storage/the role", test_spm);
    int status = g_test_run();
    g_string_free(said, TRUE);
    return status;
}
