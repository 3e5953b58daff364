/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "iod"
#include "agent/storage/iod.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "agent/helper/frame.h"

/* Requests that run at once; a thread that a dead server holds is one of them. */
#define THREADS_MAX 32

static const struct {
    const char *name;
    iod_op *run;
    bool privileged; /* as root: mounting */
} ops[] = {
    { "connect", iod_op_connect, true },
    { "disconnect", iod_op_disconnect, true },
    { "probe", iod_op_probe, false },
    { "domain_create", iod_op_domain_create, false },
    { "domain_info", iod_op_domain_info, false },
    { "domain_stats", iod_op_domain_stats, false },
    { "domain_set", iod_op_domain_set, false },
    { "domain_format", iod_op_domain_format, false },
    { "domain_check", iod_op_domain_check, false },
    { "domain_heal", iod_op_domain_heal, false },
    { "master_make", iod_op_master_make, false },
    { "file_stats", iod_op_file_stats, false },
    { "task_save", iod_op_task_save, false },
    { "task_remove", iod_op_task_remove, false },
    { "task_list", iod_op_task_list, false },
    { "image_list", iod_op_image_list, false },
    { "volume_list", iod_op_volume_list, false },
    { "volume_info", iod_op_volume_info, false },
    { "volume_size", iod_op_volume_size, false },
    { "volume_create", iod_op_volume_create, false },
    { "volume_update", iod_op_volume_update, false },
    { "volume_extend", iod_op_volume_extend, false },
    { "volume_delete", iod_op_volume_delete, false },
    { "image_delete", iod_op_image_delete, false },
    { "image_prepare", iod_op_image_prepare, false },
    { "image_chain", iod_op_image_chain, false },
    { "qemu_info", iod_op_qemu_info, false },
    { "measure", iod_op_measure, false },
    { "verify", iod_op_verify, false },
    { "copy_in", iod_op_copy_in, false },
    { "copy_out", iod_op_copy_out, false },
    { "merge_prepare", iod_op_merge_prepare, false },
    { "merge", iod_op_merge, false },
    { "merge_finalize", iod_op_merge_finalize, false },
};

static GMutex state_lock;
static GCond state_changed;
static GHashTable *running; /* id -> struct iod_request */
static GHashTable *held;    /* names of locks */
static uid_t run_uid;
static gid_t run_gid;

static void send_object(json_object *object)
{
    static GMutex sending;
    const char *text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_NOSLASHESCAPE);
    g_mutex_lock(&sending);
    /* Nobody to answer to: the agent is gone, and so shall we be. */
    if (vr_frame_write(0, text, strlen(text)) < 0)
        _exit(0);
    g_mutex_unlock(&sending);
}

void iod_progress(struct iod_request *request, int percent)
{
    json_object *object = json_object_new_object();
    iod_put_integer(object, "id", request->id);
    iod_put_integer(object, "progress", percent);
    send_object(object);
    json_object_put(object);
}

static void answer(gint64 id, json_object *result, const struct vr_error *error)
{
    json_object *object = json_object_new_object();
    iod_put_integer(object, "id", id);
    if (error) {
        json_object *value = json_object_new_object();
        iod_put_integer(value, "code", error->fault->rpc);
        g_autofree char *valid = g_utf8_make_valid(error->detail ? error->detail : "", -1);
        iod_put(value, "message", error->detail ? valid : NULL);
        json_object_object_add(object, "error", value);
    } else {
        json_object_object_add(object, "result", result);
    }
    send_object(object);
    json_object_put(object);
}

static void run_request(gpointer data, gpointer unused VR_UNUSED)
{
    struct iod_request *request = data;
    const char *name = iod_string_or(request, "\1op", "");
    vr_auto_error struct vr_error *error = NULL;
    json_object *result = NULL;
    unsigned i = 0;
    while (i < G_N_ELEMENTS(ops) && strcmp(ops[i].name, name) != 0)
        i++;
    if (i < G_N_ELEMENTS(ops)) {
        request->uid = run_uid;
        request->gid = run_gid;
        vr_fs_become(ops[i].privileged ? 0 : run_uid, ops[i].privileged ? 0 : run_gid);
        result = ops[i].run(request, &error);
    } else {
        vr_storage_error(&error, unsupported, "%.32s", name);
    }
    g_mutex_lock(&state_lock);
    g_hash_table_remove(running, &request->id);
    g_mutex_unlock(&state_lock);
    answer(request->id, result, error);
    json_object_put(request->args);
    g_free(request);
}

