/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/codec.h"
#include "gen/faults.h"
#include "model/test_types.h"

#include <math.h>

static const struct vr_codec_caps small_caps = { .depth = 6, .bytes = 4096, .items = 64 };

static char *write_text(const void *object)
{
    GString *out = g_string_new(NULL);
    vr_xml_write(out, object, NULL);
    g_assert_cmpuint(strlen(out->str), ==, out->len);
    return g_string_free(out, false);
}

static struct vr_thing *read_text(const char *text)
{
    vr_auto_error struct vr_error *error = NULL;
    struct vr_thing *thing =
        vr_xml_read(&vr_type_thing, NULL, text, strlen(text), &small_caps, &error);
    if (!thing)
        g_error("%s: %s", text, error->detail);
    return thing;
}

static const struct vr_fault *refuse(const char *text, size_t length,
                                     const struct vr_codec_caps *caps, char **detail)
{
    struct vr_error *error = NULL;
    void *thing = vr_xml_read(&vr_type_thing, NULL, text, length, caps, &error);
    if (thing)
        g_error("%s was taken", text);
    const struct vr_fault *fault = error->fault;
    *detail = g_steal_pointer(&error->detail);
    vr_error_free(error);
    return fault;
}

/* What stands inside <thing>, read and written; no @out: the same again. */
static const struct {
    const char *in, *out;
} member_rows[] = {
    { "<name>x</name>", NULL },
    { "<description></description>", NULL },
    { "<description/>", "<description></description>" },
    { "<name> two  spaces </name>", NULL },
    { "<name>a&amp;b&lt;c&gt;d&quot;e&apos;f</name>", NULL },
    { "<name>&#65;&#x42;&#13;&#xe9;</name>", "<name>AB&#13;\xc3\xa9</name>" },
    { "<name>a\r\nb\tc</name>", "<name>a\nb\tc</name>" },
    { "<name><![CDATA[<&>]]>x<!-- no -->y<?pi?>z</name>", "<name>&lt;&amp;&gt;xyz</name>" },
    { "<flag>true</flag>", NULL },
    { "<flag> FALSE\n</flag>", "<flag>false</flag>" },
    { "<flag>1</flag>", "<flag>true</flag>" },
    { "<count>-2147483648</count>", NULL },
    { "<count> 7 </count>", "<count>7</count>" },
    { "<natural>4294967295</natural>", NULL },
    { "<big>9223372036854775807</big>", NULL },
    { "<ratio>12.5</ratio>", NULL },
    { "<ratio>1E2</ratio>", "<ratio>100</ratio>" },
    { "<when>2024-05-01T12:34:56.789+02:00</when>", "<when>2024-05-01T10:34:56.789Z</when>" },
    { "<color>DarkBlue</color>", "<color>dark_blue</color>" },
    { "<words><word>a</word><word></word></words>", NULL },
    { "<words><word>a</word><other>b</other>text<word>c</word></words>",
      "<words><word>a</word><word>c</word></words>" },
    { "<words/>", NULL },
    { "<words></words>", "<words/>" },
    { "<colors><color>red</color></colors>", NULL },
    { "<numbers><number>1</number></numbers>", NULL },
    { "<flags><flag>true</flag></flags>", NULL },
    { "<ratios><ratio>-0.5</ratio></ratios>", NULL },
    { "<dates><date>1970-01-01T00:00:00.001Z</date></dates>", NULL },
    { "<part><name>p</name><part><size>1</size></part></part>", NULL },
    { "<part/>", NULL },
    { "<parts><part><name>p</name></part><part/></parts>", NULL },
    { "<owner id=\"8\"/>", NULL },
    { "<owner href=\"/x/8\" id='8' rel=\"y\"/>", "<owner id=\"8\"/>" },
    { "<owner id=\"a&amp;&quot;&#10;&#38;amp;\"/>", "<owner id=\"a&amp;&quot;&#10;&amp;amp;\"/>" },
    { "<owner><name>by name</name></owner>", NULL },
    { "<owner><id>8</id></owner>", "<owner/>" },
    { "<friends><thing id=\"9\"><name>f</name></thing></friends>", NULL },
    { "<hidden>h</hidden>", "" },
    { "<password>p</password>", "" },
    { "<labels><a>b</a></labels>", "" },
    { "<raw>1</raw>", "" },
    { "<unknown a=\"b\"><deep><name>x</name></deep></unknown>", "" },
    { "<x:name xmlns:x=\"urn:x\">y</x:name>", "" },
    { "<y:name>undeclared</y:name>", "" },
    { "<actions><link href=\"/a\" rel=\"a\"/></actions><link href=\"/b\" rel=\"b\"/>", "" },
    { "<name>a</name><name>b</name>", "<name>b</name>" },
    { "<words><word>a</word></words><words><word>b</word></words>",
      "<words><word>b</word></words>" },
    { "<zone>z</zone> text <name>n</name>", "<name>n</name><zone>z</zone>" },
};

