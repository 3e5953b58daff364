/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/storage/fault.h"
#include "agent/storage/format.h"

/* The version 5 example of the format's description, with its true sum. */
static const char example[] = "ALIGNMENT=1048576\n"
                              "BLOCK_SIZE=512\n"
                              "CLASS=Data\n"
                              "DESCRIPTION=data1\n"
                              "IOOPTIMEOUTSEC=10\n"
                              "LEASERETRIES=3\n"
                              "LEASETIMESEC=60\n"
                              "LOCKPOLICY=\n"
                              "LOCKRENEWALINTERVALSEC=5\n"
                              "POOL_UUID=6b2d1c8a-0f1e-4c77-8a58-2f0a5d3c9e10\n"
                              "REMOTE_PATH=stor.example.org:/exports/data1\n"
                              "ROLE=Regular\n"
                              "SDUUID=5f0e1b0c-7d2a-4b57-9a53-0f6f7e1c2d3e\n"
                              "TYPE=NFS\n"
                              "VERSION=5\n"
                              "_SHA_CKSUM=f7a54b59a02f6e575d489abee78e22aead96c38d\n";

static const char volume_example[] =
    "CAP=10737418240\n"
    "CTIME=1760000000\n"
    "DESCRIPTION={\"DiskAlias\":\"vm1_Disk1\",\"DiskDescription\":\"\"}\n"
    "DISKTYPE=DATA\n"
    "DOMAIN=5f0e1b0c-7d2a-4b57-9a53-0f6f7e1c2d3e\n"
    "FORMAT=COW\n"
    "GEN=0\n"
    "IMAGE=9a1e33c2-6a36-4c8c-9a60-1d0b7d0a7a55\n"
    "LEGALITY=LEGAL\n"
    "PUUID=00000000-0000-0000-0000-000000000000\n"
    "SEQ=1\n"
    "TYPE=SPARSE\n"
    "VOLTYPE=LEAF\n"
    "EOF\n";

static const struct {
    const char *from, *to;
} transforms[] = {
    { "stor.example.org:/exports/my_data", "stor.example.org:_exports_my__data" },
    { "/a/b", "_a_b" },
    { "/a//b///", "_a_b" },
    { "/", "_" },
    { "host:/", "host:_" },
    { "__", "____" },
    { "", "" },
    { "../../etc", ".._.._etc" },
};

static void test_paths_become_one_name(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(transforms); i++) {
        g_autofree char *got = vr_format_path_transform(transforms[i].from);
        g_assert_cmpstr(got, ==, transforms[i].to);
        g_assert_null(strchr(got, '/'));
    }
}

static void test_the_example_has_its_true_sum(void)
{
    vr_auto_error struct vr_error *error = NULL;
    vr_auto_keys struct vr_keys *keys = vr_domain_meta_parse(example, strlen(example), &error);
    g_assert_no_errno(error ? -1 : 0);
    g_assert_true(vr_domain_meta_check(keys, &error));
    g_assert_cmpint(vr_keys_get_integer(keys, "VERSION", -1), ==, 5);
    g_autofree char *text = vr_domain_meta_format(keys, &error);
    g_assert_cmpstr(text, ==, example);
}

static void test_a_changed_byte_breaks_the_sum(void)
{
    for (size_t i = 0; i + strlen("_SHA_CKSUM=") + 41 < strlen(example); i++) {
        g_autofree char *copy = g_strdup(example);
        /* A line break or `=` moved would be another text altogether. */
        if (copy[i] == '\n' || copy[i] == '=' || copy[i + 1] == '=')
            continue;
        copy[i] ^= 1;
        vr_auto_error struct vr_error *error = NULL;
        vr_auto_keys struct vr_keys *keys = vr_domain_meta_parse(copy, strlen(copy), &error);
        g_assert_null(keys);
        g_assert_true(error->fault == &vr_storage_fault_meta_checksum);
    }
}

