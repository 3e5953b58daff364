/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/storage/storage_private.h"

#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/helper/run.h"
#include "agent/image/image.h"
#include "codec/codec.h"

/* The image daemon may take a minute to let go of a busy ticket. */
#define DAEMON_MS 90000
#define NBD_START_MS 10000 /* facts/host-rpc.md 14 */
#define NBD_CLIENTS "8"

/* ---- the image daemon's control socket ---- */

/* Sends one request; the answer's body, owned, or NULL and 482 or 483. */
static char *ask_daemon(struct vr_storage *s, const char *method, const char *id, const char *body,
                        struct vr_error **error)
{
    g_autofree char *path = g_strconcat("/tickets/", id, NULL), *answer = NULL;
    int status = s->o.ticket_socket
                     ? vr_image_control(s->o.ticket_socket, method, path, body, DAEMON_MS, &answer)
                     : -ENOENT;
    if (status == -ENOENT || status == -ECONNREFUSED) {
        vr_storage_error(error, image_daemon, NULL);
    } else if (status < 0) {
        vr_storage_error(error, image_ticket, "%s", g_strerror(-status));
    } else if (status < 200 || status > 299) {
        g_autofree char *valid = g_utf8_make_valid(answer, -1);
        vr_storage_error(error, image_ticket, "%d %s", status, g_strchomp(valid));
    }
    return *error ? NULL : g_steal_pointer(&answer);
}

char *vr_st_host_add_image_ticket(struct vr_storage *s, const void *params, struct vr_error **error)
{
    const struct vr_rpc_host_add_image_ticket_params *p = params;
    if (!p->ticket || !vr_st_uuid(p->ticket->uuid, "The ticket's id", error)) {
        if (!*error)
            vr_storage_error(error, invalid_parameter, "The ticket is missing.");
        return NULL;
    }
    g_autoptr(GString) body = g_string_new(NULL);
    vr_json_write(body, p->ticket, VR_JSON_HOST, NULL);
    g_autofree char *answer = ask_daemon(s, "PUT", p->ticket->uuid, body->str, error);
    return answer ? vr_st_true() : NULL;
}

char *vr_st_host_get_image_ticket(struct vr_storage *s, const void *params, struct vr_error **error)
{
    const struct vr_rpc_host_get_image_ticket_params *p = params;
    if (!vr_st_uuid(p->uuid, "The ticket's id", error))
        return NULL;
    return ask_daemon(s, "GET", p->uuid, NULL, error);
}

char *vr_st_host_extend_image_ticket(struct vr_storage *s, const void *params,
                                     struct vr_error **error)
{
    const struct vr_rpc_host_extend_image_ticket_params *p = params;
    if (!vr_st_uuid(p->uuid, "The ticket's id", error))
        return NULL;
    g_autofree char *body = g_strdup_printf("{\"timeout\":%" G_GINT64_FORMAT "}", p->timeout);
    g_autofree char *answer = ask_daemon(s, "PATCH", p->uuid, body, error);
    return answer ? vr_st_true() : NULL;
}

char *vr_st_host_remove_image_ticket(struct vr_storage *s, const void *params,
                                     struct vr_error **error)
{
    const struct vr_rpc_host_remove_image_ticket_params *p = params;
    if (!vr_st_uuid(p->uuid, "The ticket's id", error))
        return NULL;
    g_autofree char *answer = ask_daemon(s, "DELETE", p->uuid, NULL, error);
    return answer ? vr_st_true() : NULL;
}

/* ---- NBD servers: qemu-nbd, which goes on when the agent is killed in a transfer ---- */

/* The process of a server that runs, or 0.  Its pid file may be stale and the number reused. */
static pid_t server_pid(const char *pid_file, const char *socket)
{
    g_autofree char *text = NULL, *cmdline = NULL;
    size_t length;
    if (!g_file_get_contents(pid_file, &text, NULL, NULL))
        return 0;
    pid_t pid = (pid_t)g_ascii_strtoll(text, NULL, 10);
    g_autofree char *path = g_strdup_printf("/proc/%d/cmdline", (int)pid);
    if (pid <= 1 || !g_file_get_contents(path, &cmdline, &length, NULL))
        return 0;
    return memmem(cmdline, length, socket, strlen(socket)) ? pid : 0;
}

