/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/codec.h"

#include "codec/scalar.h"

/*
 * Dates without the C library's calendar: no time zone files, no locale, and
 * an entity has a handful of them.  The calendar is the proleptic Gregorian
 * one; the conversion counts days from 0000-03-01, so that the leap day is
 * the last of a year.
 */

enum { DAY_MS = 86400000, DAYS_400_YEARS = 146097, DAYS_TO_1970 = 719468 };

static int64_t days_from_civil(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * DAYS_400_YEARS + day_of_era - DAYS_TO_1970;
}

static void civil_from_days(int64_t days, int64_t *year, int *month, int *day)
{
    days += DAYS_TO_1970;
    int64_t era = (days >= 0 ? days : days - (DAYS_400_YEARS - 1)) / DAYS_400_YEARS;
    int64_t of_era = days - era * DAYS_400_YEARS;
    int64_t years = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int of_year = (int)(of_era - (365 * years + years / 4 - years / 100));
    int shifted = (5 * of_year + 2) / 153; /* March is 0 */
    *day = of_year - (153 * shifted + 2) / 5 + 1;
    *month = shifted < 10 ? shifted + 3 : shifted - 9;
    *year = years + era * 400 + (*month <= 2);
}

static char *put_digits(char *at, int number, int digits)
{
    for (int i = digits - 1; i >= 0; i--) {
        at[i] = (char)('0' + number % 10);
        number /= 10;
    }
    return at + digits;
}

void vr_date_format(char out[32], int64_t epoch_ms)
{
    int64_t days = epoch_ms / DAY_MS;
    int of_day = (int)(epoch_ms % DAY_MS);
    if (of_day < 0) {
        of_day += DAY_MS;
        days--;
    }
    int64_t year;
    int month, day;
    civil_from_days(days, &year, &month, &day);
    char *at = out;
    if (year >= 0 && year <= 9999)
        at = put_digits(at, (int)year, 4);
    else
        at += g_snprintf(at, 12, "%" G_GINT64_FORMAT, year);
    *at++ = '-';
    at = put_digits(at, month, 2);
    *at++ = '-';
    at = put_digits(at, day, 2);
    *at++ = 'T';
    at = put_digits(at, of_day / 3600000, 2);
    *at++ = ':';
    at = put_digits(at, of_day / 60000 % 60, 2);
    *at++ = ':';
    at = put_digits(at, of_day / 1000 % 60, 2);
    *at++ = '.';
    at = put_digits(at, of_day % 1000, 3);
    *at++ = 'Z';
    *at = '\0';
}

/* Exactly @digits digits at *@at, which moves behind them; -1 when there are others. */
static int take_digits(const char **at, int digits)
{
    int number = 0;
    for (int i = 0; i < digits; i++, (*at)++) {
        if (!g_ascii_isdigit(**at))
            return -1;
        number = number * 10 + (**at - '0');
    }
    return number;
}

static bool take(const char **at, char c)
{
    if (**at != c)
        return false;
    (*at)++;
    return true;
}

static int days_in_month(int year, int month)
{
    static const int8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && leap);
}

static bool take_day(const char **at, int64_t *days)
{
    int year = take_digits(at, 4);
    if (year < 1 || !take(at, '-'))
        return false;
    int month = take_digits(at, 2);
    if (month < 1 || month > 12 || !take(at, '-'))
        return false;
    int day = take_digits(at, 2);
    if (day < 1 || day > days_in_month(year, month))
        return false;
    *days = days_from_civil(year, month, day);
    return true;
}

/* hh:mm:ss and a fraction of 1 to 9 digits, of which three count. */
static bool take_time(const char **at, int *ms)
{
    int hour = take_digits(at, 2);
    if (hour < 0 || hour > 23 || !take(at, ':'))
        return false;
    int minute = take_digits(at, 2);
    if (minute < 0 || minute > 59 || !take(at, ':'))
        return false;
    int second = take_digits(at, 2);
    if (second < 0 || second > 59)
        return false;
    *ms = (hour * 3600 + minute * 60 + second) * 1000;
    if (!take(at, '.'))
        return true;
    int digits = 0;
    for (int unit = 100; g_ascii_isdigit(**at); unit /= 10, (*at)++, digits++)
        *ms += (**at - '0') * unit;
    return digits >= 1 && digits <= 9;
}

/* `Z`, `+hh:mm`, `-hh:mm`, or nothing, which means UTC: Python's isoformat() writes no zone for
 * a time that was made without one. */
static bool take_zone(const char **at, int *offset_minutes)
{
    *offset_minutes = 0;
    if (!**at || take(at, 'Z') || take(at, 'z'))
        return true;
    int sign = **at == '-' ? -1 : 1;
    if (!take(at, '+') && !take(at, '-'))
        return false;
    int hours = take_digits(at, 2);
    if (hours < 0 || hours > 14 || !take(at, ':')) /* XML Schema's limit is 14:00 */
        return false;
    int minutes = take_digits(at, 2);
    if (minutes < 0 || minutes > 59)
        return false;
    *offset_minutes = sign * (hours * 60 + minutes);
    return true;
}

bool vr_date_parse(const char *text, int64_t *epoch_ms)
{
    const char *at = text;
    int64_t days;
    int ms, zone;
    if (!take_day(&at, &days) || !(take(&at, 'T') || take(&at, 't') || take(&at, ' ')) ||
        !take_time(&at, &ms) || !take_zone(&at, &zone) || *at)
        return false;
    *epoch_ms = days * DAY_MS + ms - (int64_t)zone * 60000;
    return true;
}
