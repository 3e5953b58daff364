/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract of file storage, run against the real vireo-iod: once per
 * driver whose storage this machine can make (a directory for localfs, a bind
 * mount for posixfs), and then once more for every point where the process
 * may be killed.
 */
#include "agent/helper/helper.h"
#include "agent/storage/driver.h"
#include "agent/storage/fault.h"
#include "agent/storage/format.h"

#include <dirent.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <json-c/json.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define SD "5f0e1b0c-7d2a-4b57-9a53-0f6f7e1c2d3e"
#define SD2 "5f0e1b0c-7d2a-4b57-9a53-0f6f7e1c2d3f"
#define SP "6b2d1c8a-0f1e-4c77-8a58-2f0a5d3c9e10"
#define IMG "9a1e33c2-6a36-4c8c-9a60-1d0b7d0a7a55"
#define IMG2 "9a1e33c2-6a36-4c8c-9a60-1d0b7d0a7a56"
#define V1 "11111111-aaaa-4000-8000-000000000001"
#define V2 "11111111-aaaa-4000-8000-000000000002"
#define V3 "11111111-aaaa-4000-8000-000000000003"

struct site {
    const struct vr_storage_driver *driver;
    char *top, *mnt, *device, *root;
    struct vr_helper *helper;
};

/* Whom the storage belongs to; 0: whoever runs the test. */
static const char *owner = "0";

/* ---- calls ---- */

/* @crash_at: the change before which the process is to end, or 0. */
static struct vr_helper *start_iod(unsigned crash_at)
{
    g_autofree char *number = g_strdup_printf("%u", crash_at);
    const char *const argv[] = { "--crash-at", number, "--uid", owner, "--gid", owner, NULL };
    return vr_helper_new(&(struct vr_helper_options){ .program = g_getenv("VIREO_IOD"),
                                                      .argv = argv,
                                                      .name = "the test",
                                                      .fault = vr_storage_fault_by_code,
                                                      .hung = &vr_storage_fault_read_failed });
}

/* Runs an op; the result's text (owned), or NULL and the code in @code; -1: the process died. */
static char *call(struct site *site, const char *op, const char *args, int *code)
{
    vr_auto_error struct vr_error *error = NULL;
    g_autofree char *full = g_strdup_printf("{\"root\":\"%s\",\"sd\":\"" SD "\"%s%s}", site->root,
                                            *args ? "," : "", args);
    struct vr_helper_call c = { .op = op, .args = full, .deadline_ms = 60000 };
    char *result = vr_helper_call(site->helper, &c, &error);
    *code = result ? 0 : c.died ? -1 : error->fault->rpc;
    if (!result)
        g_test_message("%s: %d %s", op, *code, error->detail ? error->detail : "");
    return result;
}

static void good(struct site *site, const char *op, const char *args)
{
    int code;
    g_free(call(site, op, args, &code));
    if (code)
        g_test_message("%s %s gave %d", op, args, code);
    g_assert_cmpint(code, ==, 0);
}

static void fails(struct site *site, const char *op, const char *args, int want)
{
    int code;
    g_free(call(site, op, args, &code));
    g_test_message("%s %s gave %d", op, args, code);
    g_assert_cmpint(code, ==, want);
}

/* A member of the result as text; "" when absent. */
static char *ask(struct site *site, const char *op, const char *args, const char *member)
{
    int code;
    g_autofree char *text = call(site, op, args, &code);
    g_assert_cmpint(code, ==, 0);
    json_object *object = json_tokener_parse(text), *value = NULL;
    if (member)
        json_object_object_get_ex(object, member, &value);
    else
        value = object;
    char *copy = g_strdup(value ? json_object_get_string(value) : "");
    json_object_put(object);
    return copy;
}

static void says(struct site *site, const char *op, const char *args, const char *member,
                 const char *want)
{
    g_autofree char *got = ask(site, op, args, member);
    g_assert_cmpstr(got, ==, want);
}

/* ---- the site ---- */

static void connect_site(struct site *site)
{
    int code;
    g_autofree char *args = g_strdup_printf(
        "\"driver\":\"%s\",\"mnt\":\"%s\",\"connection\":\"%s\",\"vfs_type\":\"none\"",
        site->driver->name, site->mnt, site->device);
    g_autofree char *text = call(site, "connect", args, &code);
    g_assert_cmpint(code, ==, 0);
    json_object *object = json_tokener_parse(text), *target;
    g_assert_true(json_object_object_get_ex(object, "target", &target));
    g_free(site->root);
    site->root = g_strdup(json_object_get_string(target));
    json_object_put(object);
}

