/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/output.h"
#include "cli/wait.h"

/*
 * disk upload: a disk is made, a transfer opened, the file's bytes go to the daemon that the
 * transfer names, and the transfer is finalized.  Whatever fails, transfer and disk are undone.
 */

/* One PUT: small enough to try again, large enough that its round trip does not matter. */
#define CHUNK MiB(4)
#define TRIES 4
/* A sector; images of other sizes are filled up with zeros. */
#define SECTOR 512
#define BAR 30

static const struct vr_cli_column disk_columns[] = {
    { "NAME", "name", VR_CLI_TEXT, NULL },
    { "STATUS", "status", VR_CLI_TEXT, NULL },
    { "FORMAT", "format", VR_CLI_TEXT, NULL },
    { "SIZE", "provisioned_size", VR_CLI_BYTES, NULL },
    { "USED", "actual_size", VR_CLI_BYTES, NULL },
    { "ID", "id", VR_CLI_TEXT, NULL },
    { 0 },
};

struct image {
    int fd;
    uint64_t size;         /* of the file */
    uint64_t virtual_size; /* that a guest sees, in bytes */
    bool qcow2;
};

struct upload {
    const struct vr_cli *cli;
    struct vr_client *client;
    struct image image;
    char *disk_path, *transfer_path; /* "/disks/ID"; NULL until made */
    char *url;                       /* of the daemon */
    struct vr_http *http;            /* to it; borrowed */
    unsigned limit;                  /* seconds */
    bool bar;                        /* progress is shown */
    uint64_t sent, total;
    gint64 begin, shown;             /* monotonic, microseconds */
};

bool vr_cli_disk_list(struct vr_cli *cli, struct vr_error **error)
{
    vr_auto_client struct vr_client *client = vr_client_open(cli, error);
    vr_auto_json json_object *items =
        client ? vr_client_list_asked(client, cli, "disks", error) : NULL;
    return items && vr_cli_print_list(cli, client, items, disk_columns, error);
}

/* ---- the file ---- */

static uint64_t big_endian(const unsigned char *bytes, unsigned count)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < count; i++)
        value = value << 8 | bytes[i];
    return value;
}

/* The start of a qcow2 file: magic, version, backing file's offset, ..., virtual size at 24. */
static bool read_qcow2(struct image *image, const unsigned char *head, struct vr_error **error)
{
    image->qcow2 = memcmp(head, "QFI\xfb", 4) == 0;
    if (!image->qcow2)
        return true;
    image->virtual_size = big_endian(head + 24, 8);
    if (big_endian(head + 8, 8)) {
        vr_error_set(error, &vr_cli_usage,
                     "The image needs a backing file; make it whole with 'qemu-img convert'.");
        return false;
    }
    return true;
}

static bool open_image(struct image *image, const char *path, struct vr_error **error)
{
    unsigned char head[32] = { 0 };
    struct stat status;
    image->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (image->fd < 0 || fstat(image->fd, &status) < 0 ||
        (S_ISREG(status.st_mode) && pread(image->fd, head, sizeof head, 0) < 0)) {
        vr_error_set(error, &vr_cli_usage, "Cannot read %s: %s.", path, g_strerror(errno));
        return false;
    }
    if (!S_ISREG(status.st_mode) || status.st_size == 0) {
        vr_error_set(error, &vr_cli_usage, "%s is %s.", path,
                     S_ISREG(status.st_mode) ? "empty" : "no regular file");
        return false;
    }
    image->size = (uint64_t)status.st_size;
    image->virtual_size = (image->size + SECTOR - 1) / SECTOR * SECTOR;
    return read_qcow2(image, head, error);
}

