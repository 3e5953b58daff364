/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/storage/storage_private.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <stdarg.h>

#include "codec/codec.h"
#include "net/loop.h"

/* A hung storage holds the workers that wait for it until their deadline; others need some left. */
#define VERBS_MAX 32
#define SOCKET_PATH_MAX 107 /* unix(7) */
#define TASKS_MAX 10        /* tasks and jobs that run at once; more wait in line */

static const struct {
    const struct vr_verb *verb;
    vr_st_verb *run;
} verbs[] = {
#define ROW(v) { &vr_verb_##v, vr_st_##v },
    VR_STORAGE_VERBS(ROW)
#undef ROW
};

struct call {
    struct vr_storage *storage;
    const struct vr_verb *verb;
    vr_st_verb *run;
    const void *params;
    vr_storage_done *done;
    void *arg;
    void *result;
    int code;
    char *message;
};

static void deliver(void *data)
{
    struct call *call = data;
    call->done(call->result, call->code, call->message, call->arg);
    vr_unref(call->result);
    vr_unref(call->params);
    g_free(call->message);
    g_free(call);
}

/* The typed result that the text is; the text is our own, so a mismatch is a defect of ours. */
static void *make_result(const struct vr_verb *verb, const char *text, struct vr_error **error)
{
    if (verb->shape == VR_RESULT_VOID)
        return NULL;
    g_autofree char *wrapped =
        verb->shape == VR_RESULT_WRAPPED ? g_strdup_printf("{\"value\":%s}", text) : NULL;
    const char *whole = wrapped ? wrapped : text;
    return vr_json_read(verb->result, whole, strlen(whole), VR_JSON_HOST, &vr_codec_caps_host,
                        error);
}

static void run_call(gpointer data, gpointer unused VR_UNUSED)
{
    struct call *call = data;
    vr_auto_error struct vr_error *error = NULL;
    g_autofree char *text = NULL;
    if (call->run)
        text = call->run(call->storage, call->params, &error);
    else
        vr_storage_error(&error, unsupported, "%s", call->verb->name);
    if (text)
        call->result = make_result(call->verb, text, &error);
    if (error) {
        call->code = error->fault->rpc ? error->fault->rpc : vr_storage_fault_general.rpc;
        call->message = vr_error_text(error);
        vr_log_info("%s failed with %d: %s", call->verb->name, call->code, call->message);
    }
    vr_loop_post(call->storage->o.loop, deliver, call);
}

static vr_st_verb *find_verb(const struct vr_verb *verb)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(verbs); i++)
        if (verbs[i].verb == verb)
            return verbs[i].run;
    return NULL;
}

bool vr_storage_handles(const struct vr_verb *verb)
{
    return find_verb(verb) != NULL;
}

void vr_storage_call(struct vr_storage *storage, const struct vr_verb *verb, const void *params,
                     vr_storage_done *done, void *arg)
{
    struct call *call = g_new0(struct call, 1);
    call->storage = storage;
    call->verb = verb;
    call->run = find_verb(verb);
    call->params = vr_ref(params);
    call->done = done;
    call->arg = arg;
    g_thread_pool_push(storage->verbs, call, NULL);
}

json_object *vr_st_args(const struct vr_st_domain *domain, ...)
{
    json_object *args = json_object_new_object();
    json_object_object_add(args, "root", json_object_new_string(domain->connection->target));
    json_object_object_add(args, "sd", json_object_new_string(domain->sd));
    va_list list;
    va_start(list, domain);
    const char *key;
    while ((key = va_arg(list, const char *))) {
        const char *value = va_arg(list, const char *);
        if (value)
            json_object_object_add(args, key, json_object_new_string(value));
    }
    va_end(list);
    return args;
}

static void tell_progress(int percent, void *arg)
{
    /* Read without a lock, as a whole word. */
    struct vr_st_work *work = arg;
    g_atomic_int_set(&work->progress, percent);
}

json_object *vr_st_ask(struct vr_storage *storage, struct vr_st_connection *connection,
                       const char *op, json_object *args, const struct vr_st_request *how,
                       struct vr_error **error)
{
    static const struct vr_st_request plain;
    how = how ? how : &plain;
    json_object *own = args ? args : json_object_new_object();
    struct vr_helper_call call = {
        .op = op,
        .deadline_ms = how->no_deadline   ? 0
                       : how->deadline_ms ? how->deadline_ms
                                          : storage->o.deadline_ms,
        .cancel = how->work ? &how->work->cancel : NULL,
        .progress = how->work ? tell_progress : NULL,
        .arg = how->work,
    };
    char *text = NULL;
    if (!how->even_when_hung && g_atomic_int_get(&connection->hung)) {
        vr_storage_error(error, general, "The storage at %s does not answer.", connection->target);
    } else {
        call.args = json_object_to_json_string_ext(own, JSON_C_TO_STRING_NOSLASHESCAPE);
        text = vr_helper_call(connection->helper, &call, error);
    }
    if (!text && call.died && !how->once && !storage->closing) {
        /* Whether it was done nobody knows; asked again, the process finds out. */
        vr_error_free(g_steal_pointer(error));
        json_object_object_add(own, "again", json_object_new_boolean(1));
        call.args = json_object_to_json_string_ext(own, JSON_C_TO_STRING_NOSLASHESCAPE);
        text = vr_helper_call(connection->helper, &call, error);
    }
    json_object_put(own);
    json_object *result = text ? json_tokener_parse(text) : NULL;
    g_free(text);
    if (!result && !*error)
        vr_storage_error(error, general, "%s gave no result.", op);
    return result;
}

