/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/codec.h"
#include "gen/faults.h"
#include "model/test_types.h"

#include <math.h>

static const struct vr_codec_caps small_caps = { .depth = 6, .bytes = 4096, .items = 64 };

static char *write_text(const void *object, enum vr_json_dialect dialect)
{
    GString *out = g_string_new(NULL);
    vr_json_write(out, object, dialect, NULL);
    g_assert_cmpuint(strlen(out->str), ==, out->len);
    return g_string_free(out, false);
}

/* Reads what must be readable. */
static struct vr_thing *read_text(const char *text, enum vr_json_dialect dialect)
{
    vr_auto_error struct vr_error *error = NULL;
    struct vr_thing *thing =
        vr_json_read(&vr_type_thing, text, strlen(text), dialect, &small_caps, &error);
    if (!thing)
        g_error("%s: %s", text, error->detail);
    return thing;
}

/* Reads what must be refused; the answer is the fault, *detail the rest. */
static const struct vr_fault *refuse(const char *text, size_t length, enum vr_json_dialect dialect,
                                     char **detail)
{
    struct vr_error *error = NULL;
    void *thing = vr_json_read(&vr_type_thing, text, length, dialect, &small_caps, &error);
    if (thing)
        g_error("%s was taken", text);
    const struct vr_fault *fault = error->fault;
    *detail = g_steal_pointer(&error->detail);
    vr_error_free(error);
    return fault;
}

/* The text is read and written; the second is what the API says about the first. */
static const struct {
    const char *in, *out;
} api_rows[] = {
    { "{}", "{}" },
    { " \t\r\n{ } ", "{}" },
    { "{\"name\":\"x\"}", NULL },
    { "{\"description\":\"\"}", NULL },
    { "{\"name\":null}", "{}" },
    { "{\"name\":7}", "{\"name\":\"7\"}" },
    { "{\"name\":true}", "{\"name\":\"true\"}" },
    { "{\"id\":\"7\",\"href\":\"/x/7\",\"rel\":\"y\"}", "{\"id\":\"7\"}" },
    { "{\"flag\":\"true\"}", NULL },
    { "{\"flag\":\"False\"}", "{\"flag\":\"false\"}" },
    { "{\"flag\":true}", "{\"flag\":\"true\"}" },
    { "{\"flag\":0}", "{\"flag\":\"false\"}" },
    { "{\"flag\":\"1\"}", "{\"flag\":\"true\"}" },
    { "{\"count\":\"5\"}", NULL },
    { "{\"count\":-5}", "{\"count\":\"-5\"}" },
    { "{\"count\":\" +5 \"}", "{\"count\":\"5\"}" },
    { "{\"count\":5.0}", "{\"count\":\"5\"}" },
    { "{\"count\":1e3}", "{\"count\":\"1000\"}" },
    { "{\"count\":\"2147483647\"}", NULL },
    { "{\"count\":\"-2147483648\"}", NULL },
    { "{\"natural\":\"4294967295\"}", NULL },
    { "{\"big\":\"9223372036854775807\"}", NULL },
    { "{\"big\":\"-9223372036854775808\"}", NULL },
    { "{\"ratio\":12.5}", NULL },
    { "{\"ratio\":\"12.5\"}", "{\"ratio\":12.5}" },
    { "{\"ratio\":1e2}", "{\"ratio\":100}" },
    { "{\"when\":1714559696789}", NULL },
    { "{\"when\":\"1714559696789\"}", "{\"when\":1714559696789}" },
    { "{\"when\":\"2024-05-01T12:34:56.789+02:00\"}", "{\"when\":1714559696789}" },
    { "{\"color\":\"dark_blue\"}", NULL },
    { "{\"color\":\"DARK_BLUE\"}", "{\"color\":\"dark_blue\"}" },
    { "{\"words\":{\"word\":[\"a\",\"\"]}}", NULL },
    { "{\"words\":{\"word\":[]}}", "{\"words\":{}}" },
    { "{\"words\":{}}", NULL },
    { "{\"words\":{\"word\":null,\"other\":[1,[2]]}}", "{\"words\":{}}" },
    { "{\"colors\":{\"color\":[\"red\"]}}", NULL },
    { "{\"numbers\":{\"number\":[1,\"2\"]}}", "{\"numbers\":{\"number\":[\"1\",\"2\"]}}" },
    { "{\"flags\":{\"flag\":[true]}}", "{\"flags\":{\"flag\":[\"true\"]}}" },
    { "{\"ratios\":{\"ratio\":[-0.5]}}", NULL },
    { "{\"dates\":{\"date\":[1]}}", NULL },
    { "{\"part\":{\"name\":\"p\",\"part\":{\"size\":\"1\"}}}", NULL },
    { "{\"part\":{}}", NULL },
    { "{\"parts\":{\"part\":[{\"name\":\"p\"},{}]}}", NULL },
    { "{\"owner\":{\"id\":\"8\"}}", NULL },
    { "{\"owner\":{\"name\":\"by name\"}}", NULL },
    { "{\"friends\":{\"thing\":[{\"id\":\"9\",\"name\":\"f\"}]}}", NULL },
    { "{\"labels\":{\"a\":\"b\"}}", NULL },
    { "{\"hidden\":\"h\"}", "{}" },
    { "{\"password\":\"p\"}", "{}" },
    { "{\"unknown\":{\"deep\":[1,{\"x\":null}]},\"name\":\"x\"}", "{\"name\":\"x\"}" },
    { "{\"name\":\"a\",\"name\":\"b\"}", "{\"name\":\"b\"}" },
    { "{\"words\":{\"word\":[\"a\"]},\"words\":{\"word\":[\"b\"]}}",
      "{\"words\":{\"word\":[\"b\"]}}" },
    { "{\"zone\":\"z\",\"name\":\"n\"}", "{\"name\":\"n\",\"zone\":\"z\"}" },
    { "{\"name\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\"}",
      "{\"name\":\"\\\"\\\\/\\u0008\\u000c\\n\\r\\t\xc3\xa9\xf0\x9f\x98\x80\"}" },
    { "{\"n\\u0061me\":\"x\"}", "{\"name\":\"x\"}" },
};