/* Reads @size bytes at @offset; what lies beyond the file's end is zeros. */
static bool read_chunk(const struct image *image, char *buffer, uint64_t offset, size_t size,
                       struct vr_error **error)
{
    size_t used = 0, inside = 0;
    if (offset < image->size)
        inside = (size_t)MIN(size, image->size - offset);
    while (used < inside) {
        ssize_t got = pread(image->fd, buffer + used, inside - used, (off_t)(offset + used));
        if (got < 0 && errno == EINTR && !vr_cli_interrupted())
            continue;
        if (got <= 0) {
            vr_error_set(error, vr_cli_interrupted() ? &vr_cli_stopped : &vr_cli_failed,
                         "The file cannot be read at %" G_GUINT64_FORMAT ": %s.", offset + used,
                         got < 0 ? g_strerror(errno) : "it became shorter");
            return false;
        }
        used += (size_t)got;
    }
    memset(buffer + inside, 0, size - inside);
    return true;
}

static bool is_zero(const char *buffer, size_t size)
{
    return buffer[0] == 0 && memcmp(buffer, buffer + 1, size - 1) == 0;
}

/* ---- progress ---- */

static void show(struct upload *upload, uint64_t done, bool last)
{
    gint64 now = g_get_monotonic_time();
    if (!upload->bar || (!last && now - upload->shown < 200000))
        return;
    upload->shown = now;
    unsigned percent = (unsigned)((double)done * 100 / (double)upload->total);
    int filled = (int)(percent * BAR / 100);
    double seconds = (double)(now - upload->begin) / 1e6;
    uint64_t rate = seconds > 0.1 ? (uint64_t)((double)done / seconds) : 0;
    g_autofree char *size = g_format_size_full(done, G_FORMAT_SIZE_IEC_UNITS);
    g_autofree char *speed = g_format_size_full(rate, G_FORMAT_SIZE_IEC_UNITS);
    fprintf(stderr, "\r[%.*s%*s] %3u %%  %s  %s/s   %s", filled,
            "##############################", BAR - filled, "", percent, size, speed,
            last ? "\n" : "");
}

static void on_progress(void *arg, uint64_t sent)
{
    struct upload *upload = arg;
    show(upload, MIN(upload->sent + sent, upload->total), false);
}

static void say(const struct upload *upload, const char *text)
{
    if (upload->bar)
        fprintf(stderr, "%s\n", text);
}

/* ---- to the daemon ---- */

/* @ret_again: the same request may succeed when it is sent once more. */
static bool send_once(struct upload *upload, const struct vr_http_request *request,
                      bool *ret_again, struct vr_error **error)
{
    struct vr_http_answer answer = { 0 };
    bool done = vr_http_perform(upload->http, request, &answer, error);
    *ret_again = !done && !answer.distrust && (*error)->fault == &vr_cli_connect;
    if (done && (answer.status < 200 || answer.status >= 300)) {
        g_autofree char *words = g_strndup(answer.body->str, MIN(answer.body->len, 300));
        vr_error_set(error, &vr_cli_failed, "The host answered %ld to the image: %s",
                     answer.status, words);
        *ret_again = answer.status >= 500;
        done = false;
    }
    vr_http_answer_done(&answer);
    return done;
}

static bool send_request(struct upload *upload, const struct vr_http_request *request,
                         struct vr_error **error)
{
    for (unsigned i = 1;; i++) {
        vr_auto_error struct vr_error *failure = NULL;
        bool again = false;
        if (send_once(upload, request, &again, &failure))
            return true;
        if (!again || i == TRIES) {
            vr_error_move(error, &failure);
            return false;
        }
        if (!vr_cli_sleep(i * 1000, error))
            return false;
    }
}

static bool put_chunk(struct upload *upload, const char *buffer, size_t size, bool last,
                      struct vr_error **error)
{
    g_autofree char *range = g_strdup_printf(
        "Content-Range: bytes %" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT "/*", upload->sent,
        upload->sent + size - 1);
    const char *const headers[] = { "Content-Type: application/octet-stream", range, NULL };
    /* Only the last one waits until all of it is on the disk. */
    g_autofree char *url = g_strconcat(upload->url, strchr(upload->url, '?') ? "&" : "?",
                                       last ? "flush=y" : "flush=n", NULL);
    const struct vr_http_request request = { .method = "PUT", .url = url, .headers = headers,
                                             .body = buffer, .size = size, .cap = KiB(64),
                                             .seconds = 60, .progress = on_progress,
                                             .progress_arg = upload };
    return send_request(upload, &request, error);
}

