/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/fence/internal.h"

/*
 * The types of power agents (facts/manager-behaviour.md 4.4): which program of
 * fence-agents each is, what its options are called there, and what is added
 * where the administrator says nothing.  A NULL name: the program has no such
 * option, and it is passed on as it is.
 */
static const struct kind {
    const char *type, *program;
    const char *secure, *port, *slot; /* the program's names of these options */
    const char *added;                /* "name=value" lines */
} kinds[] = {
    { "apc", "apc", "secure", "ipport", "port", NULL },
    { "apc_snmp", "apc_snmp", NULL, "port", NULL, NULL },
    { "bladecenter", "bladecenter", "secure", "ipport", "port", NULL },
    { "cisco_ucs", "cisco_ucs", "ssl", "ipport", "port", NULL },
    { "drac5", "drac5", "secure", "ipport", "port", NULL },
    { "drac7", "ipmilan", NULL, "ipport", NULL, "privlvl=OPERATOR\nlanplus=1\ndelay=10" },
    { "eps", "eps", NULL, "ipport", "port", NULL },
    { "hpblade", "hpblade", "secure", "port", NULL, NULL },
    { "ilo", "ilo", "ssl", "ipport", NULL, NULL },
    { "ilo2", "ilo", "ssl", "ipport", NULL, NULL },
    { "ilo3", "ilo3", NULL, "ipport", NULL, "power_wait=4" },
    { "ilo4", "ilo4", NULL, "ipport", NULL, "power_wait=4" },
    { "ilo_ssh", "ilo_ssh", "secure", "ipport", NULL, "secure=1" },
    { "ipmilan", "ipmilan", NULL, "ipport", NULL, NULL },
    { "rsa", "rsa", "secure", "ipport", NULL, NULL },
    { "rsb", "rsb", NULL, "ipport", NULL, NULL },
    { "wti", "wti", "secure", "ipport", "port", NULL },
};

static const struct kind *find(const char *type)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++)
        if (type && strcmp(kinds[i].type, type) == 0)
            return &kinds[i];
    return NULL;
}

bool fence_kind_check(const char *type, struct vr_error **error)
{
    if (find(type))
        return true;
    g_autoptr(GString) known = g_string_new(NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++)
        g_string_append_printf(known, "%s%s", i ? ", " : "", kinds[i].type);
    vr_error_set(error, &vr_fault_invalid_value, "There is no power agent of type %s; there are: %s.",
                 type, known->str);
    return false;
}

/* One option under the program's name; a later one of the same name replaces an earlier one. */
static void set(GPtrArray *lines, const char *name, const char *value)
{
    size_t length = strlen(name);
    for (unsigned i = 0; i < lines->len; i++) {
        const char *line = lines->pdata[i];
        if (strncmp(line, name, length) == 0 && line[length] == '=') {
            g_ptr_array_remove_index(lines, i);
            break;
        }
    }
    /* Words of truth as the programs read them. */
    if (g_ascii_strcasecmp(value, "true") == 0)
        value = "yes";
    else if (g_ascii_strcasecmp(value, "false") == 0)
        value = "no";
    g_ptr_array_add(lines, g_strdup_printf("%s=%s", name, value));
}

static const char *program_name(const struct kind *kind, const char *name)
{
    const char *other = NULL;
    if (strcmp(name, "secure") == 0)
        other = kind->secure;
    else if (strcmp(name, "port") == 0)
        other = kind->port;
    else if (strcmp(name, "slot") == 0)
        other = kind->slot;
    return other ? other : name;
}

struct vr_rpc_host_fence_node_params *fence_params(const struct vr_agent *agent,
                                                   enum vr_rpc_fence_node_action action)
{
    const struct kind *kind = find(agent->type);
    struct vr_rpc_host_fence_node_params *params = VR_NEW(rpc_host_fence_node_params);
    g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
    if (kind && kind->added) {
        g_auto(GStrv) added = g_strsplit(kind->added, "\n", 0);
        for (char **line = added; *line; line++)
            g_ptr_array_add(lines, g_strdup(*line));
    }
    if (VR_HAS(agent, port)) {
        g_autofree char *port = g_strdup_printf("%d", (int)agent->port);
        set(lines, kind ? program_name(kind, "port") : "port", port);
    }
    VR_EACH (struct vr_option, option, &agent->options)
        if (option->name && option->value && option->value[0])
            set(lines, kind ? program_name(kind, option->name) : option->name, option->value);
    g_ptr_array_add(lines, NULL);
    VR_TAKE_STRING(params, options, g_strjoinv("\n", (char **)lines->pdata));
    VR_SET_STRING(params, agent, kind ? kind->program : agent->type);
    VR_SET_STRING(params, addr, agent->address);
    VR_SET(params, port, 0); /* said among the options, under the program's name for it */
    VR_SET_STRING(params, username, agent->username);
    VR_SET_STRING(params, password, agent->password);
    VR_SET(params, action, action);
    VR_SET(params, secure, VR_GET(agent, encrypt_options, false) && kind && kind->secure);
    return params;
}
