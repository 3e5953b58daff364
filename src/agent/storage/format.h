/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * format: the texts that VDSM-style storage domains keep on disk.
 *
 * Pure functions over bytes: nothing here opens a file.  Sections are those of
 * facts/storage-format.md.  Everything read is hostile: sizes and counts have
 * caps, and a text that breaks a rule gives an error, never a half-read value.
 */

#include "base/base.h"

#define VR_BLANK_UUID "00000000-0000-0000-0000-000000000000"

/* A domain's metadata file is read up to this size; ours are below 1 KiB. */
#define VR_DOMAIN_META_MAX KiB(64)
/* A volume's record must fit one 512-byte block (section 6); reading is laxer. */
#define VR_VOLUME_META_MAX 512
#define VR_VOLUME_META_READ_MAX KiB(8)
#define VR_VOLUME_DESCRIPTION_MAX 210 /* bytes, section 6 */
#define VR_DOMAIN_DESCRIPTION_MAX 50  /* characters, section 5 */
#define VR_VOLUME_GENERATION_MAX 999  /* then 0 again, section 6 */

/*
 * T(remote) of section 2: slashes collapsed, a trailing one dropped, `_`
 * doubled, `/` made `_`.  Never contains a slash.  Owned.
 */
char *vr_format_path_transform(const char *remote);

/*
 * keys: a sorted table of KEY=VALUE, as domain metadata is.  Unknown keys are
 * kept, so that what another version wrote survives our rewriting.
 */
struct vr_keys;

struct vr_keys *vr_keys_new(void);
void vr_keys_free(struct vr_keys *keys); /* takes NULL */
struct vr_keys *vr_keys_copy(const struct vr_keys *keys);
/* Borrowed until the next set; NULL when absent. */
const char *vr_keys_get(const struct vr_keys *keys, const char *key);
/* @otherwise when the key is absent or not a whole decimal number. */
int64_t vr_keys_get_integer(const struct vr_keys *keys, const char *key, int64_t otherwise);
/* Copies @value; NULL removes the key. */
void vr_keys_set(struct vr_keys *keys, const char *key, const char *value);
void vr_keys_set_integer(struct vr_keys *keys, const char *key, int64_t value);

static inline void vr_keys_freep(struct vr_keys **keys)
{
    vr_keys_free(*keys);
}
#define vr_auto_keys __attribute__((cleanup(vr_keys_freep)))

/*
 * Reads the text of dom_md/metadata (section 5): trailing NULs stripped, lines
 * without `=` ignored, the checksum verified when there is one (752).
 */
struct vr_keys *vr_domain_meta_parse(const char *text, size_t length, struct vr_error **error);
/* The text with its checksum line; owned.  NULL when a value holds a line break (749). */
char *vr_domain_meta_format(const struct vr_keys *keys, struct vr_error **error);
/* 40 hex digits over the keys other than the checksum; owned. */
char *vr_domain_meta_checksum(const struct vr_keys *keys);
/* Whether the keys every reader needs are there and sane: VERSION 0, 2 to 5, SDUUID, CLASS,
 * ROLE, TYPE (751, 749, 394). */
bool vr_domain_meta_check(const struct vr_keys *keys, struct vr_error **error);
/* Whether @text may be a domain's name: up to 50 characters, UTF-8, no control characters. */
bool vr_domain_description_valid(const char *text);

/* POOL_DOMAINS (section 5): "sd:Active,sd:Attached".  The old `Inactive` reads as Attached. */
struct vr_pool_domain {
    char sd[37];
    char status[12]; /* Active, Attached, Unattached, Unknown */
};
/* An array of struct vr_pool_domain; malformed items are left out.  Owned. */
GArray *vr_pool_domains_parse(const char *text);
char *vr_pool_domains_format(const GArray *domains);

enum vr_volume_format { VR_VOLUME_RAW, VR_VOLUME_COW };
enum vr_volume_allocation { VR_VOLUME_SPARSE, VR_VOLUME_PREALLOCATED };
enum vr_volume_role { VR_VOLUME_LEAF, VR_VOLUME_INTERNAL, VR_VOLUME_SHARED };
enum vr_volume_legality { VR_VOLUME_LEGAL, VR_VOLUME_ILLEGAL, VR_VOLUME_FAKE };

/* One volume's record (section 6).  Plain value; nothing to free. */
struct vr_volume_meta {
    uint64_t capacity; /* bytes */
    int64_t ctime;     /* epoch seconds */
    char description[VR_VOLUME_DESCRIPTION_MAX + 1];
    char disktype[8]; /* DATA, OVFS, ... */
    char domain[37], image[37], parent[37];
    enum vr_volume_format format;
    enum vr_volume_allocation type;
    enum vr_volume_role role;
    enum vr_volume_legality legality;
    unsigned generation; /* 0 to VR_VOLUME_GENERATION_MAX */
    uint32_t sequence;
};

/* Reads a record of any version; 757 for a cleared one, 751 and 749 for bad ones. */
bool vr_volume_meta_parse(struct vr_volume_meta *meta, const char *text, size_t length,
                          struct vr_error **error);
/* The version 5 text, closed by EOF; owned.  NULL and 756 when it exceeds 512 bytes. */
char *vr_volume_meta_format(const struct vr_volume_meta *meta, struct vr_error **error);
/* Takes as much of @text as fits (whole characters); control characters become spaces. */
void vr_volume_meta_set_description(struct vr_volume_meta *meta, const char *text);

/* The wire and disk words; -1 from parse means unknown. */
const char *vr_volume_format_word(enum vr_volume_format value);
const char *vr_volume_allocation_word(enum vr_volume_allocation value);
const char *vr_volume_role_word(enum vr_volume_role value);
const char *vr_volume_legality_word(enum vr_volume_legality value);
int vr_volume_format_parse(const char *word);
int vr_volume_allocation_parse(const char *word);
int vr_volume_role_parse(const char *word);
int vr_volume_legality_parse(const char *word);
/* Whether @word is a disk type of section 6; legacy `1` and `2` are data. */
bool vr_volume_disktype_valid(const char *word);

/* A lower-case or upper-case UUID in the 8-4-4-4-12 form. */
bool vr_format_uuid_valid(const char *text);
