/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "test"
#include "base/log.h"

#include <stdlib.h>

/* What a peer says stays inside its record. */
static void test_one_record(void)
{
    if (g_test_subprocess()) {
        unsetenv("JOURNAL_STREAM");
        vr_log_info("a host called %s", "x\nerror manager: all is lost\033[2J\r\x7f\t.\n");
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
    g_test_trap_assert_stderr_unmatched("*\033*");
    g_test_trap_assert_stderr_unmatched("*\r*");
    g_test_trap_assert_stderr("info test: a host called x\n    error manager: all is lost??2J??\t.\n");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/log/one-record", test_one_record);
    return g_test_run();
}
