/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/fence/fence.h"

#include <glib/gstdio.h>
#include <sys/stat.h>

#include "agent/fault.h"

/* A program that stands in for a fence agent: it keeps what it was told and ends as the file
 * `status` beside it says.  The real fence_ipmilan is driven in tests/lab. */
static char *folder;

static const char script[] = "#!/bin/sh\n"
                             "here=$(dirname \"$0\")\n"
                             "cat >\"$here/told\"\n"
                             "echo 'Failed: Unable to obtain correct plug status' >&2\n"
                             "exit $(cat \"$here/status\")\n";

static void write_file(const char *name, const char *text, unsigned mode)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    g_assert_cmpint(g_chmod(path, (int)mode), ==, 0);
}

static char *told(void)
{
    g_autofree char *path = g_build_filename(folder, "told", NULL);
    char *text = NULL;
    g_file_get_contents(path, &text, NULL, NULL);
    return text;
}

static struct vr_rpc_host_fence_node_params *request(enum vr_rpc_fence_node_action action)
{
    struct vr_rpc_host_fence_node_params *params = VR_NEW(rpc_host_fence_node_params);
    VR_SET_STRING(params, agent, "recorder");
    VR_SET_STRING(params, addr, "192.0.2.7");
    VR_SET_STRING(params, username, "admin");
    VR_SET_STRING(params, password, "p w=d");
    VR_SET(params, action, action);
    return params;
}

/* What the program is told, to the letter: a changed name would cut the wrong power or none. */
static void test_input(void)
{
    write_file("status", "0", 0644);
    vr_auto struct vr_rpc_host_fence_node_params *params =
        request(VR_RPC_FENCE_NODE_ACTION_OFF);
    VR_SET(params, port, 7);
    VR_SET(params, secure, true);
    VR_SET_STRING(params, options, "lanplus=1\ncipher=3\n");
    vr_auto_error struct vr_error *error = NULL;
    vr_auto struct vr_rpc_fence_node_result *result = vr_fence_node(params, &error);
    g_assert_null(error);
    g_assert_nonnull(result);
    g_assert_cmpint(result->operation_status, ==,
                    VR_RPC_FENCE_NODE_OPERATION_STATUS_RESULT_INITIATED);
    g_autofree char *text = told();
    g_assert_cmpstr(text, ==,
                    "lanplus=1\ncipher=3\nagent=fence_recorder\nipaddr=192.0.2.7\nlogin=admin\n"
                    "action=off\npasswd=p w=d\nport=7\nsecure=yes\n");
}

static void test_status(void)
{
    static const struct {
        const char *exit;
        enum vr_rpc_fence_node_power_status_result want;
    } rows[] = {
        { "0", VR_RPC_FENCE_NODE_POWER_STATUS_RESULT_ON },
        { "2", VR_RPC_FENCE_NODE_POWER_STATUS_RESULT_OFF },
        { "1", VR_RPC_FENCE_NODE_POWER_STATUS_RESULT_UNKNOWN },
        { "3", VR_RPC_FENCE_NODE_POWER_STATUS_RESULT_UNKNOWN },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        write_file("status", rows[i].exit, 0644);
        vr_auto struct vr_rpc_host_fence_node_params *params =
            request(VR_RPC_FENCE_NODE_ACTION_STATUS);
        vr_auto_error struct vr_error *error = NULL;
        vr_auto struct vr_rpc_fence_node_result *result = vr_fence_node(params, &error);
        g_assert_null(error);
        g_assert_cmpint(result->power, ==, rows[i].want);
    }
}

static void test_failed_action(void)
{
    write_file("status", "1", 0644);
    vr_auto struct vr_rpc_host_fence_node_params *params = request(VR_RPC_FENCE_NODE_ACTION_ON);
    vr_auto_error struct vr_error *error = NULL;
    g_assert_null(vr_fence_node(params, &error));
    g_assert_true(error->fault == &vr_agent_fault_general);
    g_assert_nonnull(strstr(error->detail, "Unable to obtain correct plug status"));
}