static void test_api(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(api_rows); i++) {
        vr_auto struct vr_thing *thing = read_text(api_rows[i].in, VR_JSON_API);
        g_autofree char *text = write_text(thing, VR_JSON_API);
        g_assert_cmpstr(text, ==, api_rows[i].out ? api_rows[i].out : api_rows[i].in);
    }
}

static const struct {
    const char *in;
    const struct vr_fault *fault;
    const char *detail; /* NULL: any */
} refused_rows[] = {
    { "", &vr_fault_malformed_body, "Expected '{' at line 1, byte 1." },
    { "[]", &vr_fault_malformed_body, NULL },
    { "null", &vr_fault_malformed_body, NULL },
    { "\"x\"", &vr_fault_malformed_body, NULL },
    { "{", &vr_fault_malformed_body, NULL },
    { "{}x", &vr_fault_malformed_body, "Unexpected text after the end at line 1, byte 3." },
    { "{}{}", &vr_fault_malformed_body, NULL },
    { "\n\n  {\"a\" 1}", &vr_fault_malformed_body, "Expected ':' at line 3, byte 8." },
    { "{,}", &vr_fault_malformed_body, NULL },
    { "{\"a\":1,}", &vr_fault_malformed_body, NULL },
    { "{\"a\":1 \"b\":2}", &vr_fault_malformed_body, NULL },
    { "{a:1}", &vr_fault_malformed_body, NULL },
    { "{'a':1}", &vr_fault_malformed_body, NULL },
    { "{\"a\":}", &vr_fault_malformed_body, NULL },
    { "{\"a\":[1,]}", &vr_fault_malformed_body, NULL },
    { "{\"a\":[1}", &vr_fault_malformed_body, NULL },
    { "{\"a\":01}", &vr_fault_malformed_body, NULL },
    { "{\"a\":-}", &vr_fault_malformed_body, NULL },
    { "{\"a\":+1}", &vr_fault_malformed_body, NULL },
    { "{\"a\":.5}", &vr_fault_malformed_body, NULL },
    { "{\"a\":1.}", &vr_fault_malformed_body, NULL },
    { "{\"a\":1e}", &vr_fault_malformed_body, NULL },
    { "{\"a\":1e00001}", &vr_fault_malformed_body, "Number too long at line 1, byte 13." },
    { "{\"a\":NaN}", &vr_fault_malformed_body, NULL },
    { "{\"a\":tru}", &vr_fault_malformed_body, NULL },
    { "{\"a\":truer}", &vr_fault_malformed_body, NULL },
    { "{\"a\":/**/1}", &vr_fault_malformed_body, NULL },
    { "{\"a\":\"x}", &vr_fault_malformed_body, NULL },
    { "{\"a\":\"x\\", &vr_fault_malformed_body, NULL },
    { "{\"a\":\"\\x\"}", &vr_fault_malformed_body, NULL },
    { "{\"a\":\"\\u12g4\"}", &vr_fault_malformed_body, NULL },
    { "{\"a\":\"\\u12\"}", &vr_fault_malformed_body, NULL },
    { "{\"a\":\"\\u0000\"}", &vr_fault_malformed_body, "NUL in a string at line 1, byte 13." },
    { "{\"a\":\"\\ud83d\"}", &vr_fault_malformed_body, NULL },
    { "{\"a\":\"\\ud83d\\u0041\"}", &vr_fault_malformed_body, NULL },
    { "{\"a\":\"\\ude00\"}", &vr_fault_malformed_body, NULL },
    { "{\"a\":\"\n\"}", &vr_fault_malformed_body, NULL },
    { "{\"a\":\"\\n\n\"}", &vr_fault_malformed_body, NULL },
    { "{\"a\":\"\xff\"}", &vr_fault_malformed_body, "Invalid UTF-8 at line 1, byte 7." },
    { "{\"a\":\"\xc0\x80\"}", &vr_fault_malformed_body, NULL },
    { "{\"a\":\"\xed\xa0\x80\"}", &vr_fault_malformed_body, NULL },
    { "\xef\xbb\xbf{}", &vr_fault_malformed_body, NULL },
    { "{\"a\":[[[[[[]]]]]]}", &vr_fault_malformed_body, "Nested too deep at line 1, byte 11." },
    { "{\"part\":{\"part\":{\"part\":{\"part\":{\"part\":{\"part\":{}}}}}}}",
      &vr_fault_malformed_body, NULL },
    { "{\"count\":\"2147483648\"}", &vr_fault_invalid_value,
      "Value 2147483648 is greater than maximum integer 2147483647" },
    { "{\"count\":99999999999}", &vr_fault_invalid_value,
      "Value 99999999999 is greater than maximum integer 2147483647" },
    { "{\"count\":\"-2147483649\"}", &vr_fault_invalid_value,
      "Value -2147483649 is less than minimum integer -2147483648" },
    { "{\"natural\":-1}", &vr_fault_invalid_value, "Value -1 is less than minimum integer 0" },
    { "{\"natural\":4294967296}", &vr_fault_invalid_value,
      "Value 4294967296 is greater than maximum integer 4294967295" },
    { "{\"big\":9223372036854775808}", &vr_fault_invalid_value,
      "Value 9223372036854775808 is greater than maximum long 9223372036854775807" },
    { "{\"big\":-99999999999999999999999999999999}", &vr_fault_invalid_value,
      "Value -99999999999999999999999999999999 is less than minimum long -9223372036854775808" },
    { "{\"count\":\"\"}", &vr_fault_invalid_value, "The string '' isn't a valid integer." },
    { "{\"count\":\"5x\"}", &vr_fault_invalid_value, "The string '5x' isn't a valid integer." },
    { "{\"count\":\"0x10\"}", &vr_fault_invalid_value, NULL },
    { "{\"count\":1.5}", &vr_fault_invalid_value, NULL },
    { "{\"count\":true}", &vr_fault_invalid_value, NULL },
    { "{\"count\":{}}", &vr_fault_invalid_value, "The member 'count' must be an integer." },
    { "{\"count\":[1]}", &vr_fault_invalid_value, NULL },
    { "{\"name\":{}}", &vr_fault_invalid_value, "The member 'name' must be a string." },
    { "{\"flag\":\"yes\"}", &vr_fault_invalid_value, NULL },
    { "{\"flag\":2}", &vr_fault_invalid_value, NULL },
    { "{\"ratio\":1e999}", &vr_fault_invalid_value, NULL },
    { "{\"ratio\":\"nan\"}", &vr_fault_invalid_value, NULL },
    { "{\"ratio\":\"0x1\"}", &vr_fault_invalid_value, NULL },
    { "{\"when\":\"yesterday\"}", &vr_fault_invalid_value,
      "The string 'yesterday' isn't a valid date and time." },
    { "{\"when\":99999999999999999}", &vr_fault_invalid_value, NULL },
    { "{\"color\":\"blue\"}", &vr_fault_invalid_value,
      "The string 'blue' isn't a valid value for the 'Color' enumerated type. "
      "Valid values are: 'dark_blue', 'light_green', 'red'." },
    { "{\"color\":\"\"}", &vr_fault_invalid_value, NULL },
    { "{\"words\":[\"a\"]}", &vr_fault_invalid_value,
      "The member 'words' must be an object that holds an array." },
    { "{\"words\":{\"word\":\"a\"}}", &vr_fault_invalid_value, NULL },
    { "{\"words\":{\"word\":[null]}}", &vr_fault_invalid_value, NULL },
    { "{\"words\":{\"word\":[\"a\",{}]}}", &vr_fault_invalid_value, NULL },
    { "{\"part\":\"x\"}", &vr_fault_invalid_value, "The member 'part' must be an object." },
    { "{\"parts\":{\"part\":[1]}}", &vr_fault_invalid_value, NULL },
    { "{\"owner\":\"8\"}", &vr_fault_invalid_value, NULL },
};