static void test_non_ascii_counts_as_references_in_the_sum(void)
{
    vr_auto_keys struct vr_keys *keys = vr_keys_new();
    vr_keys_set(keys, "DESCRIPTION", "d\xc3\xa9j\xc3\xa0 \xe2\x82\xac");
    g_autofree char *expected =
        g_compute_checksum_for_string(G_CHECKSUM_SHA1, "DESCRIPTION=d&#233;j&#224; &#8364;", -1);
    g_autofree char *sum = vr_domain_meta_checksum(keys);
    g_assert_cmpstr(sum, ==, expected);
    vr_auto_error struct vr_error *error = NULL;
    g_autofree char *text = vr_domain_meta_format(keys, &error);
    vr_auto_keys struct vr_keys *back = vr_domain_meta_parse(text, strlen(text), &error);
    g_assert_cmpstr(vr_keys_get(back, "DESCRIPTION"), ==, "d\xc3\xa9j\xc3\xa0 \xe2\x82\xac");
}

/* What a domain's metadata may look like, and the code it gives; 0 is accepted. */
static const struct {
    const char *what, *text;
    size_t length; /* 0: strlen */
    int code;
} domains[] = {
    { "no checksum is accepted",
      "VERSION=0\nSDUUID=5f0e1b0c-7d2a-4b57-9a53-0f6f7e1c2d3e\nCLASS=Iso\nROLE=Regular\nTYPE=NFS\n",
      0, 0 },
    { "lines without = are ignored, keys trimmed, NULs stripped",
      "garbage\n VERSION =4\nSDUUID=5f0e1b0c-7d2a-4b57-9a53-0f6f7e1c2d3e\nCLASS=Data\n"
      "ROLE=Master\nTYPE=POSIXFS\n\0\0\0",
      0, 0 },
    { "version 1 never existed",
      "VERSION=1\nSDUUID=5f0e1b0c-7d2a-4b57-9a53-0f6f7e1c2d3e\nCLASS=Data\nROLE=Master\nTYPE=NFS\n",
      0, 394 },
    { "version 6 is the future",
      "VERSION=6\nSDUUID=5f0e1b0c-7d2a-4b57-9a53-0f6f7e1c2d3e\nCLASS=Data\nROLE=Master\nTYPE=NFS\n",
      0, 394 },
    { "a version that is no number",
      "VERSION=5x\nSDUUID=5f0e1b0c-7d2a-4b57-9a53-0f6f7e1c2d3e\nCLASS=Data\nROLE=Master\nTYPE="
      "NFS\n",
      0, 394 },
    { "an empty file", "", 0, 751 },
    { "an id that climbs", "VERSION=5\nSDUUID=../../../etc\nCLASS=Data\nROLE=Master\nTYPE=NFS\n", 0,
      749 },
    { "an unknown class",
      "VERSION=5\nSDUUID=5f0e1b0c-7d2a-4b57-9a53-0f6f7e1c2d3e\nCLASS=Odd\nROLE=Master\nTYPE=NFS\n",
      0, 749 },
    { "a NUL inside", "VERSION=5\0SDUUID=x", 18, 752 },
    { "bytes that are no UTF-8", "DESCRIPTION=\xff\xfe\n", 0, 752 },
};

static void test_domain_texts_are_judged(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(domains); i++) {
        vr_auto_error struct vr_error *error = NULL;
        size_t length = domains[i].length ? domains[i].length : strlen(domains[i].text);
        vr_auto_keys struct vr_keys *keys = vr_domain_meta_parse(domains[i].text, length, &error);
        bool good = keys && vr_domain_meta_check(keys, &error);
        g_test_message("%s", domains[i].what);
        g_assert_cmpint(good, ==, domains[i].code == 0);
        if (!good)
            g_assert_cmpint(error->fault->rpc, ==, domains[i].code);
    }
}

static void test_huge_domain_texts_are_refused(void)
{
    vr_auto_error struct vr_error *error = NULL;
    g_autofree char *big = g_malloc(VR_DOMAIN_META_MAX + 1);
    memset(big, 'A', VR_DOMAIN_META_MAX + 1);
    g_assert_null(vr_domain_meta_parse(big, VR_DOMAIN_META_MAX + 1, &error));
    g_assert_cmpint(error->fault->rpc, ==, 756);

    vr_auto_error struct vr_error *second = NULL;
    g_autoptr(GString) many = g_string_new(NULL);
    for (unsigned i = 0; i < 5000; i++)
        g_string_append_printf(many, "K%u=\n", i);
    g_assert_null(vr_domain_meta_parse(many->str, many->len, &second));
    g_assert_cmpint(second->fault->rpc, ==, 756);
}

