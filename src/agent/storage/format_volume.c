/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/storage/fault.h"
#include "agent/storage/format_keys.h"

static const char *const format_words[] = { "RAW", "COW", NULL };
static const char *const allocation_words[] = { "SPARSE", "PREALLOCATED", NULL };
static const char *const role_words[] = { "LEAF", "INTERNAL", "SHARED", NULL };
static const char *const legality_words[] = { "LEGAL", "ILLEGAL", "FAKE", NULL };

static int find(const char *const *words, const char *word)
{
    for (int i = 0; word && words[i]; i++)
        if (strcmp(words[i], word) == 0)
            return i;
    return -1;
}

const char *vr_volume_format_word(enum vr_volume_format value)
{
    return format_words[value];
}
const char *vr_volume_allocation_word(enum vr_volume_allocation value)
{
    return allocation_words[value];
}
const char *vr_volume_role_word(enum vr_volume_role value)
{
    return role_words[value];
}
const char *vr_volume_legality_word(enum vr_volume_legality value)
{
    return legality_words[value];
}
int vr_volume_format_parse(const char *word)
{
    return find(format_words, word);
}
int vr_volume_allocation_parse(const char *word)
{
    return find(allocation_words, word);
}
int vr_volume_role_parse(const char *word)
{
    return find(role_words, word);
}
int vr_volume_legality_parse(const char *word)
{
    return find(legality_words, word);
}

bool vr_volume_disktype_valid(const char *word)
{
    static const char *const words[] = { "DATA", "ISOF", "MEMD", "MEMM", "OVFS", "SCRD", "HEVD",
                                         "HESD", "HEMD", "HECI", "1",    "2",    NULL };
    return find(words, word) >= 0;
}

void vr_volume_meta_set_description(struct vr_volume_meta *meta, const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    size_t length = 0;
    for (const char *c = valid; *c; c = g_utf8_next_char(c)) {
        size_t bytes = (size_t)(g_utf8_next_char(c) - c);
        if (length + bytes > VR_VOLUME_DESCRIPTION_MAX)
            break;
        /* A line break would start another key of the record. */
        if (g_unichar_iscntrl(g_utf8_get_char(c)))
            meta->description[length++] = ' ';
        else {
            memcpy(meta->description + length, c, bytes);
            length += bytes;
        }
    }
    meta->description[length] = '\0';
}

/* The lines up to EOF as a table, keys and values trimmed. */
static struct vr_keys *read_lines(const char *text, size_t length, struct vr_error **error)
{
    while (length > 0 && text[length - 1] == '\0')
        length--;
    if (length > VR_VOLUME_META_READ_MAX || memchr(text, 0, length) ||
        !g_utf8_validate(text, (gssize)length, NULL)) {
        vr_storage_error(error, meta_value, "The volume's record is not text or too long.");
        return NULL;
    }
    g_autofree char *copy = g_strndup(text, length);
    struct vr_keys *keys = vr_keys_new();
    char *rest = copy;
    for (char *line; (line = strsep(&rest, "\n"));) {
        if (strcmp(g_strstrip(line), "EOF") == 0)
            break;
        char *equal = strchr(line, '=');
        if (!equal)
            continue;
        *equal = '\0';
        vr_keys_set(keys, g_strstrip(line), g_strstrip(equal + 1));
    }
    return keys;
}

static const char *need(const struct vr_keys *keys, const char *key, struct vr_error **error)
{
    const char *value = vr_keys_get(keys, key);
    if (!value && !*error)
        vr_storage_error(error, meta_key, "The volume's record has no %s.", key);
    return value;
}

static bool take_uuid(char out[37], const struct vr_keys *keys, const char *key,
                      struct vr_error **error)
{
    const char *value = need(keys, key, error);
    if (!value)
        return false;
    if (!vr_format_uuid_valid(value)) {
        vr_storage_error(error, meta_value, "%s is not a UUID.", key);
        return false;
    }
    g_strlcpy(out, value, 37);
    return true;
}

static bool take_word(int *out, const struct vr_keys *keys, const char *key,
                      const char *const *words, struct vr_error **error)
{
    const char *value = need(keys, key, error);
    if (!value)
        return false;
    *out = find(words, value);
    if (*out < 0)
        vr_storage_error(error, meta_value, "%s=%.32s is not known.", key, value);
    return *out >= 0;
}

