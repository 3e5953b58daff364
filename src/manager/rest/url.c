/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/rest/url.h"

#include <errno.h>
#include <stdlib.h>

static int hex(char c)
{
    return g_ascii_xdigit_value(c);
}

/* Decodes in place; @plus: `+` is a blank, as in queries and forms. */
static bool decode(char *text, bool plus)
{
    char *out = text;
    for (const char *in = text; *in; in++) {
        if (*in == '%') {
            int high = hex(in[1]);
            int low = high < 0 ? -1 : hex(in[2]);
            if (low < 0 || (high | low) == 0)
                return false;
            *out++ = (char)(high << 4 | low);
            in += 2;
        } else {
            *out++ = plus && *in == '+' ? ' ' : *in;
        }
    }
    *out = '\0';
    return g_utf8_validate(text, -1, NULL);
}

static bool add_param(struct vr_argument *params, unsigned *count, char *text, bool plus)
{
    if (!*text)
        return true;
    if (*count == VR_URL_PARAMS)
        return false;
    char *value = strchr(text, '=');
    if (value)
        *value++ = '\0';
    if (!decode(text, plus) || (value && !decode(value, plus)))
        return false;
    params[*count].name = text;
    params[(*count)++].value = value;
    return true;
}

static bool add_params(struct vr_argument *params, unsigned *count, char *text, const char *separators,
                       bool plus)
{
    for (char *next; text; text = next) {
        next = strpbrk(text, separators);
        if (next)
            *next++ = '\0';
        if (!add_param(params, count, text, plus))
            return false;
    }
    return true;
}

bool vr_url_parse(struct vr_url *url, const char *raw)
{
    memset(url, 0, sizeof(*url));
    url->text = g_strdup(raw);
    char *query = strchr(url->text, '?');
    if (query)
        *query++ = '\0';
    if (query && !add_params(url->params, &url->param_count, query, "&", true))
        return false;

    char *matrix = NULL;
    char *segment = url->text;
    for (char *next; segment; segment = next) {
        next = strchr(segment, '/');
        if (next)
            *next++ = '\0';
        char *semicolon = strchr(segment, ';');
        if (semicolon)
            *semicolon++ = '\0';
        if (!*segment)
            continue;
        if (url->segment_count == VR_URL_SEGMENTS || !decode(segment, false))
            return false;
        url->segments[url->segment_count++] = segment;
        matrix = semicolon;
    }
    return !matrix || add_params(url->params, &url->param_count, matrix, ";", false);
}

void vr_url_done(struct vr_url *url)
{
    g_clear_pointer(&url->text, g_free);
}

bool vr_url_add_form(struct vr_url *url, char **ret_text, const char *form, size_t length)
{
    if (memchr(form, '\0', length))
        return false;
    g_autofree char *text = g_strndup(form, length);
    struct vr_argument params[VR_URL_PARAMS];
    unsigned count = 0;
    if (!add_params(params, &count, text, "&", true) || count + url->param_count > VR_URL_PARAMS)
        return false;
    memmove(url->params + count, url->params, url->param_count * sizeof(*params));
    memcpy(url->params, params, count * sizeof(*params));
    url->param_count += count;
    *ret_text = g_steal_pointer(&text);
    return true;
}

const char *vr_url_param(const struct vr_url *url, const char *name)
{
    for (unsigned i = 0; i < url->param_count; i++)
        if (strcmp(url->params[i].name, name) == 0)
            return url->params[i].value ? url->params[i].value : "";
    return NULL;
}

bool vr_truth(const char *value, bool otherwise)
{
    static const char *const yes[] = { "", "t", "true", "y", "yes", "1" };
    static const char *const no[] = { "f", "false", "n", "no", "0" };
    for (unsigned i = 0; value && i < G_N_ELEMENTS(yes); i++)
        if (g_ascii_strcasecmp(value, yes[i]) == 0)
            return true;
    for (unsigned i = 0; value && i < G_N_ELEMENTS(no); i++)
        if (g_ascii_strcasecmp(value, no[i]) == 0)
            return false;
    return otherwise;
}

int64_t vr_number(const char *value, int64_t otherwise)
{
    if (!value || !*value || g_ascii_isspace(*value))
        return otherwise;
    char *end = NULL;
    errno = 0;
    int64_t number = g_ascii_strtoll(value, &end, 10);
    return errno || *end ? otherwise : number;
}