static void test_values_cannot_smuggle_lines(void)
{
    static const char *const bad[] = { "a\nROLE=Master", "a\rb", "\xff" };
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        vr_auto_error struct vr_error *error = NULL;
        vr_auto_keys struct vr_keys *keys = vr_keys_new();
        vr_keys_set(keys, "DESCRIPTION", bad[i]);
        g_assert_null(vr_domain_meta_format(keys, &error));
        g_assert_cmpint(error->fault->rpc, ==, 749);
    }
    struct vr_volume_meta meta = { 0 };
    vr_volume_meta_set_description(&meta, "a\nLEGALITY=FAKE\n");
    g_assert_cmpstr(meta.description, ==, "a LEGALITY=FAKE ");
}

static void test_names_of_domains(void)
{
    g_autofree char *fifty = g_strnfill(50, 'x'), *more = g_strnfill(51, 'x');
    g_assert_true(vr_domain_description_valid(fifty));
    g_assert_false(vr_domain_description_valid(more));
    g_assert_true(vr_domain_description_valid("d\xc3\xa9j\xc3\xa0"));
    g_assert_false(vr_domain_description_valid("a\nb"));
    g_assert_false(vr_domain_description_valid("\xff"));
}

static void test_pool_domains_round_trip(void)
{
    static const char text[] = "5f0e1b0c-7d2a-4b57-9a53-0f6f7e1c2d3e:Inactive,../x:Active,"
                               "9a1e33c2-6a36-4c8c-9a60-1d0b7d0a7a55:active,nonsense,"
                               "6b2d1c8a-0f1e-4c77-8a58-2f0a5d3c9e10:Odd";
    g_autoptr(GArray) list = vr_pool_domains_parse(text);
    g_autofree char *back = vr_pool_domains_format(list);
    g_assert_cmpstr(back, ==,
                    "5f0e1b0c-7d2a-4b57-9a53-0f6f7e1c2d3e:Attached,"
                    "9a1e33c2-6a36-4c8c-9a60-1d0b7d0a7a55:Active");
}

static void test_the_volume_example_round_trips(void)
{
    vr_auto_error struct vr_error *error = NULL;
    struct vr_volume_meta meta;
    g_assert_true(vr_volume_meta_parse(&meta, volume_example, strlen(volume_example), &error));
    g_assert_cmpuint(meta.capacity, ==, GiB(10));
    g_assert_cmpuint(meta.sequence, ==, 1);
    g_autofree char *text = vr_volume_meta_format(&meta, &error);
    g_assert_cmpstr(text, ==, volume_example);
}

/* One edit of the volume example and what comes of it. */
static const struct {
    const char *what, *old, *new;
    int code;
    uint64_t capacity;
} volumes[] = {
    { "SIZE counts 512-byte blocks", "CAP=10737418240", "SIZE=2048\nMTIME=0", 0, MiB(1) },
    { "CAP wins over SIZE", "CAP=10737418240", "CAP=4096\nSIZE=99", 0, 4096 },
    { "GEN and SEQ may be missing", "GEN=0\n", "", 0, GiB(10) },
    { "spaces are trimmed", "FORMAT=COW", "  FORMAT = COW ", 0, GiB(10) },
    { "nothing counts after EOF", "EOF\n", "EOF\nLEGALITY=FAKE\nNONE=1\n", 0, GiB(10) },
    { "a cleared record", "CAP=10737418240", "NONE=####", 757, 0 },
    { "no capacity", "CAP=10737418240\n", "", 751, 0 },
    { "a negative capacity", "CAP=10737418240", "CAP=-1", 749, 0 },
    { "a SIZE that would wrap", "CAP=10737418240", "SIZE=9223372036854775807", 749, 0 },
    { "a CAP beyond 64 bits", "CAP=10737418240", "CAP=99999999999999999999", 749, 0 },
    { "an unknown format", "FORMAT=COW", "FORMAT=VMDK", 749, 0 },
    { "a parent that climbs", "PUUID=00000000-0000-0000-0000-000000000000", "PUUID=../x", 749, 0 },
    { "a generation above 999", "GEN=0", "GEN=1000", 749, 0 },
    { "no image", "IMAGE=9a1e33c2-6a36-4c8c-9a60-1d0b7d0a7a55\n", "", 751, 0 },
    { "a disk type that is too long", "DISKTYPE=DATA", "DISKTYPE=DATADATADATA", 749, 0 },
    { "bytes that are no text", "SEQ=1", "SEQ=\xff", 749, 0 },
};