static void disconnect_site(struct site *site)
{
    g_autofree char *args =
        g_strdup_printf("\"driver\":\"%s\",\"target\":\"%s\"", site->driver->name, site->root);
    good(site, "disconnect", args);
}

static void open_site(struct site *site, const struct vr_storage_driver *driver)
{
    site->driver = driver;
    site->top = g_dir_make_tmp("vireo-iod-XXXXXX", NULL);
    site->mnt = g_build_filename(site->top, "data-center", "mnt", NULL);
    site->device = g_build_filename(site->top, "my_device", NULL);
    site->root = g_strdup("/none");
    g_assert_cmpint(g_mkdir(site->device, 0755), ==, 0);
    site->helper = start_iod(0);
    connect_site(site);
}

static void remove_tree(const char *path)
{
    const char *argv[] = { "rm", "-rf", "--one-file-system", path, NULL };
    g_assert_true(g_spawn_sync(NULL, (char **)(uintptr_t)argv, NULL, G_SPAWN_SEARCH_PATH, NULL,
                               NULL, NULL, NULL, NULL, NULL));
}

static void close_site(struct site *site)
{
    disconnect_site(site);
    vr_helper_free(site->helper);
    remove_tree(site->top);
    g_free(site->top);
    g_free(site->mnt);
    g_free(site->device);
    g_free(site->root);
}

#define CREATE "\"driver\":\"%s\",\"name\":\"data1\",\"class\":\"Data\",\"again\":true"

static void create_domain(struct site *site)
{
    g_autofree char *args = g_strdup_printf(CREATE, site->driver->name);
    good(site, "domain_create", args);
}

#define VOLUME(img, vol, format, type, rest)                                                       \
    "\"img\":\"" img "\",\"vol\":\"" vol "\",\"size\":\"1048576\",\"format\":\"" format            \
    "\",\"type\":\"" type "\",\"description\":\"a disk\"" rest
#define AT(img, vol) "\"img\":\"" img "\",\"vol\":\"" vol "\""
#define PARENT(img, vol) ",\"src_img\":\"" img "\",\"src_vol\":\"" vol "\""
#define VOLUMES(img, list) "\"img\":\"" img "\",\"volumes\":[" list "]"

static bool there(struct site *site, const char *relative)
{
    g_autofree char *path = g_build_filename(site->device, SD, relative, NULL);
    return g_file_test(path, G_FILE_TEST_EXISTS);
}

static struct stat status_of(struct site *site, const char *relative)
{
    g_autofree char *path = g_build_filename(site->device, SD, relative, NULL);
    struct stat st;
    g_assert_cmpint(stat(path, &st), ==, 0);
    return st;
}

/* ---- the table of behaviours ---- */

static void the_mount_has_the_name_of_its_connection(struct site *site)
{
    g_autofree char *name = vr_format_path_transform(site->device);
    g_assert_true(g_str_has_suffix(site->root, name));
    connect_site(site); /* again: nothing happens */
    says(site, "probe", "", NULL, "[ ]");
}

static void a_new_domain_has_the_layout_of_version_5(struct site *site)
{
    static const struct {
        const char *name;
        mode_t mode;
        off_t size; /* -1: any */
    } rows[] = {
        { "dom_md", S_IFDIR | 0775, -1 },
        { "dom_md/metadata", S_IFREG | 0660, -1 },
        { "dom_md/ids", S_IFREG | 0660, 0 },
        { "dom_md/leases", S_IFREG | 0660, 0 },
        { "dom_md/inbox", S_IFREG | 0660, 16 << 20 },
        { "dom_md/outbox", S_IFREG | 0660, 16 << 20 },
        { "dom_md/xleases", S_IFREG | 0660, 0 },
        { "images", S_IFDIR | 0755, -1 },
    };
    create_domain(site);
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct stat st = status_of(site, rows[i].name);
        g_test_message("%s", rows[i].name);
        g_assert_cmpuint(st.st_mode, ==, rows[i].mode);
        if (rows[i].size >= 0)
            g_assert_cmpint(st.st_size, ==, rows[i].size);
    }
    g_autofree char *path = g_build_filename(site->device, SD, "dom_md/metadata", NULL);
    g_autofree char *text = NULL;
    size_t length;
    g_assert_true(g_file_get_contents(path, &text, &length, NULL));
    vr_auto_error struct vr_error *error = NULL;
    vr_auto_keys struct vr_keys *keys = vr_domain_meta_parse(text, length, &error);
    g_assert_nonnull(keys);
    g_assert_cmpstr(vr_keys_get(keys, "TYPE"), ==, site->driver->type_word);
    g_assert_cmpstr(vr_keys_get(keys, "VERSION"), ==, "5");
    g_assert_cmpstr(vr_keys_get(keys, "BLOCK_SIZE"), ==, "512");
    g_assert_cmpstr(vr_keys_get(keys, "ALIGNMENT"), ==, "1048576");
    says(site, "probe", "", NULL, "[ \"" SD "\" ]");
}

