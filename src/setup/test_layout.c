/* SPDX-License-Identifier: Apache-2.0 */
#include "setup/layout.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mark.h"
#include "setup/pki.h"

#define BITS 2048

static const char *const manager_names[] = { "manager.example.com", NULL };

static char *new_state(void)
{
    char *state = g_strdup("/tmp/vireo-layout-XXXXXX");
    g_assert_nonnull(mkdtemp(state));
    return state;
}

static void remove_state(char *state)
{
    const char *argv[] = { "rm", "-rf", state, NULL };
    g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL,
                               NULL, NULL, NULL));
    g_free(state);
}

static void init(const char *state, const char *const *manager_set)
{
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_layout_options options = {
        .state = state,
        .host_names = manager_names,
        .manager_set = manager_set,
        .key_bits = BITS,
    };
    if (!vr_layout_init(&options, &error)) {
        g_autofree char *text = vr_error_text(error);
        g_error("%s", text);
    }
}

static char *content(const char *state, const char *name)
{
    g_autofree char *path = g_build_filename(state, name, NULL);
    char *text = NULL;
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return text;
}

static const struct {
    const char *name;
    unsigned mode;
} files[] = {
    { "pki/ca.pem", 0644 },           { "pki/ca.key", 0600 },
    { "pki/https.pem", 0644 },        { "pki/https.key", 0600 },
    { "pki/manager.pem", 0644 },      { "pki/manager.key", 0600 },
    { "agent/pki/cacert.pem", 0644 }, { "agent/pki/vdsmcert.pem", 0644 },
    { "agent/pki/vdsmkey.pem", 0600 }, { "admin-password", 0600 },
    { "manager.conf", 0644 },         { "agent.conf", 0644 },
};

static void test_whole_and_kept(void)
{
    char *state = new_state();
    char *before[G_N_ELEMENTS(files)];
    init(state, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        struct stat st;
        g_autofree char *path = g_build_filename(state, files[i].name, NULL);
        g_assert_cmpint(stat(path, &st), ==, 0);
        g_assert_cmpuint(st.st_mode & 07777, ==, files[i].mode);
        before[i] = content(state, files[i].name);
    }
    init(state, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *after = content(state, files[i].name);
        g_assert_cmpstr(before[i], ==, after);
        g_free(before[i]);
    }
    remove_state(state);
}

/* A run killed before any of the files, one after the other, is completed by the next. */
static void test_completed(void)
{
    char *state = new_state();
    init(state, NULL);
    for (size_t i = 2; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *path = g_build_filename(state, files[i].name, NULL);
        g_autofree char *half = g_strdup_printf("%s.new", path);
        g_assert_cmpint(unlink(path), ==, 0);
        g_assert_true(g_file_set_contents(half, "half", -1, NULL));
        init(state, NULL);
        g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
        g_assert_false(g_file_test(half, G_FILE_TEST_EXISTS));
    }
    remove_state(state);
}

static void test_settings(void)
{
    char *state = new_state();
    static const char *const port[] = { "https.port=9443", NULL };
    static const char *const level[] = { "log.level=debug", NULL };
    init(state, port);
    init(state, level);
    g_autofree char *path = g_build_filename(state, "manager.conf", NULL);
    g_autofree char *key = g_build_filename(state, "pki/https.key", NULL);
    g_autoptr(GKeyFile) config = g_key_file_new();
    g_assert_true(g_key_file_load_from_file(config, path, G_KEY_FILE_NONE, NULL));
    g_assert_cmpint(g_key_file_get_integer(config, "https", "port", NULL), ==, 9443);
    g_autofree char *found = g_key_file_get_string(config, "log", "level", NULL);
    g_assert_cmpstr(found, ==, "debug");
    g_autofree char *found_key = g_key_file_get_string(config, "https", "key", NULL);
    g_assert_cmpstr(found_key, ==, key);

    vr_auto_error struct vr_error *error = NULL;
    static const char *const bad[] = { "nonsense", NULL };
    const struct vr_layout_options options = {
        .state = state, .host_names = manager_names, .manager_set = bad, .key_bits = BITS
    };
    g_assert_false(vr_layout_init(&options, &error));
    g_assert_true(error->fault == &vr_fault_bad_request);
    remove_state(state);
}

