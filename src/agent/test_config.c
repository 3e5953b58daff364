/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/config.h"

#include <glib/gstdio.h>

static struct vr_agent_config *read_text(const char *text, struct vr_error **error)
{
    g_autofree char *path = NULL;
    int fd = g_file_open_tmp("agent-conf-XXXXXX", &path, NULL);
    g_assert_cmpint(fd, >=, 0);
    g_close(fd, NULL);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    struct vr_agent_config *config = vr_agent_config_read(path, error);
    g_unlink(path);
    return config;
}

static void test_defaults(void)
{
    vr_auto_error struct vr_error *error = NULL;
    struct vr_agent_config *config = vr_agent_config_read(NULL, &error);
    g_assert_nonnull(config);
    g_assert_cmpuint(config->port, ==, 54321);
    g_assert_cmpuint(config->image_port, ==, 54322);
    g_assert_cmpstr(config->run_root, ==, "/rhev/data-center");
    g_assert_cmpstr(config->link_root, ==, "/run/vdsm/storage");
    g_assert_cmpstr(config->libvirt_uri, ==, "qemu:///system");
    g_assert_cmpint(config->accel, !=, VR_ACCEL_AUTO);
    g_assert_cmpstr(config->state, ==, "/var/lib/vireo-agent");
    g_assert_true(g_str_has_suffix(config->iod, "/vireo-iod"));
    g_assert_true(g_str_has_suffix(config->imaged, "/vireo-imaged"));
    g_assert_null(config->ca);
    g_assert_null(config->manager[0]);
    g_assert_null(config->bridges[0]);
    vr_agent_config_free(config);
}

static void test_values(void)
{
    vr_auto_error struct vr_error *error = NULL;
    struct vr_agent_config *config =
        read_text("[agent]\nport=0\nstate=/s\nrun-root=/r\nca=/ca\ncertificate=/c\nkey=/k\nlog=debug\n"
                  "iod=/o\nimaged=/i\nuid=36\ngid=37\nmanager=OU=Vireo Manager; CN=engine.example.com\n"
                  "[libvirt]\naccel=tcg\nserial-log-dir=/l\nlog-dir=\n[network]\nbridges=a;b\n",
                  &error);
    g_assert_nonnull(config);
    g_assert_cmpuint(config->port, ==, 0);
    g_assert_cmpstr(config->link_root, ==, "/s/links");
    g_assert_cmpstr(config->key, ==, "/k");
    g_assert_cmpstr(config->manager[0], ==, "OU=Vireo Manager");
    g_assert_cmpstr(config->manager[1], ==, "CN=engine.example.com");
    g_assert_null(config->manager[2]);
    g_assert_cmpstr(config->iod, ==, "/o");
    g_assert_cmpstr(config->imaged, ==, "/i");
    g_assert_cmpuint(config->uid, ==, 36);
    g_assert_cmpuint(config->gid, ==, 37);
    g_assert_cmpint(config->log, ==, VR_LOG_DEBUG);
    g_assert_cmpint(config->accel, ==, VR_ACCEL_TCG);
    g_assert_cmpstr(config->serial_log_dir, ==, "/l");
    g_assert_null(config->qemu_log_dir);
    g_assert_cmpstr(config->bridges[1], ==, "b");
    vr_agent_config_free(config);
}

static void test_refusals(void)
{
    static const struct {
        const char *what, *text;
    } rows[] = {
        { "an unknown option", "[agent]\nprot=1\n" },
        { "an unknown group", "[agents]\nport=1\n" },
        { "a port that is none", "[agent]\nport=65536\n" },
        { "a word for a number", "[agent]\nport=x\n" },
        { "a certificate without its key", "[agent]\nca=/ca\ncertificate=/c\n" },
        { "a Manager known by nothing", "[agent]\nmanager=CN=\n" },
        { "a Manager known by something else", "[agent]\nmanager=OU=a;engine.example.com\n" },
        { "an unknown accelerator", "[libvirt]\naccel=hax\n" },
        { "an unknown level", "[agent]\nlog=loud\n" },
        { "no state folder", "[agent]\nstate=\n" },
        { "no key file at all", "hello" },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        vr_auto_error struct vr_error *error = NULL;
        g_test_message("%s", rows[i].what);
        g_assert_null(read_text(rows[i].text, &error));
        g_assert_nonnull(error);
    }
}

static void test_processor(void)
{
    static const struct {
        const char *cpuinfo;
        bool has;
    } rows[] = {
        { "processor\t: 0\nflags\t\t: fpu vmx sse\n", true },
        { "processor\t: 0\nflags\t\t: fpu svm", true },
        { "processor\t: 0\nflags\t\t: fpu sse vmx_like\nbugs\t\t: svm\n", false },
        { "vmx flags\n", false },
        { "", false },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++)
        g_assert_cmpint(vr_cpuinfo_has_virtualization(rows[i].cpuinfo), ==, rows[i].has);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/config/without a file there are defaults", test_defaults);
    g_test_add_func("/config/what the file says is taken", test_values);
    g_test_add_func("/config/a mistake is an error", test_refusals);
    g_test_add_func("/config/the processor's flags decide about KVM", test_processor);
    return g_test_run();
}