static void test_refused(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(refused_rows); i++) {
        g_autofree char *detail = NULL;
        const char *in = refused_rows[i].in;
        const struct vr_fault *fault = refuse(in, strlen(in), VR_JSON_API, &detail);
        g_assert_cmpstr(fault->name, ==, refused_rows[i].fault->name);
        g_assert_nonnull(detail);
        if (refused_rows[i].detail)
            g_assert_cmpstr(detail, ==, refused_rows[i].detail);
    }
    g_autofree char *detail = NULL;
    static const char nul[] = "{\"name\":\"a\0b\"}";
    g_assert_true(refuse(nul, sizeof(nul) - 1, VR_JSON_API, &detail) == &vr_fault_malformed_body);
}

/* Ends of text at every place of a text with everything in it. */
static void test_cut(void)
{
    static const char text[] =
        "{\"name\":\"\\ud83d\\ude00\",\"ratio\":-1.5e+3,\"flag\":true,"
        "\"part\":{\"part\":null},\"words\":{\"word\":[\"a\"]},\"x\":[1,{}]}";
    vr_unref(read_text(text, VR_JSON_API));
    for (size_t length = 0; length < sizeof(text) - 1; length++) {
        g_autofree char *detail = NULL;
        g_autofree char *exact = g_memdup2(text, length); /* for AddressSanitizer */
        g_assert_true(refuse(exact, length, VR_JSON_API, &detail) == &vr_fault_malformed_body);
    }
}