static bool put_zeros(struct upload *upload, size_t size, struct vr_error **error)
{
    static const char *const headers[] = { "Content-Type: application/json", NULL };
    g_autofree char *body =
        g_strdup_printf("{\"op\":\"zero\",\"offset\":%" G_GUINT64_FORMAT
                        ",\"size\":%zu,\"flush\":false}", upload->sent, size);
    const struct vr_http_request request = { .method = "PATCH", .url = upload->url,
                                             .headers = headers, .body = body,
                                             .size = strlen(body), .cap = KiB(64), .seconds = 60 };
    return send_request(upload, &request, error);
}

/* Whether the daemon takes "zero"; an error when it does not answer at all. */
static bool can_zero(struct upload *upload, bool *ret_zero, struct vr_error **error)
{
    const struct vr_http_request request = { .method = "OPTIONS", .url = upload->url,
                                             .cap = KiB(64), .seconds = 60 };
    struct vr_http_answer answer = { 0 };
    bool done = vr_http_perform(upload->http, &request, &answer, error);
    vr_auto_error struct vr_error *ignored = NULL;
    vr_auto_json json_object *body =
        done && answer.status == 200
            ? vr_client_parse(answer.body->str, answer.body->len, &ignored)
            : NULL;
    json_object *features = vr_cli_member(body, "features");
    *ret_zero = false;
    for (size_t i = 0; json_object_is_type(features, json_type_array) &&
                       i < json_object_array_length(features); i++)
        if (g_strcmp0(json_object_get_string(json_object_array_get_idx(features, i)), "zero") == 0)
            *ret_zero = true;
    vr_http_answer_done(&answer);
    return done;
}

/* The host's own address, or the Manager's proxy where the host cannot be reached. */
static bool choose_url(struct upload *upload, json_object *transfer, bool *ret_zero,
                       struct vr_error **error)
{
    const char *direct = vr_cli_text(transfer, "transfer_url");
    const char *proxy = vr_cli_text(transfer, "proxy_url");
    vr_auto_error struct vr_error *failure = NULL;
    if (!direct && !proxy) {
        vr_error_set(error, &vr_cli_failed, "The transfer has no address to send to.");
        return false;
    }
    upload->url = g_strdup(direct ? direct : proxy);
    if (can_zero(upload, ret_zero, &failure))
        return true;
    if (!direct || !proxy || failure->fault != &vr_cli_connect) {
        vr_error_move(error, &failure);
        return false;
    }
    g_free(upload->url);
    upload->url = g_strdup(proxy);
    return can_zero(upload, ret_zero, error);
}

static bool send_image(struct upload *upload, bool zero, struct vr_error **error)
{
    const struct image *image = &upload->image;
    g_autofree char *buffer = g_malloc(CHUNK);
    upload->total = image->qcow2 ? image->size : image->virtual_size;
    upload->begin = g_get_monotonic_time();
    while (upload->sent < upload->total) {
        size_t size = (size_t)MIN(CHUNK, upload->total - upload->sent);
        bool last = upload->sent + size == upload->total;
        if (!read_chunk(image, buffer, upload->sent, size, error))
            return false;
        /* A qcow2 file grows as it is written, and the last chunk brings the flush. */
        bool done = zero && !image->qcow2 && !last && is_zero(buffer, size)
                        ? put_zeros(upload, size, error)
                        : put_chunk(upload, buffer, size, last, error);
        if (!done)
            return false;
        upload->sent += size;
        show(upload, upload->sent, last);
    }
    return true;
}

/* ---- disk and transfer ---- */

static void add_text(json_object *object, const char *key, const char *text)
{
    json_object_object_add(object, key, json_object_new_string(text));
}

static void add_number(json_object *object, const char *key, uint64_t number)
{
    g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT, number);
    add_text(object, key, text);
}