static char *wrap(const char *members)
{
    return *members ? g_strdup_printf("<thing>%s</thing>", members) : g_strdup("<thing/>");
}

static void test_members(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(member_rows); i++) {
        g_autofree char *in = wrap(member_rows[i].in);
        g_autofree char *want = wrap(member_rows[i].out ? member_rows[i].out : member_rows[i].in);
        vr_auto struct vr_thing *thing = read_text(in);
        g_autofree char *text = write_text(thing);
        g_assert_cmpstr(text, ==, want);
    }
}

static void test_roots(void)
{
    static const char *const taken[] = {
        "<thing id=\"7\"/>",
        "<thing id=\"7\"></thing>",
        "\n <thing id=\"7\" other=\"x\" xmlns=\"urn:x\"/> \n",
        "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n<thing id=\"7\"/>",
        "<?xml version='1.0'?><!-- x --><thing id=\"7\"/><!-- y -->",
        "\xef\xbb\xbf<thing id=\"7\"/>",
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(taken); i++) {
        vr_auto struct vr_thing *thing = read_text(taken[i]);
        g_assert_cmpstr(vr_id(thing), ==, "7");
    }
    vr_auto_error struct vr_error *error = NULL;
    static const char action[] = "<action><flag>true</flag></action>";
    vr_auto struct vr_thing *thing =
        vr_xml_read(&vr_type_thing, "action", action, strlen(action), &small_caps, &error);
    g_assert_true(thing->flag);
    g_assert_null(vr_xml_read(&vr_type_thing, NULL, action, strlen(action), &small_caps, &error));
    g_assert_cmpstr(error->detail, ==, "Expected the element 'thing' at line 1.");
}

/* An encoding that the prolog names does not count: texts are UTF-8. */
static void test_encoding(void)
{
    vr_auto struct vr_thing *thing = read_text(
        "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><thing><name>\xc3\xa9</name></thing>");
    g_assert_cmpstr(thing->name, ==, "\xc3\xa9");
}

