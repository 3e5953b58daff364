/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/rest/exchange.h"

static struct vr_tag *version(const char *name)
{
    struct vr_tag *tag = VR_NEW(tag);
    vr_set_id(tag, "7");
    VR_SET_STRING(tag, name, name);
    return tag;
}

static char *find(struct vr_cache *cache, void *object, const char *prefix, enum vr_media media)
{
    struct vr_text *text = NULL;
    vr_cache_get(cache, &object, 1, prefix, media, &text);
    char *copy = text ? g_strndup(text->bytes, text->length) : NULL;
    vr_text_unref(text);
    return copy;
}

static void put(struct vr_cache *cache, const void *object, const char *prefix, enum vr_media media,
                const char *bytes)
{
    struct vr_text *text = vr_text_new(bytes, strlen(bytes));
    vr_cache_put(cache, object, prefix, media, text);
    vr_text_unref(text);
}

/* A text that was made for one of these must never be shown for another. */
static void test_a_text_belongs_to_a_version_a_prefix_and_a_media_type(void)
{
    static const char plain[] = "/api", v4[] = "/api/v4";
    struct vr_cache *cache = vr_cache_new(1 << 20);
    vr_auto struct vr_tag *first = version("first");
    vr_auto struct vr_tag *second = version("first"); /* equal, and yet another version */
    put(cache, first, plain, VR_MEDIA_XML, "xml");
    put(cache, first, plain, VR_MEDIA_JSON, "json");
    put(cache, first, v4, VR_MEDIA_XML, "xml v4");
    const struct {
        void *object;
        const char *prefix;
        enum vr_media media;
        const char *want;
    } rows[] = {
        { first, plain, VR_MEDIA_XML, "xml" },   { first, plain, VR_MEDIA_JSON, "json" },
        { first, v4, VR_MEDIA_XML, "xml v4" },   { first, v4, VR_MEDIA_JSON, NULL },
        { second, plain, VR_MEDIA_XML, NULL },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *found = find(cache, rows[i].object, rows[i].prefix, rows[i].media);
        g_assert_cmpstr(found, ==, rows[i].want);
    }
    vr_cache_free(cache);
}

/* The address of a freed version could be given to the next one. */
static void test_a_known_version_is_not_freed(void)
{
    struct vr_cache *cache = vr_cache_new(1 << 20);
    struct vr_tag *tag = version("first");
    put(cache, tag, "/api", VR_MEDIA_XML, "xml");
    g_assert_cmpint(tag->vr_object.refs, ==, 2);
    vr_cache_free(cache);
    g_assert_cmpint(tag->vr_object.refs, ==, 1);
    vr_unref(tag);
}

static void test_what_is_asked_for_outlives_a_flood(void)
{
    static const char prefix[] = "/api";
    enum { BYTES = 64000, EACH = 900, MANY = 1000 };
    g_autofree char *bytes = g_strnfill(EACH, 'x');
    struct vr_cache *cache = vr_cache_new(BYTES);
    vr_auto struct vr_tag *wanted = version("wanted");
    vr_auto struct vr_tag *forgotten = version("forgotten");
    struct vr_tag *flood[MANY];
    put(cache, wanted, prefix, VR_MEDIA_XML, "wanted");
    put(cache, forgotten, prefix, VR_MEDIA_XML, "forgotten");
    for (unsigned i = 0; i < MANY; i++) {
        flood[i] = version("flood");
        put(cache, flood[i], prefix, VR_MEDIA_XML, bytes);
        g_autofree char *found = find(cache, wanted, prefix, VR_MEDIA_XML);
        g_assert_cmpstr(found, ==, "wanted");
    }
    g_assert_null(find(cache, forgotten, prefix, VR_MEDIA_XML));
    unsigned known = 0;
    for (unsigned i = 0; i < MANY; i++) {
        known += flood[i]->vr_object.refs > 1;
        vr_unref(flood[i]);
    }
    g_assert_cmpuint(known * EACH, <=, BYTES);
    vr_cache_free(cache);
}

static void test_a_text_is_too_large_to_be_kept(void)
{
    g_autofree char *bytes = g_strnfill(1001, 'x');
    struct vr_cache *cache = vr_cache_new(64000);
    vr_auto struct vr_tag *tag = version("large");
    put(cache, tag, "/api", VR_MEDIA_XML, bytes);
    g_assert_null(find(cache, tag, "/api", VR_MEDIA_XML));
    vr_cache_free(cache);
}

/* Whatever the pieces and wherever a read begins, it is as if they were one text. */
static void test_pieces_read_like_one_text(void)
{
    static const char *const pieces[] = { "", "a", "bcd", "", "efghijklmnop", "q", "" };
    struct vr_texts *texts = vr_texts_new(2);
    g_autoptr(GString) whole = g_string_new(NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(pieces); i++) {
        vr_texts_add_copy(texts, pieces[i]);
        g_string_append(whole, pieces[i]);
    }
    g_assert_cmpuint(vr_texts_length(texts), ==, whole->len);
    for (unsigned step = 0; step < 400; step++) {
        size_t at = step * 7 % (whole->len + 2), size = step * 5 % 19 + 1;
        char out[32];
        size_t got = vr_texts_read(texts, at, out, size);
        size_t want = at < whole->len ? MIN(size, whole->len - at) : 0;
        g_assert_cmpmem(out, got, whole->str + MIN(at, whole->len), want);
    }
    vr_texts_free(texts);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cache/a text belongs to a version, a prefix and a media type",
                    test_a_text_belongs_to_a_version_a_prefix_and_a_media_type);
    g_test_add_func("/cache/a known version is not freed", test_a_known_version_is_not_freed);
    g_test_add_func("/cache/what is asked for outlives a flood",
                    test_what_is_asked_for_outlives_a_flood);
    g_test_add_func("/cache/a text is too large to be kept", test_a_text_is_too_large_to_be_kept);
    g_test_add_func("/texts/pieces read like one text", test_pieces_read_like_one_text);
    return g_test_run();
}
