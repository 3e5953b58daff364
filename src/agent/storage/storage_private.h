/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The inside of storage.h: what its sources share. */

#include <json-c/json.h>

#include "agent/helper/helper.h"
#include "agent/storage/driver.h"
#include "agent/storage/fault.h"
#include "agent/storage/format.h"
#include "agent/storage/storage.h"

#define VR_LOG_MODULE "storage"

/* A connected mount or link, and the process that works on it. */
struct vr_st_connection {
    gint refs; /* atomic */
    const struct vr_storage_driver *driver;
    char *target;
    struct vr_helper *helper;
    gint hung; /* atomic: monitoring gave up on it; short requests fail at once */
};

struct vr_st_domain {
    struct vr_st_connection *connection; /* owned reference */
    char sd[37];
};

/* What monitoring knows of a domain. */
struct vr_st_monitor {
    struct vr_storage *storage;
    char sd[37];
    GThread *thread;
    bool stop;
    /* The outcome of the checks; times in microseconds, monotonic. */
    int code;
    bool valid, actual;
    gint64 last;
    double delay;
    int version;
    uint64_t total, free;
};

struct vr_st_pool {
    char id[37], master[37];
    int host_id;
    int64_t master_version;
    GHashTable *domains; /* sd -> "Active" or "Attached", owned strings */
    bool spm;
};

enum vr_st_state { VR_ST_RUNNING, VR_ST_ABORTING, VR_ST_FINISHED };

/* A verb's work, given to a task or a job: the text of its result, or NULL and @error. */
struct vr_st_work;
typedef char *vr_st_work_fn(struct vr_storage *storage, struct vr_st_work *work,
                            struct vr_error **error);

struct vr_st_work {
    struct vr_storage *storage;
    char id[37];
    bool job;         /* a job (SDM, chosen id), else a task */
    const char *what; /* "createVolume", "copy_data" */
    vr_st_work_fn *run;
    const void *params; /* owned reference */
    gint cancel;        /* atomic */
    gint refs;          /* of the table and of who runs it; storage->lock */
    enum vr_st_state state;
    int code;
    char *message; /* owned */
    int progress;
    gint64 ended; /* jobs: monotonic microseconds */
    bool kept;    /* recorded on the master domain */
    bool recovered;
};

struct vr_storage {
    GMutex lock; /* over everything below; never held over a request to a helper */
    GCond changed;
    struct vr_storage_options o; /* strings owned by `strings` */
    GStringChunk *strings;
    char *mnt;
    GHashTable *connections; /* target -> struct vr_st_connection */
    GHashTable *where;       /* sd -> target: a guess that is verified by use */
    GHashTable *monitors;    /* sd -> struct vr_st_monitor */
    GHashTable *works;       /* id -> struct vr_st_work */
    struct vr_st_pool *pool; /* one, or NULL */
    GThreadPool *verbs, *tasks;
    GMutex pool_lock; /* serialises what changes the pool; taken before lock, held over requests */
    bool closing;
};

/* A verb: runs on a worker; the JSON text of the result ("true" for none), or NULL and @error. */
typedef char *vr_st_verb(struct vr_storage *storage, const void *params, struct vr_error **error);

/* connection.c */
void vr_st_connection_unref(struct vr_st_connection *connection);
void vr_st_adopt(struct vr_storage *storage);
/* The mount that holds @sd; 358 when none does. */
bool vr_st_find(struct vr_storage *storage, const char *sd, struct vr_st_domain *domain,
                struct vr_error **error);
void vr_st_domain_done(struct vr_st_domain *domain);
#define vr_auto_domain __attribute__((cleanup(vr_st_domain_done)))
char *vr_st_domain_dir(const struct vr_st_domain *domain);

/* Requests.  @args is taken and may be NULL; the result is owned. */
struct vr_st_request {
    bool no_deadline;
    uint64_t deadline_ms;    /* 0: the storage's own */
    struct vr_st_work *work; /* whose cancel flag and progress are meant; may be NULL */
    bool once;               /* not repeated when the process died under it */
    bool even_when_hung;
};
json_object *vr_st_ask(struct vr_storage *storage, struct vr_st_connection *connection,
                       const char *op, json_object *args, const struct vr_st_request *how,
                       struct vr_error **error);
/* {"root":..., "sd":...} of a domain and then pairs of strings, ended by NULL; a NULL value is
 * left out. */
json_object *vr_st_args(const struct vr_st_domain *domain, ...) G_GNUC_NULL_TERMINATED;
/* Find, ask, and the text of the answer. */
char *vr_st_ask_text(struct vr_storage *storage, const struct vr_st_domain *domain, const char *op,
                     json_object *args, const struct vr_st_request *how, struct vr_error **error);
const char *vr_st_member(json_object *object, const char *key); /* "" when absent */
bool vr_st_uuid(const char *text, const char *what, struct vr_error **error);
char *vr_st_true(void);

/* pool.c */
/* 654 unless this host is the SPM of @sp. */
bool vr_st_need_spm(struct vr_storage *storage, const char *sp, struct vr_error **error);
/* The master of the connected pool when this host is SPM. */
bool vr_st_master(struct vr_storage *storage, struct vr_st_domain *domain);
void vr_st_pool_free(struct vr_st_pool *pool);
void vr_st_pool_restore(struct vr_storage *storage);
bool vr_st_pool_remember(struct vr_storage *storage, struct vr_error **error);
void vr_st_pool_links(struct vr_storage *storage);

/* work.c */
/* Starts a task; its id as the verb's result text. */
char *vr_st_task(struct vr_storage *storage, const char *what, vr_st_work_fn *run,
                 const void *params, struct vr_error **error);
/* Starts a job under the caller's id. */
char *vr_st_job(struct vr_storage *storage, const char *id, const char *what, vr_st_work_fn *run,
                const void *params, struct vr_error **error);
void vr_st_work_run(gpointer work, gpointer storage);
void vr_st_work_unref(struct vr_st_work *work);
void vr_st_tasks_load(struct vr_storage *storage, struct vr_st_domain *master);
bool vr_st_tasks_running(struct vr_storage *storage);

/* monitor.c */
void vr_st_monitor_start(struct vr_storage *storage, const char *sd);
void vr_st_monitor_stop(struct vr_storage *storage, const char *sd); /* NULL: all */

/* Every verb of storage.h, in the sources that their class suggests. */
#define VR_ST_DECLARE(verb) vr_st_verb vr_st_##verb;
VR_STORAGE_VERBS(VR_ST_DECLARE)
#undef VR_ST_DECLARE