static const struct {
    const char *in;
    const struct vr_fault *fault;
    const char *detail; /* NULL: any */
} refused_rows[] = {
    { "", &vr_fault_malformed_body, NULL },
    { "   ", &vr_fault_malformed_body, NULL },
    { "text", &vr_fault_malformed_body, NULL },
    { "{}", &vr_fault_malformed_body, NULL },
    { "<thing>", &vr_fault_malformed_body, NULL },
    { "<thing", &vr_fault_malformed_body, NULL },
    { "<thing></thin>", &vr_fault_malformed_body, NULL },
    { "<thing><name>x</thing></name>", &vr_fault_malformed_body, NULL },
    { "<thing/><thing/>", &vr_fault_malformed_body, NULL },
    { "<thing/>x", &vr_fault_malformed_body, NULL },
    { "<thing id=7/>", &vr_fault_malformed_body, NULL },
    { "<thing id=\"7\" id=\"8\"/>", &vr_fault_malformed_body, NULL },
    { "<thing><name>a & b</name></thing>", &vr_fault_malformed_body, NULL },
    { "<thing><name>&nbsp;</name></thing>", &vr_fault_malformed_body, NULL },
    { "<thing><name>&#0;</name></thing>", &vr_fault_malformed_body, NULL },
    { "<thing><name>\x01</name></thing>", &vr_fault_malformed_body, NULL },
    { "<thing><name>\xff</name></thing>", &vr_fault_malformed_body, "The text is not UTF-8." },
    { "<other/>", &vr_fault_malformed_body, "Expected the element 'thing' at line 1." },
    { "<x:thing xmlns:x=\"urn:x\"/>", &vr_fault_malformed_body,
      "Expected the element 'thing' at line 1." },
    { "<!DOCTYPE thing><thing/>", &vr_fault_malformed_body,
      "A document type is not allowed at line 1." },
    { "<!DOCTYPE thing SYSTEM \"file:///etc/passwd\"><thing/>", &vr_fault_malformed_body,
      "A document type is not allowed at line 1." },
    { "<!DOCTYPE thing [<!ENTITY e SYSTEM \"file:///etc/passwd\">]>\n"
      "<thing><name>&e;</name></thing>",
      &vr_fault_malformed_body, "A document type is not allowed at line 1." },
    { "<!DOCTYPE thing [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;\">"
      "<!ENTITY c \"&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;\"><!ENTITY d \"&c;&c;&c;&c;&c;&c;&c;&c;\">]>"
      "<thing><name>&d;</name></thing>",
      &vr_fault_malformed_body, "A document type is not allowed at line 1." },
    { "<thing><part><part><part><part><part><part/></part></part></part></part></part></thing>",
      &vr_fault_malformed_body, "Nested too deep at line 1." },
    { "<thing><u><u><u><u><u><u/></u></u></u></u></u></thing>", &vr_fault_malformed_body,
      "Nested too deep at line 1." },
    { "<thing>\n<name>a<b/></name></thing>", &vr_fault_malformed_body,
      "An element where a value should be at line 2." },
    { "<thing><count>2147483648</count></thing>", &vr_fault_invalid_value,
      "Value 2147483648 is greater than maximum integer 2147483647" },
    { "<thing><count>99999999999</count></thing>", &vr_fault_invalid_value,
      "Value 99999999999 is greater than maximum integer 2147483647" },
    { "<thing><count>-99999999999999999999999999</count></thing>", &vr_fault_invalid_value,
      "Value -99999999999999999999999999 is less than minimum integer -2147483648" },
    { "<thing><natural>-1</natural></thing>", &vr_fault_invalid_value,
      "Value -1 is less than minimum integer 0" },
    { "<thing><count/></thing>", &vr_fault_invalid_value, "The string '' isn't a valid integer." },
    { "<thing><count>1.5</count></thing>", &vr_fault_invalid_value, NULL },
    { "<thing><flag>yes</flag></thing>", &vr_fault_invalid_value,
      "The string 'yes' isn't a valid boolean; use 'true' or 'false'." },
    { "<thing><flag/></thing>", &vr_fault_invalid_value, NULL },
    { "<thing><ratio>INF</ratio></thing>", &vr_fault_invalid_value, NULL },
    { "<thing><when>1714559696789</when></thing>", &vr_fault_invalid_value, NULL },
    { "<thing><when>2024-02-30T00:00:00Z</when></thing>", &vr_fault_invalid_value, NULL },
    { "<thing><color>blue</color></thing>", &vr_fault_invalid_value,
      "The string 'blue' isn't a valid value for the 'Color' enumerated type. "
      "Valid values are: 'dark_blue', 'light_green', 'red'." },
    { "<thing><colors><color>blue</color></colors></thing>", &vr_fault_invalid_value, NULL },
    { "<thing><numbers><number>x</number></numbers></thing>", &vr_fault_invalid_value, NULL },
};

static void test_refused(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(refused_rows); i++) {
        g_autofree char *detail = NULL;
        const char *in = refused_rows[i].in;
        const struct vr_fault *fault = refuse(in, strlen(in), &small_caps, &detail);
        g_assert_cmpstr(fault->name, ==, refused_rows[i].fault->name);
        g_assert_nonnull(detail);
        g_assert_true(g_utf8_validate(detail, -1, NULL));
        if (refused_rows[i].detail)
            g_assert_cmpstr(detail, ==, refused_rows[i].detail);
    }
    g_autofree char *detail = NULL;
    static const char nul[] = "<thing><name>a\0b</name></thing>";
    refuse(nul, sizeof(nul) - 1, &small_caps, &detail);
    g_assert_cmpstr(detail, ==, "The text is not UTF-8.");
}

