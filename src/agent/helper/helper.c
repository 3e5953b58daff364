/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "helper"
#include "agent/helper/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/helper/frame.h"

/* How often a waiting call looks at its cancel flag. */
#define CANCEL_POLL_MS 100

struct pending {
    bool done, died;
    char *result;
    struct vr_error *error;
    void (*progress)(int percent, void *arg);
    void *arg;
};

/* One started process and the thread that reads its answers. */
struct process {
    struct vr_helper *helper;
    pid_t pid;
    int fd;
    GThread *reader;
    GHashTable *pending; /* id -> struct pending, owned by the caller's stack */
    GMutex sending;
    unsigned users; /* calls that write to fd, and the reader */
    bool dead;
};

struct vr_helper {
    GMutex lock;
    GCond changed;
    char *program, *name;
    char **argv;
    const struct vr_fault *(*fault)(int code);
    const struct vr_fault *hung;
    unsigned abandoned_max;
    struct process *process; /* the live one, or NULL */
    GArray *abandoned;       /* pid_t killed and not yet reaped */
    unsigned calls, readers;
    uint64_t next_id;
    bool closing;
};

static const struct vr_fault fault_helper = {
    .name = "helper", .http = 500, .rpc = 200, .exit = 1, .text = "A helper process failed."
};

struct vr_helper *vr_helper_new(const struct vr_helper_options *options)
{
    struct vr_helper *helper = g_new0(struct vr_helper, 1);
    g_mutex_init(&helper->lock);
    g_cond_init(&helper->changed);
    helper->program = g_strdup(options->program);
    helper->name = g_strdup(options->name);
    helper->argv = g_strdupv((char **)(uintptr_t)options->argv);
    helper->fault = options->fault;
    helper->hung = options->hung ? options->hung : &fault_helper;
    helper->abandoned_max = options->abandoned_max ? options->abandoned_max : 3;
    helper->abandoned = g_array_new(FALSE, FALSE, sizeof(pid_t));
    return helper;
}

/* Lock held.  Takes away those of the killed that the kernel has let go. */
static void reap_abandoned(struct vr_helper *helper)
{
    for (unsigned i = helper->abandoned->len; i-- > 0;) {
        pid_t pid = g_array_index(helper->abandoned, pid_t, i);
        pid_t got = waitpid(pid, NULL, WNOHANG);
        if (got == pid || (got < 0 && errno == ECHILD))
            g_array_remove_index_fast(helper->abandoned, i);
    }
}

static void set_error(struct vr_helper *helper, json_object *value, struct vr_error **error)
{
    json_object *code = NULL, *message = NULL;
    json_object_object_get_ex(value, "code", &code);
    json_object_object_get_ex(value, "message", &message);
    const struct vr_fault *fault =
        helper->fault ? helper->fault(json_object_get_int(code)) : &vr_fault_system;
    const char *text = message ? json_object_get_string(message) : NULL;
    vr_error_set(error, fault, text ? "%s" : NULL, text);
}

/* Lock held.  False when the text breaks the protocol. */
static bool answer(struct process *process, const char *text, size_t length)
{
    struct json_tokener *tokener = json_tokener_new_ex(32);
    json_object *root = json_tokener_parse_ex(tokener, text, (int)length);
    json_tokener_free(tokener);
    json_object *id = NULL, *value = NULL;
    if (!json_object_is_type(root, json_type_object) ||
        !json_object_object_get_ex(root, "id", &id)) {
        json_object_put(root);
        return false;
    }
    gint64 key = json_object_get_int64(id);
    struct pending *pending = g_hash_table_lookup(process->pending, &key);
    /* An answer that nobody waits for any more came after its deadline. */
    if (pending && json_object_object_get_ex(root, "progress", &value)) {
        if (pending->progress)
            pending->progress(json_object_get_int(value), pending->arg);
    } else if (pending) {
        if (json_object_object_get_ex(root, "error", &value))
            set_error(process->helper, value, &pending->error);
        else if (json_object_object_get_ex(root, "result", &value))
            pending->result =
                g_strdup(json_object_to_json_string_ext(value, JSON_C_TO_STRING_NOSLASHESCAPE));
        else
            vr_error_set(&pending->error, &fault_helper, "It answered neither result nor error.");
        pending->done = true;
        g_hash_table_remove(process->pending, &key);
        g_cond_broadcast(&process->helper->changed);
    }
    json_object_put(root);
    return true;
}