static void test_volume_texts_are_judged(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(volumes); i++) {
        g_auto(GStrv) halves = g_strsplit(volume_example, volumes[i].old, 2);
        g_autofree char *text = g_strconcat(halves[0], volumes[i].new, halves[1], NULL);
        vr_auto_error struct vr_error *error = NULL;
        struct vr_volume_meta meta;
        g_test_message("%s", volumes[i].what);
        bool good = vr_volume_meta_parse(&meta, text, strlen(text), &error);
        g_assert_cmpint(good, ==, volumes[i].code == 0);
        if (good)
            g_assert_cmpuint(meta.capacity, ==, volumes[i].capacity);
        else
            g_assert_cmpint(error->fault->rpc, ==, volumes[i].code);
    }
}

static void test_descriptions_are_cut_between_characters(void)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (unsigned i = 0; i < 104; i++)
        g_string_append(text, "\xc3\xa9"); /* 208 bytes */
    g_string_append(text, "x\xe2\x82\xac");
    struct vr_volume_meta meta = { 0 };
    vr_volume_meta_set_description(&meta, text->str);
    g_assert_cmpuint(strlen(meta.description), ==, 209);
    g_assert_true(g_utf8_validate(meta.description, -1, NULL));
}

static void test_the_largest_record_fits_its_block(void)
{
    vr_auto_error struct vr_error *error = NULL;
    struct vr_volume_meta meta;
    g_assert_true(vr_volume_meta_parse(&meta, volume_example, strlen(volume_example), &error));
    g_autofree char *long_text = g_strnfill(1000, 'x');
    vr_volume_meta_set_description(&meta, long_text);
    meta.capacity = INT64_MAX;
    meta.sequence = UINT32_MAX;
    meta.generation = 999;
    meta.ctime = 9999999999;
    meta.type = VR_VOLUME_PREALLOCATED;
    meta.role = VR_VOLUME_INTERNAL;
    meta.legality = VR_VOLUME_ILLEGAL;
    g_autofree char *text = vr_volume_meta_format(&meta, &error);
    g_assert_nonnull(text);
    meta.ctime = INT64_MAX;
    memset(meta.disktype, 'D', sizeof(meta.disktype) - 1);
    g_autofree char *wide = vr_volume_meta_format(&meta, &error);
    g_assert_true(wide ? strlen(wide) <= VR_VOLUME_META_MAX : error->fault->rpc == 756);
}

static void test_random_bytes_never_break_the_readers(void)
{
    GRand *random = g_rand_new_with_seed(20240501);
    for (unsigned i = 0; i < 20000; i++) {
        const char *base = i % 2 ? example : volume_example;
        g_autofree char *copy = g_strdup(base);
        size_t length = strlen(base);
        for (unsigned j = 0; j < 4; j++)
            copy[g_rand_int_range(random, 0, (int)length)] = (char)g_rand_int(random);
        vr_auto_error struct vr_error *first = NULL, *second = NULL, *third = NULL;
        vr_auto_keys struct vr_keys *keys = vr_domain_meta_parse(copy, length, &first);
        g_assert_true((keys != NULL) == (first == NULL));
        struct vr_volume_meta meta;
        if (vr_volume_meta_parse(&meta, copy, length, &second)) {
            g_autofree char *text = vr_volume_meta_format(&meta, &third);
            g_assert_true((text != NULL) == (third == NULL));
        } else {
            g_assert_nonnull(second);
        }
    }
    g_rand_free(random);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/storage/format/" #name, test_##name)
    ADD(paths_become_one_name);
    ADD(the_example_has_its_true_sum);
    ADD(a_changed_byte_breaks_the_sum);
    ADD(non_ascii_counts_as_references_in_the_sum);
    ADD(domain_texts_are_judged);
    ADD(huge_domain_texts_are_refused);
    ADD(values_cannot_smuggle_lines);
    ADD(names_of_domains);
    ADD(pool_domains_round_trip);
    ADD(the_volume_example_round_trips);
    ADD(volume_texts_are_judged);
    ADD(descriptions_are_cut_between_characters);
    ADD(the_largest_record_fits_its_block);
    ADD(random_bytes_never_break_the_readers);
    return g_test_run();
}
