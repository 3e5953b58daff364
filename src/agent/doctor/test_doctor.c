/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/doctor/internal.h"

#include <glib/gstdio.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/test_pki.h"

/* Checks on a host that is a folder; findings are lines "<finding> <text>". */

struct host {
    char *folder;
    struct test_pki *pki;
    struct vr_agent_config *config;
    struct vr_doctor doctor;
    GString *findings;
};

static void collect(enum vr_finding finding, const char *check, const char *text,
                    const char *remedy, void *arg)
{
    static const char *const words[] = { "ok", "note", "mended", "wrong" };
    GString *findings = arg;
    g_string_append_printf(findings, "%s %s\n", words[finding], text);
    g_assert_cmpint(finding == VR_FINDING_WRONG, <=, remedy != NULL);
}

static char *in(const struct host *host, const char *name)
{
    return g_build_filename(host->folder, name, NULL);
}

static void write_text(const struct host *host, const char *name, const char *text)
{
    g_autofree char *path = in(host, name);
    g_autofree char *folder = g_path_get_dirname(path);
    g_assert_cmpint(g_mkdir_with_parents(folder, 0755), ==, 0);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void copy(const struct host *host, const char *from, const char *name, int mode)
{
    g_autofree char *text = NULL;
    g_autofree char *path = in(host, name);
    g_assert_true(g_file_get_contents(from, &text, NULL, NULL));
    write_text(host, name, text);
    g_assert_cmpint(chmod(path, (mode_t)mode), ==, 0);
}

static void set_up(struct host *host, const void *arg)
{
    vr_auto_error struct vr_error *error = NULL;
    host->folder = g_dir_make_tmp("doctor-XXXXXX", NULL);
    host->findings = g_string_new(NULL);
    g_autofree char *path = in(host, "agent.conf");
    g_autofree char *text =
        g_strdup_printf("[agent]\nstate=%1$s/state\nrun-root=%1$s/rhev\nca=%1$s/ca.pem\n"
                        "certificate=%1$s/cert.pem\nkey=%1$s/key.pem\nenroll=/bin/false\n"
                        "uid=65534\ngid=65534\n",
                        host->folder);
    write_text(host, "agent.conf", text);
    host->config = vr_agent_config_read(path, &error);
    g_assert_nonnull(host->config);
    host->doctor = (struct vr_doctor){ .config = host->config,
                                       .path = g_steal_pointer(&path),
                                       .root = host->folder,
                                       .tell = collect,
                                       .arg = host->findings };
}

static void tear_down(struct host *host, const void *arg)
{
    const char *argv[] = { "rm", "-rf", host->folder, NULL };
    g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL,
                               NULL, NULL, NULL));
    if (host->pki)
        test_pki_free(host->pki);
    vr_agent_config_free(host->config);
    g_string_free(host->findings, TRUE);
    g_free((char *)(uintptr_t)host->doctor.path);
    g_free(host->folder);
}

static void expect(struct host *host, const char *finding)
{
    if (!strstr(host->findings->str, finding))
        g_error("no \"%s\" in:\n%s", finding, host->findings->str);
}

static void run(struct host *host, vr_doctor_check *check, bool mend)
{
    g_string_truncate(host->findings, 0);
    host->doctor.wrong = 0;
    host->doctor.mend = mend;
    check(&host->doctor);
}

static void test_certificates(struct host *host, const void *arg)
{
    host->pki = test_pki_new();
    const struct test_pki *pki = host->pki;
    const struct {
        const char *certificate, *key, *ca, *finding;
    } rows[] = {
        { pki->cert[PKI_OLD], pki->key[PKI_OLD], pki->ca, "wrong The certificate ended on" },
        { pki->cert[PKI_SERVER], pki->key[PKI_STRANGER], pki->ca,
          "wrong The certificate is for another key." },
        { pki->cert[PKI_SERVER], pki->key[PKI_SERVER], pki->other_ca,
          "wrong The certificate is not signed by the authority" },
        { NULL, pki->key[PKI_SERVER], pki->ca, "cert.pem is missing." },
        { pki->cert[PKI_SERVER], NULL, pki->ca, "key.pem is missing." },
        { pki->cert[PKI_SERVER], pki->key[PKI_SERVER], NULL, "ca.pem is missing." },
        { pki->key[PKI_SERVER], pki->key[PKI_SERVER], pki->ca, "wrong The host's certificate is" },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        static const char *const names[] = { "cert.pem", "key.pem", "ca.pem" };
        const char *const files[] = { rows[i].certificate, rows[i].key, rows[i].ca };
        for (unsigned j = 0; j < G_N_ELEMENTS(names); j++) {
            g_autofree char *path = in(host, names[j]);
            (void)g_unlink(path);
            if (files[j])
                copy(host, files[j], names[j], 0600);
        }
        run(host, vr_doctor_certificate, false);
        expect(host, rows[i].finding);
        g_assert_cmpuint(host->doctor.wrong, >, 0);
    }
}