static void one_mount_takes_one_domain(struct site *site)
{
    g_autofree char *same =
        g_strdup_printf("\"driver\":\"%s\",\"name\":\"x\",\"class\":\"Data\"", site->driver->name);
    g_autofree char *other = g_strconcat(same, ",\"sd\":\"" SD2 "\"", NULL);
    create_domain(site);
    fails(site, "domain_create", same, 365);
    fails(site, "domain_create", other, 361);
}

static void bad_domains_are_refused(struct site *site)
{
    static const struct {
        const char *args;
        int code;
    } rows[] = {
        { "\"name\":\"x\",\"class\":\"Data\",\"version\":4", 394 },
        { "\"name\":\"x\",\"class\":\"Odd\"", 1000 },
        { "\"name\":\"a\\nROLE=Master\",\"class\":\"Data\"", 1000 },
        { "\"class\":\"Data\"", 1000 },
        { "\"name\":\"x\",\"class\":\"Data\",\"block_size\":1024", 348 },
        { "\"name\":\"x\",\"class\":\"Data\",\"max_hosts\":5000", 1000 },
        { "\"name\":\"x\",\"class\":\"Data\",\"sd\":\"../../x\"", 1000 },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *args =
            g_strdup_printf("\"driver\":\"%s\",%s", site->driver->name, rows[i].args);
        fails(site, "domain_create", args, rows[i].code);
    }
    says(site, "probe", "", NULL, "[ ]");
}

static void info_stats_and_checks_answer(struct site *site)
{
    create_domain(site);
    says(site, "domain_info", "", "DESCRIPTION", "data1");
    says(site, "domain_info", "", "ROLE", "Regular");
    says(site, "domain_check", "", "version", "5");
    g_autofree char *total = ask(site, "domain_stats", "", "disktotal");
    g_assert_cmpuint(g_ascii_strtoull(total, NULL, 10), >, 0);
    fails(site, "domain_info", "\"sd\":\"" SD2 "\"", 358);
}

static void attaching_is_written_to_the_metadata(struct site *site)
{
    create_domain(site);
    good(site, "domain_set", "\"expect\":{\"POOL_UUID\":\"\"},\"set\":{\"POOL_UUID\":\"" SP "\"}");
    says(site, "domain_info", "", "POOL_UUID", SP);
    fails(site, "domain_set", "\"expect\":{\"POOL_UUID\":\"\"},\"set\":{\"POOL_UUID\":\"x\"}", 347);
    fails(site, "domain_format", "", 391);
    good(site, "master_make", "");
    g_assert_true(there(site, "master/tasks"));
    good(site, "task_save", "\"task\":\"" V1 "\",\"text\":\"{}\"");
    says(site, "task_list", "", NULL, "[ \"{}\" ]");
    good(site, "task_remove", "\"task\":\"" V1 "\"");
    says(site, "task_list", "", NULL, "[ ]");
    good(site, "domain_set", "\"set\":{\"POOL_UUID\":\"\"}");
    good(site, "domain_format", "");
    says(site, "probe", "", NULL, "[ ]");
}

