/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/storage/qemu_img.h"

#include "agent/helper/run.h"
#include "agent/storage/iod.h"

/* For what reads or writes headers only; a copy takes as long as it takes. */
#define SHORT_MS 60000
#define ARGUMENTS_MAX 32

struct arguments {
    const char *v[ARGUMENTS_MAX];
    unsigned count;
};

static void add(struct arguments *a, const char *text)
{
    g_assert(a->count < ARGUMENTS_MAX - 1);
    a->v[a->count++] = text;
}

static char *run(struct iod_request *request, int dir, const struct arguments *a,
                 uint64_t deadline_ms, void (*line)(const char *, void *),
                 const struct vr_fault *fault, struct vr_error **error)
{
    vr_auto_error struct vr_error *failed = NULL;
    struct vr_run r = {
        .argv = a->v,
        .directory = dir,
        .deadline_ms = deadline_ms,
        .cancel = &request->cancel,
        .uid = request->uid,
        .gid = request->gid,
        .line = line,
        .arg = request,
    };
    /* fork() inherits this thread's file system identity; the child sets all of its own. */
    bool good = vr_run(&r, &failed);
    if (good) {
        char *output = g_steal_pointer(&r.output);
        vr_run_done(&r);
        return output;
    }
    if (r.cancelled)
        vr_storage_error(error, task_aborted, NULL);
    else if (r.errors && strstr(r.errors, "No space left"))
        vr_storage_error(error, domain_no_space, "%s", failed->detail);
    else
        vr_error_set(error, fault, "%s", failed->detail);
    vr_run_done(&r);
    return NULL;
}

static bool done(char *output)
{
    g_free(output);
    return output != NULL;
}

bool vr_qemu_img_create(struct iod_request *request, int dir, const char *vol, uint64_t size,
                        const char *compat, const char *backing, const char *backing_format,
                        struct vr_error **error)
{
    g_autofree char *options = g_strdup_printf("compat=%s", compat);
    g_autofree char *bytes = g_strdup_printf("%" G_GUINT64_FORMAT, size);
    struct arguments a = { { "qemu-img", "create", "-q", "-f", "qcow2", "-o" }, 6 };
    add(&a, options);
    if (backing) {
        add(&a, "-b");
        add(&a, backing);
        add(&a, "-F");
        add(&a, backing_format);
    }
    add(&a, "-u");
    add(&a, vol);
    add(&a, bytes);
    return done(run(request, dir, &a, SHORT_MS, NULL, &vr_storage_fault_volume_create, error));
}

/* "    (42.10/100%)" */
static void tell_progress(const char *line, void *arg)
{
    const char *open_bracket = strchr(line, '(');
    if (open_bracket) {
        double percent = g_ascii_strtod(open_bracket + 1, NULL);
        if (percent >= 0 && percent <= 100)
            iod_progress(arg, (int)percent);
    }
}

bool vr_qemu_img_convert(struct iod_request *request, int dir, const struct vr_qemu_img_convert *c,
                         struct vr_error **error)
{
    struct arguments a = { { "qemu-img", "convert", "-p" }, 3 };
    bool from_url = strchr(c->from, ':') && c->from[0] != '/';
    bool to_url = strchr(c->to, ':') && c->to[0] != '/';
    /* The page cache would only be in the way, but an NBD server has its own mind about it. */
    if (!to_url) {
        add(&a, "-t");
        add(&a, "none");
    }
    if (!from_url) {
        add(&a, "-T");
        add(&a, "none");
    }
    if (!c->create)
        add(&a, "-n");
    if (c->unordered)
        add(&a, "-W");
    if (c->target_is_zero && !c->create)
        add(&a, "--target-is-zero");
    if (c->bitmaps) {
        add(&a, "--bitmaps");
        add(&a, "--skip-broken-bitmaps");
    }
    add(&a, "-f");
    add(&a, c->from_format);
    add(&a, "-O");
    add(&a, c->to_format);
    if (c->backing) {
        add(&a, "-B");
        add(&a, c->backing);
    }
    add(&a, c->from);
    add(&a, c->to);
    return done(run(request, dir, &a, 0, tell_progress, &vr_storage_fault_image_copy, error));
}

bool vr_qemu_img_resize(struct iod_request *request, int dir, const char *vol, uint64_t size,
                        struct vr_error **error)
{
    g_autofree char *bytes = g_strdup_printf("%" G_GUINT64_FORMAT, size);
    struct arguments a = { { "qemu-img", "resize", "-q", "-f", "qcow2", vol, bytes }, 7 };
    return done(run(request, dir, &a, SHORT_MS, NULL, &vr_storage_fault_volume_extend, error));
}

bool vr_qemu_img_commit(struct iod_request *request, int dir, const char *base, const char *top,
                        struct vr_error **error)
{
    struct arguments a = {
        { "qemu-img", "commit", "-p", "-t", "none", "-b", base, "-f", "qcow2", top }, 10
    };
    return done(run(request, dir, &a, 0, tell_progress, &vr_storage_fault_image_merge, error));
}

bool vr_qemu_img_rebase(struct iod_request *request, int dir, const char *vol, const char *backing,
                        const char *backing_format, struct vr_error **error)
{
    struct arguments a = { { "qemu-img", "rebase", "-q", "-u", "-t", "none", "-f", "qcow2", "-b",
                             backing, "-F", backing_format, vol },
                           13 };
    return done(run(request, dir, &a, SHORT_MS, NULL, &vr_storage_fault_image_merge, error));
}

char *vr_qemu_img_info(struct iod_request *request, int dir, const char *vol, const char *format,
                       struct vr_error **error)
{
    struct arguments a = { { "qemu-img", "info", "-U", "--output", "json", "-f", format, vol }, 8 };
    return run(request, dir, &a, SHORT_MS, NULL, &vr_storage_fault_volume_format, error);
}

char *vr_qemu_img_measure(struct iod_request *request, int dir, const char *vol, const char *format,
                          bool with_backing, const char *to_format, struct vr_error **error)
{
    /* An explicit null keeps qemu-img from opening the parent. */
    g_autofree char *alone = g_strdup_printf("json:{\"driver\":\"qcow2\",\"backing\":null,"
                                             "\"file\":{\"driver\":\"file\",\"filename\":\"%s\"}}",
                                             vol);
    struct arguments a = { { "qemu-img", "measure", "-U", "--output", "json", "-O", to_format },
                           7 };
    if (!with_backing && strcmp(format, "qcow2") == 0) {
        add(&a, alone);
    } else {
        add(&a, "-f");
        add(&a, format);
        add(&a, vol);
    }
    return run(request, dir, &a, SHORT_MS, NULL, &vr_storage_fault_volume_format, error);
}