static void test_cut(void)
{
    static const char text[] =
        "<?xml version=\"1.0\"?><thing id=\"7\"><name>&amp;<![CDATA[x]]></name>"
        "<part><part/></part><words><word>a</word></words><!-- c --></thing>";
    vr_unref(read_text(text));
    for (size_t length = 0; length < sizeof(text) - 1; length++) {
        g_autofree char *detail = NULL;
        g_autofree char *exact = g_memdup2(text, length); /* for AddressSanitizer */
        g_assert_true(refuse(exact, length, &small_caps, &detail) == &vr_fault_malformed_body);
    }
}

static void test_caps(void)
{
    g_autofree char *detail = NULL;
    g_autoptr(GString) text = g_string_new("<thing><numbers>");
    for (int i = 0; i < 62; i++)
        g_string_append(text, "<number>1</number>");
    g_string_append(text, "</numbers></thing>");
    vr_auto struct vr_thing *thing = read_text(text->str);
    g_assert_cmpuint(thing->numbers.len, ==, 62); /* and two elements: 64 */
    g_string_insert(text, 16, "<number>1</number>");
    refuse(text->str, text->len, &small_caps, &detail);
    g_assert_cmpstr(detail, ==, "Too many elements at line 1.");
    g_clear_pointer(&detail, g_free);
    g_string_assign(text, "<thing/>");
    while (text->len < small_caps.bytes)
        g_string_append_c(text, '\n');
    vr_unref(read_text(text->str));
    g_string_append_c(text, '\n');
    refuse(text->str, text->len, &small_caps, &detail);
    g_assert_cmpstr(detail, ==, "The text is longer than 4096 bytes.");
}

/* A million empty elements would be hundreds of MiB of structs. */
static void test_amplification(void)
{
    g_autofree char *detail = NULL;
    g_autoptr(GString) text = g_string_new("<thing><friends>");
    for (int i = 0; i < 900000; i++)
        g_string_append(text, "<thing/>");
    g_string_append(text, "</friends></thing>");
    refuse(text->str, text->len, &vr_codec_caps_api, &detail);
    g_assert_cmpstr(detail, ==, "Too many elements at line 1.");
}

static void test_long_text(void)
{
    g_autoptr(GString) text = g_string_new("<thing><name>");
    for (int i = 0; i < 1000000; i++)
        g_string_append(text, "&amp;x");
    g_string_append(text, "</name></thing>");
    vr_auto_error struct vr_error *error = NULL;
    vr_auto struct vr_thing *thing =
        vr_xml_read(&vr_type_thing, NULL, text->str, text->len, &vr_codec_caps_api, &error);
    g_assert_cmpuint(strlen(thing->name), ==, 2000000);
}

static void test_round_trip(void)
{
    vr_auto struct vr_thing *thing = vr_test_thing();
    g_autofree char *text = write_text(thing);
    vr_auto_error struct vr_error *error = NULL;
    vr_auto struct vr_thing *back =
        vr_xml_read(&vr_type_thing, NULL, text, strlen(text), &vr_codec_caps_api, &error);
    g_assert_null(error);
    static const char *const hidden[] = { "hidden",        "password", "labels", "sizes",
                                          "parts_by_name", "raw",      "raws" };
    g_assert_false(vr_equal(thing, back));
    for (unsigned i = 0; i < G_N_ELEMENTS(hidden); i++)
        vr_clear_named(thing, hidden[i]);
    g_assert_true(vr_equal(thing, back));
}

static void test_unwritable(void)
{
    vr_auto struct vr_thing *thing = VR_NEW(thing);
    VR_SET(thing, ratio, (double)NAN);
    VR_SET(thing, color, (enum vr_color)77);
    thing->has.name = thing->has.part = thing->has.id = true;
    VR_APPEND(thing, colors, VR_ITEM(77));
    g_autofree char *text = write_text(thing);
    g_assert_cmpstr(text, ==, "<thing><colors/></thing>");
}

