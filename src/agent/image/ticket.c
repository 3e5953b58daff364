/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/image/ticket.h"

#include <json-c/json.h>

#define TICKETS_MAX 1000
#define RANGES_MAX 10000
#define SIZE_MAX_BYTES ((int64_t)1 << 60)

const struct vr_fault vr_fault_ticket_denied = {
    .name = "ticket_denied",
    .http = 403,
    .rpc = 0,
    .exit = 1,
    .text = "You are not allowed to access this resource:"
};
static const struct vr_fault fault_busy = {
    .name = "ticket_busy", .http = 409, .rpc = 0, .exit = 1, .text = "The ticket is in use."
};

struct range {
    uint64_t start, end;
};

struct vr_ticket {
    struct vr_tickets *tickets;
    gint refs; /* atomic */
    char id[37];
    char *url, *transfer_id, *filename;
    uint64_t size;
    bool write, sparse, dirty, canceled;
    int64_t timeout_s;
    unsigned inactivity_s;
    gint64 expires, used; /* monotonic, microseconds */
    GPtrArray *uses;      /* struct vr_ticket_use, borrowed */
    unsigned closing;     /* backends of former uses that are not closed yet */
    GArray *ranges;       /* what was transferred: sorted, apart */
};

struct vr_tickets {
    gint refs; /* atomic: the owner's, and one for every backend that is being closed */
    GMutex lock;
    GCond idle;
    GHashTable *table; /* id -> struct vr_ticket */
};

static void ticket_unref(gpointer data)
{
    struct vr_ticket *t = data;
    if (!g_atomic_int_dec_and_test(&t->refs))
        return;
    g_ptr_array_unref(t->uses);
    g_array_unref(t->ranges);
    g_free(t->url);
    g_free(t->transfer_id);
    g_free(t->filename);
    g_free(t);
}

struct vr_tickets *vr_tickets_new(void)
{
    struct vr_tickets *tickets = g_new0(struct vr_tickets, 1);
    tickets->refs = 1;
    g_mutex_init(&tickets->lock);
    g_cond_init(&tickets->idle);
    tickets->table = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, ticket_unref);
    return tickets;
}

void vr_tickets_free(struct vr_tickets *tickets)
{
    if (!g_atomic_int_dec_and_test(&tickets->refs))
        return;
    g_hash_table_unref(tickets->table);
    g_cond_clear(&tickets->idle);
    g_mutex_clear(&tickets->lock);
    g_free(tickets);
}

/* ---- closing ---- */

struct closing {
    struct vr_ticket *ticket; /* a reference, as to its tickets */
    struct vr_backend *backend;
};

static gpointer close_backend(gpointer data)
{
    struct closing *c = data;
    struct vr_tickets *tickets = c->ticket->tickets;
    vr_backend_close(c->backend);
    g_mutex_lock(&tickets->lock);
    c->ticket->closing--;
    g_cond_broadcast(&tickets->idle);
    g_mutex_unlock(&tickets->lock);
    ticket_unref(c->ticket);
    vr_tickets_free(tickets);
    g_free(c);
    return NULL;
}

/* Lock held.  What is to be closed, for close_apart() when the lock is free; NULL when nothing is.
 * Until then the ticket does not count as free. */
static struct closing *take_backend(struct vr_ticket *t, struct vr_ticket_use *use)
{
    if (!use->backend)
        return NULL;
    struct closing *c = g_new(struct closing, 1);
    *c = (struct closing){ t, g_steal_pointer(&use->backend) };
    g_atomic_int_inc(&t->refs);
    g_atomic_int_inc(&t->tickets->refs);
    t->closing++;
    return c;
}

/* On a thread of its own, since storage that hangs may hold it for ever: neither other tickets nor
 * the thread that takes connections (which ends them, too) may wait for that. */
static void close_apart(struct closing *c)
{
    if (!c)
        return;
    GThread *thread = g_thread_try_new("close", close_backend, c, NULL);
    if (thread)
        g_thread_unref(thread);
    else
        close_backend(c);
}

static bool valid_id(const char *id)
{
    if (strlen(id) != 36)
        return false;
    for (const char *c = id; *c; c++)
        if (!g_ascii_isxdigit(*c) && *c != '-')
            return false;
    return true;
}

static const char *text_of(json_object *o, const char *key)
{
    json_object *value = NULL;
    json_object_object_get_ex(o, key, &value);
    return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;
}

static int64_t number_of(json_object *o, const char *key, int64_t otherwise)
{
    json_object *value = NULL;
    json_object_object_get_ex(o, key, &value);
    return json_object_is_type(value, json_type_int) ? json_object_get_int64(value) : otherwise;
}