static void volumes_of_every_kind_are_made(struct site *site)
{
    static const struct {
        const char *format, *type;
    } rows[] = { { "RAW", "SPARSE" },
                 { "RAW", "PREALLOCATED" },
                 { "COW", "SPARSE" },
                 { "COW", "PREALLOCATED" } };
    create_domain(site);
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *args = g_strdup_printf(
            "\"img\":\"" IMG "\",\"vol\":\"" V1 "\",\"size\":\"1000000\",\"format\":\"%s\","
            "\"type\":\"%s\",\"description\":\"d\",\"disktype\":\"DATA\"",
            rows[i].format, rows[i].type);
        g_test_message("%s %s", rows[i].format, rows[i].type);
        good(site, "volume_create", args);
        fails(site, "volume_create", args, 212);
        says(site, "volume_info", AT(IMG, V1), "format", rows[i].format);
        says(site, "volume_info", AT(IMG, V1), "type", rows[i].type);
        says(site, "volume_info", AT(IMG, V1), "capacity", "1003520"); /* to 4096 */
        says(site, "volume_info", AT(IMG, V1), "voltype", "LEAF");
        says(site, "volume_info", AT(IMG, V1), "legality", "LEGAL");
        says(site, "qemu_info", AT(IMG, V1), "virtualsize", "1003520");
        says(site, "volume_list", "", NULL, "[ \"" V1 "\" ]");
        struct stat st = status_of(site, "images/" IMG "/" V1);
        g_assert_cmpuint(st.st_mode, ==, S_IFREG | 0660);
        bool full = (uint64_t)st.st_blocks * 512 >= 1003520 - 4096;
        g_assert_cmpint(full, ==, *rows[i].type == 'P');
        g_assert_true(there(site, "images/" IMG "/" V1 ".lease"));
        g_autofree char *path = ask(site, "image_prepare", AT(IMG, V1), "path");
        g_autofree char *want = g_build_filename(site->root, SD, "images", IMG, V1, NULL);
        g_assert_cmpstr(path, ==, want);
        good(site, "verify", AT(IMG, V1));
        good(site, "volume_extend", AT(IMG, V1) ",\"size\":\"2097152\"");
        says(site, "qemu_info", AT(IMG, V1), "virtualsize", "2097152");
        fails(site, "volume_extend", AT(IMG, V1) ",\"size\":\"4096\"", 1000);
        good(site, "image_delete", "\"img\":\"" IMG "\"");
        fails(site, "image_delete", "\"img\":\"" IMG "\"", 268);
    }
}

static void bad_volumes_are_refused(struct site *site)
{
    static const struct {
        const char *args;
        int code;
    } rows[] = {
        { AT(IMG, "../x") ",\"size\":4096,\"format\":\"RAW\",\"type\":\"SPARSE\"", 1000 },
        { AT(IMG, V1) ",\"size\":0,\"format\":\"RAW\",\"type\":\"SPARSE\"", 1000 },
        { AT(IMG, V1) ",\"size\":-1,\"format\":\"RAW\",\"type\":\"SPARSE\"", 1000 },
        { AT(IMG, V1) ",\"size\":\"99999999999999999999\",\"format\":\"RAW\",\"type\":\"SPARSE\"",
          1000 },
        { AT(IMG, V1) ",\"size\":4096,\"format\":\"VMDK\",\"type\":\"SPARSE\"", 202 },
        { AT(IMG, V1) ",\"size\":4096,\"format\":\"RAW\",\"type\":\"THICK\"", 231 },
        { VOLUME(IMG, V1, "RAW", "SPARSE", PARENT(IMG, V2)), 202 },
        { VOLUME(IMG, V1, "COW", "SPARSE", PARENT(IMG, V2)), 201 },
        { VOLUME(IMG, V1, "COW", "SPARSE", PARENT(IMG2, V2)), 268 },
        { AT(IMG, V1) ",\"size\":9000000000000000,\"format\":\"RAW\",\"type\":\"PREALLOCATED\"",
          397 },
    };
    create_domain(site);
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        fails(site, "volume_create", rows[i].args, rows[i].code);
        says(site, "volume_list", "", NULL, "[ ]");
        says(site, "image_list", "", NULL, "[ ]");
    }
}