static json_object *pick_domain(struct vr_client *client, const char *name,
                                struct vr_error **error)
{
    if (name)
        return vr_client_find(client, "storagedomains", name, error);
    vr_auto_json json_object *items = vr_client_list(client, "storagedomains", NULL, error);
    json_object *found = NULL;
    unsigned count = 0;
    for (size_t i = 0; items && i < json_object_array_length(items); i++) {
        json_object *item = json_object_array_get_idx(items, i);
        if (g_strcmp0(vr_cli_text(item, "type"), "data") != 0)
            continue;
        found = item;
        count++;
    }
    if (items && count == 1)
        return json_object_get(found);
    if (items)
        vr_error_set(error, &vr_cli_usage, "There are %u data domains; give --storage-domain.",
                     count);
    return NULL;
}

static json_object *disk_body(const struct upload *upload, json_object *domain)
{
    const struct vr_cli *cli = upload->cli;
    const char *name = vr_cli_value(cli, VR_CLI_NAME);
    const char *description = vr_cli_value(cli, VR_CLI_DESCRIPTION);
    g_autofree char *file = g_path_get_basename(vr_cli_arg(cli, 0));
    bool sparse = !vr_cli_value(cli, VR_CLI_PREALLOCATED);
    json_object *body = json_object_new_object();
    json_object *domains = json_object_new_object(), *list = json_object_new_array();
    json_object *reference = json_object_new_object();
    add_text(body, "name", name ? name : file);
    if (description)
        add_text(body, "description", description);
    add_text(body, "format", upload->image.qcow2 ? "cow" : "raw");
    add_text(body, "sparse", sparse ? "true" : "false");
    add_number(body, "provisioned_size", upload->image.virtual_size);
    if (upload->image.qcow2)
        add_number(body, "initial_size", upload->image.size);
    if (vr_cli_value(cli, VR_CLI_ISO))
        add_text(body, "content_type", "iso");
    add_text(reference, "id", vr_cli_text(domain, "id"));
    json_object_array_add(list, reference);
    json_object_object_add(domains, "storage_domain", list);
    json_object_object_add(body, "storage_domains", domains);
    return body;
}

/* "/COLLECTION/ID" of an answer, owned; the id goes into paths, so it must be one. */
static char *path_of(const char *collection, json_object *answer, struct vr_error **error)
{
    const char *id = vr_cli_text(answer, "id");
    if (id && g_uuid_string_is_valid(id))
        return g_strdup_printf("/%s/%s", collection, id);
    vr_error_set(error, &vr_cli_failed, "The Manager's answer has no id.");
    return NULL;
}

static bool make_disk(struct upload *upload, struct vr_error **error)
{
    static const char *const ok[] = { "ok", NULL }, *const illegal[] = { "illegal", NULL };
    const char *domain_name = vr_cli_value(upload->cli, VR_CLI_STORAGE_DOMAIN);
    vr_auto_json json_object *domain = pick_domain(upload->client, domain_name, error);
    if (!domain)
        return false;
    vr_auto_json json_object *body = disk_body(upload, domain), *disk = NULL;
    if (!vr_client_call(upload->client, "POST", "/disks", body, &disk, error))
        return false;
    upload->disk_path = path_of("disks", disk, error);
    const struct vr_cli_goal goal = { .path = upload->disk_path, .member = "status", .good = ok,
                                      .bad = illegal, .seconds = upload->limit };
    return upload->disk_path && vr_cli_wait_for(upload->client, &goal, NULL, error);
}

static const char *const broken[] = { "finished_failure", "finished_cleanup", "cancelled_system",
                                      "cancelled_user",   "finalizing_failure",
                                      "finalizing_cleanup", NULL };

/* @ret_transfer: its state when the bytes may flow. */
static bool open_transfer(struct upload *upload, json_object **ret_transfer,
                          struct vr_error **error)
{
    static const char *const ready[] = { "transferring", NULL };
    vr_auto_json json_object *body = json_object_new_object(), *transfer = NULL;
    json_object *disk = json_object_new_object();
    add_text(disk, "id", strrchr(upload->disk_path, '/') + 1);
    json_object_object_add(body, "disk", disk);
    add_text(body, "direction", "upload");
    add_text(body, "format", upload->image.qcow2 ? "cow" : "raw");
    if (!vr_client_call(upload->client, "POST", "/imagetransfers", body, &transfer, error))
        return false;
    upload->transfer_path = path_of("imagetransfers", transfer, error);
    const struct vr_cli_goal goal = { .path = upload->transfer_path, .member = "phase",
                                      .good = ready, .bad = broken, .seconds = upload->limit };
    return upload->transfer_path &&
           vr_cli_wait_for(upload->client, &goal, ret_transfer, error);
}

