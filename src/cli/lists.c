/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/output.h"

/* Time between two looks for new events, in milliseconds. */
#define FOLLOW_PAUSE 1000
#define EVENTS_SHOWN "100"
#define BODY_MAX MiB(64)

static const struct vr_cli_column host_columns[] = {
    { "NAME", "name", VR_CLI_TEXT, NULL },
    { "STATUS", "status", VR_CLI_TEXT, NULL },
    { "ADDRESS", "address", VR_CLI_TEXT, NULL },
    { "CLUSTER", "cluster.id", VR_CLI_TEXT, "clusters" },
    { "VMS", "summary.active", VR_CLI_TEXT, NULL },
    { "MEMORY", "memory", VR_CLI_BYTES, NULL },
    { "ID", "id", VR_CLI_TEXT, NULL },
    { 0 },
};

static const struct vr_cli_column job_columns[] = {
    { "STATUS", "status", VR_CLI_TEXT, NULL },
    { "START", "start_time", VR_CLI_TIME, NULL },
    { "END", "end_time", VR_CLI_TIME, NULL },
    { "ID", "id", VR_CLI_TEXT, NULL },
    { "DESCRIPTION", "description", VR_CLI_TEXT, NULL },
    { 0 },
};

static const struct vr_cli_column event_columns[] = {
    { "TIME", "time", VR_CLI_TIME, NULL },
    { "SEVERITY", "severity", VR_CLI_TEXT, NULL },
    { "DESCRIPTION", "description", VR_CLI_TEXT, NULL },
    { 0 },
};

static bool list(struct vr_cli *cli, const char *collection, const struct vr_cli_column *columns,
                 struct vr_error **error)
{
    vr_auto_client struct vr_client *client = vr_client_open(cli, error);
    vr_auto_json json_object *items =
        client ? vr_client_list_asked(client, cli, collection, error) : NULL;
    return items && vr_cli_print_list(cli, client, items, columns, error);
}

bool vr_cli_host_list(struct vr_cli *cli, struct vr_error **error)
{
    return list(cli, "hosts", host_columns, error);
}

bool vr_cli_job_list(struct vr_cli *cli, struct vr_error **error)
{
    return list(cli, "jobs", job_columns, error);
}

bool vr_cli_host_show(struct vr_cli *cli, struct vr_error **error)
{
    vr_auto_client struct vr_client *client = vr_client_open(cli, error);
    vr_auto_json json_object *host =
        client ? vr_client_find(client, "hosts", vr_cli_arg(cli, 0), error) : NULL;
    if (host)
        vr_cli_print_object(cli, host);
    return host != NULL;
}

/* ---- events ---- */

/* "search=...&max=...&from=..."; @from 0: from the beginning. */
static char *event_query(const struct vr_cli *cli, uint64_t from)
{
    const char *search = vr_cli_value(cli, VR_CLI_SEARCH);
    const char *max = vr_cli_value(cli, VR_CLI_MAX);
    g_autofree char *text = search ? g_uri_escape_string(search, NULL, FALSE) : NULL;
    GString *query = g_string_new(NULL);
    if (from)
        g_string_append_printf(query, "from=%" G_GUINT64_FORMAT, from);
    else
        g_string_append_printf(query, "max=%s", max ? max : EVENTS_SHOWN);
    if (text)
        g_string_append_printf(query, "&search=%s", text);
    return g_string_free(query, FALSE);
}

static uint64_t event_id(json_object *event)
{
    const char *id = vr_cli_text(event, "id");
    return id ? g_ascii_strtoull(id, NULL, 10) : 0;
}

static int by_id(const void *a, const void *b)
{
    uint64_t one = event_id(*(json_object *const *)a), two = event_id(*(json_object *const *)b);
    return one < two ? -1 : one > two;
}

