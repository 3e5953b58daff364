/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <systemd/sd-journal.h>

static gint log_level = VR_LOG_INFO;

void vr_log_set_level(enum vr_log_level level)
{
    g_atomic_int_set(&log_level, level);
}

/* systemd.exec(5): JOURNAL_STREAM holds "device:inode" of the stream given to the service. */
static bool stderr_is_journal(void)
{
    static gsize known;
    if (g_once_init_enter(&known)) {
        const char *stream = getenv("JOURNAL_STREAM");
        unsigned long long device, inode;
        struct stat st;
        bool is = stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
                  fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
        g_once_init_leave(&known, is ? 2 : 1);
    }
    return known == 2;
}

static const char *level_word(enum vr_log_level level)
{
    switch (level) {
    case VR_LOG_ERROR:
        return "error";
    case VR_LOG_WARNING:
        return "warning";
    case VR_LOG_INFO:
        return "info";
    case VR_LOG_DEBUG:
        return "debug";
    }
    return "?";
}

/* One message is one record: what a peer says cannot look like a line of its own, nor move a
 * terminal's cursor.  The journal keeps records apart by itself. */
static char *in_one_piece(const char *message)
{
    GString *text = g_string_new(NULL);
    for (const char *c = message; *c; c++) {
        if (*c == '\n')
            g_string_append(text, c[1] ? "\n    " : "");
        else
            g_string_append_c(text, ((unsigned char)*c < ' ' && *c != '\t') || *c == 127 ? '?' : *c);
    }
    return g_string_free(text, FALSE);
}

void vr_log(enum vr_log_level level, const char *module, const char *format, ...)
{
    if ((int)level > g_atomic_int_get(&log_level))
        return;

    va_list args;
    va_start(args, format);
    g_autofree char *message = g_strdup_vprintf(format, args);
    va_end(args);

    if (stderr_is_journal()) {
        sd_journal_send("PRIORITY=%d", level, "VIREO_MODULE=%s", module, "MESSAGE=%s", message, NULL);
    } else {
        g_autofree char *text = in_one_piece(message);
        fprintf(stderr, "%s %s: %s\n", level_word(level), module, text);
    }
}
