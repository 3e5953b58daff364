/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/register/limits.h"

static const struct vr_limits_options options = {
    .burst = 3, .refill_ms = 1000, .all_burst = 5, .all_refill_ms = 100, .addresses = 4
};

/* Rows of one history: somebody asks at a time. */
static const struct {
    const char *what, *who;
    int64_t at;
    int64_t wait;
} rows[] = {
    { "the first of a burst", "a", 0, 0 },
    { "the second", "a", 0, 0 },
    { "the third", "a", 0, 0 },
    { "one too many", "a", 0, 1001 },
    { "others are not concerned", "b", 0, 0 },
    { "until all together are too many", "b", 0, 0 },
    { "everybody waits then", "c", 0, 101 },
    { "a short time later", "c", 150, 0 },
    { "whose own permits are gone waits on", "a", 999, 2 },
    { "a permit comes back", "a", 1000, 0 },
    { "one only", "a", 1001, 1000 },
    { "a clock that goes back gives nothing", "a", 0, 1000 },
    { "after a long time there is a burst, no more", "a", 1000000, 0 },
    { "its second", "a", 1000000, 0 },
    { "its third", "a", 1000000, 0 },
    { "its end", "a", 1000000, 1001 },
};

static void test_history(void)
{
    struct vr_limits *limits = vr_limits_new(&options);
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("%s", rows[i].what);
        g_assert_cmpint(vr_limits_take(limits, rows[i].who, rows[i].at), ==, rows[i].wait);
    }
    vr_limits_free(limits);
}

/* Addresses cost nothing to make up: they must not cost memory either. */
static void test_many_addresses(void)
{
    struct vr_limits_options many = options;
    many.all_burst = 100000;
    struct vr_limits *limits = vr_limits_new(&many);
    for (unsigned i = 0; i < 10000; i++) {
        g_autofree char *address = g_strdup_printf("%u", i);
        g_assert_cmpint(vr_limits_take(limits, address, 0), ==, 0);
    }
    vr_limits_free(limits);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/limits/a burst, then as time goes by", test_history);
    g_test_add_func("/limits/many addresses", test_many_addresses);
    return g_test_run();
}