static void chains_grow_and_shrink(struct site *site)
{
    create_domain(site);
    good(site, "volume_create", VOLUME(IMG, V1, "RAW", "SPARSE", ""));
    good(site, "volume_create", VOLUME(IMG, V2, "COW", "SPARSE", PARENT(IMG, V1)));
    says(site, "volume_info", AT(IMG, V1), "voltype", "INTERNAL");
    says(site, "volume_info", AT(IMG, V1), "children", "[ \"" V2 "\" ]");
    fails(site, "volume_create", VOLUME(IMG, V3, "COW", "SPARSE", PARENT(IMG, V1)), 204);
    good(site, "volume_create", VOLUME(IMG, V3, "COW", "SPARSE", PARENT(IMG, V2)));
    says(site, "image_chain", AT(IMG, V3), NULL, "[ \"" V1 "\", \"" V2 "\", \"" V3 "\" ]");
    fails(site, "volume_delete", VOLUMES(IMG, "\"" V1 "\""), 204);
    good(site, "merge_prepare", "\"img\":\"" IMG "\",\"base\":\"" V1 "\",\"top\":\"" V2 "\"");
    good(site, "merge",
         "\"img\":\"" IMG "\",\"base\":\"" V1 "\",\"top\":\"" V2 "\",\"generation\":0");
    fails(site, "merge",
          "\"img\":\"" IMG "\",\"base\":\"" V1 "\",\"top\":\"" V2 "\",\"generation\":0", 911);
    good(site, "merge_finalize", "\"img\":\"" IMG "\",\"base\":\"" V1 "\",\"top\":\"" V2 "\"");
    says(site, "image_chain", AT(IMG, V3), NULL, "[ \"" V1 "\", \"" V3 "\" ]");
    fails(site, "image_prepare", AT(IMG, V3), 227);
    good(site, "volume_delete", VOLUMES(IMG, "\"" V2 "\""));
    good(site, "image_prepare", AT(IMG, V3));
    good(site, "volume_delete", VOLUMES(IMG, "\"" V3 "\""));
    says(site, "volume_info", AT(IMG, V1), "voltype", "LEAF");
}

static void templates_are_linked_not_copied(struct site *site)
{
    create_domain(site);
    good(site, "volume_create", VOLUME(IMG, V1, "COW", "SPARSE", ""));
    good(site, "volume_update", AT(IMG, V1) ",\"role\":\"SHARED\"");
    good(site, "volume_create", VOLUME(IMG2, V2, "COW", "SPARSE", PARENT(IMG, V1)));
    g_assert_cmpuint(status_of(site, "images/" IMG "/" V1).st_ino, ==,
                     status_of(site, "images/" IMG2 "/" V1).st_ino);
    says(site, "image_chain", AT(IMG2, V2), NULL, "[ \"" V1 "\", \"" V2 "\" ]");
    good(site, "image_prepare", AT(IMG2, V2));
    fails(site, "image_delete", "\"img\":\"" IMG "\"", 204);
    good(site, "image_delete", "\"img\":\"" IMG2 "\"");
    says(site, "volume_info", AT(IMG, V1), "voltype", "SHARED");
    good(site, "image_delete", "\"img\":\"" IMG "\"");
}

static void data_is_copied_with_its_generation(struct site *site)
{
    g_autofree char *file = g_build_filename(site->top, "source", NULL);
    g_autofree char *data = g_malloc(1 << 20);
    for (unsigned i = 0; i < 1 << 20; i++)
        data[i] = (char)(i * 7 + i / 4096);
    g_assert_true(g_file_set_contents(file, data, 1 << 20, NULL));
    create_domain(site);
    good(site, "volume_create", VOLUME(IMG, V1, "RAW", "PREALLOCATED", ""));
    good(site, "volume_create", VOLUME(IMG2, V2, "COW", "SPARSE", ""));
    g_autofree char *in = g_strdup_printf(
        AT(IMG, V1) ",\"from\":\"%s\",\"from_format\":\"raw\",\"generation\":0", file);
    good(site, "copy_in", in);
    fails(site, "copy_in", in, 911);
    says(site, "volume_info", AT(IMG, V1), "generation", "1");
    says(site, "volume_info", AT(IMG, V1), "legality", "LEGAL");
    g_autofree char *path = ask(site, "image_prepare", AT(IMG, V1), "path");
    g_autofree char *over =
        g_strdup_printf(AT(IMG2, V2) ",\"from\":\"%s\",\"from_format\":\"raw\"", path);
    good(site, "copy_in", over);
    g_autofree char *back = g_build_filename(site->top, "back", NULL);
    g_autofree char *out = g_strdup_printf(AT(IMG2, V2) ",\"to\":\"%s\",\"create\":true", back);
    good(site, "copy_out", out);
    g_autofree char *copied = NULL;
    size_t length;
    g_assert_true(g_file_get_contents(back, &copied, &length, NULL));
    g_assert_cmpmem(copied, length, data, 1 << 20);
    /* A failed copy leaves the volume illegal, with the old generation. */
    fails(site, "copy_in", AT(IMG, V1) ",\"from\":\"/none\",\"from_format\":\"raw\"", 261);
    says(site, "volume_info", AT(IMG, V1), "legality", "ILLEGAL");
    says(site, "volume_info", AT(IMG, V1), "generation", "1");
    fails(site, "image_prepare", AT(IMG, V1), 227);
}

