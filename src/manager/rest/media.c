/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/rest/media.h"

#include <stdlib.h>

#define RANGES 64

const char *vr_media_type(enum vr_media media)
{
    switch (media) {
    case VR_MEDIA_JSON:
        return "application/json";
    case VR_MEDIA_VIEWER:
        return "application/x-virt-viewer";
    default:
        return "application/xml; charset=UTF-8";
    }
}

static bool token_is(const char *text, size_t length, const char *word)
{
    return strlen(word) == length && g_ascii_strncasecmp(text, word, length) == 0;
}

static void trim(const char **text, size_t *length)
{
    while (*length && g_ascii_isspace(**text))
        (*text)++, (*length)--;
    while (*length && g_ascii_isspace((*text)[*length - 1]))
        (*length)--;
}

static enum vr_media media_of(const char *text, size_t length)
{
    static const struct {
        const char *name;
        enum vr_media media;
    } names[] = {
        { "application/xml", VR_MEDIA_XML },   { "text/xml", VR_MEDIA_XML },
        { "application/*", VR_MEDIA_XML },     { "*/*", VR_MEDIA_XML },
        { "*", VR_MEDIA_XML },                 { "text/*", VR_MEDIA_XML },
        { "application/json", VR_MEDIA_JSON }, { "text/json", VR_MEDIA_JSON },
        { "application/x-virt-viewer", VR_MEDIA_VIEWER },
    };
    trim(&text, &length);
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
        if (token_is(text, length, names[i].name))
            return names[i].media;
    return VR_MEDIA_NONE;
}

unsigned vr_detail_parse(const char *text)
{
    unsigned detail = 0;
    if (!text || strlen(text) > 256)
        return 0;
    g_auto(GStrv) words = g_strsplit_set(text, ",; +\"", 16);
    for (unsigned i = 0; words[i]; i++) {
        if (g_ascii_strcasecmp(words[i], "statistics") == 0)
            detail |= VR_DETAIL_STATISTICS;
        else if (g_ascii_strcasecmp(words[i], "current_graphics_consoles") == 0)
            detail |= VR_DETAIL_CONSOLES;
        else if (g_ascii_strcasecmp(words[i], "size") == 0)
            detail |= VR_DETAIL_SIZE;
    }
    return detail;
}

/* One range: "application/xml;detail=statistics;q=0.5". */
static enum vr_media range(const char *text, size_t length, double *quality, unsigned *detail)
{
    const char *end = text + length;
    const char *stop = memchr(text, ';', length);
    enum vr_media media = media_of(text, (size_t)((stop ? stop : end) - text));
    *quality = 1;
    *detail = 0;
    while (stop) {
        const char *start = stop + 1;
        stop = memchr(start, ';', (size_t)(end - start));
        size_t size = (size_t)((stop ? stop : end) - start);
        trim(&start, &size);
        g_autofree char *value = g_strndup(start, size);
        if (g_ascii_strncasecmp(value, "q=", 2) == 0)
            *quality = CLAMP(g_ascii_strtod(value + 2, NULL), 0, 1);
        else if (g_ascii_strncasecmp(value, "detail=", 7) == 0)
            *detail |= vr_detail_parse(value + 7);
    }
    return media;
}

enum vr_media vr_media_accept(const char *accept, unsigned *detail)
{
    if (!accept || !*accept)
        return VR_MEDIA_XML;
    enum vr_media best = VR_MEDIA_NONE;
    double best_quality = 0;
    unsigned best_detail = 0;
    for (unsigned i = 0; accept && i < RANGES; i++) {
        const char *comma = strchr(accept, ',');
        size_t length = comma ? (size_t)(comma - accept) : strlen(accept);
        double quality;
        unsigned found_detail;
        enum vr_media media = range(accept, length, &quality, &found_detail);
        if (media != VR_MEDIA_NONE && quality > best_quality) {
            best = media;
            best_quality = quality;
            best_detail = found_detail;
        }
        accept = comma ? comma + 1 : NULL;
    }
    *detail |= best_detail;
    return best;
}

enum vr_media vr_media_content(const char *content_type)
{
    if (!content_type || !*content_type)
        return VR_MEDIA_XML;
    const char *stop = strchr(content_type, ';');
    size_t length = stop ? (size_t)(stop - content_type) : strlen(content_type);
    enum vr_media media = memchr(content_type, '*', length) ? VR_MEDIA_NONE
                                                            : media_of(content_type, length);
    return media == VR_MEDIA_VIEWER ? VR_MEDIA_NONE : media;
}
