/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/access/access.h"

#include <glib/gstdio.h>

#include "agent/enroll/identity.h"
#include "base/mark.h"

#define MARK VR_MANAGER_UNIT

/* Every row is a peer with these names, met by an agent that has this recorded. */
static const struct {
    const char *what;
    const char *known_by; /* separated by ; */
    const char *name, *unit;
    bool has_our_key;
    enum vr_peer_role want;
} rows[] = {
    { "the Manager", "OU=" MARK, "m.example.com", MARK, false, VR_PEER_MANAGER },
    { "renamed, restored, renewed", "OU=" MARK, "192.0.2.1", MARK, false, VR_PEER_MANAGER },
    { "without a name", "OU=" MARK, NULL, MARK, false, VR_PEER_MANAGER },
    { "another host", "OU=" MARK, "host2", NULL, false, VR_PEER_HOST },
    { "a host with the Manager's name", "OU=" MARK, "m.example.com", NULL, false, VR_PEER_HOST },
    { "a host whose name is the mark", "OU=" MARK, MARK, NULL, false, VR_PEER_HOST },
    { "a host of another unit", "OU=" MARK, "host2", "qemu", false, VR_PEER_HOST },
    { "a mark in lower case", "OU=" MARK, "host2", "vireo manager", false, VR_PEER_HOST },
    { "a mark and more", "OU=" MARK, "host2", MARK "s", false, VR_PEER_HOST },
    { "an empty unit", "OU=" MARK, "host2", "", false, VR_PEER_HOST },
    { "nobody's name", "OU=" MARK, NULL, NULL, false, VR_PEER_HOST },
    { "this host itself", "OU=" MARK, "host1", NULL, true, VR_PEER_SELF },

    { "an engine by its name", "CN=engine.example.com", "engine.example.com", NULL, false,
      VR_PEER_MANAGER },
    { "in other letters", "CN=engine.example.com", "Engine.Example.COM", NULL, false,
      VR_PEER_MANAGER },
    { "the engine's hosts", "CN=engine.example.com", "host2.example.com", NULL, false,
      VR_PEER_HOST },
    { "a name that begins alike", "CN=engine.example.com", "engine.example.com.org", NULL, false,
      VR_PEER_HOST },
    { "a unit is no name", "CN=engine.example.com", "x", "engine.example.com", false,
      VR_PEER_HOST },
    { "a name is no unit", "OU=managers", "managers", NULL, false, VR_PEER_HOST },
    { "the second of two names", "CN=old;CN=new", "new", NULL, false, VR_PEER_MANAGER },
    { "a unit of the site's own", "OU=managers", "x", "managers", false, VR_PEER_MANAGER },
    { "the mark counts beside a name", "CN=engine", "m", MARK, false, VR_PEER_MANAGER },
    { "a record that makes no sense", "engine", "engine", NULL, false, VR_PEER_HOST },

    { "nothing recorded: a host", "", "host2", NULL, false, VR_PEER_ANYBODY },
    { "nothing recorded: a Manager of before", "", "m.example.com", NULL, false, VR_PEER_ANYBODY },
    { "nothing recorded: the mark", "", "m.example.com", MARK, false, VR_PEER_MANAGER },
    { "nothing recorded: this host", "", "host1", NULL, true, VR_PEER_SELF },
};

static void test_roles(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_auto(GStrv) known_by = g_strsplit(rows[i].known_by, ";", 0);
        const struct vr_tls_peer peer = { .name = (char *)(uintptr_t)rows[i].name,
                                          .unit = (char *)(uintptr_t)rows[i].unit,
                                          .has_our_key = rows[i].has_our_key };
        g_test_message("%s", rows[i].what);
        g_assert_cmpint(vr_access_role((const char *const *)known_by, &peer), ==, rows[i].want);
        /* TLS is off. */
        g_assert_cmpint(vr_access_role((const char *const *)known_by, NULL), ==, VR_PEER_ANYBODY);
    }
}

/* The whole protocol: what is not named here is nothing that another host may ask. */
static void test_verbs(void)
{
    static const struct {
        const char *verb;
        enum vr_visit visit;
    } known[] = {
        { "Host.ping", VR_VISIT_MAY },
        { "VM.migrationCreate", VR_VISIT_MAY },
        { "VM.destroy", VR_VISIT_INCOMING },
        { "VM.refresh_disk", VR_VISIT_INCOMING },
        { "Host.getCapabilities", VR_VISIT_INCOMING },
    };
    unsigned found = 0;
    for (unsigned i = 0; i < vr_verb_count; i++) {
        enum vr_visit want = VR_VISIT_NEVER;
        for (unsigned j = 0; j < G_N_ELEMENTS(known); j++)
            if (strcmp(known[j].verb, vr_verbs[i]->name) == 0) {
                want = known[j].visit;
                found++;
            }
        g_test_message("%s", vr_verbs[i]->name);
        g_assert_cmpint(vr_access_visit(vr_verbs[i]), ==, want);
        g_assert_cmpint(vr_access_refusal(vr_verbs[i]) == NULL, ==, want == VR_VISIT_MAY);
    }
    g_assert_cmpuint(found, ==, G_N_ELEMENTS(known));
    g_assert_cmpuint(vr_verb_count, >, 200);
}

struct place {
    char *folder, *path;
    struct vr_agent_config *config;
};