/* Nothing of what a Manager sends becomes another line, another program or another action. */
static void test_refused(void)
{
    static const struct {
        const char *agent, *addr, *password, *options;
        const struct vr_fault *want;
        const char *login;
    } rows[] = {
        { "../sh", "h", "p", NULL, &vr_agent_fault_invalid_parameter },
        { "", "h", "p", NULL, &vr_agent_fault_invalid_parameter },
        { "no_such_agent", "h", "p", NULL, &vr_agent_fault_fence_agent },
        { "recorder", "", "p", NULL, &vr_agent_fault_invalid_parameter },
        { "recorder", "h\naction=off", "p", NULL, &vr_agent_fault_invalid_parameter },
        { "recorder", "h", "p\naction=off", NULL, &vr_agent_fault_invalid_parameter },
        { "recorder", "h", "p", "action=off", &vr_agent_fault_invalid_parameter },
        { "recorder", "h", "p", "lanplus", &vr_agent_fault_invalid_parameter },
        { "recorder", "h", "p", "a b=1", &vr_agent_fault_invalid_parameter },
        { "recorder", "h", "p", "passwd_script=/tmp/x", &vr_agent_fault_invalid_parameter },
        { "recorder", "h", "p", "debug-file=/etc/x", &vr_agent_fault_invalid_parameter },
        { "recorder", "h", "p", "lanplus=1\nhelp=1", &vr_agent_fault_invalid_parameter },
        { "recorder", "h", "p", "cipher=3 -f /x", &vr_agent_fault_invalid_parameter },
        { "recorder", "h", "p", "lanplus=1\rssh_path=/x", &vr_agent_fault_invalid_parameter },
        { "recorder", "-oProxyCommand=x", "p", NULL, &vr_agent_fault_invalid_parameter },
        { "recorder", "h exec /x", "p", NULL, &vr_agent_fault_invalid_parameter },
        { "recorder", "h", "p", NULL, &vr_agent_fault_invalid_parameter, "-oProxyCommand=x" },
        { "recorder", "h", "p", NULL, &vr_agent_fault_invalid_parameter, "a\nhelp=1" },
    };
    write_file("status", "0", 0644);
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *path = g_build_filename(folder, "told", NULL);
        g_unlink(path);
        vr_auto struct vr_rpc_host_fence_node_params *params =
            request(VR_RPC_FENCE_NODE_ACTION_STATUS);
        VR_SET_STRING(params, agent, rows[i].agent);
        VR_SET_STRING(params, addr, rows[i].addr);
        VR_SET_STRING(params, password, rows[i].password);
        if (rows[i].login)
            VR_SET_STRING(params, username, rows[i].login);
        if (rows[i].options)
            VR_SET_STRING(params, options, rows[i].options);
        vr_auto_error struct vr_error *error = NULL;
        g_assert_null(vr_fence_node(params, &error));
        g_assert_true(error->fault == rows[i].want);
        g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    }
}

/* Skipping by leases is a promise that nobody loses a disk; it is refused, not ignored. */
static void test_policy(void)
{
    vr_auto struct vr_rpc_host_fence_node_params *params = request(VR_RPC_FENCE_NODE_ACTION_OFF);
    struct vr_rpc_fencing_policy *policy = VR_SUB(params, policy, rpc_fencing_policy);
    vr_map_set(&policy->storage_domain_host_id_map, "domain", VR_ITEM(1));
    policy->has.storage_domain_host_id_map = true;
    vr_auto_error struct vr_error *error = NULL;
    g_assert_null(vr_fence_node(params, &error));
    g_assert_true(error->fault == &vr_agent_fault_not_implemented);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    folder = g_dir_make_tmp("vireo-fence-XXXXXX", NULL);
    g_assert_nonnull(folder);
    write_file("fence_recorder", script, 0755);
    g_autofree char *path = g_strdup_printf("%s:%s", folder, g_getenv("PATH"));
    g_setenv("PATH", path, TRUE);
    g_test_add_func("/fence/input", test_input);
    g_test_add_func("/fence/status", test_status);
    g_test_add_func("/fence/failed-action", test_failed_action);
    g_test_add_func("/fence/refused", test_refused);
    g_test_add_func("/fence/policy", test_policy);
    int code = g_test_run();
    for (const char *const *name = (const char *const[]){ "fence_recorder", "status", "told", NULL };
         *name; name++) {
        g_autofree char *file = g_build_filename(folder, *name, NULL);
        g_unlink(file);
    }
    g_rmdir(folder);
    return code;
}