static void test_manager(struct host *host, const void *arg)
{
    static const struct {
        const char *recorded, *finding;
    } rows[] = {
        { NULL, "wrong Nothing is recorded about the Manager's certificate" },
        { "[manager]\nurl=https://m\n", "wrong Nothing is recorded about the Manager's certificate" },
        { "[manager]\nurl=https://m\nknown-by=OU=Vireo Manager\n",
          "ok the Manager is known by OU=Vireo Manager; other hosts cannot command this one" },
        { "[manager]\nknown-by=CN=engine\n", "ok the Manager is known by CN=engine;" },
    };
    host->pki = test_pki_new();
    copy(host, host->pki->cert[PKI_SERVER], "cert.pem", 0644);
    copy(host, host->pki->ca, "ca.pem", 0644);
    copy(host, host->pki->key[PKI_SERVER], "key.pem", 0600);
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (rows[i].recorded)
            write_text(host, "state/manager.conf", rows[i].recorded);
        run(host, vr_doctor_certificate, false);
        expect(host, rows[i].finding);
    }
}

static void test_open_key(struct host *host, const void *arg)
{
    host->pki = test_pki_new();
    g_autofree char *key = in(host, "key.pem");
    struct stat st;
    copy(host, host->pki->cert[PKI_SERVER], "cert.pem", 0644);
    copy(host, host->pki->ca, "ca.pem", 0644);
    copy(host, host->pki->key[PKI_SERVER], "key.pem", 0644);
    run(host, vr_doctor_certificate, false);
    expect(host, "wrong The private key");
    g_assert_true(stat(key, &st) == 0 && (st.st_mode & 0777) == 0644);
    run(host, vr_doctor_certificate, true);
    expect(host, "mended The private key");
    g_assert_true(stat(key, &st) == 0 && (st.st_mode & 0777) == 0600);
    run(host, vr_doctor_certificate, false);
    expect(host, "ok the private key is private");
}

/* Killed between the renames of key and certificate. */
static void test_waiting_key(struct host *host, const void *arg)
{
    host->pki = test_pki_new();
    copy(host, host->pki->cert[PKI_SERVER], "cert.pem", 0644);
    copy(host, host->pki->ca, "ca.pem", 0644);
    copy(host, host->pki->key[PKI_STRANGER], "key.pem", 0600);
    copy(host, host->pki->key[PKI_SERVER], "key.pem.new", 0600);
    run(host, vr_doctor_certificate, true);
    expect(host, "mended The certificate is in place and its key is not yet.");
    g_autofree char *waiting = in(host, "key.pem.new");
    g_assert_false(g_file_test(waiting, G_FILE_TEST_EXISTS));
    run(host, vr_doctor_certificate, false);
    g_assert_null(strstr(host->findings->str, "key is not yet"));
    g_assert_null(strstr(host->findings->str, "another key"));
}

static void test_failed_mending(struct host *host, const void *arg)
{
    host->pki = test_pki_new();
    copy(host, host->pki->cert[PKI_OLD], "cert.pem", 0644);
    copy(host, host->pki->ca, "ca.pem", 0644);
    copy(host, host->pki->key[PKI_OLD], "key.pem", 0600);
    write_text(host, "state/manager.conf", "[manager]\nknown-by=CN=m\n");
    run(host, vr_doctor_certificate, true); /* enroll=/bin/false */
    expect(host, "wrong The certificate ended on");
    g_assert_cmpuint(host->doctor.wrong, ==, 1);
}

static void test_folders(struct host *host, const void *arg)
{
    run(host, vr_doctor_folders, false);
    g_assert_cmpuint(host->doctor.wrong, ==, 2);
    run(host, vr_doctor_folders, true);
    g_assert_cmpuint(host->doctor.wrong, ==, 0);
    g_assert_true(g_file_test(host->config->state, G_FILE_TEST_IS_DIR));
    g_assert_cmpint(chmod(host->config->state, 0777), ==, 0);
    run(host, vr_doctor_folders, false);
    expect(host, "wrong Others than its owner can write in");
    run(host, vr_doctor_folders, true);
    struct stat st;
    g_assert_true(stat(host->config->state, &st) == 0 && (st.st_mode & 0777) == 0755);
}

static void test_configuration(struct host *host, const void *arg)
{
    run(host, vr_doctor_configuration, false);
    g_assert_cmpuint(host->doctor.wrong, ==, 0);
    g_assert_cmpint(chmod(host->doctor.path, 0666), ==, 0);
    run(host, vr_doctor_configuration, true);
    expect(host, "mended");
    g_clear_pointer(&host->config->certificate, g_free);
    run(host, vr_doctor_configuration, false);
    expect(host, "wrong TLS is off");
}