static void hostile_images_and_links_are_refused(struct site *site)
{
    create_domain(site);
    good(site, "volume_create", VOLUME(IMG, V1, "COW", "SPARSE", ""));
    g_autofree char *path = g_build_filename(site->device, SD, "images", IMG, V1, NULL);
    const char *argv[] = { "qemu-img",    "create", "-q",  "-f", "qcow2", "-u", "-b",
                           "/etc/passwd", "-F",     "raw", path, "1M",    NULL };
    int status = -1;
    g_assert_true(g_spawn_sync(NULL, (char **)(uintptr_t)argv, NULL, G_SPAWN_SEARCH_PATH, NULL,
                               NULL, NULL, NULL, &status, NULL));
    g_assert_cmpint(status, ==, 0);
    fails(site, "verify", AT(IMG, V1), 202);
    fails(site, "image_prepare", AT(IMG, V1), 202);
    /* A planted symbolic link is never followed. */
    g_autofree char *image = g_build_filename(site->device, SD, "images", IMG2, NULL);
    g_assert_cmpint(symlink("/etc", image), ==, 0);
    fails(site, "volume_list", "\"img\":\"" IMG2 "\"", 2000);
    g_assert_cmpint(unlink(image), ==, 0);
    g_autofree char *metadata = g_build_filename(site->device, SD, "dom_md/metadata", NULL);
    g_assert_true(g_file_set_contents(metadata, "VERSION=5\n_SHA_CKSUM=00\n", -1, NULL));
    fails(site, "domain_info", "", 752);
}

/* With an identity of its own, all is done by it: a root that the server does not trust is enough.
 */
static void files_belong_to_the_storages_user(struct site *site)
{
    static const char *const names[] = { "dom_md/metadata",
                                         "dom_md/ids",
                                         "images/" IMG,
                                         "images/" IMG "/" V1,
                                         "images/" IMG "/" V1 ".meta",
                                         "images/" IMG "/" V1 ".lease" };
    if (geteuid() != 0)
        return;
    disconnect_site(site);
    vr_helper_free(site->helper);
    owner = "36";
    site->helper = start_iod(0);
    int code;
    g_autofree char *args = g_strdup_printf(
        "\"driver\":\"%s\",\"mnt\":\"%s\",\"connection\":\"%s\",\"vfs_type\":\"none\"",
        site->driver->name, site->mnt, site->device);
    g_free(call(site, "connect", args, &code));
    g_assert_cmpint(code, ==, 469);
    g_assert_cmpint(chown(site->device, 36, 36), ==, 0);
    g_assert_cmpint(chmod(site->top, 0755), ==, 0);
    connect_site(site);
    create_domain(site);
    good(site, "volume_create", VOLUME(IMG, V1, "COW", "SPARSE", ""));
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        struct stat st = status_of(site, names[i]);
        g_assert_cmpuint(st.st_uid, ==, 36);
        g_assert_cmpuint(st.st_gid, ==, 36);
    }
    owner = "0";
}

typedef void behaviour(struct site *site);

#define ROW(name)                                                                                  \
    {                                                                                              \
#name, name                                                                                \
    }
static const struct {
    const char *name;
    behaviour *run;
} behaviours[] = {
    ROW(the_mount_has_the_name_of_its_connection),
    ROW(a_new_domain_has_the_layout_of_version_5),
    ROW(one_mount_takes_one_domain),
    ROW(bad_domains_are_refused),
    ROW(info_stats_and_checks_answer),
    ROW(attaching_is_written_to_the_metadata),
    ROW(volumes_of_every_kind_are_made),
    ROW(bad_volumes_are_refused),
    ROW(chains_grow_and_shrink),
    ROW(templates_are_linked_not_copied),
    ROW(data_is_copied_with_its_generation),
    ROW(hostile_images_and_links_are_refused),
    ROW(files_belong_to_the_storages_user),
};