/* Lock held. */
static void process_unref(struct process *process)
{
    if (--process->users > 0)
        return;
    close(process->fd);
    g_hash_table_unref(process->pending);
    g_mutex_clear(&process->sending);
    g_free(process);
}

/* Lock held.  Detaches the process from the helper and fails who waits for it. */
static void bury(struct process *process)
{
    struct vr_helper *helper = process->helper;
    if (process->dead)
        return;
    process->dead = true;
    kill(process->pid, SIGKILL);
    shutdown(process->fd, SHUT_RDWR);
    g_array_append_val(helper->abandoned, process->pid);
    if (helper->process == process)
        helper->process = NULL;
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, process->pending);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        struct pending *pending = value;
        pending->done = pending->died = true;
        vr_error_set(&pending->error, helper->hung, "The helper for %s ended.", helper->name);
    }
    g_hash_table_remove_all(process->pending);
    reap_abandoned(helper);
    g_cond_broadcast(&helper->changed);
}

static gpointer read_answers(gpointer data)
{
    struct process *process = data;
    struct vr_helper *helper = process->helper;
    for (;;) {
        g_autofree char *text = NULL;
        size_t length;
        int rc = vr_frame_read(process->fd, &text, &length);
        g_mutex_lock(&helper->lock);
        bool good = rc > 0 && !process->dead && answer(process, text, length);
        if (!good) {
            bury(process);
            process_unref(process);
            helper->readers--;
            g_cond_broadcast(&helper->changed);
            g_mutex_unlock(&helper->lock);
            return NULL;
        }
        g_mutex_unlock(&helper->lock);
    }
}

static void __attribute__((noreturn)) exec_helper(struct vr_helper *helper, char **argv, int fd)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0);
    /* The socket's end, not a death signal, tells the helper that the agent is gone: it then may
     * finish the one step it is in. */
    if (dup2(fd, 0) < 0)
        _exit(126);
    int null = open("/dev/null", O_WRONLY);
    if (null < 0 || dup2(null, 1) < 0)
        _exit(126);
    close_range(3, ~0U, 0);
    execv(helper->program, argv);
    _exit(127);
}

/* Lock held.  The live process, started when there is none. */
static struct process *ensure(struct vr_helper *helper, struct vr_error **error)
{
    if (helper->process)
        return helper->process;
    reap_abandoned(helper);
    if (helper->closing || helper->abandoned->len >= helper->abandoned_max) {
        vr_error_set(error, helper->hung, "%u helpers for %s are stuck in the kernel.",
                     helper->abandoned->len, helper->name);
        return NULL;
    }
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_ptr_array_add(argv, helper->program);
    for (char **arg = helper->argv; arg && *arg; arg++)
        g_ptr_array_add(argv, *arg);
    g_ptr_array_add(argv, NULL);
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0) {
        vr_error_set(error, &vr_fault_system, "socketpair: %s", g_strerror(errno));
        return NULL;
    }
    pid_t pid = fork();
    if (pid == 0)
        exec_helper(helper, (char **)argv->pdata, fds[1]);
    close(fds[1]);
    if (pid < 0) {
        close(fds[0]);
        vr_error_set(error, &vr_fault_system, "fork: %s", g_strerror(errno));
        return NULL;
    }
    struct process *process = g_new0(struct process, 1);
    process->helper = helper;
    process->pid = pid;
    process->fd = fds[0];
    process->pending = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    g_mutex_init(&process->sending);
    process->users = 1;
    helper->readers++;
    process->reader = g_thread_new("helper", read_answers, process);
    g_thread_unref(process->reader);
    helper->process = process;
    return process;
}

