/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/storage/qcow2.h"

#include "agent/storage/fault.h"

/* Offsets and magics: the qcow2 specification in QEMU's documentation (docs/interop/qcow2.txt). */
#define MAGIC 0x514649fbU
#define EXTENSION_BACKING_FORMAT 0xe2792acaU
#define INCOMPATIBLE_DATA_FILE (1U << 2)

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint64_t be64(const uint8_t *p)
{
    return (uint64_t)be32(p) << 32 | be32(p + 4);
}

bool vr_qcow2_probe(const uint8_t *head, size_t length)
{
    return length >= 8 && be32(head) == MAGIC;
}

static bool bad(struct vr_error **error, const char *why)
{
    vr_storage_error(error, volume_format, "The qcow2 header is not valid: %s.", why);
    return false;
}

static void read_extensions(struct vr_qcow2 *image, const uint8_t *head, size_t at, size_t end)
{
    while (at + 8 <= end) {
        uint32_t type = be32(head + at), length = be32(head + at + 4);
        at += 8;
        if (type == 0 || length > end - at)
            return;
        if (type == EXTENSION_BACKING_FORMAT && length < sizeof(image->backing_format)) {
            memcpy(image->backing_format, head + at, length);
            image->backing_format[length] = '\0';
        }
        at += ((size_t)length + 7) & ~(size_t)7;
    }
}

bool vr_qcow2_parse(struct vr_qcow2 *image, const uint8_t *head, size_t length,
                    struct vr_error **error)
{
    memset(image, 0, sizeof(*image));
    if (!vr_qcow2_probe(head, length))
        return bad(error, "no qcow2 magic");
    if (length < 72)
        return bad(error, "too short");
    image->version = be32(head + 4);
    if (image->version != 2 && image->version != 3)
        return bad(error, "unknown version");
    uint64_t backing_offset = be64(head + 8);
    uint32_t backing_size = be32(head + 16);
    image->cluster_bits = be32(head + 20);
    image->size = be64(head + 24);
    image->encrypted = be32(head + 32) != 0;
    if (image->cluster_bits < 9 || image->cluster_bits > 21)
        return bad(error, "cluster size");
    size_t header_length = 72;
    if (image->version == 3) {
        if (length < 104)
            return bad(error, "too short");
        image->data_file = (be64(head + 72) & INCOMPATIBLE_DATA_FILE) != 0;
        header_length = be32(head + 100);
        if (header_length < 104 || header_length > length)
            return bad(error, "header length");
    }
    size_t end = length;
    if (backing_offset) {
        if (backing_size >= sizeof(image->backing) || backing_offset > length ||
            backing_size > length - backing_offset)
            return bad(error, "backing file name");
        memcpy(image->backing, head + backing_offset, backing_size);
        image->backing[backing_size] = '\0';
        if (strlen(image->backing) != backing_size)
            return bad(error, "backing file name");
        end = (size_t)backing_offset;
    }
    read_extensions(image, head, header_length, end);
    return true;
}

const char *vr_qcow2_backing_volume(const struct vr_qcow2 *image)
{
    const char *slash = strrchr(image->backing, '/');
    return slash ? slash + 1 : image->backing;
}