/* ---- crashes ---- */

/*
 * What may be killed at any step.  @before makes the state, @op is killed at
 * its first, second, ... change and then asked again, and @after holds.
 */
static void with_domain(struct site *site)
{
    create_domain(site);
}
static void with_volume(struct site *site)
{
    create_domain(site);
    good(site, "volume_create", VOLUME(IMG, V1, "RAW", "SPARSE", ""));
}
static void with_chain(struct site *site)
{
    with_volume(site);
    good(site, "volume_create", VOLUME(IMG, V2, "COW", "SPARSE", PARENT(IMG, V1)));
}
static void with_template(struct site *site)
{
    create_domain(site);
    good(site, "volume_create", VOLUME(IMG, V1, "RAW", "SPARSE", ""));
    good(site, "volume_update", AT(IMG, V1) ",\"role\":\"SHARED\"");
}
static void with_clone(struct site *site)
{
    with_template(site);
    good(site, "volume_create", VOLUME(IMG2, V2, "COW", "SPARSE", PARENT(IMG, V1)));
}

static const struct {
    const char *what;
    behaviour *before;
    const char *op, *args; /* "again" is added; %s is the driver */
    const char *volumes;   /* what volume_list says at the end, or NULL: no domain */
    const char *leaf;      /* image and volume that must be prepared in the end, or NULL */
} crashes[] = {
    { "creating a domain", NULL, "domain_create",
      "\"driver\":\"%s\",\"name\":\"data1\",\"class\":\"Data\"", "[ ]", NULL },
    { "formatting a domain", with_chain, "domain_format", "", NULL, NULL },
    { "attaching a domain", with_domain, "domain_set", "\"set\":{\"POOL_UUID\":\"" SP "\"}", "[ ]",
      NULL },
    { "making a master", with_domain, "master_make", "", "[ ]", NULL },
    { "creating a raw volume", with_domain, "volume_create",
      VOLUME(IMG, V1, "RAW", "PREALLOCATED", ""), "[ \"" V1 "\" ]", AT(IMG, V1) },
    { "creating a snapshot", with_volume, "volume_create",
      VOLUME(IMG, V2, "COW", "PREALLOCATED", PARENT(IMG, V1)), "[ \"" V1 "\", \"" V2 "\" ]",
      AT(IMG, V2) },
    { "cloning a template", with_template, "volume_create",
      VOLUME(IMG2, V2, "COW", "SPARSE", PARENT(IMG, V1)), "[ \"" V1 "\", \"" V1 "\", \"" V2 "\" ]",
      AT(IMG2, V2) },
    { "extending a volume", with_volume, "volume_extend", AT(IMG, V1) ",\"size\":2097152",
      "[ \"" V1 "\" ]", AT(IMG, V1) },
    { "deleting the leaf", with_chain, "volume_delete", VOLUMES(IMG, "\"" V2 "\""),
      "[ \"" V1 "\" ]", AT(IMG, V1) },
    { "deleting an image", with_chain, "image_delete", "\"img\":\"" IMG "\"", "[ ]", NULL },
    { "deleting a clone", with_clone, "image_delete", "\"img\":\"" IMG2 "\"", "[ \"" V1 "\" ]",
      AT(IMG, V1) },
    { "updating a record", with_volume, "volume_update", AT(IMG, V1) ",\"description\":\"new\"",
      "[ \"" V1 "\" ]", AT(IMG, V1) },
};

/* Nothing of an unfinished operation is left, and every volume has its three files. */
static void assert_clean(struct site *site)
{
    g_autofree char *find = g_strdup_printf(
        "find '%s' \\( -name '.creating*' -o -name '.removing*' -o -name '*.new' -o "
        "-name '_remove_me_*' -o -name .block-size \\) | grep . && exit 1;"
        "for m in $(find '%s' -name '*.meta'); do v=${m%%.meta};"
        " test -f $v && test -f $v.lease || { echo broken $v; exit 1; }; done;"
        "for v in $(find '%s' -path '*/images/*' -type f ! -name '*.*'); do"
        " test -f $v.meta || { echo garbage $v; exit 1; }; done",
        site->device, site->device, site->device);
    const char *argv[] = { "sh", "-c", find, NULL };
    g_autofree char *output = NULL;
    int status = -1;
    g_assert_true(g_spawn_sync(NULL, (char **)(uintptr_t)argv, NULL, G_SPAWN_SEARCH_PATH, NULL,
                               NULL, &output, NULL, &status, NULL));
    if (status)
        g_test_message("%s", output);
    g_assert_cmpint(status, ==, 0);
}

