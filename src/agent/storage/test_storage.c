/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The storage verbs as the wire shows them: parameters and results are the
 * host protocol's JSON.  The whole life of a domain runs once per driver
 * whose storage this machine can make, and with the agent restarted in it.
 */
#include "agent/storage/storage.h"

#include <glib/gstdio.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/image/image.h"
#include "agent/storage/format.h"
#include "codec/codec.h"
#include "net/loop.h"

#define SD "5f0e1b0c-7d2a-4b57-9a53-0f6f7e1c2d3e"
#define SD2 "5f0e1b0c-7d2a-4b57-9a53-0f6f7e1c2d3f"
#define SP "6b2d1c8a-0f1e-4c77-8a58-2f0a5d3c9e10"
#define IMG "9a1e33c2-6a36-4c8c-9a60-1d0b7d0a7a55"
#define IMG2 "9a1e33c2-6a36-4c8c-9a60-1d0b7d0a7a56"
#define V1 "11111111-aaaa-4000-8000-000000000001"
#define V2 "11111111-aaaa-4000-8000-000000000002"
#define JOB "22222222-aaaa-4000-8000-000000000001"

struct agent {
    struct vr_loop *loop;
    struct vr_storage *storage;
    char *top, *run_root, *link_root, *device, *device2;
    int type;
    GMutex lock;
    GCond changed;
    int valid;   /* -1: not told yet */
    char *event; /* the last job event */
};

/* ---- one call, waited for ---- */

struct answer {
    struct agent *agent;
    bool done;
    int code;
    char *text;
    const struct vr_verb *verb;
};

static void take(void *result, int code, const char *message, void *arg)
{
    struct answer *answer = arg;
    GString *out = g_string_new(NULL);
    if (code)
        g_string_append(out, message);
    else if (answer->verb->shape == VR_RESULT_WRAPPED)
        vr_json_write_field(out, result, &answer->verb->result->fields[0], VR_JSON_HOST);
    else if (result)
        vr_json_write(out, result, VR_JSON_HOST, NULL);
    else
        g_string_append(out, "true");
    g_assert_true(vr_loop_is_current(answer->agent->loop));
    g_mutex_lock(&answer->agent->lock);
    answer->text = g_string_free(out, FALSE);
    answer->code = code;
    answer->done = true;
    g_cond_broadcast(&answer->agent->changed);
    g_mutex_unlock(&answer->agent->lock);
}

/* The result's JSON, or the message when *@code is not 0; owned. */
static char *call(struct agent *a, const char *name, const char *json, int *code)
{
    struct answer answer = { .agent = a, .verb = vr_verb_find(name) };
    vr_auto_error struct vr_error *error = NULL;
    g_assert_nonnull(answer.verb);
    g_assert_true(vr_storage_handles(answer.verb));
    void *params = vr_json_read(answer.verb->params, json, strlen(json), VR_JSON_HOST,
                                &vr_codec_caps_host, &error);
    if (!params)
        g_error("%s %s: %s", name, json, error->detail);
    vr_storage_call(a->storage, answer.verb, params, take, &answer);
    g_mutex_lock(&a->lock);
    while (!answer.done)
        g_cond_wait(&a->changed, &a->lock);
    g_mutex_unlock(&a->lock);
    vr_unref(params);
    *code = answer.code;
    g_test_message("%s: %d %s", name, answer.code, answer.text);
    return answer.text;
}

static char *good(struct agent *a, const char *name, const char *json)
{
    int code;
    char *text = call(a, name, json, &code);
    g_assert_cmpint(code, ==, 0);
    return text;
}

static void does(struct agent *a, const char *name, const char *json)
{
    g_autofree char *text = good(a, name, json);
    g_assert_cmpstr(text, ==, "true");
}

static void fails(struct agent *a, const char *name, const char *json, int want)
{
    int code;
    g_free(call(a, name, json, &code));
    g_assert_cmpint(code, ==, want);
}

/* The result holds this piece of JSON (as written, without spaces). */
static void says(struct agent *a, const char *name, const char *json, const char *piece)
{
    g_autofree char *text = good(a, name, json);
    if (!strstr(text, piece))
        g_error("%s: %s does not hold %s", name, text, piece);
}

