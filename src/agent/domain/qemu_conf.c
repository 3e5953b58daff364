/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/domain/xml.h"

/* libvirt's own format: `key = value` a line, `#` begins a comment, the last one wins. */
bool vr_qemu_conf_flag(const char *text, const char *key)
{
    bool set = false;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        char *equals = strchr(*line, '=');
        char *comment = strchr(*line, '#');
        if (!equals || (comment && comment < equals))
            continue;
        if (comment)
            *comment = '\0';
        *equals = '\0';
        if (strcmp(g_strstrip(*line), key))
            continue;
        set = !strcmp(g_strstrip(equals + 1), "1");
    }
    return set;
}
