/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * log: one line a message, to the journal when stderr is one (JOURNAL_STREAM),
 * else to stderr as "<level> <module>: <message>".  Messages are whole,
 * greppable sentences.  Never log a password, a ticket or a `_X_` field.
 */

#include <glib.h>

enum vr_log_level { VR_LOG_ERROR = 3, VR_LOG_WARNING = 4, VR_LOG_INFO = 6, VR_LOG_DEBUG = 7 };

/* Messages above @level are dropped.  The default is VR_LOG_INFO. */
void vr_log_set_level(enum vr_log_level level);
void vr_log(enum vr_log_level level, const char *module, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A source file names itself once: #define VR_LOG_MODULE "store" before its includes. */
#define vr_log_error(...) vr_log(VR_LOG_ERROR, VR_LOG_MODULE, __VA_ARGS__)
#define vr_log_warning(...) vr_log(VR_LOG_WARNING, VR_LOG_MODULE, __VA_ARGS__)
#define vr_log_info(...) vr_log(VR_LOG_INFO, VR_LOG_MODULE, __VA_ARGS__)
#define vr_log_debug(...) vr_log(VR_LOG_DEBUG, VR_LOG_MODULE, __VA_ARGS__)
