/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/storage/fault.h"
#include "agent/storage/qcow2.h"

#define HEAD_SIZE 512

static void put32(uint8_t *p, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        p[i] = (uint8_t)(value >> (24 - 8 * i));
}

static void put64(uint8_t *p, uint64_t value)
{
    put32(p, (uint32_t)(value >> 32));
    put32(p + 4, (uint32_t)value);
}

/* A version 3 header of 1 MiB with the format extension and a backing name. */
static void make(uint8_t head[HEAD_SIZE], const char *backing)
{
    memset(head, 0, HEAD_SIZE);
    put32(head, 0x514649fb);
    put32(head + 4, 3);
    put32(head + 20, 16);
    put64(head + 24, MiB(1));
    put32(head + 96, 4);
    put32(head + 100, 104);
    put32(head + 104, 0xe2792aca);
    put32(head + 108, 5);
    memcpy(head + 112, "qcow2", 5);
    if (backing) {
        put64(head + 8, 256);
        put32(head + 16, (uint32_t)strlen(backing));
        memcpy(head + 256, backing, strlen(backing));
    }
}

static void test_a_header_tells_its_backing_file(void)
{
    uint8_t head[HEAD_SIZE];
    struct vr_qcow2 image;
    vr_auto_error struct vr_error *error = NULL;
    make(head, "../9a1e/11111111");
    g_assert_true(vr_qcow2_probe(head, sizeof(head)));
    g_assert_true(vr_qcow2_parse(&image, head, sizeof(head), &error));
    g_assert_cmpstr(image.backing, ==, "../9a1e/11111111");
    g_assert_cmpstr(vr_qcow2_backing_volume(&image), ==, "11111111");
    g_assert_cmpstr(image.backing_format, ==, "qcow2");
    g_assert_cmpuint(image.size, ==, MiB(1));
    g_assert_false(image.data_file);
    make(head, NULL);
    g_assert_true(vr_qcow2_parse(&image, head, sizeof(head), &error));
    g_assert_cmpstr(vr_qcow2_backing_volume(&image), ==, "");
}

/* One 32-bit word of a good header changed; 0 is still accepted. */
static const struct {
    const char *what;
    unsigned at;
    uint32_t value;
    size_t length;
    int code;
} rows[] = {
    { "as it is", 0, 0x514649fb, HEAD_SIZE, 0 },
    { "another magic", 0, 0x514649fa, HEAD_SIZE, 202 },
    { "version 4", 4, 4, HEAD_SIZE, 202 },
    { "version 2 has no extensions to speak of", 4, 2, HEAD_SIZE, 0 },
    { "clusters of 256 bytes", 20, 8, HEAD_SIZE, 202 },
    { "clusters of 4 MiB", 20, 22, HEAD_SIZE, 202 },
    { "a backing name beyond the end", 12, HEAD_SIZE, HEAD_SIZE, 202 },
    { "a backing name that leaves the head", 16, 300, HEAD_SIZE, 202 },
    { "a backing name of 4 GiB", 16, UINT32_MAX, HEAD_SIZE, 202 },
    { "a backing offset of 2^63", 8, 0x80000000, HEAD_SIZE, 202 },
    { "a backing name with a NUL inside", 16, 20, HEAD_SIZE, 202 },
    { "a header longer than what is there", 100, 4096, HEAD_SIZE, 202 },
    { "a header shorter than version 3 has", 100, 72, HEAD_SIZE, 202 },
    { "an extension beyond the end", 108, UINT32_MAX, HEAD_SIZE, 0 },
    { "cut after the magic", 0, 0x514649fb, 8, 202 },
    { "cut in version 3's part", 0, 0x514649fb, 100, 202 },
    { "nothing", 0, 0x514649fb, 0, 202 },
};

static void test_headers_are_judged(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        uint8_t head[HEAD_SIZE];
        struct vr_qcow2 image;
        vr_auto_error struct vr_error *error = NULL;
        make(head, "11111111");
        put32(head + rows[i].at, rows[i].value);
        g_test_message("%s", rows[i].what);
        /* A copy of the very length, so that a byte read too far is seen. */
        g_autofree uint8_t *copy = g_memdup2(head, rows[i].length);
        g_assert_cmpint(vr_qcow2_parse(&image, copy, rows[i].length, &error), ==, !rows[i].code);
        if (rows[i].code)
            g_assert_cmpint(error->fault->rpc, ==, rows[i].code);
    }
}

static void test_data_in_another_file_is_seen(void)
{
    uint8_t head[HEAD_SIZE];
    struct vr_qcow2 image;
    vr_auto_error struct vr_error *error = NULL;
    make(head, NULL);
    put32(head + 76, 4);
    put32(head + 32, 1);
    g_assert_true(vr_qcow2_parse(&image, head, sizeof(head), &error));
    g_assert_true(image.data_file);
    g_assert_true(image.encrypted);
}

static void test_random_heads_never_break_the_reader(void)
{
    GRand *random = g_rand_new_with_seed(20240501);
    for (unsigned i = 0; i < 50000; i++) {
        uint8_t head[HEAD_SIZE];
        struct vr_qcow2 image;
        vr_auto_error struct vr_error *error = NULL;
        make(head, i % 2 ? "11111111" : NULL);
        for (unsigned j = 0; j < 4; j++)
            head[g_rand_int_range(random, 4, 128)] = (uint8_t)g_rand_int(random);
        size_t length = (size_t)g_rand_int_range(random, 0, HEAD_SIZE + 1);
        g_autofree uint8_t *copy = g_memdup2(head, length);
        if (vr_qcow2_parse(&image, copy, length, &error))
            g_assert_cmpuint(strlen(image.backing), <, sizeof(image.backing));
        else
            g_assert_nonnull(error);
    }
    g_rand_free(random);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/storage/qcow2/a_header_tells_its_backing_file",
                    test_a_header_tells_its_backing_file);
    g_test_add_func("/storage/qcow2/headers_are_judged", test_headers_are_judged);
    g_test_add_func("/storage/qcow2/data_in_another_file_is_seen",
                    test_data_in_another_file_is_seen);
    g_test_add_func("/storage/qcow2/random_heads_never_break_the_reader",
                    test_random_heads_never_break_the_reader);
    return g_test_run();
}
