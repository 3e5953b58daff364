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
    /* Runs of zeroes in [0, known) that may hold a whole block, of those that are still ahead; the
     * last one may go on.  Shorter ones are of no use, so a fragmented image leaves few. */
    GArray *runs;
    unsigned first; /* the ones before it are done with */
    uint64_t known;
};

struct run {
    uint64_t start, end;
};

static void see_extent(uint64_t start, uint64_t length, bool zero, bool hole VR_UNUSED, void *arg)
{
    struct job *j = arg;
    struct run run = { start, start + length };
    struct run *last = j->runs->len ? &g_array_index(j->runs, struct run, j->runs->len - 1) : NULL;
    if (!zero)
        return;
    if (last && last->end == start)
        last->end = run.end;
    else if (last && last->end - last->start < j->block_size)
        *last = run;
    else
        g_array_append_val(j->runs, run);
}

/* Whether [at, at + length) is known to be zeroes.  Blocks are asked for in order; extents are
 * looked at no farther than needed, so that one part of them is kept at a time. */
static bool is_zero(struct job *j, uint64_t at, size_t length, bool *zero, struct vr_error **error)
{
    const struct vr_backend_driver *driver = j->backend->driver;
    while (j->known < at + length) {
        g_array_remove_range(j->runs, 0, j->first);
        j->first = 0;
        if (!vr_ticket_go_on(j->use, error) ||
            !driver->extents(j->backend, &j->known, j->size, see_extent, j, error))
            return false;
    }
    /* The last one may go on, so it stays. */
    while (j->first + 1 < j->runs->len && g_array_index(j->runs, struct run, j->first).end <= at)
        j->first++;
    const struct run *run =
        j->first < j->runs->len ? &g_array_index(j->runs, struct run, j->first) : NULL;
    *zero = run && run->start <= at && run->end >= at + length;
    return true;
}

/* Adds the block [at, at + length). */
static bool add_block(struct job *j, uint64_t at, size_t length, struct vr_error **error)
{
    bool zero;
    if (!is_zero(j, at, length, &zero, error))
        return false;
    if (zero && length == j->block_size) {
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
    j.runs = g_array_new(FALSE, FALSE, sizeof(struct run));
    j.digest_size = gcry_md_get_algo_dlen(j.algorithm);
    j.buffer = g_malloc0(block_size);
    uint8_t zero[64];
    gcry_md_hash_buffer(j.algorithm, zero, j.buffer, block_size);
    j.zero = g_bytes_new(zero, j.digest_size);
    bool good = gcry_md_open(&j.root, j.algorithm, 0) == 0;
    if (!good)
        vr_error_set(error, &vr_fault_system, "The digest cannot be computed.");
    for (uint64_t at = 0; good && at < j.size; at += block_size)
        good = vr_ticket_go_on(use, error) &&
               add_block(&j, at, (size_t)MIN((uint64_t)block_size, j.size - at), error);
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
    g_array_unref(j.runs);
    return text;
}
