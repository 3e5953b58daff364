/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * media: which representation a client wants, and which one it sent
 * (facts/rest-api.md 1.10).
 */

#include "base/base.h"

enum vr_media {
    VR_MEDIA_NONE, /* nothing that is served here */
    VR_MEDIA_XML,
    VR_MEDIA_JSON,
    VR_MEDIA_VIEWER, /* application/x-virt-viewer: a console file */
};

/* What `detail` asks for (facts/rest-api.md 1.9). */
enum vr_detail {
    VR_DETAIL_STATISTICS = 1 << 0,
    VR_DETAIL_CONSOLES = 1 << 1,
    VR_DETAIL_SIZE = 1 << 2,
};

/* The best of an Accept header's ranges by quality, then by their order; NULL and "" accept
 * anything, which is XML.  Adds the `detail` tokens of the chosen range to *@detail. */
enum vr_media vr_media_accept(const char *accept, unsigned *detail);
/* The type of a body by its Content-Type; NULL counts as XML. */
enum vr_media vr_media_content(const char *content_type);
/* Tokens "statistics,+size,-main" as bits. */
unsigned vr_detail_parse(const char *text);
const char *vr_media_type(enum vr_media media);
