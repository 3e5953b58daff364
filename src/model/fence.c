/* SPDX-License-Identifier: Apache-2.0 */
#include "model/fence.h"

#include <stdlib.h>

#define NUMBER_DIGITS 9
#define VALUE_MAX 4096
#define NAME_MAX_LENGTH 64

#define DIGITS "0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

enum shape {
    FLAG,   /* a word of truth */
    NUMBER, /* seconds, attempts, a port */
    WORD,   /* goes into a command line unquoted */
    TEXT,   /* goes to the device, or into a command line quoted */
};

/* Sorted by name. */
static const struct option {
    const char *name;
    enum shape shape;
} options[] = {
    { "auth", WORD },
    { "cipher", WORD },
    { "cmd_prompt", TEXT },
    { "command_prompt", TEXT },
    { "community", TEXT },
    { "delay", NUMBER },
    { "disable_timeout", FLAG },
    { "drac_version", TEXT },
    { "encrypt_options", FLAG }, /* the Manager's; programs pass over it */
    { "hexadecimal_kg", WORD },
    { "hidden_page", TEXT },
    { "inet4_only", FLAG },
    { "inet6_only", FLAG },
    { "ipmitool_timeout", NUMBER },
    { "ipport", NUMBER },
    { "lanplus", FLAG },
    { "login_timeout", NUMBER },
    { "method", WORD },
    { "missing_as_off", FLAG },
    { "notls", FLAG },
    { "page", TEXT },
    { "plug", TEXT },
    { "plug_separator", TEXT },
    { "port", TEXT },
    { "power_timeout", NUMBER },
    { "power_wait", NUMBER },
    { "privlvl", WORD },
    { "quiet", FLAG },
    { "retry_on", NUMBER },
    { "ribcl", WORD },
    { "ribcl_version", WORD },
    { "secure", FLAG },
    { "separator", TEXT },
    { "shell_timeout", NUMBER },
    { "slot", TEXT }, /* the Manager's name of port */
    { "snmp_auth_prot", WORD },
    { "snmp_priv_passwd", TEXT },
    { "snmp_priv_prot", WORD },
    { "snmp_sec_level", WORD },
    { "snmp_version", WORD },
    { "ssh", FLAG },
    { "ssl", FLAG },
    { "ssl_insecure", FLAG },
    { "ssl_secure", FLAG },
    { "stonith_status_sleep", NUMBER },
    { "suborg", TEXT },
    { "switch", TEXT },
    { "target", WORD },
    { "tls1.0", FLAG },
};

static int compare(const void *name, const void *option)
{
    return strcmp(name, ((const struct option *)option)->name);
}

static const struct option *find(const char *name)
{
    g_autofree char *own = g_strdelimit(g_strdup(name), "-", '_');
    return bsearch(own, options, G_N_ELEMENTS(options), sizeof(options[0]), compare);
}

/* UTF-8 without anything that some reader takes for the end of a line. */
static bool one_line(const char *text)
{
    if (strlen(text) > VALUE_MAX || !g_utf8_validate(text, -1, NULL))
        return false;
    for (; *text; text = g_utf8_next_char(text)) {
        gunichar c = g_utf8_get_char(text);
        if (g_unichar_iscntrl(c) || c == 0x2028 || c == 0x2029)
            return false;
    }
    return true;
}

static bool made_of(const char *text, const char *characters)
{
    return *text && strspn(text, characters) == strlen(text);
}

static bool is_flag(const char *text)
{
    static const char *const words[] = { "0", "1", "false", "no", "off", "on", "true", "yes" };
    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++)
        if (g_ascii_strcasecmp(words[i], text) == 0)
            return true;
    return false;
}

/* The programs take quotes around a value away; at telnet's own prompt, where a device that hangs
 * up leaves them, a line with an exclamation mark in front is a command of this host. */
static bool is_text(const char *text)
{
    return one_line(text) && !g_unichar_isspace(g_utf8_get_char(text)) && !strchr("\"!", *text);
}

char *vr_fence_option_problem(const char *name, const char *value)
{
    bool sane = name && one_line(name) && strlen(name) <= NAME_MAX_LENGTH;
    const struct option *option = sane ? find(name) : NULL;
    if (!option)
        return g_strdup_printf("\"%s\" is not an option that a power agent may be given.",
                               sane ? name : "");
    if (!value)
        value = "";
    switch (option->shape) {
    case FLAG:
        return is_flag(value) ? NULL : g_strdup_printf("%s must be yes or no.", option->name);
    case NUMBER:
        return made_of(value, DIGITS) && strlen(value) <= NUMBER_DIGITS
                   ? NULL
                   : g_strdup_printf("%s must be a number.", option->name);
    case WORD:
        return *value != '-' && made_of(value, LETTERS DIGITS "._:+-")
                   ? NULL
                   : g_strdup_printf("%s must be one word of letters and digits.", option->name);
    case TEXT:
        break;
    }
    return is_text(value) ? NULL
                          : g_strdup_printf("%s must be one line of text that begins with neither a "
                                            "space, a quote nor an exclamation mark.",
                                            option->name);
}

char *vr_fence_address_problem(const char *address)
{
    return *address != '-' && made_of(address, LETTERS DIGITS "._:%-")
               ? NULL
               : g_strdup("The address of a power agent must be a host name or an IP address.");
}

char *vr_fence_login_problem(const char *login)
{
    bool word = one_line(login) && *login != '-' && *login != '!' && !strpbrk(login, "'\"");
    for (const char *c = login; word && *c; c = g_utf8_next_char(c))
        word = !g_unichar_isspace(g_utf8_get_char(c));
    return word ? NULL
                : g_strdup("The user name of a power agent must be one word, without quotes and "
                           "without a dash or an exclamation mark in front.");
}
