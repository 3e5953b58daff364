/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "netconf"
#include "agent/netconf/private.h"

#include "agent/helper/run.h"

/*
 * What an interface carries, in the words of ip(8), whose lists can be given
 * back to it: "192.0.2.11/24 brd 192.0.2.255", "0.0.0.0/0 via 192.0.2.1".
 */

#define IP_MS (10 * 1000)

void vr_carried_done(struct vr_carried *carried)
{
    g_clear_pointer(&carried->addresses, g_ptr_array_unref);
    g_clear_pointer(&carried->routes, g_ptr_array_unref);
}

static void carried_init(struct vr_carried *carried)
{
    carried->addresses = g_ptr_array_new_with_free_func(g_free);
    carried->routes = g_ptr_array_new_with_free_func(g_free);
}

static void append(GString *text, const char *word)
{
    /* Lifetimes are printed with a unit that is not read back. */
    bool seconds = g_ascii_isdigit(*word) && g_str_has_suffix(word, "sec");
    if (text->len)
        g_string_append_c(text, ' ');
    g_string_append_len(text, word, (gssize)(strlen(word) - (seconds ? 3 : 0)));
}

static bool one_of(const char *word, const char *const *words)
{
    return g_strv_contains(words, word);
}

char *vr_carried_address(const char *line)
{
    static const char *const pairs[] = { "peer", "brd", "metric", "valid_lft", "preferred_lft",
                                         NULL };
    /* Addresses that the kernel makes and forgets by itself, or never uses. */
    static const char *const skipped[] = { "temporary", "dadfailed", NULL };
    g_auto(GStrv) words = g_strsplit_set(line, " \\\t", -1);
    g_autoptr(GString) text = g_string_new(NULL);
    bool six = false;
    for (char **word = words; *word; word++) {
        if (!**word)
            continue;
        if (one_of(*word, skipped))
            return NULL;
        bool inet = !text->len && (!strcmp(*word, "inet") || !strcmp(*word, "inet6"));
        if (inet) {
            six = !strcmp(*word, "inet6");
            if (!word[1] || !*word[1])
                return NULL;
            append(text, *++word);
        } else if (text->len && one_of(*word, pairs) && word[1]) {
            if (strcmp(word[1], "forever") != 0) {
                append(text, word[0]);
                append(text, word[1]);
            }
            word++;
        } else if (!strcmp(*word, "noprefixroute")) {
            append(text, *word);
        }
    }
    if (!text->len)
        return NULL;
    if (six) /* it was in use a moment ago, on the same wire */
        append(text, "nodad");
    return g_strdup(text->str);
}

char *vr_carried_route(const char *line, bool six)
{
    /* What the kernel makes by itself where the address is. */
    static const char *const kinds[] = { "local", "broadcast", "multicast", "anycast", NULL };
    static const char *const states[] = { "linkdown", "dead", "offload", "offload_failed", "trap",
                                          "rt_offload", "rt_trap", "rt_offload_failed", NULL };
    g_auto(GStrv) words = g_strsplit_set(line, " \\\t", -1);
    g_autoptr(GString) text = g_string_new(NULL);
    for (char **word = words; *word; word++) {
        if (!**word || one_of(*word, states))
            continue;
        if (!text->len && one_of(*word, kinds))
            return NULL;
        if (!strcmp(*word, "proto") && word[1] && !strcmp(word[1], "kernel"))
            return NULL;
        if (!strcmp(*word, "dev") && word[1])
            word++;
        else if (!text->len && !strcmp(*word, "default"))
            append(text, six ? "::/0" : "0.0.0.0/0");
        else
            append(text, *word);
    }
    if (!text->len || g_str_has_prefix(text->str, "fe80:") || g_str_has_prefix(text->str, "ff00:"))
        return NULL;
    return g_strdup(text->str);
}

static bool list(GPtrArray *into, const char *const *argv, char *(*read)(const char *line, bool six),
                 bool six, struct vr_error **error)
{
    struct vr_run run = { .argv = argv, .deadline_ms = IP_MS };
    bool good = vr_run(&run, error);
    g_auto(GStrv) lines = g_strsplit(good ? run.output : "", "\n", -1);
    for (char **line = lines; *line; line++) {
        char *text = **line ? read(*line, six) : NULL;
        if (text)
            g_ptr_array_add(into, text);
    }
    vr_run_done(&run);
    return good;
}

static char *read_address(const char *line, bool six)
{
    return vr_carried_address(line);
}

bool vr_carried_read(const char *device, struct vr_carried *ret, struct vr_error **error)
{
    const char *const addresses[] = { "ip", "-o", "addr", "show", "dev", device, "scope", "global",
                                      NULL };
    const char *const four[] = { "ip", "-o", "-4", "route", "show", "table", "all", "dev", device,
                                 NULL };
    const char *const six[] = { "ip", "-o", "-6", "route", "show", "table", "all", "dev", device,
                                NULL };
    carried_init(ret);
    if (list(ret->addresses, addresses, read_address, false, error) &&
        list(ret->routes, four, vr_carried_route, false, error) &&
        (!g_file_test("/proc/net/if_inet6", G_FILE_TEST_EXISTS) ||
         list(ret->routes, six, vr_carried_route, true, error)))
        return true;
    vr_carried_done(ret);
    return false;
}

bool vr_carried_is_lasting(const char *text)
{
    return !strstr(text, "valid_lft ") && !strstr(text, " expires ") && !strstr(text, "proto dhcp") && !strstr(text, "proto ra");
}

bool vr_carried_has(const GPtrArray *addresses, const char *address)
{
    size_t length = strlen(address);
    for (unsigned i = 0; addresses && i < addresses->len; i++) {
        const char *text = addresses->pdata[i];
        if (!strncmp(text, address, length) && (!text[length] || text[length] == ' '))
            return true;
    }
    return false;
}