static void test_caps(void)
{
    g_autofree char *detail = NULL;
    g_autoptr(GString) text = g_string_new("{\"numbers\":{\"number\":[0");
    for (int i = 0; i < 61; i++)
        g_string_append(text, ",0");
    g_string_append(text, "]}}");
    vr_auto struct vr_thing *thing = read_text(text->str, VR_JSON_API);
    g_assert_cmpuint(thing->numbers.len, ==, 62); /* and two members: 64 */
    g_string_insert(text, 22, "0,");
    g_assert_true(refuse(text->str, text->len, VR_JSON_API, &detail) == &vr_fault_malformed_body);
    g_assert_true(g_str_has_prefix(detail, "Too many members and items"));
    g_clear_pointer(&detail, g_free);
    g_string_assign(text, "{}");
    while (text->len < small_caps.bytes)
        g_string_append_c(text, ' ');
    vr_unref(read_text(text->str, VR_JSON_API));
    g_string_append_c(text, ' ');
    refuse(text->str, text->len, VR_JSON_API, &detail);
    g_assert_cmpstr(detail, ==, "The text is longer than 4096 bytes.");
}

static void test_long_number(void)
{
    g_autofree char *digits = g_strnfill(1024, '7');
    g_autofree char *longest = g_strdup_printf("{\"x\":%s,\"raw\":1e-9999}", digits);
    vr_unref(read_text(longest, VR_JSON_HOST));
    g_autofree char *longer = g_strdup_printf("{\"x\":%s7}", digits);
    g_autofree char *detail = NULL;
    g_assert_true(refuse(longer, strlen(longer), VR_JSON_HOST, &detail) == &vr_fault_rpc_parse);
    g_assert_true(g_str_has_prefix(detail, "Number too long"));
}

