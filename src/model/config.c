/* SPDX-License-Identifier: Apache-2.0 */
#include "model/config.h"

#include <errno.h>
#include <stdlib.h>

static void *member(const struct vr_config *config, const struct vr_config_option *option)
{
    return (char *)config + option->offset;
}

static bool parse(const struct vr_config_option *option, const char *value, void *out)
{
    char *end = NULL;
    errno = 0;
    switch (option->type) {
    case VR_OPTION_BOOLEAN:
        if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
            return false;
        *(bool *)out = value[0] == 't';
        return true;
    case VR_OPTION_INTEGER: {
        long long number = strtoll(value, &end, 10);
        if (errno || end == value || *end)
            return false;
        *(int64_t *)out = number;
        return true;
    }
    case VR_OPTION_DOUBLE: {
        double number = g_ascii_strtod(value, &end);
        if (errno || end == value || *end)
            return false;
        *(double *)out = number;
        return true;
    }
    case VR_OPTION_STRING:
        g_free(*(char **)out);
        *(char **)out = g_strdup(value);
        return true;
    }
    return false;
}

struct vr_config *vr_config_new(void)
{
    struct vr_config *config = g_malloc0(vr_config_size);
    for (unsigned i = 0; i < vr_config_option_count; i++) {
        bool fits = parse(&vr_config_options[i], vr_config_options[i].otherwise, member(config, &vr_config_options[i]));
        g_assert(fits);
    }
    return config;
}

struct vr_config *vr_config_copy(const struct vr_config *config)
{
    struct vr_config *copy = g_memdup2(config, vr_config_size);
    for (unsigned i = 0; i < vr_config_option_count; i++) {
        if (vr_config_options[i].type == VR_OPTION_STRING) {
            char **text = member(copy, &vr_config_options[i]);
            *text = g_strdup(*text);
        }
    }
    return copy;
}

void vr_config_free(struct vr_config *config)
{
    if (!config)
        return;
    for (unsigned i = 0; i < vr_config_option_count; i++)
        if (vr_config_options[i].type == VR_OPTION_STRING)
            g_free(*(char **)member(config, &vr_config_options[i]));
    g_free(config);
}

static int compare(const void *name, const void *option)
{
    return strcmp(name, ((const struct vr_config_option *)option)->name);
}

const struct vr_config_option *vr_config_find(const char *name)
{
    return bsearch(name, vr_config_options, vr_config_option_count, sizeof(vr_config_options[0]), compare);
}

bool vr_config_set(struct vr_config *config, const char *name, const char *value,
                   struct vr_error **error)
{
    const struct vr_config_option *option = vr_config_find(name);
    if (!option) {
        vr_error_set(error, &vr_fault_bad_request, "There is no option %s.", name);
        return false;
    }
    if (!parse(option, value, member(config, option))) {
        vr_error_set(error, &vr_fault_bad_request, "\"%s\" is no value for option %s.", value, name);
        return false;
    }
    return true;
}

char *vr_config_get(const struct vr_config *config, const struct vr_config_option *option)
{
    const void *value = member(config, option);
    char text[G_ASCII_DTOSTR_BUF_SIZE];
    switch (option->type) {
    case VR_OPTION_BOOLEAN:
        return g_strdup(*(const bool *)value ? "true" : "false");
    case VR_OPTION_INTEGER:
        return g_strdup_printf("%" G_GINT64_FORMAT, *(const int64_t *)value);
    case VR_OPTION_DOUBLE:
        return g_strdup(g_ascii_dtostr(text, sizeof(text), *(const double *)value));
    case VR_OPTION_STRING:
        return g_strdup(*(char *const *)value);
    }
    g_assert_not_reached();
}