static bool take_capacity(struct vr_volume_meta *meta, const struct vr_keys *keys,
                          struct vr_error **error)
{
    /* Both may exist in the middle of an upgrade: CAP wins (sections 6, 19). */
    const char *key = vr_keys_get(keys, "CAP") ? "CAP" : "SIZE";
    if (!need(keys, key, error))
        return false;
    int64_t value = vr_keys_get_integer(keys, key, -1);
    int64_t unit = key[0] == 'C' ? 1 : 512;
    if (value < 0 || value > INT64_MAX / unit) {
        vr_storage_error(error, meta_value, "%s is not a size.", key);
        return false;
    }
    meta->capacity = (uint64_t)(value * unit);
    return true;
}

static bool take_numbers(struct vr_volume_meta *meta, const struct vr_keys *keys,
                         struct vr_error **error)
{
    meta->ctime = vr_keys_get_integer(keys, "CTIME", -1);
    int64_t generation = vr_keys_get_integer(keys, "GEN", vr_keys_get(keys, "GEN") ? -1 : 0);
    int64_t sequence = vr_keys_get_integer(keys, "SEQ", vr_keys_get(keys, "SEQ") ? -1 : 0);
    if (!need(keys, "CTIME", error))
        return false;
    if (meta->ctime < 0 || generation < 0 || generation > VR_VOLUME_GENERATION_MAX ||
        sequence < 0 || sequence > UINT32_MAX) {
        vr_storage_error(error, meta_value, "CTIME, GEN or SEQ is out of range.");
        return false;
    }
    meta->generation = (unsigned)generation;
    meta->sequence = (uint32_t)sequence;
    return true;
}

bool vr_volume_meta_parse(struct vr_volume_meta *out, const char *text, size_t length,
                          struct vr_error **error)
{
    vr_auto_keys struct vr_keys *keys = read_lines(text, length, error);
    if (!keys)
        return false;
    if (vr_keys_get(keys, "NONE")) {
        vr_storage_error(error, meta_cleared, NULL);
        return false;
    }
    struct vr_volume_meta meta = { 0 };
    int format, type, role, legality;
    if (!take_uuid(meta.domain, keys, "DOMAIN", error) ||
        !take_uuid(meta.image, keys, "IMAGE", error) ||
        !take_uuid(meta.parent, keys, "PUUID", error) ||
        !take_word(&format, keys, "FORMAT", format_words, error) ||
        !take_word(&type, keys, "TYPE", allocation_words, error) ||
        !take_word(&role, keys, "VOLTYPE", role_words, error) ||
        !take_word(&legality, keys, "LEGALITY", legality_words, error) ||
        !take_capacity(&meta, keys, error) || !take_numbers(&meta, keys, error))
        return false;
    const char *disktype = need(keys, "DISKTYPE", error);
    const char *description = disktype ? need(keys, "DESCRIPTION", error) : NULL;
    if (!description)
        return false;
    if (strlen(disktype) >= sizeof(meta.disktype)) {
        vr_storage_error(error, meta_value, "DISKTYPE=%.32s is not known.", disktype);
        return false;
    }
    g_strlcpy(meta.disktype, disktype, sizeof(meta.disktype));
    vr_volume_meta_set_description(&meta, description);
    meta.format = (enum vr_volume_format)format;
    meta.type = (enum vr_volume_allocation)type;
    meta.role = (enum vr_volume_role)role;
    meta.legality = (enum vr_volume_legality)legality;
    *out = meta;
    return true;
}

char *vr_volume_meta_format(const struct vr_volume_meta *meta, struct vr_error **error)
{
    char *text = g_strdup_printf(
        "CAP=%" G_GUINT64_FORMAT "\nCTIME=%" G_GINT64_FORMAT "\nDESCRIPTION=%s\nDISKTYPE=%s\n"
        "DOMAIN=%s\nFORMAT=%s\nGEN=%u\nIMAGE=%s\nLEGALITY=%s\nPUUID=%s\nSEQ=%" G_GUINT32_FORMAT
        "\nTYPE=%s\nVOLTYPE=%s\nEOF\n",
        meta->capacity, meta->ctime, meta->description, meta->disktype, meta->domain,
        format_words[meta->format], meta->generation, meta->image, legality_words[meta->legality],
        meta->parent, meta->sequence, allocation_words[meta->type], role_words[meta->role]);
    if (strlen(text) <= VR_VOLUME_META_MAX)
        return text;
    vr_storage_error(error, meta_too_big, "The volume's record has %zu bytes.", strlen(text));
    g_free(text);
    return NULL;
}
