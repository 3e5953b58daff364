/* SPDX-License-Identifier: Apache-2.0 */

/* The functions over the generated tables of options, events and routes. */

#include "gen/config.h"
#include "gen/events.h"
#include "gen/routes.h"

static void options_have_their_defaults(void)
{
    struct vr_config *config = vr_config_new();
    g_assert_cmpint(config->VdsRefreshRate, ==, 3);
    g_assert_cmpfloat(config->DelayResetPerVmInSeconds, ==, 0.5);
    g_assert_true(config->EncryptHostCommunication);
    g_assert_cmpstr(config->DefaultManagementNetwork, ==, "ovirtmgmt");
    vr_config_free(config);
}

/* Values that are set are read back; wrong ones change nothing. */
static const struct {
    const char *name, *value;
    bool fits;
} settings[] = {
    { "VdsRefreshRate", "7", true },
    { "VdsRefreshRate", "-7", true },
    { "VdsRefreshRate", "7 s", false },
    { "VdsRefreshRate", "", false },
    { "VdsRefreshRate", "99999999999999999999", false },
    { "DelayResetPerVmInSeconds", "1.25", true },
    { "DelayResetPerVmInSeconds", "1,25", false },
    { "EncryptHostCommunication", "false", true },
    { "EncryptHostCommunication", "no", false },
    { "DefaultManagementNetwork", "", true },
    { "DefaultManagementNetwork", "net 1", true },
    { "vdsrefreshrate", "7", false },
    { "NoSuchOption", "7", false },
};

static void a_setting_fits_its_type_or_changes_nothing(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(settings); i++) {
        vr_auto_error struct vr_error *error = NULL;
        struct vr_config *config = vr_config_new();
        struct vr_config *copy = vr_config_copy(config);
        bool fits = vr_config_set(copy, settings[i].name, settings[i].value, &error);
        g_assert_cmpint(fits, ==, settings[i].fits);
        g_assert_cmpint(error == NULL, ==, fits);
        const struct vr_config_option *option = vr_config_find(settings[i].name);
        if (option) {
            g_autofree char *value = vr_config_get(copy, option);
            g_autofree char *original = vr_config_get(config, option);
            g_assert_cmpstr(value, ==, fits ? settings[i].value : option->otherwise);
            g_assert_cmpstr(original, ==, option->otherwise);
        }
        vr_config_free(copy);
        vr_config_free(config);
    }
}

static void events_are_found_by_code(void)
{
    g_assert_cmpstr(vr_event_info(VR_EVENT_USER_ADD_VM)->name, ==, "USER_ADD_VM");
    g_assert_cmpint(VR_EVENT_USER_ADD_VM, ==, 34);
    g_assert_cmpint(vr_event_info(18)->flood, ==, 60);
    g_assert_null(vr_event_info(0));
    g_assert_null(vr_event_info(1 << 30));
    for (unsigned i = 0; i < vr_event_count; i++)
        g_assert_true(vr_event_info(vr_events[i].code) == &vr_events[i]);
}

/* A tree of one level, since the real one cannot be linked without the handlers. */
static const struct vr_route children[] = {
    { .segment = "nics" },
    { .segment = "start" },
    { .segment = "stop" },
    { .segment = NULL },
};
static const struct {
    const char *segment;
    int child; /* -1: none when nothing matches any id */
} segments[] = {
    { "nics", 0 },  { "start", 1 }, { "stop", 2 },  { "sto", -1 }, { "stops", -1 },
    { "nic", -1 },  { "a", -1 },    { "z", -1 },    { "Nics", -1 },
};

static void a_segment_leads_to_its_child(void)
{
    const struct vr_route with = { .children = children, .child_count = 4 };
    const struct vr_route without = { .children = children, .child_count = 3 };
    const struct vr_route leaf = { 0 };
    for (unsigned i = 0; i < G_N_ELEMENTS(segments); i++) {
        const char *segment = segments[i].segment;
        size_t length = strlen(segment);
        int want = segments[i].child;
        bool is_id;
        g_assert_true(vr_route_child(&with, segment, length, &is_id) ==
                      &children[want < 0 ? 3 : want]);
        g_assert_cmpint(is_id, ==, want < 0);
        g_assert_true(vr_route_child(&without, segment, length, &is_id) ==
                      (want < 0 ? NULL : &children[want]));
        g_assert_false(is_id);
        g_assert_null(vr_route_child(&leaf, segment, length, &is_id));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/model/tables/options have their defaults", options_have_their_defaults);
    g_test_add_func("/model/tables/a setting fits its type or changes nothing",
                    a_setting_fits_its_type_or_changes_nothing);
    g_test_add_func("/model/tables/events are found by code", events_are_found_by_code);
    g_test_add_func("/model/tables/a segment leads to its child", a_segment_leads_to_its_child);
    return g_test_run();
}
