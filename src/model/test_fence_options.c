/* SPDX-License-Identifier: Apache-2.0 */
#include "model/fence.h"

/* What `fence_X -o metadata` of fence-agents 4.12.1 tells for the programs behind the Manager's types
 * of agents (apc, apc_snmp, bladecenter, cisco_ucs, drac5, ipmilan, eps, hpblade, ilo, ilo3, ilo4,
 * ilo_ssh, rsa, rsb, wti): every option of theirs is here, with a value that is fine for it, or NULL
 * for one that must never pass. */
static const struct {
    const char *name, *value;
} known[] = {
    { "action", NULL },
    { "auth", "md5" },
    { "cipher", "17" },
    { "cmd_prompt", "RSB> $" },
    { "command_prompt", "-> " },
    { "community", "private '1'" },
    { "debug", NULL },
    { "debug_file", NULL },
    { "delay", "10" },
    { "disable_timeout", "true" },
    { "drac_version", "DRAC CMC" },
    { "gnutlscli_path", NULL },
    { "help", NULL },
    { "hexadecimal_kg", "0x0a1B" },
    { "hidden_page", "hidden.htm" },
    { "identity_file", NULL },
    { "inet4_only", "1" },
    { "inet6_only", "0" },
    { "ip", NULL },
    { "ipaddr", NULL },
    { "ipmitool_path", NULL },
    { "ipmitool_timeout", "4" },
    { "ipport", "623" },
    { "lanplus", "Yes" },
    { "login", NULL },
    { "login_timeout", "5" },
    { "method", "onoff" },
    { "missing_as_off", "off" },
    { "notls", "on" },
    { "page", "hidden.htm" },
    { "passwd", NULL },
    { "passwd_script", NULL },
    { "password", NULL },
    { "password_script", NULL },
    { "plug", "rack 1, outlet 4" },
    { "plug_separator", "," },
    { "port", "2:4" },
    { "port_as_ip", NULL },
    { "power_timeout", "20" },
    { "power_wait", "4" },
    { "privlvl", "OPERATOR" },
    { "quiet", "1" },
    { "retry_on", "2" },
    { "ribcl", "2.22" },
    { "ribcl_version", "2.22" },
    { "secure", "yes" },
    { "separator", ";" },
    { "shell_timeout", "3" },
    { "snmp_auth_prot", "SHA" },
    { "snmp_priv_passwd", "s 3'c\"r" },
    { "snmp_priv_passwd_script", NULL },
    { "snmp_priv_prot", "AES" },
    { "snmp_sec_level", "authPriv" },
    { "snmp_version", "2c" },
    { "snmpget_path", NULL },
    { "snmpset_path", NULL },
    { "snmpwalk_path", NULL },
    { "ssh", "1" },
    { "ssh_options", NULL },
    { "ssh_path", NULL },
    { "ssl", "1" },
    { "ssl_insecure", "true" },
    { "ssl_secure", "true" },
    { "stonith_status_sleep", "1" },
    { "suborg", "/org-a" },
    { "sudo", NULL },
    { "sudo_path", NULL },
    { "switch", "1" },
    { "target", "0x20" },
    { "telnet_path", NULL },
    { "tls1.0", "1" },
    { "use_sudo", NULL },
    { "username", NULL },
    { "verbose", NULL },
    { "verbose_level", NULL },
    { "version", NULL },
};

static bool passes(const char *name, const char *value)
{
    g_autofree char *problem = vr_fence_option_problem(name, value);
    return !problem;
}

static void test_every_option_of_the_programs(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(known); i++) {
        g_autofree char *dashes = g_strdelimit(g_strdup(known[i].name), "_", '-');
        g_test_message("%s", known[i].name);
        g_assert_cmpint(passes(known[i].name, known[i].value ? known[i].value : "1"), ==,
                        known[i].value != NULL);
        g_assert_cmpint(passes(dashes, known[i].value ? known[i].value : "1"), ==,
                        known[i].value != NULL);
        /* No value of any option is two lines, ends one, or is nothing. */
        static const char *const never[] = { "1\naction=off", "1\raction=off", "\n", "1\n", "",
                                             "a\xc2\x85", "a\xe2\x80\xa8", "\xff", "!touch /x",
                                             " 1", "\"1\"" };
        for (unsigned k = 0; k < G_N_ELEMENTS(never); k++)
            g_assert_false(passes(known[i].name, never[k]));
    }
}

static void test_values(void)
{
    static const struct {
        const char *name, *value;
        bool want;
    } rows[] = {
        { "lanplus", "2", false },
        { "lanplus", NULL, false },
        { "power_wait", "4 ", false },
        { "power_wait", "-1", false },
        { "power_wait", "1234567890", false },
        { "cipher", "3 exec /x", false },
        { "cipher", "-f/etc/shadow", false },
        { "cipher", "$(x)", false },
        { "target", "0x20;x", false },
        { "privlvl", "user\t", false },
        { "LANPLUS", "1", false },
        { "lan plus", "1", false },
        { "lanplus\n", "1", false },
        { "", "1", false },
        { NULL, "1", false },
        { "encrypt_options", "false", true }, /* the Manager's own words */
        { "slot", "4", true },
        { "runonfail", "/x", false }, /* of a program that no type of agent has */
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++)
        g_assert_cmpint(passes(rows[i].name, rows[i].value), ==, rows[i].want);
}

static void test_address_and_login(void)
{
    static const struct {
        const char *text;
        bool address, login;
    } rows[] = {
        { "bmc-1.example.com", true, true },
        { "192.0.2.1", true, true },
        { "fe80::1%eth0", true, true },
        { "-oProxyCommand=x", false, false },
        { "h -f /etc/shadow", false, false },
        { "h\xc2\xa0-f", false, false }, /* Python splits at this space, too */
        { "h\nhelp=1", false, false },
        { "h'", false, false },
        { "!x", false, false },
        { "\xff", false, false },
        { "DOMAIN\\user", false, true },
        { "user@example.com", false, true },
        { "J\xc3\xbcrgen", false, true },
        { "", false, true },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *address = vr_fence_address_problem(rows[i].text);
        g_autofree char *login = vr_fence_login_problem(rows[i].text);
        g_autofree char *shown = g_strescape(rows[i].text, NULL);
        g_test_message("%s", shown);
        g_assert_cmpint(!address, ==, rows[i].address);
        g_assert_cmpint(!login, ==, rows[i].login);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fence/every_option_of_the_programs", test_every_option_of_the_programs);
    g_test_add_func("/fence/values", test_values);
    g_test_add_func("/fence/address_and_login", test_address_and_login);
    return g_test_run();
}