/* Whether the process was killed at step @n; false when there was no such step any more. */
static bool crash_once(const struct vr_storage_driver *driver, unsigned row, unsigned n)
{
    struct site site;
    open_site(&site, driver);
    if (crashes[row].before)
        crashes[row].before(&site);
    vr_helper_free(site.helper);
    site.helper = start_iod(n);
    const char *format = crashes[row].args;
    g_autofree char *args =
        strstr(format, "%s")
            ? g_strdup_printf("\"driver\":\"%s\"%s", driver->name, strstr(format, "%s") + 3)
            : g_strdup(format);
    int code;
    g_free(call(&site, crashes[row].op, args, &code));
    bool died = code == -1;
    if (!died)
        g_assert_cmpint(code, ==, 0);
    vr_helper_free(site.helper);
    site.helper = start_iod(0);
    if (died) {
        g_autofree char *again = g_strconcat(args, *args ? "," : "", "\"again\":true", NULL);
        good(&site, crashes[row].op, again);
    }
    assert_clean(&site);
    if (crashes[row].volumes)
        says(&site, "volume_list", "", NULL, crashes[row].volumes);
    else
        says(&site, "probe", "", NULL, "[ ]");
    if (crashes[row].leaf)
        good(&site, "image_prepare", crashes[row].leaf);
    close_site(&site);
    return died;
}

static void run_crash(gconstpointer data)
{
    unsigned row = GPOINTER_TO_UINT(data);
    unsigned points = 0;
    while (crash_once(vr_storage_driver_by_name("localfs"), row, points + 1))
        points++;
    g_test_message("%s: %u points", crashes[row].what, points);
    g_assert_cmpuint(points, >, 0);
}

/* The same points again, but nobody asks twice: only the domain is healed. */
static void run_heal(gconstpointer data)
{
    unsigned row = GPOINTER_TO_UINT(data);
    for (unsigned n = 1;; n++) {
        struct site site;
        open_site(&site, vr_storage_driver_by_name("localfs"));
        crashes[row].before(&site);
        vr_helper_free(site.helper);
        site.helper = start_iod(n);
        int code;
        g_free(call(&site, crashes[row].op, crashes[row].args, &code));
        vr_helper_free(site.helper);
        site.helper = start_iod(0);
        good(&site, "domain_heal", "");
        assert_clean(&site);
        close_site(&site);
        if (code != -1)
            return;
    }
}

static bool possible(const struct vr_storage_driver *driver)
{
    return strcmp(driver->name, "localfs") == 0 ||
           (strcmp(driver->name, "posixfs") == 0 && geteuid() == 0);
}

struct behaviour_of {
    const struct vr_storage_driver *driver;
    behaviour *run;
};

static void run_behaviour(gconstpointer data)
{
    const struct behaviour_of *b = data;
    if (!possible(b->driver)) {
        g_test_skip("This storage needs root, or a server that this machine has not.");
        return;
    }
    struct site site;
    open_site(&site, b->driver);
    b->run(&site);
    close_site(&site);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned d = 0; vr_storage_drivers[d]; d++) {
        for (unsigned i = 0; i < G_N_ELEMENTS(behaviours); i++) {
            g_autofree char *path =
                g_strdup_printf("/storage/%s/%s", vr_storage_drivers[d]->name, behaviours[i].name);
            struct behaviour_of *b = g_new(struct behaviour_of, 1);
            *b = (struct behaviour_of){ vr_storage_drivers[d], behaviours[i].run };
            g_test_add_data_func_full(path, b, run_behaviour, g_free);
        }
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(crashes); i++) {
        g_autofree char *path = g_strdup_printf("/storage/killed while %s", crashes[i].what);
        g_test_add_data_func(path, GUINT_TO_POINTER(i), run_crash);
        g_autofree char *heal = g_strdup_printf("/storage/healed after %s", crashes[i].what);
        if (crashes[i].before && g_str_has_prefix(crashes[i].op, "volume_"))
            g_test_add_data_func(heal, GUINT_TO_POINTER(i), run_heal);
    }
    return g_test_run();
}