static void test_processor(struct host *host, const void *arg)
{
    static const struct {
        const char *flags;
        bool device;
        enum vr_accel accel;
        const char *finding;
    } rows[] = {
        { "fpu vmx", true, VR_ACCEL_KVM, "ok it runs virtual machines by KVM" },
        { "fpu vmx", false, VR_ACCEL_TCG, "wrong There is no /dev/kvm" },
        { "fpu", true, VR_ACCEL_TCG, "note The processor shows neither" },
        { "fpu", true, VR_ACCEL_KVM, "wrong agent.conf wants KVM" },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *text = g_strdup_printf("processor\t: 0\nflags\t\t: %s\n", rows[i].flags);
        g_autofree char *device = in(host, "dev/kvm");
        write_text(host, "proc/cpuinfo", text);
        write_text(host, "dev/kvm", "");
        if (!rows[i].device)
            g_assert_cmpint(g_unlink(device), ==, 0);
        host->config->accel = rows[i].accel;
        run(host, vr_doctor_processor, false);
        expect(host, rows[i].finding);
    }
}

static void test_ports(struct host *host, const void *arg)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&address, length), ==, 0);
    g_assert_cmpint(listen(fd, 1), ==, 0);
    g_assert_cmpint(getsockname(fd, (struct sockaddr *)&address, &length), ==, 0);
    host->config->port = ntohs(address.sin_port);
    host->config->image_port = 0; /* the kernel picks a free one */
    run(host, vr_doctor_ports, false);
    expect(host, "is held by test_doctor.");
    close(fd);
    run(host, vr_doctor_ports, false);
    expect(host, "is free for vireo-agentd");
    g_assert_null(strstr(host->findings->str, "vireo-imaged"));
}

static void test_storage(struct host *host, const void *arg)
{
    if (geteuid() != 0) {
        g_test_skip("taking on another user needs root");
        return;
    }
    g_autofree char *real = in(host, "export");
    g_autofree char *mnt = in(host, "rhev/mnt");
    g_autofree char *link = g_build_filename(mnt, "_export", NULL);
    g_autofree char *plain = g_build_filename(mnt, "left", NULL);
    run(host, vr_doctor_storage, false);
    expect(host, "note No storage is connected.");
    g_assert_cmpint(g_mkdir_with_parents(mnt, 0755), ==, 0);
    g_assert_cmpint(chmod(host->folder, 0755), ==, 0);
    g_assert_cmpint(g_mkdir(real, 0700), ==, 0);
    g_assert_cmpint(g_mkdir(plain, 0700), ==, 0); /* not mounted: not looked at */
    g_assert_cmpint(symlink(real, link), ==, 0);
    run(host, vr_doctor_storage, true);
    g_assert_cmpuint(host->doctor.wrong, ==, 1);
    g_assert_cmpint(chown(real, host->config->uid, host->config->gid), ==, 0);
    run(host, vr_doctor_storage, false);
    g_assert_cmpuint(host->doctor.wrong, ==, 0);
    g_assert_cmpint(g_rmdir(real), ==, 0);
    run(host, vr_doctor_storage, false);
    g_assert_cmpuint(host->doctor.wrong, ==, 1);
}

static void hang(struct vr_doctor *doctor)
{
    for (;;)
        pause();
}

static void nothing(struct vr_doctor *doctor)
{
    vr_doctor_ok(doctor, "all is well");
}

static void test_hanging(struct host *host, const void *arg)
{
    g_assert_false(vr_doctor_try(&host->doctor, hang, 0));
    g_assert_true(vr_doctor_try(&host->doctor, nothing, 60));
    g_assert_cmpuint(host->doctor.wrong, ==, 0);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(struct host *host, const void *arg);
    } tests[] = {
        { "/doctor/what is wrong with certificates", test_certificates },
        { "/doctor/what the Manager is known by", test_manager },
        { "/doctor/a key that others can read is closed", test_open_key },
        { "/doctor/a key that waits for its place gets it", test_waiting_key },
        { "/doctor/a mending that fails leaves the finding", test_failed_mending },
        { "/doctor/folders are made and closed", test_folders },
        { "/doctor/the configuration", test_configuration },
        { "/doctor/what the processor can do", test_processor },
        { "/doctor/who holds a port", test_ports },
        { "/doctor/storage that its user cannot use", test_storage },
        { "/doctor/a check that hangs is given up", test_hanging },
    };
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add(tests[i].name, struct host, NULL, set_up, tests[i].run, tear_down);
    return g_test_run();
}