bool vr_cli_event_list(struct vr_cli *cli, struct vr_error **error)
{
    bool follow = vr_cli_value(cli, VR_CLI_FOLLOW) != NULL;
    uint64_t last = 0, max;
    if (!vr_cli_number(cli, VR_CLI_MAX, 1, G_MAXINT32, 0, &max, error))
        return false;
    vr_auto_client struct vr_client *client = vr_client_open(cli, error);
    if (!client)
        return false;
    do {
        g_autofree char *query = event_query(cli, last);
        vr_auto_json json_object *items = vr_client_list(client, "events", query, error);
        if (!items)
            return false;
        json_object_array_sort(items, by_id);
        if (!follow)
            return vr_cli_print_list(cli, client, items, event_columns, error);
        for (size_t i = 0; i < json_object_array_length(items); i++) {
            json_object *event = json_object_array_get_idx(items, i);
            if (last && event_id(event) <= last)
                continue;
            vr_cli_print_item(cli, event, event_columns);
            last = MAX(last, event_id(event));
        }
        /* Whoever read has gone: the normal end of a pipe. */
        if (fflush(stdout) != 0)
            return true;
    } while (vr_cli_sleep(FOLLOW_PAUSE, error));
    return false;
}

/* ---- api ---- */

static bool check_path(const char *path, struct vr_error **error)
{
    bool good = path[0] == '/';
    for (const char *c = path; *c && good; c++)
        good = (unsigned char)*c > 0x20 && *c != 0x7f && *c != '#' && *c != '\\';
    g_auto(GStrv) parts = g_strsplit_set(path, "/?", -1);
    if (good && !g_strv_contains((const char *const *)parts, ".."))
        return true;
    vr_error_set(error, &vr_cli_usage,
                 "'%.100s' is no path; write it as in /vms or /vms?search=name%%3Dweb1.", path);
    return false;
}

static GString *read_stdin(struct vr_error **error)
{
    GString *text = g_string_new(NULL);
    char buffer[65536];
    ssize_t got;
    while ((got = read(STDIN_FILENO, buffer, sizeof buffer)) > 0 && text->len <= BODY_MAX)
        g_string_append_len(text, buffer, got);
    if (got < 0)
        vr_error_set(error, vr_cli_interrupted() ? &vr_cli_stopped : &vr_cli_failed,
                     "Cannot read the body.");
    else if (text->len > BODY_MAX)
        vr_error_set(error, &vr_cli_usage, "The body is larger than 64 MiB.");
    return text;
}

static bool print_answer(const struct vr_cli *cli, const struct vr_http_answer *answer,
                         struct vr_error **error)
{
    if (!answer->body->len)
        return true;
    if (!strstr(answer->type, "json")) {
        fwrite(answer->body->str, 1, answer->body->len, stdout);
        return true;
    }
    vr_auto_json json_object *body =
        vr_client_parse(answer->body->str, answer->body->len, error);
    if (!body)
        return false;
    const char *format = vr_cli_value(cli, VR_CLI_OUTPUT);
    if (g_strcmp0(format, "yaml") == 0) {
        g_autoptr(GString) text = g_string_new(NULL);
        vr_cli_yaml(text, body);
        printf("%s", text->str);
    } else {
        printf("%s\n", json_object_to_json_string_ext(body, JSON_C_TO_STRING_PRETTY |
                                                                JSON_C_TO_STRING_SPACED |
                                                                JSON_C_TO_STRING_NOSLASHESCAPE));
    }
    return true;
}

bool vr_cli_api(struct vr_cli *cli, struct vr_error **error)
{
    const char *method = cli->command->name + strlen("api ");
    const char *path = vr_cli_arg(cli, 0), *given = vr_cli_arg(cli, 1);
    if (g_str_has_prefix(path, VR_CLIENT_API "/"))
        path += strlen(VR_CLIENT_API);
    if (!check_path(path, error))
        return false;
    g_autoptr(GString) body = NULL;
    if (given)
        body = strcmp(given, "-") == 0 ? read_stdin(error) : g_string_new(given);
    else if (strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0)
        body = g_string_new("{}");
    if (*error)
        return false;
    vr_auto_client struct vr_client *client = vr_client_open(cli, error);
    if (!client)
        return false;
    const char *type = body && body->str[0] == '<' ? "application/xml" : "application/json";
    struct vr_http_answer answer = { 0 };
    bool done = vr_client_send(client, method, path, type, body ? body->str : NULL,
                               body ? body->len : 0, &answer, error) &&
                print_answer(cli, &answer, error);
    vr_http_answer_done(&answer);
    return done;
}
