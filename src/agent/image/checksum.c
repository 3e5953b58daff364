/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/image/checksum.h"

#include <gcrypt.h>

static const struct {
    const char *name;
    int id;
} algorithms[] = {
    { "blake2b", GCRY_MD_BLAKE2B_256 },
    { "sha1", GCRY_MD_SHA1 },
    { "sha256", GCRY_MD_SHA256 },
    { "sha512", GCRY_MD_SHA512 },
};
const char *const vr_checksum_algorithms[] = { "blake2b", "sha1", "sha256", "sha512", NULL };

struct job {
    struct vr_ticket_use *use;
    struct vr_backend *backend;
    gcry_md_hd_t root;
    int algorithm;
    size_t digest_size, block_size;
    uint64_t size;
    char *buffer;
    GBytes *zero; /* the digest of a whole block of zeroes */
    GArray *extents;
};

struct piece {
    uint64_t start, end;
    bool zero;
};

static void keep_extent(uint64_t start, uint64_t length, bool zero, bool hole VR_UNUSED, void *arg)
{
    struct job *j = arg;
    struct piece *last =
        j->extents->len ? &g_array_index(j->extents, struct piece, j->extents->len - 1) : NULL;
    if (last && last->zero == zero) {
        last->end = start + length;
    } else {
        struct piece piece = { start, start + length, zero };
        g_array_append_val(j->extents, piece);
    }
}

/* Adds the block [at, at + length); *@i is the extent where the last one ended. */
static bool add_block(struct job *j, uint64_t at, size_t length, unsigned *i,
                      struct vr_error **error)
{
    while (*i < j->extents->len && g_array_index(j->extents, struct piece, *i).end <= at)
        (*i)++;
    const struct piece *p =
        *i < j->extents->len ? &g_array_index(j->extents, struct piece, *i) : NULL;
    if (p && p->zero && p->end >= at + length && length == j->block_size) {
        gcry_md_write(j->root, g_bytes_get_data(j->zero, NULL), j->digest_size);
        return true;
    }
    if (!j->backend->driver->read(j->backend, j->buffer, length, at, error))
        return false;
    uint8_t digest[64];
    gcry_md_hash_buffer(j->algorithm, digest, j->buffer, length);
    gcry_md_write(j->root, digest, j->digest_size);
    return true;
}

char *vr_checksum(struct vr_ticket_use *use, const char *algorithm, size_t block_size,
                  struct vr_error **error)
{
    struct job j = { .use = use, .block_size = block_size, .size = vr_ticket_size(use) };
    for (unsigned i = 0; i < G_N_ELEMENTS(algorithms); i++)
        if (strcmp(algorithms[i].name, algorithm) == 0)
            j.algorithm = algorithms[i].id;
    if (!j.algorithm || block_size < 4096 || block_size > MiB(64)) {
        vr_error_set(error, &vr_fault_bad_request, "The algorithm or block size is not supported.");
        return NULL;
    }
    j.backend = vr_ticket_backend(use, error);
    if (!j.backend)
        return NULL;
    j.extents = g_array_new(FALSE, FALSE, sizeof(struct piece));
    j.digest_size = gcry_md_get_algo_dlen(j.algorithm);
    j.buffer = g_malloc0(block_size);
    uint8_t zero[64];
    gcry_md_hash_buffer(j.algorithm, zero, j.buffer, block_size);
    j.zero = g_bytes_new(zero, j.digest_size);
    bool good = j.backend->driver->extents(j.backend, j.size, keep_extent, &j, error) &&
                gcry_md_open(&j.root, j.algorithm, 0) == 0;
    unsigned i = 0;
    for (uint64_t at = 0; good && at < j.size; at += block_size)
        good = vr_ticket_go_on(use, error) &&
               add_block(&j, at, (size_t)MIN((uint64_t)block_size, j.size - at), &i, error);
    char *text = NULL;
    if (good) {
        const uint8_t *digest = gcry_md_read(j.root, j.algorithm);
        GString *hex = g_string_new(NULL);
        for (size_t k = 0; k < j.digest_size; k++)
            g_string_append_printf(hex, "%02x", digest[k]);
        text = g_string_free(hex, FALSE);
    }
    if (j.root)
        gcry_md_close(j.root);
    g_bytes_unref(j.zero);
    g_free(j.buffer);
    g_array_unref(j.extents);
    return text;
}