char *vr_st_ask_text(struct vr_storage *storage, const struct vr_st_domain *domain, const char *op,
                     json_object *args, const struct vr_st_request *how, struct vr_error **error)
{
    json_object *result = vr_st_ask(storage, domain->connection, op, args, how, error);
    char *text =
        result ? g_strdup(json_object_to_json_string_ext(result, JSON_C_TO_STRING_NOSLASHESCAPE))
               : NULL;
    json_object_put(result);
    return text;
}

const char *vr_st_member(json_object *object, const char *key)
{
    json_object *value = NULL;
    if (object)
        json_object_object_get_ex(object, key, &value);
    return value ? json_object_get_string(value) : "";
}

bool vr_st_uuid(const char *text, const char *what, struct vr_error **error)
{
    if (vr_format_uuid_valid(text))
        return true;
    vr_storage_error(error, invalid_parameter, "%s is not a UUID.", what);
    return false;
}

char *vr_st_true(void)
{
    return g_strdup("true");
}

static const char *keep(struct vr_storage *s, const char *text, const char *otherwise)
{
    const char *value = text ? text : otherwise;
    return value ? g_string_chunk_insert(s->strings, value) : NULL;
}

struct vr_storage *vr_storage_new(const struct vr_storage_options *o, struct vr_error **error)
{
    struct vr_storage *s = g_new0(struct vr_storage, 1);
    g_mutex_init(&s->lock);
    g_mutex_init(&s->pool_lock);
    g_cond_init(&s->changed);
    s->strings = g_string_chunk_new(512);
    s->o = *o;
    s->o.run_root = keep(s, o->run_root, "/rhev/data-center");
    s->o.link_root = keep(s, o->link_root, "/run/vdsm/storage");
    s->o.nbd_root = keep(s, o->nbd_root, "/run/vdsm/nbd");
    if (strlen(s->o.nbd_root) + strlen("/.sock") + 36 > SOCKET_PATH_MAX) {
        g_autofree char *short_root =
            g_strdup_printf("/run/vireo-nbd-%08x", g_str_hash(s->o.nbd_root));
        s->o.nbd_root = keep(s, short_root, NULL);
    }
    s->o.iod_program = keep(s, o->iod_program, "/usr/libexec/vireo/vireo-iod");
    s->o.ticket_socket = keep(s, o->ticket_socket, NULL);
    s->o.lease = o->lease ? o->lease : &vr_lease_single;
    s->o.monitor_ms = o->monitor_ms ? o->monitor_ms : 10000;
    s->o.deadline_ms = o->deadline_ms ? o->deadline_ms : 60000;
    s->mnt = g_build_filename(s->o.run_root, "mnt", NULL);
    s->connections = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, NULL);
    s->where = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    s->monitors = g_hash_table_new(g_str_hash, g_str_equal);
    s->works = g_hash_table_new(g_str_hash, g_str_equal);
    s->verbs = g_thread_pool_new(run_call, NULL, VERBS_MAX, FALSE, NULL);
    s->tasks = g_thread_pool_new(vr_st_work_run, s, TASKS_MAX, FALSE, NULL);
    if (g_mkdir_with_parents(s->mnt, 0755) < 0 || g_mkdir_with_parents(s->o.link_root, 0755) < 0) {
        vr_error_set(error, &vr_fault_system, "%s: %s", s->mnt, g_strerror(errno));
        vr_storage_free(s);
        return NULL;
    }
    vr_storage_stop_servers(s);
    vr_st_adopt(s);
    vr_st_pool_restore(s);
    return s;
}

void vr_storage_free(struct vr_storage *s)
{
    if (!s)
        return;
    GHashTableIter iter;
    gpointer value;
    g_mutex_lock(&s->lock);
    s->closing = true;
    g_hash_table_iter_init(&iter, s->works);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        g_atomic_int_set(&((struct vr_st_work *)value)->cancel, 1);
    g_hash_table_iter_init(&iter, s->connections);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        vr_helper_abandon(((struct vr_st_connection *)value)->helper);
    g_mutex_unlock(&s->lock);
    vr_st_monitor_stop(s, NULL);
    g_thread_pool_free(s->verbs, FALSE, TRUE);
    g_thread_pool_free(s->tasks, FALSE, TRUE);
    g_hash_table_iter_init(&iter, s->works);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        vr_st_work_unref(value);
    g_hash_table_iter_init(&iter, s->connections);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        vr_st_connection_unref(value);
    g_hash_table_unref(s->connections);
    g_hash_table_unref(s->where);
    g_hash_table_unref(s->monitors);
    g_hash_table_unref(s->works);
    vr_st_pool_free(s->pool);
    g_string_chunk_free(s->strings);
    g_free(s->mnt);
    g_cond_clear(&s->changed);
    g_mutex_clear(&s->pool_lock);
    g_mutex_clear(&s->lock);
    g_free(s);
}