/* qemu's own way to name a file with options, so that a parent is left out when asked. */
static char *image_name(const char *path, const char *format, bool chain)
{
    json_object *o = json_object_new_object(), *file = json_object_new_object();
    json_object_object_add(file, "driver", json_object_new_string("file"));
    json_object_object_add(file, "filename", json_object_new_string(path));
    json_object_object_add(o, "driver", json_object_new_string(format));
    json_object_object_add(o, "file", file);
    if (!chain && strcmp(format, "qcow2") == 0)
        json_object_object_add(o, "backing", NULL);
    char *name = g_strdup_printf("json:%s",
                                 json_object_to_json_string_ext(o, JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(o);
    return name;
}

static bool start_nbd(struct vr_storage *s, const struct vr_rpc_nbd_server_config *c,
                      const char *path, const char *format, const char *socket,
                      const char *pid_file, struct vr_error **error)
{
    bool chain = VR_GET(c, backing_chain, true);
    bool plain = chain || strcmp(format, "raw") == 0;
    g_autofree char *name = plain ? g_strdup(path) : image_name(path, format, chain);
    const char *argv[24] = { "qemu-nbd",  "--fork",   "--persistent", "--cache=none", "--shared",
                             NBD_CLIENTS, "--socket", socket,         "--pid-file",   pid_file };
    unsigned n = 10;
    if (plain) {
        argv[n++] = "--format";
        argv[n++] = format;
    }
    if (c->readonly)
        argv[n++] = "--read-only";
    if (c->discard && !c->readonly)
        argv[n++] = "--discard=unmap";
    if (c->detect_zeroes && !c->readonly)
        argv[n++] = c->discard ? "--detect-zeroes=unmap" : "--detect-zeroes=on";
    if (c->bitmap) {
        argv[n++] = "--bitmap";
        argv[n++] = c->bitmap;
    }
    argv[n++] = name;
    vr_auto_error struct vr_error *failed = NULL;
    struct vr_run run = {
        .argv = argv, .deadline_ms = NBD_START_MS, .uid = s->o.uid, .gid = s->o.gid
    };
    bool good = vr_run(&run, &failed);
    vr_run_done(&run);
    if (!good)
        vr_storage_error(error, nbd, "%s", failed->detail);
    return good;
}

char *vr_st_nbd_start_server(struct vr_storage *s, const void *params, struct vr_error **error)
{
    const struct vr_rpc_nbd_start_server_params *p = params;
    const struct vr_rpc_nbd_server_config *c = p->config;
    vr_auto_domain struct vr_st_domain domain = { 0 };
    if (!c || !vr_st_uuid(p->server_id, "server_id", error) ||
        (c->bitmap && !vr_st_uuid(c->bitmap, "bitmap", error)) ||
        !vr_st_find(s, c->sd_id, &domain, error)) {
        if (!*error)
            vr_storage_error(error, invalid_parameter, "The configuration is missing.");
        return NULL;
    }
    if (c->bitmap && (!c->readonly || !VR_GET(c, backing_chain, true))) {
        vr_storage_error(error, invalid_parameter,
                         "A bitmap is shown read-only, of a whole chain.");
        return NULL;
    }
    /* An upload fills a volume that is not legal yet. */
    json_object *args = vr_st_args(&domain, "img", c->img_id, "vol", c->vol_id, NULL);
    json_object_object_add(args, "allow_illegal", json_object_new_boolean(1));
    json_object *prepared = vr_st_ask(s, domain.connection, "image_prepare", args, NULL, error);
    if (!prepared)
        return NULL;
    g_autofree char *socket = g_strdup_printf("%s/%s.sock", s->o.nbd_root, p->server_id);
    g_autofree char *pid_file = g_strdup_printf("%s/%s.pid", s->o.nbd_root, p->server_id);
    if (strcmp(vr_st_member(prepared, "role"), "SHARED") == 0 && !c->readonly)
        vr_storage_error(error, volume_shared, "%s", c->vol_id);
    else if (g_mkdir_with_parents(s->o.nbd_root, 0755) < 0 ||
             (s->o.uid && chown(s->o.nbd_root, s->o.uid, s->o.gid) < 0))
        vr_storage_error(error, nbd, "%s cannot be made.", s->o.nbd_root);
    else if (!server_pid(pid_file, socket)) {
        (void)unlink(socket);
        (void)start_nbd(s, c, vr_st_member(prepared, "path"), vr_st_member(prepared, "format"),
                        socket, pid_file, error);
    }
    json_object_put(prepared);
    return *error ? NULL : g_strdup_printf("\"nbd:unix:%s\"", socket);
}

static void stop_nbd(struct vr_storage *s, const char *id)
{
    g_autofree char *socket = g_strdup_printf("%s/%s.sock", s->o.nbd_root, id);
    g_autofree char *pid_file = g_strdup_printf("%s/%s.pid", s->o.nbd_root, id);
    pid_t pid = server_pid(pid_file, socket);
    gint64 end = g_get_monotonic_time() + (gint64)NBD_START_MS * 1000;
    /* SIGTERM lets it write out what it holds; the volume may be read right after us. */
    if (pid)
        kill(pid, SIGTERM);
    while (pid && server_pid(pid_file, socket) == pid && g_get_monotonic_time() < end)
        g_usleep(5000);
    if (pid && server_pid(pid_file, socket) == pid)
        kill(pid, SIGKILL);
    (void)unlink(socket);
    (void)unlink(pid_file);
}

void vr_storage_stop_servers(struct vr_storage *s)
{
    g_autoptr(GDir) dir = g_dir_open(s->o.nbd_root, 0, NULL);
    for (const char *name; dir && (name = g_dir_read_name(dir));) {
        g_autofree char *id = g_str_has_suffix(name, ".pid") ? g_strndup(name, 36) : NULL;
        if (id && vr_format_uuid_valid(id))
            stop_nbd(s, id);
    }
}

char *vr_st_nbd_stop_server(struct vr_storage *s, const void *params, struct vr_error **error)
{
    const struct vr_rpc_nbd_stop_server_params *p = params;
    if (!vr_st_uuid(p->server_id, "server_id", error))
        return NULL;
    stop_nbd(s, p->server_id);
    return vr_st_true();
}