/* Starts a task, waits for its end, and clears it; returns its code. */
static int task(struct agent *a, const char *name, const char *json)
{
    g_autofree char *id = good(a, name, json);
    g_autofree char *args = g_strdup_printf("{\"taskID\":%s}", id);
    for (;;) {
        g_autofree char *status = good(a, "Task.getStatus", args);
        json_object *o = json_tokener_parse(status), *state, *code, *result;
        g_assert_true(json_object_object_get_ex(o, "taskState", &state));
        g_assert_true(json_object_object_get_ex(o, "code", &code));
        g_assert_true(json_object_object_get_ex(o, "taskResult", &result));
        bool finished = strcmp(json_object_get_string(state), "finished") == 0;
        int got = json_object_get_int(code);
        if (finished)
            g_assert_cmpstr(json_object_get_string(result), ==, got ? "cleanFailure" : "success");
        json_object_put(o);
        if (finished) {
            does(a, "Task.clear", args);
            return got;
        }
        g_thread_yield();
    }
}

static void succeeds(struct agent *a, const char *name, const char *json)
{
    g_assert_cmpint(task(a, name, json), ==, 0);
}

/* ---- the agent ---- */

static void domain_changed(const char *sd VR_UNUSED, bool valid, void *arg)
{
    struct agent *a = arg;
    g_mutex_lock(&a->lock);
    a->valid = valid;
    g_cond_broadcast(&a->changed);
    g_mutex_unlock(&a->lock);
}

static void job_changed(const char *id VR_UNUSED, const char *json, void *arg)
{
    struct agent *a = arg;
    g_mutex_lock(&a->lock);
    g_free(a->event);
    a->event = g_strdup(json);
    g_cond_broadcast(&a->changed);
    g_mutex_unlock(&a->lock);
}

static void wait_valid(struct agent *a, int valid)
{
    g_mutex_lock(&a->lock);
    while (a->valid != valid)
        g_cond_wait(&a->changed, &a->lock);
    g_mutex_unlock(&a->lock);
}

static void start_agent(struct agent *a)
{
    vr_auto_error struct vr_error *error = NULL;
    a->valid = -1;
    a->loop = vr_loop_new("test");
    vr_loop_start_thread(a->loop, "test");
    g_autofree char *nbd = g_build_filename(a->top, "nbd", NULL);
    g_autofree char *control = g_build_filename(a->top, "control", NULL);
    a->storage = vr_storage_new(&(struct vr_storage_options){ .loop = a->loop,
                                                              .run_root = a->run_root,
                                                              .link_root = a->link_root,
                                                              .nbd_root = nbd,
                                                              .ticket_socket = control,
                                                              .iod_program = g_getenv("VIREO_IOD"),
                                                              .monitor_ms = 500,
                                                              .domain_changed = domain_changed,
                                                              .job_changed = job_changed,
                                                              .arg = a },
                                &error);
    g_assert_nonnull(a->storage);
}

static void stop_agent(struct agent *a)
{
    vr_storage_free(a->storage);
    vr_loop_stop_thread(a->loop);
    vr_loop_unref(a->loop);
}

static void restart_agent(struct agent *a)
{
    stop_agent(a);
    start_agent(a);
}

static void open_agent(struct agent *a, int type)
{
    memset(a, 0, sizeof(*a));
    g_mutex_init(&a->lock);
    g_cond_init(&a->changed);
    a->type = type;
    a->top = g_dir_make_tmp("vireo-storage-XXXXXX", NULL);
    a->run_root = g_build_filename(a->top, "data-center", NULL);
    a->link_root = g_build_filename(a->top, "run", NULL);
    a->device = g_build_filename(a->top, "my_device", NULL);
    a->device2 = g_build_filename(a->top, "other", NULL);
    g_assert_cmpint(g_mkdir(a->device, 0755), ==, 0);
    g_assert_cmpint(g_mkdir(a->device2, 0755), ==, 0);
    start_agent(a);
}

