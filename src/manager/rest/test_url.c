/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/rest/media.h"
#include "manager/rest/url.h"

/* segments joined by '|', then name=value of the parameters; "!" when it is refused */
static char *take_apart(const char *raw)
{
    struct vr_url url;
    GString *out = g_string_new(NULL);
    if (!vr_url_parse(&url, raw)) {
        g_string_append_c(out, '!');
    } else {
        for (unsigned i = 0; i < url.segment_count; i++)
            g_string_append_printf(out, "%s%s", i ? "|" : "", url.segments[i]);
        for (unsigned i = 0; i < url.param_count; i++)
            g_string_append_printf(out, " %s=%s", url.params[i].name,
                                   url.params[i].value ? url.params[i].value : "(bare)");
    }
    vr_url_done(&url);
    return g_string_free(out, FALSE);
}

static const struct {
    const char *what, *raw, *want;
} targets[] = {
    { "a path", "/ovirt-engine/api/vms", "ovirt-engine|api|vms" },
    { "a slash at the end changes nothing", "/ovirt-engine/api/", "ovirt-engine|api" },
    { "matrix parameters", "/vms;max=20;current", "vms max=20 current=(bare)" },
    { "only of the last segment", "/vms;max=1/7;async=true", "vms|7 async=true" },
    { "the query comes first", "/vms;max=20?max=1", "vms max=1 max=20" },
    { "plus is a blank in a query", "/vms?search=a+b%2Bc", "vms search=a b+c" },
    { "plus is itself in a path", "/x/a+b", "x|a+b" },
    { "a slash may be escaped", "/files/a%2Fb", "files|a/b" },
    { "UTF-8", "/tags/%C3%A4?n=%E2%82%AC", "tags|\u00e4 n=\u20ac" },
    { "an escape that is none", "/vms/%G1", "!" },
    { "an escape cut off", "/vms/%2", "!" },
    { "a NUL", "/vms/%00", "!" },
    { "bytes that are no UTF-8", "/vms/%FF", "!" },
    { "an empty query", "/vms?", "vms" },
};

static void test_targets(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(targets); i++) {
        g_test_message("%s", targets[i].what);
        g_autofree char *got = take_apart(targets[i].raw);
        g_assert_cmpstr(got, ==, targets[i].want);
    }
}

static void test_caps(void)
{
    g_autoptr(GString) deep = g_string_new(NULL);
    g_autoptr(GString) wide = g_string_new("/vms?");
    for (unsigned i = 0; i <= VR_URL_SEGMENTS; i++)
        g_string_append(deep, "/a");
    for (unsigned i = 0; i <= VR_URL_PARAMS; i++)
        g_string_append(wide, "a=b&");
    g_autofree char *got = take_apart(deep->str);
    g_autofree char *got_wide = take_apart(wide->str);
    g_assert_cmpstr(got, ==, "!");
    g_assert_cmpstr(got_wide, ==, "!");
}

static void test_form(void)
{
    struct vr_url url;
    char *form = NULL;
    const char body[] = "username=admin%40internal&password=a%26b+c&scope=";
    g_assert_true(vr_url_parse(&url, "/token?scope=query"));
    g_assert_true(vr_url_add_form(&url, &form, body, sizeof(body) - 1));
    g_assert_cmpstr(vr_url_param(&url, "username"), ==, "admin@internal");
    g_assert_cmpstr(vr_url_param(&url, "password"), ==, "a&b c");
    g_assert_cmpstr(vr_url_param(&url, "scope"), ==, "");
    g_assert_null(vr_url_param(&url, "missing"));
    g_free(form);
    vr_url_done(&url);
}

static void test_truth(void)
{
    static const char *const yes[] = { "", "true", "TRUE", "t", "y", "Yes", "1" };
    static const char *const no[] = { "false", "F", "n", "No", "0" };
    for (unsigned i = 0; i < G_N_ELEMENTS(yes); i++)
        g_assert_true(vr_truth(yes[i], false));
    for (unsigned i = 0; i < G_N_ELEMENTS(no); i++)
        g_assert_false(vr_truth(no[i], true));
    g_assert_true(vr_truth("perhaps", true));
    g_assert_false(vr_truth("perhaps", false));
    g_assert_true(vr_truth(NULL, true));
    g_assert_cmpint(vr_number("17", -1), ==, 17);
    g_assert_cmpint(vr_number("17x", -1), ==, -1);
    g_assert_cmpint(vr_number("", -1), ==, -1);
    g_assert_cmpint(vr_number("99999999999999999999", -1), ==, -1);
}

static const struct {
    const char *accept;
    enum vr_media want;
    unsigned detail;
} accepts[] = {
    { NULL, VR_MEDIA_XML, 0 },
    { "", VR_MEDIA_XML, 0 },
    { "*/*", VR_MEDIA_XML, 0 },
    { "application/xml", VR_MEDIA_XML, 0 },
    { "application/json", VR_MEDIA_JSON, 0 },
    { "Application/JSON; charset=utf-8", VR_MEDIA_JSON, 0 },
    { "text/html, application/json;q=0.9, */*;q=0.1", VR_MEDIA_JSON, 0 },
    { "application/xml;q=0.5, application/json", VR_MEDIA_JSON, 0 },
    { "application/xml;detail=statistics", VR_MEDIA_XML, VR_DETAIL_STATISTICS },
    { "application/json;detail=+statistics;q=1", VR_MEDIA_JSON, VR_DETAIL_STATISTICS },
    { "application/x-virt-viewer", VR_MEDIA_VIEWER, 0 },
    { "text/html", VR_MEDIA_NONE, 0 },
    { "application/json;q=0", VR_MEDIA_NONE, 0 },
};

static void test_accept(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(accepts); i++) {
        unsigned detail = 0;
        g_test_message("%s", accepts[i].accept ? accepts[i].accept : "(none)");
        g_assert_cmpint(vr_media_accept(accepts[i].accept, &detail), ==, accepts[i].want);
        g_assert_cmpuint(detail, ==, accepts[i].detail);
    }
    g_assert_cmpint(vr_media_content(NULL), ==, VR_MEDIA_XML);
    g_assert_cmpint(vr_media_content("application/json; charset=UTF-8"), ==, VR_MEDIA_JSON);
    g_assert_cmpint(vr_media_content("application/xml;charset=utf-8"), ==, VR_MEDIA_XML);
    g_assert_cmpint(vr_media_content("text/plain"), ==, VR_MEDIA_NONE);
    g_assert_cmpint(vr_media_content("*/*"), ==, VR_MEDIA_NONE);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rest/url/a target is taken apart", test_targets);
    g_test_add_func("/rest/url/too much of anything is refused", test_caps);
    g_test_add_func("/rest/url/a form comes before the query", test_form);
    g_test_add_func("/rest/url/words of truth and numbers", test_truth);
    g_test_add_func("/rest/media/the best accepted range wins", test_accept);
    return g_test_run();
}