static bool flag_of(json_object *o, const char *key)
{
    json_object *value = NULL;
    json_object_object_get_ex(o, key, &value);
    return json_object_get_boolean(value);
}

/* -1: not a list of known operations; else whether writing is one. */
static int ops_of(json_object *o)
{
    json_object *ops = NULL;
    json_object_object_get_ex(o, "ops", &ops);
    if (!json_object_is_type(ops, json_type_array) || !json_object_array_length(ops))
        return -1;
    int write = 0;
    for (size_t i = 0; i < json_object_array_length(ops); i++) {
        const char *op = json_object_get_string(json_object_array_get_idx(ops, i));
        if (g_strcmp0(op, "write") == 0)
            write = 1;
        else if (g_strcmp0(op, "read") != 0)
            return -1;
    }
    return write;
}

static struct vr_ticket *parse(const char *id, json_object *o, struct vr_error **error)
{
    const char *url = text_of(o, "url"), *named = text_of(o, "uuid");
    int64_t size = number_of(o, "size", -1), timeout = number_of(o, "timeout", -1);
    int64_t inactivity = number_of(o, "inactivity_timeout", 60);
    const char *filename = text_of(o, "filename");
    int write = ops_of(o);
    if (!valid_id(id) || !url || !vr_backend_known(url) || size < 0 || size > SIZE_MAX_BYTES ||
        timeout < 0 || timeout > G_MAXINT32 || inactivity < 0 || inactivity > G_MAXINT32 ||
        write < 0 || (named && strcmp(named, id) != 0)) {
        vr_error_set(error, &vr_fault_bad_request, "The ticket is not valid.");
        return NULL;
    }
    struct vr_ticket *t = g_new0(struct vr_ticket, 1);
    t->refs = 1;
    g_strlcpy(t->id, id, sizeof(t->id));
    t->url = g_strdup(url);
    t->transfer_id = g_strdup(text_of(o, "transfer_id"));
    /* It goes into a header, so it must not bring its own. */
    t->filename = g_strdup(filename);
    for (char *c = t->filename; c && *c; c++)
        if (g_ascii_iscntrl(*c) || *c == '"' || *c == '\\')
            *c = '_';
    t->size = (uint64_t)size;
    t->write = write == 1;
    t->sparse = flag_of(o, "sparse");
    t->dirty = flag_of(o, "dirty");
    t->timeout_s = timeout;
    t->inactivity_s = (unsigned)inactivity;
    t->used = g_get_monotonic_time();
    t->expires = t->used + timeout * G_USEC_PER_SEC;
    t->uses = g_ptr_array_new();
    t->ranges = g_array_new(FALSE, FALSE, sizeof(struct range));
    return t;
}

bool vr_tickets_put(struct vr_tickets *tickets, const char *id, const char *json, size_t length,
                    struct vr_error **error)
{
    struct json_tokener *tokener = json_tokener_new_ex(8);
    json_object *o = json_tokener_parse_ex(tokener, json, (int)length);
    json_tokener_free(tokener);
    struct vr_ticket *t = NULL;
    if (json_object_is_type(o, json_type_object))
        t = parse(id, o, error);
    else
        vr_error_set(error, &vr_fault_bad_request, "The ticket is not valid JSON.");
    json_object_put(o);
    if (!t)
        return false;
    t->tickets = tickets;
    g_mutex_lock(&tickets->lock);
    struct vr_ticket *old = g_hash_table_lookup(tickets->table, id);
    if (old && (old->uses->len || old->closing))
        vr_error_set(error, &fault_busy, NULL);
    else if (!old && g_hash_table_size(tickets->table) >= TICKETS_MAX)
        vr_error_set(error, &fault_busy, "There are too many tickets.");
    else
        g_hash_table_replace(tickets->table, t->id, t);
    g_mutex_unlock(&tickets->lock);
    if (*error)
        ticket_unref(t);
    return !*error;
}

/* Lock held. */
static bool active(const struct vr_ticket *t)
{
    for (unsigned i = 0; i < t->uses->len; i++)
        if (((const struct vr_ticket_use *)t->uses->pdata[i])->busy)
            return true;
    return false;
}

