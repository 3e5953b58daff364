/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/storage/fault.h"
#include "agent/storage/format_keys.h"

#define CHECKSUM "_SHA_CKSUM"
#define KEYS_MAX 1024

/* Characters outside ASCII count as "&#<decimal>;", in the hash only (section 5). */
static void hash_text(GChecksum *sum, const char *text)
{
    for (const char *c = text; *c; c = g_utf8_next_char(c)) {
        gunichar point = g_utf8_get_char(c);
        if (point < 0x80) {
            g_checksum_update(sum, (const guchar *)c, 1);
        } else {
            char reference[16];
            int length = g_snprintf(reference, sizeof(reference), "&#%u;", point);
            g_checksum_update(sum, (const guchar *)reference, length);
        }
    }
}

char *vr_domain_meta_checksum(const struct vr_keys *keys)
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA1);
    for (unsigned i = 0; i < vr_keys_count(keys); i++) {
        const char *name, *value;
        vr_keys_at(keys, i, &name, &value);
        if (strcmp(name, CHECKSUM) == 0)
            continue;
        hash_text(sum, name);
        g_checksum_update(sum, (const guchar *)"=", 1);
        hash_text(sum, value);
    }
    return g_strdup(g_checksum_get_string(sum));
}

struct vr_keys *vr_domain_meta_parse(const char *text, size_t length, struct vr_error **error)
{
    if (length > VR_DOMAIN_META_MAX) {
        vr_storage_error(error, meta_too_big, "The domain's metadata has %zu bytes.", length);
        return NULL;
    }
    while (length > 0 && text[length - 1] == '\0')
        length--;
    if (memchr(text, 0, length) || !g_utf8_validate(text, (gssize)length, NULL)) {
        vr_storage_error(error, meta_checksum, "The domain's metadata is not text.");
        return NULL;
    }
    g_autofree char *copy = g_strndup(text, length);
    vr_auto_keys struct vr_keys *keys = vr_keys_new();
    char *rest = copy;
    for (char *line; (line = strsep(&rest, "\n"));) {
        char *equal = strchr(line, '=');
        if (!equal)
            continue;
        *equal = '\0';
        vr_keys_set(keys, g_strstrip(line), equal + 1);
        if (vr_keys_count(keys) > KEYS_MAX) {
            vr_storage_error(error, meta_too_big, "The domain's metadata has too many keys.");
            return NULL;
        }
    }
    const char *claimed = vr_keys_get(keys, CHECKSUM);
    g_autofree char *true_sum = vr_domain_meta_checksum(keys);
    if (claimed && strcmp(claimed, true_sum) != 0) {
        vr_storage_error(error, meta_checksum, "The sum is %s, the record says %.64s.", true_sum,
                         claimed);
        return NULL;
    }
    vr_keys_set(keys, CHECKSUM, NULL);
    return g_steal_pointer(&keys);
}

char *vr_domain_meta_format(const struct vr_keys *keys, struct vr_error **error)
{
    g_autoptr(GString) out = g_string_new(NULL);
    for (unsigned i = 0; i < vr_keys_count(keys); i++) {
        const char *name, *value;
        vr_keys_at(keys, i, &name, &value);
        if (strcmp(name, CHECKSUM) == 0)
            continue;
        if (!*name || strpbrk(name, "=\n\r") || strpbrk(value, "\n\r") ||
            !g_utf8_validate(name, -1, NULL) || !g_utf8_validate(value, -1, NULL)) {
            vr_storage_error(error, meta_value, "%s cannot be stored.", name);
            return NULL;
        }
        g_string_append_printf(out, "%s=%s\n", name, value);
    }
    g_autofree char *sum = vr_domain_meta_checksum(keys);
    g_string_append_printf(out, CHECKSUM "=%s\n", sum);
    if (out->len > VR_DOMAIN_META_MAX) {
        vr_storage_error(error, meta_too_big, NULL);
        return NULL;
    }
    return g_string_free(g_steal_pointer(&out), FALSE);
}

static bool one_of(const char *value, const char *const *words)
{
    return value && g_strv_contains(words, value);
}

bool vr_domain_meta_check(const struct vr_keys *keys, struct vr_error **error)
{
    static const char *const needed[] = { "VERSION", "SDUUID", "CLASS", "ROLE", "TYPE" };
    static const char *const classes[] = { "Data", "Iso", "Backup", NULL };
    static const char *const roles[] = { "Master", "Regular", NULL };
    static const char *const types[] = { "NFS",  "FCP",     "ISCSI",     "LOCALFS",
                                         "CIFS", "POSIXFS", "GLUSTERFS", NULL };
    for (unsigned i = 0; i < G_N_ELEMENTS(needed); i++) {
        if (!vr_keys_get(keys, needed[i])) {
            vr_storage_error(error, meta_key, "The domain's metadata has no %s.", needed[i]);
            return false;
        }
    }
    int64_t version = vr_keys_get_integer(keys, "VERSION", -1);
    if (version < 0 || version == 1 || version > 5) {
        vr_storage_error(error, domain_version, "Version %.16s.", vr_keys_get(keys, "VERSION"));
        return false;
    }
    if (!vr_format_uuid_valid(vr_keys_get(keys, "SDUUID")) ||
        !one_of(vr_keys_get(keys, "CLASS"), classes) || !one_of(vr_keys_get(keys, "ROLE"), roles) ||
        !one_of(vr_keys_get(keys, "TYPE"), types)) {
        vr_storage_error(error, meta_value, "SDUUID, CLASS, ROLE or TYPE is not valid.");
        return false;
    }
    return true;
}

bool vr_domain_description_valid(const char *text)
{
    if (!g_utf8_validate(text, -1, NULL) || g_utf8_strlen(text, -1) > VR_DOMAIN_DESCRIPTION_MAX)
        return false;
    for (const char *c = text; *c; c = g_utf8_next_char(c))
        if (g_unichar_iscntrl(g_utf8_get_char(c)))
            return false;
    return true;
}

GArray *vr_pool_domains_parse(const char *text)
{
    static const char *const statuses[] = { "Active", "Attached", "Unattached", "Unknown", NULL };
    GArray *domains = g_array_new(FALSE, TRUE, sizeof(struct vr_pool_domain));
    g_auto(GStrv) items = g_strsplit(text ? text : "", ",", KEYS_MAX);
    for (unsigned i = 0; items[i]; i++) {
        char *colon = strchr(items[i], ':');
        if (!colon)
            continue;
        *colon = '\0';
        const char *sd = g_strstrip(items[i]), *status = g_strstrip(colon + 1);
        if (g_ascii_strcasecmp(status, "Inactive") == 0)
            status = "Attached";
        if (!vr_format_uuid_valid(sd))
            continue;
        for (unsigned s = 0; statuses[s]; s++) {
            if (g_ascii_strcasecmp(statuses[s], status) != 0)
                continue;
            struct vr_pool_domain domain = { 0 };
            g_strlcpy(domain.sd, sd, sizeof(domain.sd));
            g_strlcpy(domain.status, statuses[s], sizeof(domain.status));
            g_array_append_val(domains, domain);
        }
    }
    return domains;
}

char *vr_pool_domains_format(const GArray *domains)
{
    GString *out = g_string_new(NULL);
    for (unsigned i = 0; i < domains->len; i++) {
        const struct vr_pool_domain *domain =
            &g_array_index((GArray *)domains, struct vr_pool_domain, i);
        g_string_append_printf(out, "%s%s:%s", i ? "," : "", domain->sd, domain->status);
    }
    return g_string_free(out, FALSE);
}
