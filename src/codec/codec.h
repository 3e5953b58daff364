/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * codec: one walker each for JSON, XML and SQL text over the model's
 * descriptors.  Nothing here knows a type by name.
 *
 * Writers append to a GString and cannot fail.  Readers take bytes from
 * outside: they cap depth, size and count (struct vr_codec_caps), refuse
 * entities and document types, and leave nothing behind on failure.
 */

#include "model/model.h"

enum vr_json_dialect { VR_JSON_API, VR_JSON_STORE, VR_JSON_HOST };

struct vr_codec_caps {
    unsigned depth; /* nested objects and arrays, or elements */
    size_t bytes;   /* of the whole text */
    size_t items;   /* fields and list items in all */
};
/* 64 levels, 8 MiB, 1,000,000 items: what a REST body may be. */
extern const struct vr_codec_caps vr_codec_caps_api;
/* 64 levels, 64 MiB, 10,000,000 items: what a host's answer may be. */
extern const struct vr_codec_caps vr_codec_caps_host;

/*
 * What a writer asks about its surroundings.  All members may be NULL.  The
 * REST layer fills them; the store and the host protocol pass no hooks.
 */
struct vr_codec_hooks {
    /* The href of @object (an entity, or a stub of one inside @parent), or NULL.  Owned. */
    char *(*href)(const void *object, const void *parent, void *arg);
    /* Appends the `link` and `actions` members of a top object: calls @emit for each. */
    void (*links)(const void *object,
                  void (*emit)(bool action, const char *rel, const char *href, void *emit_arg),
                  void *emit_arg, void *arg);
    /* Whether to leave out a field of this object. */
    bool (*skip)(const void *object, const struct vr_field *field, void *arg);
    void *arg;
    /* Ask for the links of objects inside others as well, not of top objects alone. */
    bool nested_links;
};

/* JSON: one object; {"vm":[...]} for a collection of @type (facts/rest-api.md 2.6). */
void vr_json_write(GString *out, const void *object, enum vr_json_dialect dialect,
                   const struct vr_codec_hooks *hooks);
void vr_json_write_collection(GString *out, const struct vr_type *type, void *const *objects,
                              unsigned count, const struct vr_codec_hooks *hooks);
/*
 * A new object of @type, or NULL and @error: malformed_body or invalid_value
 * of the API's texts, rpc_parse of the host protocol's, internal of the
 * store's, since nobody but the Manager writes those.  A member of a host
 * message that is not what the schema says is absent from the object; only
 * the grammar and the caps make the host's dialect fail.
 */
void *vr_json_read(const struct vr_type *type, const char *text, size_t length,
                   enum vr_json_dialect dialect, const struct vr_codec_caps *caps,
                   struct vr_error **error);
/* One value of a field's shape, as the `value` wrapper of a verb's result holds it. */
bool vr_json_read_field(void *object, const struct vr_field *field, const char *text, size_t length,
                        enum vr_json_dialect dialect, const struct vr_codec_caps *caps,
                        struct vr_error **error);
void vr_json_write_field(GString *out, const void *object, const struct vr_field *field,
                         enum vr_json_dialect dialect);
/* Appends @text as a JSON string with its quotes. */
void vr_json_quote(GString *out, const char *text);

/* XML (facts/rest-api.md 2.1 to 2.5), without and with the prolog. */
void vr_xml_write(GString *out, const void *object, const struct vr_codec_hooks *hooks);
void vr_xml_write_collection(GString *out, const struct vr_type *type, void *const *objects,
                             unsigned count, const struct vr_codec_hooks *hooks);
extern const char vr_xml_prolog[];
/* A new object of @type from a document whose root is its singular tag (@root NULL) or @root. */
void *vr_xml_read(const struct vr_type *type, const char *root, const char *text, size_t length,
                  const struct vr_codec_caps *caps, struct vr_error **error);
/* Appends @text with & < > and quotes escaped; characters XML forbids become U+FFFD. */
void vr_xml_escape(GString *out, const char *text);

/* Dates: "2024-05-01T12:34:56.789Z" and back; -1 from parse means malformed. */
void vr_date_format(char out[32], int64_t epoch_ms);
bool vr_date_parse(const char *text, int64_t *epoch_ms);