static bool act_on_transfer(struct upload *upload, const char *action, struct vr_error **error)
{
    g_autofree char *path = g_strdup_printf("%s/%s", upload->transfer_path, action);
    vr_auto_json json_object *empty = json_object_new_object();
    return vr_client_call(upload->client, "POST", path, empty, NULL, error);
}

static bool finish(struct upload *upload, struct vr_error **error)
{
    static const char *const success[] = { "finished_success", NULL }, *const ok[] = { "ok", NULL };
    static const char *const illegal[] = { "illegal", NULL };
    const struct vr_cli_goal end = { .path = upload->transfer_path, .member = "phase",
                                     .good = success, .bad = broken, .gone = true,
                                     .seconds = upload->limit };
    const struct vr_cli_goal usable = { .path = upload->disk_path, .member = "status", .good = ok,
                                        .bad = illegal, .seconds = upload->limit };
    vr_auto_json json_object *disk = NULL, *items = json_object_new_array();
    if (!act_on_transfer(upload, "finalize", error) ||
        !vr_cli_wait_for(upload->client, &end, NULL, error) ||
        !vr_cli_wait_for(upload->client, &usable, &disk, error))
        return false;
    json_object_array_add(items, g_steal_pointer(&disk));
    return vr_cli_print_list(upload->cli, upload->client, items, disk_columns, error);
}

/* Cancels the transfer and removes the disk; both may be gone already. */
static void undo(struct upload *upload, struct vr_error **error)
{
    static const char *const over[] = { "finished_success", "finished_failure", "finished_cleanup",
                                        NULL };
    vr_auto_error struct vr_error *failure = NULL;
    vr_auto_error struct vr_error *ignored = NULL;
    vr_cli_clear_interrupt(); /* what stopped the upload does not stop the tidying */
    if (upload->transfer_path) {
        const struct vr_cli_goal goal = { .path = upload->transfer_path, .member = "phase",
                                          .good = over, .gone = true, .seconds = 60 };
        if (act_on_transfer(upload, "cancel", &ignored))
            vr_cli_wait_for(upload->client, &goal, NULL, &ignored);
    }
    if (upload->disk_path &&
        !vr_client_call(upload->client, "DELETE", upload->disk_path, NULL, NULL, &failure) &&
        failure->fault != &vr_cli_not_found)
        vr_error_prefix(error, "The unfinished disk %s is still there",
                        strrchr(upload->disk_path, '/') + 1);
}

static bool run(struct upload *upload, struct vr_error **error)
{
    vr_auto_json json_object *transfer = NULL;
    bool zero = false, done = true;
    say(upload, "Making the disk.");
    done = make_disk(upload, error) && open_transfer(upload, &transfer, error) &&
           choose_url(upload, transfer, &zero, error) && send_image(upload, zero, error);
    if (done) {
        say(upload, "Checking the image.");
        done = finish(upload, error);
    }
    if (!done)
        undo(upload, error);
    return done;
}

bool vr_cli_disk_upload(struct vr_cli *cli, struct vr_error **error)
{
    struct upload upload = { .cli = cli, .image = { .fd = -1 } };
    upload.bar = isatty(STDERR_FILENO) && !vr_cli_value(cli, VR_CLI_QUIET);
    bool done = vr_cli_wait_limit(cli, &upload.limit, error) &&
                open_image(&upload.image, vr_cli_arg(cli, 0), error);
    if (done) {
        upload.client = vr_client_open(cli, error);
        upload.http = upload.client ? vr_client_http(upload.client) : NULL;
        done = upload.client && run(&upload, error);
    }
    vr_client_close(upload.client);
    if (upload.image.fd >= 0)
        close(upload.image.fd);
    g_free(upload.disk_path);
    g_free(upload.transfer_path);
    g_free(upload.url);
    return done;
}