static char *connection(struct agent *a, const char *device)
{
    return g_strdup_printf("{\"storagepoolID\":\"" VR_UUID_ZERO "\",\"domainType\":%d,"
                           "\"connectionParams\":[{\"id\":\"c1\",\"connection\":\"%s\","
                           "\"vfs_type\":\"none\"}]}",
                           a->type, device);
}

static void connect_device(struct agent *a, const char *device)
{
    g_autofree char *args = connection(a, device);
    says(a, "StoragePool.connectStorageServer", args, "[{\"id\":\"c1\",\"status\":0}]");
}

static void disconnect_device(struct agent *a, const char *device)
{
    g_autofree char *args = connection(a, device);
    says(a, "StoragePool.disconnectStorageServer", args, "[{\"id\":\"c1\",\"status\":0}]");
}

static void close_agent(struct agent *a)
{
    disconnect_device(a, a->device);
    disconnect_device(a, a->device2);
    stop_agent(a);
    const char *argv[] = { "rm", "-rf", "--one-file-system", a->top, NULL };
    g_assert_true(g_spawn_sync(NULL, (char **)(uintptr_t)argv, NULL, G_SPAWN_SEARCH_PATH, NULL,
                               NULL, NULL, NULL, NULL, NULL));
    g_free(a->top);
    g_free(a->run_root);
    g_free(a->link_root);
    g_free(a->device);
    g_free(a->device2);
    g_free(a->event);
}

static void create_domain(struct agent *a, const char *sd, const char *device)
{
    g_autofree char *args = g_strdup_printf(
        "{\"storagedomainID\":\"%s\",\"domainType\":%d,\"typeArgs\":\"%s\",\"name\":\"data1\","
        "\"domainClass\":1,\"version\":\"5\"}",
        sd, a->type, device);
    does(a, "StorageDomain.create", args);
}

#define POOL "\"storagepoolID\":\"" SP "\""
#define DOMAIN "\"storagedomainID\":\"" SD "\""
#define CREATE_POOL                                                                                \
    "{" POOL ",\"name\":\"Default\",\"masterSdUUID\":\"" SD                                        \
    "\",\"masterVersion\":1,\"domainList\":[\"" SD                                                 \
    "\"],\"lockRenewalIntervalSec\":5,\"leaseTimeSec\":60,\"ioOpTimeoutSec\":10,\"leaseRetries\":" \
    "3}"
#define CONNECT_POOL                                                                               \
    "{" POOL ",\"hostID\":1,\"scsiKey\":\"" SP "\",\"masterSdUUID\":\"" SD                         \
    "\",\"masterVersion\":1,\"domainDict\":{\"" SD "\":\"active\"}}"
#define SPM_START                                                                                  \
    "{" POOL ",\"prevID\":-1,\"prevLver\":\"-1\",\"enableScsiFencing\":\"false\",\"maxHostID\":"   \
    "250}"
#define VOLUME(img, vol) POOL "," DOMAIN ",\"imageID\":\"" img "\",\"volumeID\":\"" vol "\""
#define MAKE_VOLUME(img, vol, format, type)                                                        \
    "{" VOLUME(img, vol) ",\"size\":\"1048576\",\"volFormat\":" format ",\"preallocate\":" type    \
                         ",\"diskType\":\"DATA\",\"desc\":\"{}\",\"srcImgUUID\":\"" VR_UUID_ZERO   \
                         "\",\"srcVolUUID\":\"" VR_UUID_ZERO "\"}"

/* A connected pool with this host as SPM. */
static void make_pool(struct agent *a)
{
    connect_device(a, a->device);
    create_domain(a, SD, a->device);
    does(a, "StoragePool.create", CREATE_POOL);
    does(a, "StoragePool.connect", CONNECT_POOL);
    succeeds(a, "StoragePool.spmStart", SPM_START);
    wait_valid(a, 1);
}

static void leave_pool(struct agent *a)
{
    does(a, "StoragePool.spmStop", "{" POOL "}");
    does(a, "StoragePool.disconnect", "{" POOL ",\"hostID\":1,\"scsiKey\":\"x\"}");
}

/* ---- what holds for every driver ---- */

