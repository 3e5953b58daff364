/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/search/query.h"

#include <stdio.h>

#include "codec/codec.h"

static bool day_of(GDateTime *moment, int64_t *ret_first, int64_t *ret_last)
{
    if (!moment)
        return false;
    g_autoptr(GDateTime) first =
        g_date_time_new_local(g_date_time_get_year(moment), g_date_time_get_month(moment),
                              g_date_time_get_day_of_month(moment), 0, 0, 0);
    g_date_time_unref(moment);
    g_autoptr(GDateTime) next = first ? g_date_time_add_days(first, 1) : NULL;
    if (!next)
        return false;
    *ret_first = g_date_time_to_unix(first) * 1000;
    *ret_last = g_date_time_to_unix(next) * 1000 - 1;
    return true;
}

static GDateTime *local(int64_t ms)
{
    return g_date_time_new_from_unix_local(ms / 1000);
}

/* "Today", "Yesterday", or the last day of that name. */
static bool named_day(const char *text, int64_t now_ms, int64_t *ret_first, int64_t *ret_last)
{
    static const char *const names[] = { "monday", "tuesday",  "wednesday", "thursday",
                                         "friday", "saturday", "sunday" };
    g_autoptr(GDateTime) now = local(now_ms);
    if (!now)
        return false;
    if (g_ascii_strcasecmp(text, "today") == 0)
        return day_of(g_date_time_ref(now), ret_first, ret_last);
    if (g_ascii_strcasecmp(text, "yesterday") == 0)
        return day_of(g_date_time_add_days(now, -1), ret_first, ret_last);
    for (int i = 0; i < (int)G_N_ELEMENTS(names); i++) {
        if (g_ascii_strcasecmp(text, names[i]) != 0)
            continue;
        int ago = (g_date_time_get_day_of_week(now) - 1 - i + 7) % 7;
        return day_of(g_date_time_add_days(now, ago ? -ago : -7), ret_first, ret_last);
    }
    return false;
}

/* "2024-05-01", "2024-05-01 13:00:00", "5/1/24", "5/1/2024 13:00". */
static bool literal(const char *text, int64_t *ret_first, int64_t *ret_last)
{
    int year, month, day, hour = 0, minute = 0, second = 0, used = 0;
    if (sscanf(text, "%4d-%2d-%2d%n", &year, &month, &day, &used) != 3 || used == 0) {
        used = 0;
        if (sscanf(text, "%2d/%2d/%4d%n", &month, &day, &year, &used) != 3 || used == 0)
            return false;
        if (year < 100)
            year += 2000;
    }
    const char *rest = text + used;
    while (*rest == ' ' || *rest == 'T')
        rest++;
    if (year < 1 || year > 9998)
        return false;
    if (!*rest)
        return day_of(g_date_time_new_local(year, month, day, 0, 0, 0), ret_first, ret_last);
    used = 0;
    if (sscanf(rest, "%2d:%2d:%2d%n", &hour, &minute, &second, &used) != 3 || !used) {
        second = 0;
        used = 0;
        if (sscanf(rest, "%2d:%2d%n", &hour, &minute, &used) != 2 || !used)
            return false;
    }
    if (rest[used])
        return false;
    g_autoptr(GDateTime) moment = g_date_time_new_local(year, month, day, hour, minute, second);
    if (!moment)
        return false;
    *ret_first = g_date_time_to_unix(moment) * 1000;
    *ret_last = *ret_first + 999;
    return true;
}

bool vr_search_date(const char *text, int64_t now_ms, int64_t *ret_first, int64_t *ret_last)
{
    if (named_day(text, now_ms, ret_first, ret_last) || literal(text, ret_first, ret_last))
        return true;
    if (!vr_date_parse(text, ret_first))
        return false;
    *ret_last = *ret_first;
    return true;
}
