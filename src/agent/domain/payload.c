/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "domain"
#include "agent/domain/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/helper/run.h"

/* Cloud-init data and the like: files of some KiB. */
#define PAYLOAD_FILES 64
#define PAYLOAD_BYTES MiB(8)
#define BUILD_MS (60 * 1000)

/* A path inside the image: relative, no dot-dot, no surprises for the builder. */
static bool path_is_sane(const char *path)
{
    if (!*path || *path == '/' || strlen(path) > 200)
        return false;
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);
    for (char **part = parts; *part; part++)
        if (!**part || !strcmp(*part, ".") || !strcmp(*part, ".."))
            return false;
    return true;
}

static bool write_file(const char *root, const char *name, xmlNode *node, struct vr_error **error)
{
    g_autofree char *text = vr_tree_content(node);
    if (strlen(text) > PAYLOAD_BYTES) {
        vr_agent_error(error, invalid_parameter, "The payload's file %s is too big.", name);
        return false;
    }
    gsize length;
    g_autofree guchar *data = g_base64_decode(text, &length);
    g_autofree char *path = g_build_filename(root, name, NULL);
    g_autofree char *dir = g_path_get_dirname(path);
    g_autoptr(GError) failure = NULL;
    if (g_mkdir_with_parents(dir, 0755) < 0 ||
        !g_file_set_contents(path, (const char *)data, (gssize)length, &failure)) {
        vr_error_set(error, &vr_fault_system, "%s", failure ? failure->message : g_strerror(errno));
        return false;
    }
    return true;
}

static bool write_files(const char *root, xmlNode *payload, struct vr_error **error)
{
    unsigned count = 0;
    VR_TREE_EACH (file, payload, "file") {
        g_autofree char *name = vr_tree_attr(file, "path");
        if (++count > PAYLOAD_FILES || !name || !path_is_sane(name)) {
            vr_agent_error(error, invalid_parameter,
                           "The payload has a file \"%s\" it cannot have.", name ? name : "");
            return false;
        }
        if (!write_file(root, name, file, error))
            return false;
    }
    return true;
}

static void remove_tree(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *child = g_build_filename(path, name, NULL);
        GStatBuf st;
        if (g_lstat(child, &st) == 0 && S_ISDIR(st.st_mode))
            remove_tree(child);
        else
            g_unlink(child);
    }
    g_rmdir(path);
}

static bool run(const char *const *argv, struct vr_error **error)
{
    struct vr_run program = { .argv = argv, .deadline_ms = BUILD_MS };
    bool good = vr_run(&program, error);
    vr_run_done(&program);
    return good;
}

static bool build_iso(const char *root, const char *image, const char *label,
                      struct vr_error **error)
{
    const char *const argv[] = { "genisoimage", "-quiet", "-J",  "-r", "-V",
                                 label,         "-o",     image, root, NULL };
    g_autofree char *program = g_find_program_in_path(argv[0]);
    if (program)
        return run(argv, error);
    const char *const other[] = { "xorriso", "-as", "mkisofs", "-quiet", "-J", "-r",
                                  "-V",      label, "-o",      image,    root, NULL };
    return run(other, error);
}

static bool build_floppy(const char *root, const char *image, const char *label,
                         struct vr_error **error)
{
    g_autofree char *files = g_strdup_printf("%s/.", root);
    const char *const format[] = { "mkfs.vfat", "-C", "-n", label, image, "1440", NULL };
    const char *const copy[] = { "mcopy", "-s", "-i", image, files, "::", NULL };
    return run(format, error) && run(copy, error);
}

char *vr_payload_make(const char *dir, const char *vm_id, const struct vr_domain_disk *disk,
                      bool floppy, struct vr_error **error)
{
    g_autofree char *label = vr_tree_value(disk->payload, "volId");
    if (!label || !*label || strlen(label) > 32) {
        g_free(label);
        label = g_strdup("config-2");
    }
    g_autofree char *root = g_strdup_printf("%s/%s.XXXXXX", dir, vm_id);
    g_autofree char *image =
        g_strdup_printf("%s/%s.%s.img", dir, vm_id, floppy ? "floppy" : "cdrom");
    if (!g_mkdtemp_full(root, 0700)) {
        vr_error_set(error, &vr_fault_system, "%s: %s", root, g_strerror(errno));
        return NULL;
    }
    g_unlink(image);
    bool good =
        write_files(root, disk->payload, error) &&
        (floppy ? build_floppy(root, image, label, error) : build_iso(root, image, label, error));
    remove_tree(root);
    if (!good) {
        g_unlink(image);
        return NULL;
    }
    /* It may hold a guest's first password; QEMU runs as another user where libvirt makes it so. */
    struct stat st;
    if (stat("/dev/kvm", &st) == 0 && chown(image, (uid_t)-1, st.st_gid) == 0)
        g_chmod(image, 0640);
    return g_steal_pointer(&image);
}

void vr_payload_remove(const char *dir, const char *vm_id)
{
    static const char *const kinds[] = { "cdrom", "floppy" };
    for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_autofree char *image = g_strdup_printf("%s/%s.%s.img", dir, vm_id, kinds[i]);
        g_unlink(image);
    }
}