static void send_text(struct vr_helper *helper, struct process *process, const char *text)
{
    /* The lock is free: a stuck helper's full socket must not stop the others. */
    g_mutex_unlock(&helper->lock);
    g_mutex_lock(&process->sending);
    int rc = vr_frame_write(process->fd, text, strlen(text));
    g_mutex_unlock(&process->sending);
    g_mutex_lock(&helper->lock);
    if (rc < 0)
        bury(process);
}

/* Lock held, given up while waiting. */
static void await(struct vr_helper *helper, struct process *process, struct vr_helper_call *call,
                  struct pending *pending, gint64 id)
{
    gint64 end = g_get_monotonic_time() + (gint64)call->deadline_ms * 1000;
    bool told = false;
    while (!pending->done) {
        gint64 now = g_get_monotonic_time();
        if (call->deadline_ms && now >= end) {
            vr_error_set(&pending->error, helper->hung,
                         "No answer about %s in %" G_GUINT64_FORMAT " ms (%s).", helper->name,
                         call->deadline_ms, call->op);
            g_hash_table_remove(process->pending, &id);
            return;
        }
        if (call->cancel && !told && g_atomic_int_get(call->cancel)) {
            g_autofree char *text = g_strdup_printf(
                "{\"id\":0,\"op\":\"cancel\",\"args\":{\"id\":%" G_GINT64_FORMAT "}}", id);
            told = true;
            send_text(helper, process, text);
            continue;
        }
        gint64 until = call->deadline_ms ? end : now + G_TIME_SPAN_HOUR;
        if (call->cancel && !told)
            until = MIN(until, now + CANCEL_POLL_MS * 1000);
        g_cond_wait_until(&helper->changed, &helper->lock, until);
    }
}

char *vr_helper_call(struct vr_helper *helper, struct vr_helper_call *call, struct vr_error **error)
{
    g_mutex_lock(&helper->lock);
    helper->calls++;
    struct pending pending = { .progress = call->progress, .arg = call->arg };
    struct process *process = ensure(helper, &pending.error);
    if (process) {
        gint64 id = (gint64)++helper->next_id;
        gint64 *key = g_new(gint64, 1);
        *key = id;
        process->users++;
        g_hash_table_insert(process->pending, key, &pending);
        g_autofree char *text =
            g_strdup_printf("{\"id\":%" G_GINT64_FORMAT ",\"op\":\"%s\",\"args\":%s}", id, call->op,
                            call->args ? call->args : "{}");
        send_text(helper, process, text);
        await(helper, process, call, &pending, id);
        process_unref(process);
    }
    call->died = pending.died;
    helper->calls--;
    g_cond_broadcast(&helper->changed);
    g_mutex_unlock(&helper->lock);
    if (pending.error)
        vr_error_move(error, &pending.error);
    return pending.result;
}

void vr_helper_abandon(struct vr_helper *helper)
{
    g_mutex_lock(&helper->lock);
    if (helper->process) {
        vr_log_warning("The helper for %s (process %d) does not answer and is given up.",
                       helper->name, (int)helper->process->pid);
        bury(helper->process);
    }
    g_mutex_unlock(&helper->lock);
}

pid_t vr_helper_pid(struct vr_helper *helper)
{
    g_mutex_lock(&helper->lock);
    pid_t pid = helper->process ? helper->process->pid : 0;
    g_mutex_unlock(&helper->lock);
    return pid;
}

void vr_helper_free(struct vr_helper *helper)
{
    if (!helper)
        return;
    g_mutex_lock(&helper->lock);
    helper->closing = true;
    if (helper->process)
        bury(helper->process);
    while (helper->calls || helper->readers)
        g_cond_wait(&helper->changed, &helper->lock);
    /* Killed processes leave at once unless the kernel holds them; those are not waited for. */
    gint64 end = g_get_monotonic_time() + G_TIME_SPAN_SECOND;
    for (reap_abandoned(helper); helper->abandoned->len && g_get_monotonic_time() < end;
         reap_abandoned(helper))
        g_usleep(1000);
    g_mutex_unlock(&helper->lock);
    g_array_unref(helper->abandoned);
    g_free(helper->program);
    g_free(helper->name);
    g_strfreev(helper->argv);
    g_cond_clear(&helper->changed);
    g_mutex_clear(&helper->lock);
    g_free(helper);
}
