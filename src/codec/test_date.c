/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/codec.h"

static const struct {
    const char *text;
    int64_t ms;
} rows[] = {
    { "1970-01-01T00:00:00Z", 0 },
    { "1970-01-01T00:00:00.001Z", 1 },
    { "2024-05-01T12:34:56.789+02:00", 1714559696789 },
    { "2024-05-01T10:34:56.789Z", 1714559696789 },
    { "2024-05-01T10:34:56.789z", 1714559696789 },
    { "2024-05-01t10:34:56.789", 1714559696789 },
    { "2024-05-01 10:34:56.789123456Z", 1714559696789 },
    { "2024-05-01T10:34:56.7Z", 1714559696700 },
    { "2024-05-01T06:04:56.789-04:30", 1714559696789 },
    { "2024-05-02T00:34:56.789+14:00", 1714559696789 },
    { "2000-02-29T00:00:00Z", 951782400000 },
    { "1969-12-31T23:59:59.999Z", -1 },
    { "0001-01-01T00:00:00Z", -62135596800000 },
    { "9999-12-31T23:59:59.999Z", 253402300799999 },
};

static const char *const malformed[] = {
    "",
    "2024",
    "2024-05-01",
    "2024-05-01T10:34",
    "2024-05-01T10:34:56.Z",
    "2024-05-01T10:34:56.1234567890Z",
    "2024-05-01T10:34:56Zx",
    "2024-05-01T10:34:56+0200",
    "2024-05-01T10:34:56+15:00",
    "2024-05-01T10:34:56+02:60",
    "2024-05-01T24:00:00Z",
    "2024-05-01T10:60:00Z",
    "2024-05-01T10:34:60Z",
    "2024-13-01T10:34:56Z",
    "2024-00-01T10:34:56Z",
    "2024-04-31T10:34:56Z",
    "2023-02-29T10:34:56Z",
    "1900-02-29T10:34:56Z",
    "0000-01-01T00:00:00Z",
    "-001-01-01T00:00:00Z",
    "24-05-01T10:34:56Z",
    " 2024-05-01T10:34:56Z",
    "2024-5-1T10:34:56Z",
    "1714559696789",
};

static void test_parse(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        int64_t ms = 4711;
        g_assert_true(vr_date_parse(rows[i].text, &ms));
        g_assert_cmpint(ms, ==, rows[i].ms);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(malformed); i++) {
        int64_t ms = 4711;
        if (vr_date_parse(malformed[i], &ms))
            g_error("'%s' was taken for a date", malformed[i]);
        g_assert_cmpint(ms, ==, 4711);
    }
}

/* GLib's calendar is the witness: every 40 days and some from year 1 to 9999. */
static void test_format(void)
{
    for (int64_t ms = -62135596800000; ms < 253402300799999;
         ms += 40 * INT64_C(86400000) + 12345678) {
        char text[32];
        vr_date_format(text, ms);
        int64_t seconds = ms / 1000 - (ms % 1000 < 0);
        g_autoptr(GDateTime) date = g_date_time_new_from_unix_utc(seconds);
        g_autofree char *rest = g_date_time_format(date, "%m-%dT%H:%M:%S");
        g_autofree char *want = g_strdup_printf("%04d-%s.%03dZ", g_date_time_get_year(date), rest,
                                                (int)(ms - seconds * 1000));
        g_assert_cmpstr(text, ==, want);
        int64_t back;
        g_assert_true(vr_date_parse(text, &back));
        g_assert_cmpint(back, ==, ms);
    }
}

static void test_extremes(void)
{
    char text[32];
    vr_date_format(text, INT64_MAX);
    g_assert_cmpstr(text, ==, "292278994-08-17T07:12:55.807Z");
    vr_date_format(text, INT64_MIN);
    g_assert_cmpstr(text, ==, "-292275055-05-16T16:47:04.192Z");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/date/what clients write is read, what is malformed is not", test_parse);
    g_test_add_func("/date/every day is written as GLib writes it, and read back", test_format);
    g_test_add_func("/date/any number of milliseconds fits the buffer", test_extremes);
    return g_test_run();
}