static void a_domain_lives_from_connection_to_format(struct agent *a)
{
    g_autofree char *link = g_build_filename(a->run_root, SP, "mastersd", NULL);
    make_pool(a);
    says(a, "Host.getStorageDomains", "{}", "[\"" SD "\"]");
    says(a, "StorageDomain.getInfo", "{" DOMAIN "}", "\"role\":\"Master\"");
    says(a, "StorageDomain.getInfo", "{" DOMAIN "}", "\"pool\":[\"" SP "\"]");
    says(a, "StorageDomain.getStats", "{" DOMAIN "}", "\"disktotal\"");
    says(a, "StoragePool.getSpmStatus", "{" POOL "}", "\"spmStatus\":\"SPM\"");
    says(a, "StoragePool.getInfo", "{" POOL "}", "\"domains\":\"" SD ":Active\"");
    says(a, "StoragePool.getInfo", "{" POOL "}", "\"diskfree\"");
    says(a, "Host.getStorageRepoStats", "{}", "\"valid\":true");
    says(a, "Host.getConnectedStoragePools", "{}", "[\"" SP "\"]");
    g_assert_true(g_file_test(link, G_FILE_TEST_IS_DIR));
    fails(a, "StorageDomain.format", "{" DOMAIN ",\"autoDetach\":false}", 391);
    fails(a, "StoragePool.disconnect", "{" POOL ",\"hostID\":1,\"scsiKey\":\"x\"}", 656);

    connect_device(a, a->device2);
    create_domain(a, SD2, a->device2);
#define SECOND "{\"storagedomainID\":\"" SD2 "\"," POOL "}"
    does(a, "StorageDomain.attach", SECOND);
    does(a, "StorageDomain.attach", SECOND); /* again */
    says(a, "StoragePool.getInfo", "{" POOL "}", SD2 ":Attached");
    does(a, "StorageDomain.activate", SECOND);
    says(a, "StoragePool.getInfo", "{" POOL "}", SD2 ":Active");
    fails(a, "StorageDomain.detach", SECOND, 382);
    fails(a, "StorageDomain.detach", "{" DOMAIN "," POOL "}", 383);
    does(a, "StorageDomain.deactivate",
         "{\"storagedomainID\":\"" SD2 "\"," POOL ",\"masterSdUUID\":\"" VR_UUID_ZERO
         "\",\"masterVersion\":0}");
    does(a, "StorageDomain.detach", SECOND);
    does(a, "StorageDomain.format", "{\"storagedomainID\":\"" SD2 "\",\"autoDetach\":false}");
    fails(a, "StorageDomain.getInfo", "{\"storagedomainID\":\"" SD2 "\"}", 358);

    does(a, "StoragePool.destroy", "{" POOL ",\"hostID\":1,\"scsiKey\":\"x\"}");
    says(a, "Host.getConnectedStoragePools", "{}", "[]");
    g_assert_false(g_file_test(link, G_FILE_TEST_EXISTS));
    does(a, "StorageDomain.format", "{" DOMAIN ",\"autoDetach\":false}");
}

static void the_master_can_be_handed_over(struct agent *a)
{
    make_pool(a);
    connect_device(a, a->device2);
    create_domain(a, SD2, a->device2);
    does(a, "StorageDomain.attach", SECOND);
    does(a, "StorageDomain.activate", SECOND);
    does(a, "StorageDomain.deactivate",
         "{" DOMAIN "," POOL ",\"masterSdUUID\":\"" SD2 "\",\"masterVersion\":2}");
    says(a, "StoragePool.getInfo", "{" POOL "}", "\"master_uuid\":\"" SD2 "\"");
    says(a, "StorageDomain.getInfo", "{" DOMAIN "}", "\"role\":\"Regular\"");
    says(a, "StorageDomain.getInfo", "{\"storagedomainID\":\"" SD2 "\"}", "\"master_ver\":2");
    leave_pool(a);
    fails(a, "StoragePool.connect", CONNECT_POOL, 324);
}