/* A million empty objects in 3 MiB of text would be hundreds of MiB of structs. */
static void test_amplification(void)
{
    g_autoptr(GString) text = g_string_new("{\"friends\":[{}");
    for (int i = 0; i < 999990; i++)
        g_string_append(text, ",{}");
    g_string_append(text, "]}");
    vr_auto_error struct vr_error *error = NULL;
    g_assert_null(vr_json_read(&vr_type_thing, text->str, text->len, VR_JSON_HOST,
                               &vr_codec_caps_api, &error));
    g_assert_true(error->fault == &vr_fault_rpc_parse);
}

static void test_deep_skip(void)
{
    g_autoptr(GString) text = g_string_new("{\"x\":");
    for (int i = 0; i < 1000000; i++)
        g_string_append_c(text, '[');
    vr_auto_error struct vr_error *error = NULL;
    g_assert_null(vr_json_read(&vr_type_thing, text->str, text->len, VR_JSON_API,
                               &vr_codec_caps_api, &error));
    g_assert_true(g_str_has_prefix(error->detail, "Nested too deep"));
}

/* Reading back what was written gives the same object, whatever is in it. */
static void test_round_trip(void)
{
    static const enum vr_json_dialect kept[] = { VR_JSON_STORE, VR_JSON_HOST };
    vr_auto struct vr_thing *thing = vr_test_thing();
    for (unsigned i = 0; i < G_N_ELEMENTS(kept); i++) {
        g_autofree char *text = write_text(thing, kept[i]);
        vr_auto_error struct vr_error *error = NULL;
        vr_auto struct vr_thing *back =
            vr_json_read(&vr_type_thing, text, strlen(text), kept[i], &vr_codec_caps_api, &error);
        g_assert_null(error);
        g_assert_true(vr_equal(thing, back));
    }
    g_autofree char *text = write_text(thing, VR_JSON_API);
    vr_auto_error struct vr_error *error = NULL;
    vr_auto struct vr_thing *back =
        vr_json_read(&vr_type_thing, text, strlen(text), VR_JSON_API, &vr_codec_caps_api, &error);
    g_assert_null(error);
    g_assert_false(vr_equal(thing, back)); /* the API hides two members */
    VR_CLEAR(thing, hidden);
    VR_CLEAR(thing, password);
    g_assert_true(vr_equal(thing, back));
}