char *vr_tickets_show(struct vr_tickets *tickets, const char *id)
{
    g_mutex_lock(&tickets->lock);
    const struct vr_ticket *t = g_hash_table_lookup(tickets->table, id);
    if (!t) {
        g_mutex_unlock(&tickets->lock);
        return NULL;
    }
    gint64 now = g_get_monotonic_time();
    uint64_t transferred = 0;
    for (unsigned i = 0; i < t->ranges->len; i++) {
        const struct range *r = &g_array_index(t->ranges, struct range, i);
        transferred += r->end - r->start;
    }
    json_object *o = json_object_new_object(), *ops = json_object_new_array();
    json_object_array_add(ops, json_object_new_string(t->write ? "write" : "read"));
    bool busy = active(t);
    json_object_object_add(o, "uuid", json_object_new_string(t->id));
    json_object_object_add(o, "size", json_object_new_int64((int64_t)t->size));
    json_object_object_add(o, "url", json_object_new_string(t->url));
    json_object_object_add(o, "ops", ops);
    json_object_object_add(o, "timeout",
                           json_object_new_int64((t->expires - now) / G_USEC_PER_SEC));
    json_object_object_add(o, "expires", json_object_new_int64(t->expires / G_USEC_PER_SEC));
    json_object_object_add(o, "inactivity_timeout", json_object_new_int64(t->inactivity_s));
    json_object_object_add(o, "idle_time",
                           json_object_new_int64(busy ? 0 : (now - t->used) / G_USEC_PER_SEC));
    json_object_object_add(o, "active", json_object_new_boolean(busy));
    json_object_object_add(o, "canceled", json_object_new_boolean(t->canceled));
    json_object_object_add(o, "connections", json_object_new_int((int)t->uses->len));
    json_object_object_add(o, "transferred", json_object_new_int64((int64_t)transferred));
    json_object_object_add(o, "sparse", json_object_new_boolean(t->sparse));
    json_object_object_add(o, "dirty", json_object_new_boolean(t->dirty));
    if (t->transfer_id)
        json_object_object_add(o, "transfer_id", json_object_new_string(t->transfer_id));
    if (t->filename)
        json_object_object_add(o, "filename", json_object_new_string(t->filename));
    g_mutex_unlock(&tickets->lock);
    char *text = g_strdup(json_object_to_json_string_ext(o, JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(o);
    return text;
}

bool vr_tickets_extend(struct vr_tickets *tickets, const char *id, int64_t timeout_s)
{
    g_mutex_lock(&tickets->lock);
    struct vr_ticket *t = g_hash_table_lookup(tickets->table, id);
    if (t)
        t->expires = g_get_monotonic_time() + timeout_s * G_USEC_PER_SEC;
    g_mutex_unlock(&tickets->lock);
    return t != NULL;
}

/* Lock held, but not all the time.  Takes the backends of idle uses away; the uses end when their
 * connections do. */
static void take_idle(struct vr_ticket *t)
{
    g_autoptr(GPtrArray) idle = g_ptr_array_new();
    for (unsigned i = t->uses->len; i-- > 0;) {
        struct vr_ticket_use *use = t->uses->pdata[i];
        if (use->busy)
            continue;
        struct closing *c = take_backend(t, use);
        if (c)
            g_ptr_array_add(idle, c);
        g_ptr_array_remove_index_fast(t->uses, i);
    }
    if (!idle->len)
        return;
    g_mutex_unlock(&t->tickets->lock);
    for (unsigned i = 0; i < idle->len; i++)
        close_apart(idle->pdata[i]);
    g_mutex_lock(&t->tickets->lock);
}

/* Lock held. */
static bool in_use(const struct vr_ticket *t)
{
    return t->uses->len || t->closing;
}

bool vr_tickets_delete(struct vr_tickets *tickets, const char *id, unsigned wait_s)
{
    gint64 end = g_get_monotonic_time() + (gint64)wait_s * G_USEC_PER_SEC;
    g_mutex_lock(&tickets->lock);
    struct vr_ticket *t = g_hash_table_lookup(tickets->table, id);
    bool gone = true;
    if (t) {
        g_atomic_int_inc(&t->refs);
        t->canceled = true;
        take_idle(t);
        while (in_use(t) && g_cond_wait_until(&tickets->idle, &tickets->lock, end))
            take_idle(t);
        gone = !in_use(t);
        if (gone && g_hash_table_lookup(tickets->table, id) == t)
            g_hash_table_remove(tickets->table, id);
    }
    g_mutex_unlock(&tickets->lock);
    if (t)
        ticket_unref(t);
    return gone;
}

/* ---- uses ---- */

/* Lock held. */
static bool allowed(const struct vr_ticket *t, bool write, struct vr_error **error)
{
    const char *why = !t                                     ? "No such ticket"
                      : t->canceled                          ? "Ticket was canceled"
                      : t->expires <= g_get_monotonic_time() ? "Ticket expired"
                      : write && !t->write                   ? "Ticket forbids write"
                                                             : NULL;
    if (why)
        vr_error_set(error, &vr_fault_ticket_denied, "%s", why);
    return !why;
}

struct vr_ticket_use *vr_ticket_begin(struct vr_tickets *tickets, struct vr_ticket_use *use,
                                      const char *id, bool write, struct vr_error **error)
{
    if (use && strcmp(use->ticket->id, id) != 0) {
        /* A connection may go on to another ticket. */
        vr_ticket_leave(use);
        use = NULL;
    }
    g_mutex_lock(&tickets->lock);
    struct vr_ticket *t = use ? use->ticket : g_hash_table_lookup(tickets->table, id);
    /* A ticket that was removed and installed again is another one. */
    if (use && g_hash_table_lookup(tickets->table, id) != t)
        t = NULL;
    if (!allowed(t, write, error)) {
        g_mutex_unlock(&tickets->lock);
        vr_ticket_leave(use);
        return NULL;
    }
    if (!use) {
        use = g_new0(struct vr_ticket_use, 1);
        use->ticket = t;
        g_atomic_int_inc(&t->refs);
        g_ptr_array_add(t->uses, use);
    }
    use->busy = true;
    t->used = g_get_monotonic_time();
    g_mutex_unlock(&tickets->lock);
    return use;
}

struct vr_backend *vr_ticket_backend(struct vr_ticket_use *use, struct vr_error **error)
{
    /* Busy: nobody else touches it. */
    if (!use->backend)
        use->backend =
            vr_backend_open(use->ticket->url, use->ticket->write, use->ticket->sparse, error);
    return use->backend;
}

bool vr_ticket_go_on(struct vr_ticket_use *use, struct vr_error **error)
{
    struct vr_tickets *tickets = use->ticket->tickets;
    g_mutex_lock(&tickets->lock);
    bool canceled = use->ticket->canceled;
    use->ticket->used = g_get_monotonic_time();
    g_mutex_unlock(&tickets->lock);
    if (canceled)
        vr_error_set(error, &vr_fault_ticket_denied, "Ticket was canceled");
    return !canceled;
}

void vr_ticket_count(struct vr_ticket_use *use, uint64_t start, uint64_t end)
{
    struct vr_ticket *t = use->ticket;
    if (start >= end)
        return;
    g_mutex_lock(&t->tickets->lock);
    GArray *r = t->ranges;
    unsigned i = 0;
    while (i < r->len && g_array_index(r, struct range, i).end < start)
        i++;
    /* Merge with all that touch; beyond the cap, with the neighbour, gap and all. */
    while (i < r->len && (g_array_index(r, struct range, i).start <= end || r->len > RANGES_MAX)) {
        struct range *x = &g_array_index(r, struct range, i);
        start = MIN(start, x->start);
        end = MAX(end, x->end);
        g_array_remove_index(r, i);
    }
    struct range merged = { start, end };
    g_array_insert_val(r, i, merged);
    t->used = g_get_monotonic_time();
    g_mutex_unlock(&t->tickets->lock);
}

void vr_ticket_end(struct vr_ticket_use *use, bool close)
{
    struct vr_tickets *tickets = use->ticket->tickets;
    struct vr_backend *backend = close ? g_steal_pointer(&use->backend) : NULL;
    vr_backend_close(backend);
    g_mutex_lock(&tickets->lock);
    use->busy = false;
    use->ticket->used = g_get_monotonic_time();
    g_cond_broadcast(&tickets->idle);
    g_mutex_unlock(&tickets->lock);
}

void vr_ticket_leave(struct vr_ticket_use *use)
{
    if (!use)
        return;
    struct vr_tickets *tickets = use->ticket->tickets;
    g_mutex_lock(&tickets->lock);
    struct closing *c = take_backend(use->ticket, use);
    g_ptr_array_remove_fast(use->ticket->uses, use);
    g_cond_broadcast(&tickets->idle);
    g_mutex_unlock(&tickets->lock);
    close_apart(c);
    ticket_unref(use->ticket);
    g_free(use);
}

uint64_t vr_ticket_size(const struct vr_ticket_use *use)
{
    return use->ticket->size;
}
unsigned vr_ticket_inactivity(const struct vr_ticket_use *use)
{
    return use->ticket->inactivity_s;
}
const char *vr_ticket_filename(const struct vr_ticket_use *use)
{
    return use->ticket->filename;
}
bool vr_ticket_writable(const struct vr_ticket_use *use)
{
    return use->ticket->write;
}