/* The Manager's certificate has the mark, no other one has it, and this machine's agent knows. */
static void test_mark(void)
{
    static const struct {
        const char *file;
        bool marked;
    } rows[] = {
        { "pki/manager.pem", true }, { "pki/https.pem", false }, { "agent/pki/vdsmcert.pem", false }
    };
    vr_auto_error struct vr_error *error = NULL;
    char *state = new_state();
    init(state, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct vr_pki_certificate certificate = { 0 };
        g_autofree char *pem = content(state, rows[i].file);
        g_assert_true(vr_pki_describe(pem, &certificate, &error));
        g_assert_cmpstr(certificate.common_name, ==, manager_names[0]);
        g_assert_cmpstr(certificate.unit, ==, rows[i].marked ? VR_MANAGER_UNIT : NULL);
        vr_pki_certificate_clear(&certificate);
    }
    g_autofree char *agent = content(state, "agent.conf");
    g_assert_nonnull(strstr(agent, "\nmanager=OU=" VR_MANAGER_UNIT "\n"));
    remove_state(state);
}

static void test_password(void)
{
    char *one = new_state(), *two = new_state();
    init(one, NULL);
    init(two, NULL);
    g_autofree char *a = content(one, "admin-password");
    g_autofree char *b = content(two, "admin-password");
    g_assert_cmpuint(strlen(a), ==, 21); /* 20 letters and the line's end */
    g_assert_cmpstr(a, !=, b);
    remove_state(one);
    remove_state(two);
}

static void test_enrol(void)
{
    char *state = new_state();
    g_autofree char *out = g_build_filename(state, "host2", NULL);
    vr_auto_error struct vr_error *error = NULL;
    g_assert_false(vr_layout_enrol_host(state, "host2", NULL, out, BITS, &error));
    g_assert_nonnull(strstr(error->detail, "vireo-setup init"));
    g_clear_pointer(&error, vr_error_free);
    init(state, NULL);
    g_assert_true(vr_layout_enrol_host(state, "host2", NULL, out, BITS, &error));
    g_autofree char *ca = content(state, "pki/ca.pem");
    g_autofree char *copy = content(state, "host2/cacert.pem");
    g_assert_cmpstr(ca, ==, copy);
    remove_state(state);
}

/* What a package's service makes: nothing that belongs to the package or to an agent. */
static void test_manager_alone(void)
{
    static const struct {
        const char *name;
        bool made;
    } rows[] = {
        { "pki/ca.key", true },      { "pki/https.pem", true },  { "pki/manager.key", true },
        { "admin-password", true },  { "manager.conf", false },  { "agent.conf", false },
        { "agent", false },          { "run", false },           { "storage", false },
    };
    char *state = new_state();
    vr_auto_error struct vr_error *error = NULL;
    const struct vr_layout_options options = {
        .state = state, .host_names = manager_names, .key_bits = BITS, .manager_alone = true
    };
    g_assert_true(vr_layout_init(&options, &error));
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *path = g_build_filename(state, rows[i].name, NULL);
        g_test_message("%s", rows[i].name);
        g_assert_cmpint(g_file_test(path, G_FILE_TEST_EXISTS), ==, rows[i].made);
    }
    remove_state(state);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/layout/a state folder is whole, private, and the same after a second run",
                    test_whole_and_kept);
    g_test_add_func("/layout/a killed run is completed by the next", test_completed);
    g_test_add_func("/layout/settings change what they name and keep the rest", test_settings);
    g_test_add_func("/layout/the Manager's certificate alone has the mark", test_mark);
    g_test_add_func("/layout/every state folder has a password of its own", test_password);
    g_test_add_func("/layout/a host is enrolled by an authority that exists", test_enrol);
    g_test_add_func("/layout/a Manager alone gets nothing of a package or an agent",
                    test_manager_alone);
    return g_test_run();
}