static void test_escape(void)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        { "", "" },
        { "<a href='b'>\"&\"</a>", "&lt;a href=&apos;b&apos;&gt;&quot;&amp;&quot;&lt;/a&gt;" },
        { "\t\n\r", "\t\n&#13;" },
        { "a\x01\x1f"
          "b\x7f",
          "a\xef\xbf\xbd\xef\xbf\xbd"
          "b\x7f" },
        { "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80" },
        { "x\xef\xbf\xbe\xef\xbf\xbfy\xef\xbf\xbd", "x\xef\xbf\xbd\xef\xbf\xbdy\xef\xbf\xbd" },
        { "x\xffy\xc3", "x\xef\xbf\xbdy\xef\xbf\xbd" },
        { "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GString) out = g_string_new(NULL);
        vr_xml_escape(out, rows[i].text);
        g_assert_cmpstr(out->str, ==, rows[i].want);
    }
}

static char *href_of(const void *object, const void *parent, void *arg)
{
    return parent ? g_strdup_printf("/things/%s/%s", vr_id(parent), vr_id(object))
                  : g_strdup_printf("/things/%s", vr_id(object));
}

static void links_of(const void *object,
                     void (*emit)(bool action, const char *rel, const char *href, void *emit_arg),
                     void *emit_arg, void *arg)
{
    emit(false, "parts", "/parts", emit_arg);
    emit(true, "start", "/start", emit_arg);
    emit(false, "friends", "/friends?a=1&b=2", emit_arg);
    emit(true, "stop", "/stop", emit_arg);
}

static bool skip_zone(const void *object, const struct vr_field *field, void *arg)
{
    return strcmp(field->name, "zone") == 0;
}

static void test_hooks(void)
{
    static const struct vr_codec_hooks hooks = { href_of, links_of, skip_zone, NULL };
    vr_auto struct vr_thing *thing = VR_NEW(thing);
    vr_set_id(thing, "7");
    VR_SET_STRING(thing, name, "n");
    VR_SET_STRING(thing, zone, "z");
    VR_SET_LINK(thing, owner, thing, "8");
    VR_SET_STRING(VR_SUB(thing, part, part), name, "p");
    static const char want[] =
        "<thing href=\"/things/7\" id=\"7\">"
        "<actions><link href=\"/start\" rel=\"start\"/><link href=\"/stop\" "
        "rel=\"stop\"/></actions>"
        "<name>n</name>"
        "<link href=\"/parts\" rel=\"parts\"/>"
        "<link href=\"/friends?a=1&amp;b=2\" rel=\"friends\"/>"
        "<part><name>p</name></part><owner href=\"/things/7/8\" id=\"8\"/></thing>";
    g_autoptr(GString) out = g_string_new(NULL);
    vr_xml_write(out, thing, &hooks);
    g_assert_cmpstr(out->str, ==, want);
    void *things[] = { thing, thing };
    g_string_truncate(out, 0);
    vr_xml_write_collection(out, &vr_type_thing, things, 2, &hooks);
    g_autofree char *both = g_strdup_printf("<things>%s%s</things>", want, want);
    g_assert_cmpstr(out->str, ==, both);
    g_string_assign(out, vr_xml_prolog);
    vr_xml_write_collection(out, &vr_type_thing, NULL, 0, &hooks);
    g_assert_cmpstr(out->str, ==,
                    "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n<things/>");
    vr_auto struct vr_thing *bare = VR_NEW(thing);
    g_string_truncate(out, 0);
    vr_xml_write(out, bare, &hooks);
    g_assert_true(g_str_has_suffix(out->str, "rel=\"friends\"/></thing>"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/xml/the rules hold both ways", test_members);
    g_test_add_func("/xml/the root is the type's tag or the one asked for", test_roots);
    g_test_add_func("/xml/texts are UTF-8 whatever they say", test_encoding);
    g_test_add_func("/xml/what is wrong is refused with the reason", test_refused);
    g_test_add_func("/xml/a text cut anywhere is refused", test_cut);
    g_test_add_func("/xml/size and count are capped to the byte and the element", test_caps);
    g_test_add_func("/xml/a small text cannot become a large heap", test_amplification);
    g_test_add_func("/xml/a long text is read whole", test_long_text);
    g_test_add_func("/xml/every field survives a round trip", test_round_trip);
    g_test_add_func("/xml/what cannot be said is left out", test_unwritable);
    g_test_add_func("/xml/characters are escaped, forbidden ones mended", test_escape);
    g_test_add_func("/xml/hooks give addresses, links and actions", test_hooks);
    return g_test_run();
}