static void volumes_come_and_go_as_tasks(struct agent *a)
{
    static const struct {
        const char *format, *type, *say_format, *say_type;
    } rows[] = { { "5", "2", "\"format\":\"RAW\"", "\"type\":\"SPARSE\"" },
                 { "5", "1", "\"format\":\"RAW\"", "\"type\":\"PREALLOCATED\"" },
                 { "4", "2", "\"format\":\"COW\"", "\"type\":\"SPARSE\"" },
                 { "4", "1", "\"format\":\"COW\"", "\"type\":\"PREALLOCATED\"" } };
    make_pool(a);
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *args = g_strdup_printf(
            "{" VOLUME(IMG,
                       V1) ",\"size\":\"1048576\",\"volFormat\":%s,\"preallocate\":%s,"
                           "\"diskType\":\"DATA\",\"desc\":\"x\",\"srcImgUUID\":\"" VR_UUID_ZERO
                           "\",\"srcVolUUID\":\"" VR_UUID_ZERO "\"}",
            rows[i].format, rows[i].type);
        succeeds(a, "Volume.create", args);
        g_assert_cmpint(task(a, "Volume.create", args), ==, 212);
        says(a, "Volume.getInfo", "{" VOLUME(IMG, V1) "}", rows[i].say_format);
        says(a, "Volume.getInfo", "{" VOLUME(IMG, V1) "}", rows[i].say_type);
        says(a, "Volume.getSize", "{" VOLUME(IMG, V1) "}", "\"truesize\"");
        says(a, "Volume.getQemuImageInfo", "{" VOLUME(IMG, V1) "}", "\"virtualsize\":1048576");
        says(a, "StorageDomain.getVolumes", "{" POOL "," DOMAIN ",\"imageID\":\"" IMG "\"}", V1);
        says(a, "StorageDomain.getImages", "{" DOMAIN "}", "[\"" IMG "\"]");
        says(a, "Image.prepare", "{" VOLUME(IMG, V1) "}", "/" SD "/images/" IMG "/" V1 "\"");
        succeeds(a, "Volume.extendSize", "{" VOLUME(IMG, V1) ",\"newSize\":\"2097152\"}");
        says(a, "Volume.getInfo", "{" VOLUME(IMG, V1) "}", "\"capacity\":2097152");
        does(a, "Volume.setDescription", "{" VOLUME(IMG, V1) ",\"description\":\"new\"}");
        does(a, "Volume.setLegality", "{" VOLUME(IMG, V1) ",\"legality\":\"ILLEGAL\"}");
        fails(a, "Image.prepare", "{" VOLUME(IMG, V1) "}", 227);
        does(a, "Image.teardown", "{" VOLUME(IMG, V1) "}");
#define DELETE_IMAGE                                                                               \
    "{" POOL "," DOMAIN ",\"imageID\":\"" IMG "\",\"postZero\":false,\"force\":false}"
        succeeds(a, "Image.delete", DELETE_IMAGE);
        fails(a, "Image.delete", DELETE_IMAGE, 268);
    }
    says(a, "Host.getAllTasksStatuses", "{}", "{}");
    leave_pool(a);
    fails(a, "Host.getAllTasksStatuses", "{}", 654);
    fails(a, "Volume.create", MAKE_VOLUME(IMG, V1, "5", "2"), 309);
}

static void finished_tasks_survive_the_agent(struct agent *a)
{
    make_pool(a);
    g_autofree char *id = good(a, "Volume.create", MAKE_VOLUME(IMG, V1, "5", "2"));
    g_autofree char *args = g_strdup_printf("{\"taskID\":%s}", id);
    for (bool finished = false; !finished;) {
        g_autofree char *status = good(a, "Task.getStatus", args);
        finished = strstr(status, "\"taskState\":\"finished\"") != NULL;
    }
    restart_agent(a);
    /* The pool is connected as before, but the SPM role ended with the agent. */
    says(a, "Host.getConnectedStoragePools", "{}", "[\"" SP "\"]");
    wait_valid(a, 1);
    says(a, "StoragePool.getSpmStatus", "{" POOL "}", "\"spmStatus\":\"");
    fails(a, "Volume.create", MAKE_VOLUME(IMG, V2, "5", "2"), 654);
    fails(a, "Task.getStatus", args, 401);
    succeeds(a, "StoragePool.spmStart", SPM_START);
    says(a, "Task.getStatus", args, "\"taskResult\":\"success\"");
    does(a, "Task.clear", args);
    fails(a, "Task.getStatus", args, 401);
    restart_agent(a);
    succeeds(a, "StoragePool.spmStart", SPM_START);
    fails(a, "Task.getStatus", args, 401);
    leave_pool(a);
}