static void cancel_request(json_object *args)
{
    json_object *value = NULL;
    json_object_object_get_ex(args, "id", &value);
    gint64 id = json_object_get_int64(value);
    g_mutex_lock(&state_lock);
    struct iod_request *request = g_hash_table_lookup(running, &id);
    if (request)
        g_atomic_int_set(&request->cancel, 1);
    g_mutex_unlock(&state_lock);
}

/* False when the text breaks the protocol. */
static bool take_request(GThreadPool *pool, const char *text, size_t length)
{
    struct json_tokener *tokener = json_tokener_new_ex(32);
    json_object *root = json_tokener_parse_ex(tokener, text, (int)length);
    json_tokener_free(tokener);
    json_object *id, *op, *args;
    bool good =
        json_object_is_type(root, json_type_object) && json_object_object_get_ex(root, "id", &id) &&
        json_object_object_get_ex(root, "op", &op) &&
        json_object_object_get_ex(root, "args", &args) &&
        json_object_is_type(op, json_type_string) && json_object_is_type(args, json_type_object);
    if (good && strcmp(json_object_get_string(op), "cancel") == 0) {
        cancel_request(args);
    } else if (good) {
        struct iod_request *request = g_new0(struct iod_request, 1);
        request->id = json_object_get_int64(id);
        request->args = json_object_get(args);
        json_object_object_add(args, "\1op", json_object_get(op));
        g_mutex_lock(&state_lock);
        g_hash_table_insert(running, &request->id, request);
        g_mutex_unlock(&state_lock);
        g_thread_pool_push(pool, request, NULL);
    }
    json_object_put(root);
    return good;
}

struct iod_guard iod_lock(const char *kind, const char *id)
{
    char *name = g_strdup_printf("%s:%s", kind, id);
    g_mutex_lock(&state_lock);
    while (g_hash_table_contains(held, name))
        g_cond_wait(&state_changed, &state_lock);
    g_hash_table_add(held, name);
    g_mutex_unlock(&state_lock);
    return (struct iod_guard){ name };
}

void iod_unlock(struct iod_guard *guard)
{
    if (!guard->name)
        return;
    g_mutex_lock(&state_lock);
    g_hash_table_remove(held, guard->name);
    g_cond_broadcast(&state_changed);
    g_mutex_unlock(&state_lock);
    g_free(guard->name);
}

static const char *option(int argc, char **argv, const char *name)
{
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return argv[i + 1];
    return NULL;
}

int main(int argc, char **argv)
{
    const char *uid = option(argc, argv, "--uid"), *gid = option(argc, argv, "--gid");
    if (geteuid() == 0) {
        run_uid = uid ? (uid_t)g_ascii_strtoull(uid, NULL, 10) : 0;
        run_gid = gid ? (gid_t)g_ascii_strtoull(gid, NULL, 10) : 0;
        if (run_uid && setgroups(run_gid ? 1 : 0, &run_gid) < 0)
            return 1;
    }
    const char *crash_at = option(argc, argv, "--crash-at");
    vr_fs_crash_at = crash_at ? (unsigned)g_ascii_strtoull(crash_at, NULL, 10) : 0;
    signal(SIGPIPE, SIG_IGN);
    umask(0002);
    running = g_hash_table_new(g_int64_hash, g_int64_equal);
    held = g_hash_table_new(g_str_hash, g_str_equal);
    GThreadPool *pool = g_thread_pool_new(run_request, NULL, THREADS_MAX, FALSE, NULL);
    for (;;) {
        g_autofree char *text = NULL;
        size_t length;
        int rc = vr_frame_read(0, &text, &length);
        if (rc <= 0 || !take_request(pool, text, length)) {
            /* The end of the socket means the agent is gone: threads that hang must not keep us. */
            if (rc != 0)
                vr_log_error("The agent's request could not be read.");
            _exit(rc == 0 ? 0 : 1);
        }
    }
}