static void set_up(struct place *place, const char *manager, const char *recorded)
{
    vr_auto_error struct vr_error *error = NULL;
    place->folder = g_dir_make_tmp("access-XXXXXX", NULL);
    place->path = g_build_filename(place->folder, "manager.conf", NULL);
    g_autofree char *path = g_build_filename(place->folder, "agent.conf", NULL);
    g_autofree char *text =
        g_strdup_printf("[agent]\nstate=%s\nmanager=%s\n", place->folder, manager);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    place->config = vr_agent_config_read(path, &error);
    g_assert_nonnull(place->config);
    g_assert_cmpint(g_unlink(path), ==, 0);
    if (recorded)
        g_assert_true(g_file_set_contents(place->path, recorded, -1, NULL));
}

static void tear_down(struct place *place)
{
    vr_agent_config_free(place->config);
    g_unlink(place->path);
    g_assert_cmpint(g_rmdir(place->folder), ==, 0);
    g_free(place->folder);
    g_free(place->path);
}

static const struct vr_tls_peer marked = { .name = (char *)"m", .unit = (char *)MARK };
static const struct vr_tls_peer engine = { .name = (char *)"engine" };
static const struct vr_tls_peer other = { .name = (char *)"host2" };

static void test_recorded(void)
{
    static const struct {
        const char *what, *manager, *recorded;
        bool engine_visits, other_visits;
    } places[] = {
        { "nothing", "", NULL, false, false },
        { "an address alone", "", "[manager]\nurl=https://m\n", false, false },
        { "the mark", "", "[manager]\nurl=https://m\nknown-by=OU=" MARK "\n", true, true },
        { "a name", "", "[manager]\nurl=https://m\nknown-by=CN=engine;\n", false, true },
        { "the administrator's word goes first", "CN=engine",
          "[manager]\nknown-by=OU=" MARK "\n", false, true },
        { "of two names", "CN=old; CN=engine", NULL, false, true },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(places); i++) {
        struct place place;
        g_test_message("%s", places[i].what);
        set_up(&place, places[i].manager, places[i].recorded);
        struct vr_access *access = vr_access_new(place.config);
        g_assert_cmpint(vr_access_is_visitor(access, &engine), ==, places[i].engine_visits);
        g_assert_cmpint(vr_access_is_visitor(access, &other), ==, places[i].other_visits);
        g_assert_false(vr_access_is_visitor(access, &marked));
        g_assert_false(vr_access_is_visitor(access, NULL));
        vr_access_free(access);
        tear_down(&place);
    }
}

/* A host of before: the first Manager with the mark closes it, for good. */
static void test_first_mark(void)
{
    struct place place;
    vr_auto_error struct vr_error *error = NULL;
    set_up(&place, "", "[manager]\nurl=https://m:8443\n");
    struct vr_access *access = vr_access_new(place.config);
    g_assert_false(vr_access_is_visitor(access, &other));
    g_assert_false(vr_access_is_visitor(access, &marked));
    g_assert_true(vr_access_is_visitor(access, &other));
    vr_access_free(access);

    access = vr_access_new(place.config); /* the next agent */
    g_assert_true(vr_access_is_visitor(access, &other));
    g_assert_true(vr_access_is_visitor(access, &engine));
    g_autofree char *url = vr_identity_manager(place.config);
    g_assert_cmpstr(url, ==, "https://m:8443");

    /* Another Manager took the host, and said what it is known by; then one that says nothing. */
    static const char *const name[] = { "CN=engine", NULL };
    g_assert_true(vr_identity_set_manager(place.config, "https://e", name, &error));
    vr_access_reload(access);
    g_assert_false(vr_access_is_visitor(access, &engine));
    g_assert_true(vr_access_is_visitor(access, &other));
    g_assert_true(vr_identity_set_manager(place.config, "https://e", NULL, &error));
    vr_access_reload(access);
    g_assert_false(vr_access_is_visitor(access, &other));
    vr_access_free(access);
    tear_down(&place);
}

/* What cannot be written counts all the same. */
static void test_mark_without_a_folder(void)
{
    struct place place;
    set_up(&place, "", NULL);
    g_free(place.config->state);
    place.config->state = g_strdup("/dev/null/state");
    struct vr_access *access = vr_access_new(place.config);
    g_assert_false(vr_access_is_visitor(access, &marked));
    g_assert_true(vr_access_is_visitor(access, &other));
    vr_access_free(access);
    tear_down(&place);
}

static void test_log(void)
{
    enum { S = G_USEC_PER_SEC };
    static const struct {
        int64_t at;
        const struct vr_tls_peer *peer;
        bool line;
    } calls[] = {
        { 10 * S, &other, true },   { 10 * S, &other, false }, { 11 * S, &engine, true },
        { 69 * S, &other, false },  { 70 * S, &other, true },  { 71 * S, &other, false },
        { 71 * S, &engine, true },
    };
    struct place place;
    set_up(&place, "CN=m", NULL);
    struct vr_access *access = vr_access_new(place.config);
    for (unsigned i = 0; i < G_N_ELEMENTS(calls); i++)
        g_assert_cmpint(vr_access_tell(access, &vr_verb_vm_create, calls[i].peer, "192.0.2.2:1",
                                       calls[i].at),
                        ==, calls[i].line);
    vr_access_free(access);
    tear_down(&place);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    vr_log_set_level(VR_LOG_ERROR);
    g_test_add_func("/access/who a peer is", test_roles);
    g_test_add_func("/access/what another host may ask", test_verbs);
    g_test_add_func("/access/what is recorded counts", test_recorded);
    g_test_add_func("/access/the first mark closes a host of before", test_first_mark);
    g_test_add_func("/access/a mark counts that cannot be recorded", test_mark_without_a_folder);
    g_test_add_func("/access/a refusal is a line a host and minute", test_log);
    return g_test_run();
}