static void wait_job(struct agent *a, const char *status)
{
    g_mutex_lock(&a->lock);
    while (!a->event || !strstr(a->event, status))
        g_cond_wait(&a->changed, &a->lock);
    g_clear_pointer(&a->event, g_free);
    g_mutex_unlock(&a->lock);
}

#define DIV(img, vol)                                                                              \
    "{\"endpoint_type\":\"div\",\"sd_id\":\"" SD "\",\"img_id\":\"" img "\",\"vol_id\":\"" vol "\""

static void data_is_copied_by_jobs(struct agent *a)
{
    make_pool(a);
    succeeds(a, "Volume.create", MAKE_VOLUME(IMG, V1, "5", "2"));
    succeeds(a, "Volume.create", MAKE_VOLUME(IMG2, V2, "4", "2"));
    g_autofree char *path = g_build_filename(a->device, SD, "images", IMG, V1, NULL);
    FILE *file = fopen(path, "r+");
    g_assert_nonnull(file);
    g_assert_cmpint(fputs("data to copy", file), >=, 0);
    fclose(file);
    does(a, "SDM.copy_data",
         "{\"job_id\":\"" JOB
         "\",\"source\":" DIV(IMG, V1) "},\"destination\":" DIV(IMG2, V2) ",\"generation\":0}}");
    wait_job(a, "\"done\"");
    says(a, "Host.getJobs", "{}", "\"description\":\"copy_data\"");
    says(a, "Volume.getInfo", "{" VOLUME(IMG2, V2) "}", "\"generation\":1");
    fails(a, "SDM.copy_data",
          "{\"job_id\":\"" JOB
          "\",\"source\":" DIV(IMG, V1) "},\"destination\":" DIV(IMG2, V2) "}}",
          69);
    does(a, "SDM.copy_data",
         "{\"job_id\":\"" SD2
         "\",\"source\":" DIV(IMG, V1) "},\"destination\":" DIV(IMG2, V2) ",\"generation\":0}}");
    wait_job(a, "911");
    /* Out through an NBD server, as an external end, and back. */
    does(a, "Volume.setLegality", "{" VOLUME(IMG, V1) ",\"legality\":\"LEGAL\"}");
    g_autofree char *url =
        good(a, "NBD.start_server",
             "{\"server_id\":\"" IMG "\",\"config\":{\"sd_id\":\"" SD "\",\"img_id\":\"" IMG2
             "\",\"vol_id\":\"" V2 "\",\"readonly\":true}}");
    g_autofree char *copy = g_strdup_printf(
        "{\"job_id\":\"" SP "\",\"source\":{\"endpoint_type\":\"external\",\"url\":%s,\"format\":"
        "\"raw\"},\"destination\":" DIV(IMG, V1) "}}",
        url);
    g_assert_cmpint(truncate(path, 0), ==, 0);
    g_assert_cmpint(truncate(path, 1048576), ==, 0);
    does(a, "SDM.copy_data", copy);
    wait_job(a, "\"done\"");
    does(a, "NBD.stop_server", "{\"server_id\":\"" IMG "\"}");
    g_autofree char *text = NULL;
    size_t length;
    g_assert_true(g_file_get_contents(path, &text, &length, NULL));
    g_assert_cmpuint(length, ==, 1048576);
    g_assert_cmpstr(text, ==, "data to copy");
    leave_pool(a);
}