static const struct {
    const char *in, *out;
} host_rows[] = {
    { "{\"name\":\"x\",\"flag\":true,\"count\":5,\"big\":9223372036854775807}", NULL },
    { "{\"name\":7,\"flag\":\"True\",\"count\":\"5\"}",
      "{\"name\":\"7\",\"flag\":true,\"count\":5}" },
    { "{\"name\":1.50}", "{\"name\":\"1.50\"}" },
    { "{\"count\":99999999999}", NULL }, /* no 32 bits on this wire */
    { "{\"natural\":-1}", NULL },
    { "{\"count\":5.0,\"ratio\":\"97.50\"}", "{\"count\":5,\"ratio\":97.5}" },
    { "{\"words\":[\"a\",5],\"numbers\":[1,\"2\"],\"colors\":[\"red\"]}",
      "{\"words\":[\"a\",\"5\"],\"colors\":[\"red\"],\"numbers\":[1,2]}" },
    { "{\"labels\":{\"b\":\"x\",\"a\":1,\"b\":\"y\"}}", "{\"labels\":{\"a\":\"1\",\"b\":\"y\"}}" },
    { "{\"sizes\":{\"/\":\"7\",\"bad\":{}}}", "{\"sizes\":{\"/\":7}}" },
    { "{\"parts_by_name\":{\"w\":{\"size\":4}}}", NULL },
    { "{\"raw\": {\"any\" : [1,2.50]} ,\"raws\":[null,[ ]]}",
      "{\"raw\":{\"any\" : [1,2.50]},\"raws\":[null,[ ]]}" },
    { "{\"hidden\":\"h\",\"password\":\"p\"}", NULL },
    /* Members that are not what they should be are absent; the others stay. */
    { "{\"count\":\"x\",\"flag\":\"maybe\",\"color\":\"blue\",\"when\":\"x\",\"name\":\"n\"}",
      "{\"name\":\"n\"}" },
    { "{\"count\":{\"a\":[1]},\"name\":[],\"part\":5,\"parts\":{},\"labels\":[1],\"zone\":\"z\"}",
      "{\"zone\":\"z\"}" },
    { "{\"numbers\":[1,\"x\",3],\"name\":\"n\"}", "{\"name\":\"n\"}" },
    { "{\"parts\":[{\"size\":\"x\"},{\"size\":2}]}", "{\"parts\":[{},{\"size\":2}]}" },
    { "{\"count\":1,\"count\":\"x\"}", "{}" },
    { "{\"count\":99999999999999999999}", "{}" },
    { "{\"ratio\":1e999}", "{}" },
};

static void test_host(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(host_rows); i++) {
        vr_auto struct vr_thing *thing = read_text(host_rows[i].in, VR_JSON_HOST);
        g_autofree char *text = write_text(thing, VR_JSON_HOST);
        g_assert_cmpstr(text, ==, host_rows[i].out ? host_rows[i].out : host_rows[i].in);
    }
    static const char *const broken[] = { "{\"count\":x}", "{\"count\":\"x\"", "{\"name\":[}",
                                          "{\"numbers\":[1,\"x\"}" };
    for (unsigned i = 0; i < G_N_ELEMENTS(broken); i++) {
        g_autofree char *detail = NULL;
        g_assert_true(refuse(broken[i], strlen(broken[i]), VR_JSON_HOST, &detail) ==
                      &vr_fault_rpc_parse);
    }
}