static void a_domain_that_goes_away_is_noticed(struct agent *a)
{
    make_pool(a);
    g_autofree char *metadata = g_build_filename(a->device, SD, "dom_md", NULL);
    g_autofree char *hidden = g_build_filename(a->device, SD, "hidden", NULL);
    g_assert_cmpint(g_rename(metadata, hidden), ==, 0);
    wait_valid(a, 0);
    says(a, "Host.getStorageRepoStats", "{}", "\"code\":358");
    g_assert_cmpint(g_rename(hidden, metadata), ==, 0);
    wait_valid(a, 1);
    says(a, "Host.getStorageRepoStats", "{\"domains\":[\"" SD "\"]}", "\"code\":0");
    says(a, "Host.getStorageRepoStats", "{\"domains\":[\"" SD2 "\"]}", "{}");
    leave_pool(a);
}

/* A check that the process never answers, as on a dead mount: it is stopped, not slow. */
static void a_hung_domain_does_not_hang_the_agent(struct agent *a)
{
    make_pool(a);
    g_autofree char *pattern = g_strdup_printf("pgrep -P %d -f vireo-iod", (int)getpid());
    const char *argv[] = { "sh", "-c", pattern, NULL };
    g_autofree char *output = NULL;
    g_assert_true(g_spawn_sync(NULL, (char **)(uintptr_t)argv, NULL, G_SPAWN_SEARCH_PATH, NULL,
                               NULL, &output, NULL, NULL, NULL));
    pid_t pid = (pid_t)g_ascii_strtoll(output, NULL, 10);
    g_assert_cmpint(pid, >, 1);
    g_assert_cmpint(kill(pid, SIGSTOP), ==, 0);
    wait_valid(a, 0);
    g_free(good(a, "Host.getStorageRepoStats", "{}"));
    /* The second missed check gives the process up; a new one takes over by itself. */
    wait_valid(a, 1);
    says(a, "StorageDomain.getInfo", "{" DOMAIN "}", "\"role\":\"Master\"");
    leave_pool(a);
}

static void image_tickets_reach_the_daemon(struct agent *a)
{
    vr_auto_error struct vr_error *error = NULL;
    g_autofree char *control = g_build_filename(a->top, "control", NULL);
#define TICKET                                                                                     \
    "{\"ticket\":{\"uuid\":\"" V1 "\",\"size\":4096,\"url\":\"file:///x\",\"ops\":[\"write\"],"    \
    "\"timeout\":300,\"inactivity_timeout\":60,\"sparse\":true}}"
    fails(a, "Host.add_image_ticket", TICKET, 483);
    struct vr_image_daemon *daemon = vr_image_daemon_start(
        &(struct vr_image_daemon_options){
            .program = g_getenv("VIREO_IMAGED"), .address = "127.0.0.1", .control = control },
        &error);
    g_assert_nonnull(daemon);
    does(a, "Host.add_image_ticket", TICKET);
    says(a, "Host.get_image_ticket", "{\"uuid\":\"" V1 "\"}", "\"sparse\":true");
    does(a, "Host.extend_image_ticket", "{\"uuid\":\"" V1 "\",\"timeout\":600}");
    does(a, "Host.remove_image_ticket", "{\"uuid\":\"" V1 "\"}");
    fails(a, "Host.get_image_ticket", "{\"uuid\":\"" V1 "\"}", 482);
    fails(a, "Host.add_image_ticket",
          "{\"ticket\":{\"uuid\":\"" V1 "\",\"size\":1,\"url\":\"odd\"}}", 482);
    vr_image_daemon_stop(daemon);
}

/* A killed agent leaves its NBD servers behind; the next one ends them. */
static void nbd_servers_do_not_outlive_the_next_agent(struct agent *a)
{
    make_pool(a);
    succeeds(a, "Volume.create", MAKE_VOLUME(IMG, V1, "4", "2"));
    g_autofree char *url = good(a, "NBD.start_server",
                                "{\"server_id\":\"" IMG "\",\"config\":{\"sd_id\":\"" SD
                                "\",\"img_id\":\"" IMG "\",\"vol_id\":\"" V1 "\"}}");
    g_assert_true(g_str_has_prefix(url, "\"nbd:unix:/"));
    g_autofree char *socket = g_strndup(url + strlen("\"nbd:unix:"), strlen(url) - 11);
    g_assert_true(g_file_test(socket, G_FILE_TEST_EXISTS));
    restart_agent(a);
    g_assert_false(g_file_test(socket, G_FILE_TEST_EXISTS));
    succeeds(a, "StoragePool.spmStart", SPM_START);
    leave_pool(a);
}