static void test_store(void)
{
    static const char *const damaged[] = {
        "{\"count\":\"5\"}", "{\"flag\":\"true\"}", "{\"name\":5}", "{\"color\":\"blue\"}",
        "{\"when\":\"x\"}",  "{\"words\":{}}",      "{\"count\":1", "{\"ratio\":\"1\"}",
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(damaged); i++) {
        g_autofree char *detail = NULL;
        g_assert_true(refuse(damaged[i], strlen(damaged[i]), VR_JSON_STORE, &detail) ==
                      &vr_fault_internal);
    }
    vr_auto struct vr_thing *thing = VR_NEW(thing);
    VR_SET(thing, flag, false);
    VR_SET(thing, count, -7);
    VR_SET(thing, when, 12);
    VR_SET_STRING(thing, password, "p");
    VR_SET_LINK(thing, owner, thing, "8");
    VR_APPEND(thing, words, g_strdup("w"));
    g_autofree char *text = write_text(thing, VR_JSON_STORE);
    g_assert_cmpstr(text, ==,
                    "{\"flag\":false,\"count\":-7,\"when\":12,\"words\":[\"w\"],"
                    "\"owner\":{\"id\":\"8\"},\"password\":\"p\"}");
}

/* What cannot be said is left out, not said wrongly. */
static void test_unwritable(void)
{
    vr_auto struct vr_thing *thing = VR_NEW(thing);
    VR_SET(thing, ratio, INFINITY);
    VR_SET(thing, color, (enum vr_color)77);
    thing->has.name = thing->has.part = true;
    VR_APPEND(thing, colors, VR_ITEM(77));
    VR_APPEND(thing, colors, VR_ITEM(0));
    g_autofree char *text = write_text(thing, VR_JSON_API);
    g_assert_cmpstr(text, ==, "{\"colors\":{\"color\":[\"red\"]}}");
}

static void test_quote(void)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        { "", "\"\"" },
        { "plain", "\"plain\"" },
        { "\"\\/", "\"\\\"\\\\/\"" },
        { "\b\f\n\r\t\x01\x1f\x7f", "\"\\u0008\\u000c\\n\\r\\t\\u0001\\u001f\x7f\"" },
        { "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\"" },
        { "a\xff"
          "b\xc3",
          "\"a\xef\xbf\xbd"
          "b\xef\xbf\xbd\"" },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GString) out = g_string_new(NULL);
        vr_json_quote(out, rows[i].text);
        g_assert_cmpstr(out->str, ==, rows[i].want);
    }
}

static void test_doubles(void)
{
    static const struct {
        double number;
        const char *want;
    } rows[] = {
        { 0, "0" },
        { -0.0, "0" },
        { 1, "1" },
        { -1.5, "-1.5" },
        { 0.1, "0.1" },
        { 12.5, "12.5" },
        { 1e15, "1000000000000000" },
        { 1e20, "100000000000000000000" },
        { 1e21, "1e21" },
        { 1.5e300, "1.5e300" },
        { 0.001, "0.001" },
        { 1e-9, "0.000000001" },
        { 1.25e-10, "1.25e-10" },
        { 1.0 / 3, "0.3333333333333333" },
        { 97.5, "97.5" },
        { 123456.789, "123456.789" },
        { 1234567890123456789.0, "1234567890123456800" },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        vr_auto struct vr_thing *thing = VR_NEW(thing);
        VR_SET(thing, ratio, rows[i].number);
        g_autofree char *text = write_text(thing, VR_JSON_API);
        g_autofree char *want = g_strdup_printf("{\"ratio\":%s}", rows[i].want);
        g_assert_cmpstr(text, ==, want);
        vr_auto struct vr_thing *back = read_text(text, VR_JSON_API);
        g_assert_true(back->ratio == rows[i].number);
    }
}

static char *href_of(const void *object, const void *parent, void *arg)
{
    g_assert_cmpstr(arg, ==, "arg");
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
    static const struct vr_codec_hooks hooks = { href_of, links_of, skip_zone, (void *)"arg" };
    vr_auto struct vr_thing *thing = VR_NEW(thing);
    vr_set_id(thing, "7");
    VR_SET_STRING(thing, name, "n");
    VR_SET_STRING(thing, zone, "z");
    VR_SET_LINK(thing, owner, thing, "8");
    VR_SET_STRING(VR_SUB(thing, part, part), name, "p");
    static const char want[] =
        "{\"id\":\"7\",\"href\":\"/things/7\",\"name\":\"n\",\"part\":{\"name\":\"p\"},"
        "\"owner\":{\"id\":\"8\",\"href\":\"/things/7/8\"},"
        "\"actions\":{\"link\":[{\"href\":\"/start\",\"rel\":\"start\"},"
        "{\"href\":\"/stop\",\"rel\":\"stop\"}]},"
        "\"link\":[{\"href\":\"/parts\",\"rel\":\"parts\"},"
        "{\"href\":\"/friends?a=1&b=2\",\"rel\":\"friends\"}]}";
    g_autoptr(GString) out = g_string_new(NULL);
    vr_json_write(out, thing, VR_JSON_API, &hooks);
    g_assert_cmpstr(out->str, ==, want);
    void *things[] = { thing, thing };
    g_string_truncate(out, 0);
    vr_json_write_collection(out, &vr_type_thing, things, 2, &hooks);
    g_autofree char *both = g_strdup_printf("{\"thing\":[%s,%s]}", want, want);
    g_assert_cmpstr(out->str, ==, both);
    g_string_truncate(out, 0);
    vr_json_write_collection(out, &vr_type_thing, NULL, 0, &hooks);
    g_assert_cmpstr(out->str, ==, "{}");
}

static void test_field(void)
{
    static const struct {
        const char *field, *text;
    } rows[] = {
        { "count", "5" },
        { "name", "\"x\"" },
        { "numbers", "[1,2]" },
        { "parts", "[{\"size\":1}]" },
        { "labels", "{\"a\":\"b\"}" },
        { "raw", "[ 1 ]" },
        { "part", "{\"name\":\"p\"}" },
        { "words", "[]" },
        { "sizes", "{}" },
        { "zone", "null" },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        vr_auto_error struct vr_error *error = NULL;
        vr_auto struct vr_thing *thing = VR_NEW(thing);
        const struct vr_field *field = vr_type_field(&vr_type_thing, rows[i].field);
        g_assert_true(vr_json_read_field(thing, field, rows[i].text, strlen(rows[i].text),
                                         VR_JSON_HOST, &small_caps, &error));
        g_assert_true(vr_has(thing, field) == (strcmp(rows[i].text, "null") != 0));
        g_autoptr(GString) out = g_string_new(NULL);
        vr_json_write_field(out, thing, field, VR_JSON_HOST);
        g_assert_cmpstr(out->str, ==, rows[i].text);
        g_autofree char *more = g_strdup_printf("%s 1", rows[i].text);
        g_assert_false(vr_json_read_field(thing, field, more, strlen(more), VR_JSON_HOST,
                                          &small_caps, &error));
        g_assert_false(vr_has(thing, field));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/json/the API's rules hold both ways", test_api);
    g_test_add_func("/json/what is wrong is refused with the reason", test_refused);
    g_test_add_func("/json/a text cut anywhere is refused", test_cut);
    g_test_add_func("/json/size and count are capped to the byte and the item", test_caps);
    g_test_add_func("/json/a number is no longer than anybody can read", test_long_number);
    g_test_add_func("/json/a small text cannot become a large heap", test_amplification);
    g_test_add_func("/json/depth is capped where nobody looks", test_deep_skip);
    g_test_add_func("/json/every field survives a round trip", test_round_trip);
    g_test_add_func("/json/the host dialect shrugs at wrong members only", test_host);
    g_test_add_func("/json/the store takes what it wrote, nothing else", test_store);
    g_test_add_func("/json/what cannot be said is left out", test_unwritable);
    g_test_add_func("/json/strings are quoted, broken ones mended", test_quote);
    g_test_add_func("/json/decimals are short and exact", test_doubles);
    g_test_add_func("/json/hooks give addresses, links and actions", test_hooks);
    g_test_add_func("/json/a field is read and written alone", test_field);
    return g_test_run();
}