static void bad_requests_get_their_codes(struct agent *a)
{
    static const struct {
        const char *verb, *params;
        int code;
    } rows[] = {
        { "StorageDomain.getInfo", "{" DOMAIN "}", 358 },
        { "StorageDomain.getInfo", "{\"storagedomainID\":\"../etc\"}", 1000 },
        { "StorageDomain.create",
          "{" DOMAIN ",\"domainType\":1,\"typeArgs\":\"srv:/x\",\"name\":\"a\","
          "\"domainClass\":1}",
          360 },
        { "StorageDomain.create",
          "{" DOMAIN ",\"domainType\":3,\"typeArgs\":\"x\",\"name\":\"a\","
          "\"domainClass\":1}",
          1000 },
        { "StoragePool.connect", CONNECT_POOL, 304 },
        { "StoragePool.getInfo", "{" POOL "}", 309 },
        { "StoragePool.spmStart", SPM_START, 309 },
        { "Task.getStatus", "{\"taskID\":\"" V1 "\"}", 401 },
        { "Host.add_image_ticket",
          "{\"ticket\":{\"uuid\":\"" V1 "\",\"size\":1,\"url\":\"file:///x\"}}", 483 },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++)
        fails(a, rows[i].verb, rows[i].params, rows[i].code);
    says(a, "StoragePool.connectStorageServer",
         "{\"domainType\":3,\"connectionParams\":[{\"id\":\"c\",\"connection\":\"x\"}]}",
         "\"status\":451");
    says(a, "StoragePool.connectStorageServer",
         "{\"domainType\":4,\"connectionParams\":[{\"id\":\"c\",\"connection\":\"/no/such\"}]}",
         "\"status\":451");
    says(a, "StoragePool.connectStorageServer",
         "{\"domainType\":1,\"connectionParams\":[{\"id\":\"c\",\"connection\":\"nonsense\"}]}",
         "\"status\":453");
}

typedef void behaviour(struct agent *a);
#define ROW(name)                                                                                  \
    {                                                                                              \
#name, name                                                                                \
    }
static const struct {
    const char *name;
    behaviour *run;
} behaviours[] = {
    ROW(a_domain_lives_from_connection_to_format),
    ROW(the_master_can_be_handed_over),
    ROW(volumes_come_and_go_as_tasks),
    ROW(finished_tasks_survive_the_agent),
    ROW(data_is_copied_by_jobs),
    ROW(a_domain_that_goes_away_is_noticed),
    ROW(a_hung_domain_does_not_hang_the_agent),
    ROW(bad_requests_get_their_codes),
    ROW(image_tickets_reach_the_daemon),
    ROW(nbd_servers_do_not_outlive_the_next_agent),
};

static void run(gconstpointer data)
{
    unsigned row = GPOINTER_TO_UINT(data) / 10;
    int type = (int)(GPOINTER_TO_UINT(data) % 10);
    if (type == 6 && geteuid() != 0) {
        g_test_skip("Mounting needs root.");
        return;
    }
    struct agent a;
    open_agent(&a, type);
    behaviours[row].run(&a);
    close_agent(&a);
}

int main(int argc, char **argv)
{
    static const struct {
        int type;
        const char *name;
    } drivers[] = { { 4, "localfs" }, { 6, "posixfs" } };
    g_test_init(&argc, &argv, NULL);
    for (unsigned d = 0; d < G_N_ELEMENTS(drivers); d++) {
        for (unsigned i = 0; i < G_N_ELEMENTS(behaviours); i++) {
            g_autofree char *path =
                g_strdup_printf("/storage/verbs/%s/%s", drivers[d].name, behaviours[i].name);
            g_test_add_data_func(path, GUINT_TO_POINTER(i * 10 + (unsigned)drivers[d].type), run);
        }
    }
    return g_test_run();
}
