/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/codec.h"
#include "manager/engine/fake.h"
#include "manager/job/internal.h"
#include "manager/storage/storage.h"

/*
 * A Manager that is killed in every step of every kind of job, forwards and
 * on the way back, and starts again while the hosts are not connected yet.
 * The job waits for its host: it goes on when the host comes, and fails when
 * the host's grace is over.  The Manager's own modules, hosts that answer from
 * a table.
 */

#define ID(n) "00000000-0000-4000-8000-0000000000" #n
#define CENTER ID(01)
#define CLUSTER ID(02)
#define HOST ID(03)
#define DEAD ID(04) /* a host whose power is switched */
#define MASTER ID(05)
#define OTHER ID(06)
#define DISK ID(07)
#define DUMP ID(08)
#define METADATA ID(09)
#define VM ID(10)
#define VOLUME ID(11)
#define JOB ID(12)

/* --- the site that the Manager finds in its database --- */

struct entity {
    int kind;
    const char *json;
};

#define DISK_JSON(id, type, more) \
    "{\"id\": \"" id "\", \"alias\": \"d\", \"status\": \"ok\", \"format\": \"raw\", \"content_type\": \"" type \
    "\", \"image_id\": \"" VOLUME "\", \"provisioned_size\": 1048576, \"storage_domain\": {\"id\": \"" MASTER \
    "\"}" more "}"
#define MEMORY ", \"memory_of\": {\"id\": \"" VM "\"}"
#define VM_JSON(status, more) \
    "{\"id\": \"" VM "\", \"name\": \"v\", \"status\": \"" status "\", \"memory\": 1073741824," \
    " \"os\": {\"kernel\": \"/boot/vmlinuz\"}, \"cluster\": {\"id\": \"" CLUSTER "\"}," \
    " \"job\": {\"id\": \"" JOB "\"}, \"host\": {\"id\": \"" HOST "\"}, \"run_host\": {\"id\": \"" HOST "\"}" more "}"
#define SAVED ", \"memory_disk\": {\"id\": \"" DUMP "\"}, \"metadata_disk\": {\"id\": \"" METADATA "\"}"
#define DOMAIN_JSON(id, name, more) \
    "{\"id\": \"" id "\", \"name\": \"" name "\", \"type\": \"data\"," \
    " \"storage\": {\"type\": \"localfs\", \"path\": \"/" name "\"}" more "}"
#define IN_POOL(status) ", \"data_center\": {\"id\": \"" CENTER "\"}, \"pool_status\": \"" status "\""

static const struct entity site[] = {
    { VR_KIND_DATA_CENTER, "{\"id\": \"" CENTER "\", \"name\": \"d\", \"status\": \"up\","
                           " \"pool_created\": true, \"master_version\": 1,"
                           " \"master_storage_domain\": {\"id\": \"" MASTER "\"},"
                           " \"spm_host\": {\"id\": \"" HOST "\"}}" },
    { VR_KIND_CLUSTER, "{\"id\": \"" CLUSTER "\", \"name\": \"c\", \"version\": {\"major\": 4, \"minor\": 7},"
                       " \"data_center\": {\"id\": \"" CENTER "\"}}" },
    { VR_KIND_HOST, "{\"id\": \"" HOST "\", \"name\": \"h\", \"address\": \"h.example.com\", \"status\": \"up\","
                    " \"host_id\": 1, \"boot_id\": \"b\", \"spm\": {\"status\": \"spm\"},"
                    " \"cluster\": {\"id\": \"" CLUSTER "\"}}" },
    { VR_KIND_HOST, "{\"id\": \"" DEAD "\", \"name\": \"x\", \"address\": \"x.example.com\","
                    " \"status\": \"down\", \"host_id\": 2, \"cluster\": {\"id\": \"" CLUSTER "\"}}" },
    { VR_KIND_AGENT, "{\"id\": \"" ID(13) "\", \"type\": \"ipmilan\", \"address\": \"bmc\", \"order\": 1,"
                     " \"host\": {\"id\": \"" DEAD "\"}}" },
    { VR_KIND_STORAGE_DOMAIN, DOMAIN_JSON(MASTER, "m", IN_POOL("active") ", \"master\": true") },
    { VR_KIND_DISK, DISK_JSON(DISK, "data", "") },
    { VR_KIND_DISK, DISK_JSON(DUMP, "memory_dump_volume", MEMORY) },
    { VR_KIND_DISK, DISK_JSON(METADATA, "memory_metadata_volume", MEMORY) },
};

/* --- every kind of job, with what it works on --- */

#define DOMAIN_CONTEXT(more) \
    "{\"domain_id\": \"" OTHER "\", \"data_center_id\": \"" CENTER "\", \"host_id\": \"" HOST "\"" more "}"
#define DISK_CONTEXT(more) \
    "{\"disk_id\": \"" DISK "\", \"domain_id\": \"" MASTER "\", \"pool_id\": \"" CENTER "\"," \
    " \"host_id\": \"" HOST "\", \"volume_id\": \"" VOLUME "\", \"size\": 2097152" more "}"
#define TASK ", \"task_id\": \"t\""
#define VM_CONTEXT(more) "{\"vm_id\": \"" VM "\", \"host_id\": \"" HOST "\"" more "}"

static const struct row {
    const char *type, *context;
    struct entity own; /* what the job works on, beside the site */
    bool patient; /* it does not give up when its host is lost: only the host knows the end */
} rows[] = {
    { "AddStorageDomain", DOMAIN_CONTEXT(""),
      { VR_KIND_STORAGE_DOMAIN, DOMAIN_JSON(OTHER, "o", ", \"status\": \"locked\"") } },
    { "RemoveStorageDomain", DOMAIN_CONTEXT(""),
      { VR_KIND_STORAGE_DOMAIN, DOMAIN_JSON(OTHER, "o", ", \"status\": \"locked\"") } },
    { "AttachStorageDomain", DOMAIN_CONTEXT(""),
      { VR_KIND_STORAGE_DOMAIN, DOMAIN_JSON(OTHER, "o", IN_POOL("locked")) } },
    { "ActivateStorageDomain", DOMAIN_CONTEXT(""),
      { VR_KIND_STORAGE_DOMAIN, DOMAIN_JSON(OTHER, "o", IN_POOL("activating")) } },
    { "DeactivateStorageDomain", DOMAIN_CONTEXT(""),
      { VR_KIND_STORAGE_DOMAIN, DOMAIN_JSON(OTHER, "o", IN_POOL("preparing_for_maintenance")) } },
    { "DetachStorageDomain", DOMAIN_CONTEXT(""),
      { VR_KIND_STORAGE_DOMAIN, DOMAIN_JSON(OTHER, "o", IN_POOL("detaching")) } },
    { "AddDisk", DISK_CONTEXT(""), { 0 } },
    { "AddDisk", DISK_CONTEXT(TASK), { 0 }, true },
    { "ExtendDisk", DISK_CONTEXT(""), { 0 } },
    { "ExtendDisk", DISK_CONTEXT(TASK), { 0 }, true },
    { "RemoveDisk", DISK_CONTEXT(""), { 0 } },
    { "RemoveDisk", DISK_CONTEXT(TASK ", \"removing\": true"), { 0 }, true },
    { "RunVm", VM_CONTEXT(""), { VR_KIND_VM, VM_JSON("wait_for_launch", "") } },
    { "RunVm", VM_CONTEXT(", \"restoring\": true"), { VR_KIND_VM, VM_JSON("restoring_state", SAVED) },
      true },
    { "RunVm", VM_CONTEXT(", \"restoring\": true, \"asked\": true, \"boot_id\": \"b\""),
      { VR_KIND_VM, VM_JSON("restoring_state", SAVED) }, true },
    { "SuspendVm", VM_CONTEXT(""), { VR_KIND_VM, VM_JSON("saving_state", SAVED) }, true },
    { "SuspendVm", VM_CONTEXT(", \"asked\": true"), { VR_KIND_VM, VM_JSON("saving_state", SAVED) }, true },
    { "ChangeDisc", "{\"vm_id\": \"" VM "\"}", { VR_KIND_VM, VM_JSON("up", "") }, true },
    { "FenceHost", "{\"host_id\": \"" DEAD "\", \"goal\": \"restart\"}", { 0 }, true },
};

/* Their work is done over SSH; only the last step speaks to the agent, which it waits for itself. */
static const char *const over_ssh[] = { "InstallHost", "EnrollHostCertificate" };

/* --- hosts --- */

static struct {
    bool has_vm, saved; /* the machine runs on it; its memory was saved */
    bool power;         /* of the other host */
    bool no_spm;        /* it manages the storage pool once it is told to */
    GString *told;      /* "Volume.create Task.getStatus": without the questions of monitors */
} host;

static const struct {
    const char *verb, *result;
} answers[] = {
    { "Host.getCapabilities",
      "{\"cpuCores\": \"16\", \"cpuThreads\": \"32\", \"cpuSockets\": \"2\", \"memSize\": \"65536\","
      " \"reservedMem\": \"321\", \"guestOverhead\": \"65\", \"kvmEnabled\": \"true\","
      " \"clusterLevels\": [\"4.6\", \"4.7\"], \"uuid\": \"u\", \"boot_uuid\": \"b\","
      " \"emulatedMachines\": [\"pc\", \"q35\"], \"cpuFlags\": \"svm,sse4_2\"}" },
    { "Host.getHardwareInfo", "{\"systemManufacturer\": \"Simulated\"}" },
    { "Host.getStats", "{\"memFree\": 60000, \"memAvailable\": 60000, \"memCommitted\": 0, \"cpuIdle\": \"97.00\"}" },
    { "StoragePool.connectStorageServer", "{\"value\": [{\"id\": \"c\", \"status\": 0}]}" },
    { "StoragePool.getSpmStatus", "{\"spmStatus\": \"SPM\", \"spmId\": 1, \"spmLver\": 1}" },
    { "StoragePool.spmStart", "{\"value\": \"t\"}" },
    { "StoragePool.getInfo", "{\"dominfo\": {}}" },
    { "Volume.create", "{\"value\": \"t\"}" },
    { "Volume.extendSize", "{\"value\": \"t\"}" },
    { "Image.delete", "{\"value\": \"t\"}" },
    { "Task.getStatus", "{\"code\": 0, \"message\": \"\", \"taskID\": \"t\", \"taskResult\": \"success\","
                        " \"taskState\": \"finished\"}" },
    { "VM.create", "{}" },
};

static void *read_json(const struct vr_type *type, const char *json, enum vr_json_dialect dialect)
{
    vr_auto_error struct vr_error *error = NULL;
    void *object = vr_json_read(type, json, strlen(json), dialect,
                                &vr_codec_caps_host, &error);
    if (!object)
        g_error("%s: %s", json, error->detail);
    return object;
}

static const char *vm_json(void)
{
    if (host.saved)
        return "{\"value\": [{\"vmId\": \"" VM "\", \"status\": \"Down\", \"exitCode\": 0, \"exitReason\": 5,"
               " \"exitMessage\": \"saved\"}]}";
    return host.has_vm ? "{\"value\": [{\"vmId\": \"" VM "\", \"status\": \"Up\"}]}" : NULL;
}

/* What a verb does, and its result as JSON; NULL: nothing but success. */
static const char *serve(const struct fake_call *call, int *ret_code)
{
    const char *verb = call->verb->name;
    const char *vm = vm_json();
    if (strcmp(verb, "VM.create") == 0)
        host.has_vm = true;
    else if (strcmp(verb, "VM.hibernate") == 0)
        host.saved = true;
    else if (strcmp(verb, "VM.destroy") == 0)
        host.has_vm = host.saved = false;
    else if (strcmp(verb, "Host.getAllVmStats") == 0)
        return vm ? vm : "{\"value\": []}";
    else if (strcmp(verb, "VM.getStats") == 0) {
        *ret_code = vm ? 0 : 1;
        return vm;
    } else if (strcmp(verb, "Host.fenceNode") == 0) {
        const struct vr_rpc_host_fence_node_params *params = call->params;
        if (params->action != VR_RPC_FENCE_NODE_ACTION_STATUS)
            host.power = params->action == VR_RPC_FENCE_NODE_ACTION_ON;
        return host.power ? "{\"power\": \"on\"}" : "{\"power\": \"off\"}";
    }
    else if (strcmp(verb, "StoragePool.spmStart") == 0)
        host.no_spm = false;
    else if (strcmp(verb, "StoragePool.getSpmStatus") == 0 && host.no_spm)
        return "{\"spmStatus\": \"Free\", \"spmId\": -1, \"spmLver\": -1}";
    for (unsigned i = 0; i < G_N_ELEMENTS(answers); i++)
        if (strcmp(answers[i].verb, verb) == 0)
            return answers[i].result;
    return NULL;
}

/* Answers all that was asked: as the host, or as one that is not there. */
static void answer_all(struct fake *fake, bool there) VR_REQUIRES(vr_role_engine);
static void answer_all(struct fake *fake, bool there)
{
    while (!g_queue_is_empty(&fake->calls)) {
        const struct fake_call *call = g_queue_peek_head(&fake->calls);
        int code = 0;
        g_string_append_printf(host.told, "%s ", call->verb->name);
        if (!there || strcmp(call->host_id, HOST) != 0) {
            fake_answer(fake, NULL, VR_RPC_NETWORK_ERROR, "not connected");
            continue;
        }
        const char *json = serve(call, &code);
        vr_auto void *result =
            json && call->verb->result ? read_json(call->verb->result, json, VR_JSON_HOST) : NULL;
        fake_answer(fake, result, code, code ? "no such machine" : NULL);
    }
}

/* --- a Manager that starts --- */

static void add(GArray *changes, int kind, void *object)
{
    const struct vr_change change = { kind, (char *)(uintptr_t)vr_id(object), object,
                                      (int64_t)changes->len + 1 };
    g_array_append_val(changes, change);
}

static void add_site(GArray *changes)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(site); i++)
        add(changes, site[i].kind,
            read_json(vr_kinds[site[i].kind].type, site[i].json, VR_JSON_STORE));
}

/* Takes the entities of @changes. */
static struct fake *start_with(GArray *changes) VR_REQUIRES(vr_role_engine);
static struct fake *start_with(GArray *changes)
{
    host.told = g_string_new(NULL);
    struct fake *fake = fake_new(changes);
    for (unsigned i = 0; i < changes->len; i++)
        vr_unref(g_array_index(changes, struct vr_change, i).after);
    return fake;
}

static struct fake *restart(const struct row *row, unsigned position, bool undoing)
    VR_REQUIRES(vr_role_engine);
static struct fake *restart(const struct row *row, unsigned position, bool undoing)
{
    g_autoptr(GArray) changes = g_array_new(FALSE, FALSE, sizeof(struct vr_change));
    add_site(changes);
    if (row->own.json)
        add(changes, row->own.kind,
            read_json(vr_kinds[row->own.kind].type, row->own.json, VR_JSON_STORE));
    struct vr_job *job = VR_NEW(job);
    vr_set_id(job, JOB);
    VR_SET_STRING(job, job_type, row->type);
    VR_SET_STRING(job, context, row->context);
    VR_SET(job, position, position);
    VR_SET(job, undoing, undoing);
    VR_SET(job, status, VR_JOB_STATUS_STARTED);
    if (undoing)
        VR_SET_STRING(job, fault, vr_fault_host_rpc.name);
    if (row->own.json) {
        struct vr_job_lock *lock = VR_NEW(job_lock);
        VR_SET_STRING(lock, kind, vr_kinds[row->own.kind].name);
        VR_SET_STRING(lock, target, row->own.kind == VR_KIND_VM ? VM : OTHER);
        VR_SET(lock, exclusive, true);
        VR_APPEND(job, locks, lock);
    }
    add(changes, VR_KIND_JOB, job);
    host.has_vm = strcmp(row->type, "SuspendVm") == 0 || strcmp(row->type, "ChangeDisc") == 0;
    host.saved = host.has_vm && position == 2; /* "release host": it was saved */
    host.power = true;
    return start_with(changes);
}

static void end(struct fake *fake)
{
    fake_free(fake);
    g_string_free(host.told, TRUE);
}

static enum vr_job_status status_of(struct fake *fake) VR_REQUIRES(vr_role_engine);
static enum vr_job_status status_of(struct fake *fake)
{
    const struct vr_job *job = VR_PEEK(fake->committed, JOB, job, JOB);
    g_assert_nonnull(job);
    return job->status;
}

/* @ms pass, with answers as they come. */
static void pass(struct fake *fake, int64_t ms, bool there) VR_REQUIRES(vr_role_engine);
static void pass(struct fake *fake, int64_t ms, bool there)
{
    for (int64_t left = ms; left > 0; left -= 500) {
        fake_settle(fake);
        answer_all(fake, there);
        fake_settle(fake);
        fake_advance(fake, 500);
    }
    fake_settle(fake);
    answer_all(fake, there); /* nobody waits for an answer when this ends */
    fake_settle(fake);
}

/* --- the host comes late --- */

static void comes_late(const struct row *row, unsigned position, bool undoing)
    VR_REQUIRES(vr_role_engine);
static void comes_late(const struct row *row, unsigned position, bool undoing)
{
    struct fake *fake = restart(row, position, undoing);
    pass(fake, 20000, false);
    g_assert_cmpint(status_of(fake), ==, VR_JOB_STATUS_STARTED);
    g_assert_cmpstr(host.told->str, ==, "");
    vr_engine_host_state(fake->engine, HOST, true, NULL);
    pass(fake, 60000, true);
    g_test_message("    asked: %s", host.told->str);
    g_assert_cmpint(status_of(fake), ==,
                    undoing ? VR_JOB_STATUS_FAILED : VR_JOB_STATUS_FINISHED);
    end(fake);
}

/* --- it does not come --- */

static void never_comes(const struct row *row, unsigned position, bool undoing)
    VR_REQUIRES(vr_role_engine);
static void never_comes(const struct row *row, unsigned position, bool undoing)
{
    struct fake *fake = restart(row, position, undoing);
    for (unsigned seconds = 0; seconds < 300; seconds++) {
        for (char *id; (id = g_queue_pop_head(&fake->connects)); g_free(id))
            vr_engine_host_state(fake->engine, id, false, "refused");
        pass(fake, 1000, false);
        if (seconds == 60) { /* the grace of facts/manager-behaviour.md 4.1 is 60 s and more */
            g_assert_cmpstr(host.told->str, ==, "");
            g_assert_cmpint(status_of(fake), ==, VR_JOB_STATUS_STARTED);
        }
    }
    /* It was tried, and the job goes by what came of it: as ever. */
    const struct vr_host *seen = VR_PEEK(fake->committed, HOST, host, HOST);
    g_assert_cmpint(seen->status, ==, VR_HOST_STATUS_NON_RESPONSIVE);
    if (!row->patient && !undoing)
        g_assert_cmpint(status_of(fake), !=, VR_JOB_STATUS_STARTED);
    end(fake);
}

static const struct vr_job_type *type_of(const char *name)
{
    for (unsigned i = 0; vr_job_types[i]; i++)
        if (strcmp(vr_job_types[i]->name, name) == 0)
            return vr_job_types[i];
    g_error("there is no job type %s", name);
}

static void sweep(void (*check)(const struct row *row, unsigned position, bool undoing))
    VR_NO_THREAD_SAFETY
{
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        const struct vr_job_type *type = type_of(rows[i].type);
        for (unsigned step = 0; step < type->step_count; step++) {
            g_test_message("%s, step \"%s\", context %s", type->name, type->steps[step].name,
                           rows[i].context);
            check(&rows[i], step, false);
            if (type->steps[step].undo)
                check(&rows[i], step, true);
        }
    }
}

static void test_late(void)
{
    sweep(comes_late);
}

static void test_never(void)
{
    sweep(never_comes);
}

/* --- a Manager that is killed before it elects another storage pool manager --- */

/* What is in the database when the host that managed the pool was counted as dead, and no more. */
static GArray *after_the_spm_died(void) VR_REQUIRES(vr_role_engine);
static GArray *after_the_spm_died(void)
{
    g_autoptr(GArray) before = g_array_new(FALSE, FALSE, sizeof(struct vr_change));
    add_site(before);
    struct fake *fake = start_with(before);
    fake_settle(fake);
    struct vr_txn *txn = vr_txn_new(fake->engine);
    VR_SET_LINK(VR_EDIT(txn, DATA_CENTER, data_center, CENTER), spm_host, host, DEAD);
    VR_CLEAR(VR_EDIT(txn, HOST, host, HOST), spm);
    vr_txn_commit(txn, NULL, NULL);
    txn = vr_txn_new(fake->engine);
    vr_storage_host_dead(txn, DEAD);
    vr_txn_commit(txn, NULL, NULL);
    fake_acknowledge(fake); /* and the clock stands: nobody was elected */
    g_assert_null(strstr(host.told->str, "spmStart"));
    GArray *left = g_array_new(FALSE, FALSE, sizeof(struct vr_change));
    for (unsigned kind = 0; kind < VR_KIND_COUNT; kind++) {
        vr_auto_objects struct vr_objects all = { 0 };
        vr_inventory_list(fake->committed, (int)kind, &all);
        for (unsigned i = 0; i < all.count; i++)
            add(left, (int)kind, vr_ref(all.items[i]));
    }
    end(fake);
    return left;
}

static void test_spm(void) VR_NO_THREAD_SAFETY
{
    host.no_spm = true;
    g_autoptr(GArray) left = after_the_spm_died();
    struct fake *fake = start_with(left);
    const struct vr_data_center *dc = VR_PEEK(fake->committed, DATA_CENTER, data_center, CENTER);
    g_assert_cmpint(dc->status, ==, VR_DATA_CENTER_STATUS_NOT_OPERATIONAL);
    g_assert_null(VR_LINK_ID(dc, spm_host));
    vr_engine_host_state(fake->engine, HOST, true, NULL);
    pass(fake, 5000, true);
    dc = VR_PEEK(fake->committed, DATA_CENTER, data_center, CENTER);
    g_assert_cmpstr(VR_LINK_ID(dc, spm_host), ==, HOST);
    g_assert_cmpint(dc->status, ==, VR_DATA_CENTER_STATUS_UP);
    const char *first = strstr(host.told->str, "spmStart");
    g_assert_nonnull(first);
    g_assert_null(strstr(first + 1, "spmStart")); /* once */
    end(fake);
}

/* --- a host that failed to start machines, and a Manager or a connection that goes --- */

static void test_error(void) VR_NO_THREAD_SAFETY
{
    g_autoptr(GArray) changes = g_array_new(FALSE, FALSE, sizeof(struct vr_change));
    add_site(changes);
    struct fake *fake = start_with(changes);
    struct vr_txn *txn = vr_txn_new(fake->engine);
    struct vr_host *edit = VR_EDIT(txn, HOST, host, HOST);
    VR_SET(edit, status, VR_HOST_STATUS_ERROR);
    VR_SET(edit, failed_runs, 3);
    VR_SET(edit, error_since, vr_engine_wall_ms(fake->engine));
    vr_txn_commit(txn, NULL, NULL);
    vr_engine_host_state(fake->engine, HOST, true, NULL);
    pass(fake, 60000, true);
    const struct vr_host *seen = VR_PEEK(fake->committed, HOST, host, HOST);
    g_assert_cmpint(seen->status, ==, VR_HOST_STATUS_ERROR);
    pass(fake, 30 * 60 * 1000, true); /* its time (facts/manager-behaviour.md 1.1) */
    seen = VR_PEEK(fake->committed, HOST, host, HOST);
    g_assert_cmpint(seen->status, ==, VR_HOST_STATUS_UP);
    g_assert_cmpint(seen->failed_runs, ==, 0);
    end(fake);
}

/* A host on its way into maintenance that turns out to be unfit goes on its way. */
static void test_leaving(void) VR_NO_THREAD_SAFETY
{
    g_autoptr(GArray) changes = g_array_new(FALSE, FALSE, sizeof(struct vr_change));
    add_site(changes);
    struct vr_vm *vm = read_json(&vr_type_vm, VM_JSON("up", ""), VR_JSON_STORE);
    VR_CLEAR(vm, job);
    add(changes, VR_KIND_VM, vm);
    host.has_vm = true;
    struct fake *fake = start_with(changes);
    struct vr_txn *txn = vr_txn_new(fake->engine);
    struct vr_cluster *cluster = VR_EDIT(txn, CLUSTER, cluster, CLUSTER);
    VR_SET(VR_SUB(cluster, version, version), minor, 9); /* newer than the host */
    VR_SET(VR_EDIT(txn, HOST, host, HOST), status, VR_HOST_STATUS_PREPARING_FOR_MAINTENANCE);
    vr_txn_commit(txn, NULL, NULL);
    vr_engine_host_state(fake->engine, HOST, true, NULL);
    pass(fake, 20000, true);
    const struct vr_host *seen = VR_PEEK(fake->committed, HOST, host, HOST);
    g_assert_cmpint(seen->status, ==, VR_HOST_STATUS_PREPARING_FOR_MAINTENANCE);
    host.has_vm = false;
    pass(fake, 60000, true);
    seen = VR_PEEK(fake->committed, HOST, host, HOST);
    g_assert_cmpint(seen->status, ==, VR_HOST_STATUS_MAINTENANCE);
    end(fake);
}

/* A job type that is new has to show that it survives a restart. */
static void test_all(void)
{
    for (unsigned t = 0; vr_job_types[t]; t++) {
        bool found = g_strv_contains((const gchar *const[]){ over_ssh[0], over_ssh[1], NULL },
                                     vr_job_types[t]->name);
        for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++)
            found |= strcmp(rows[i].type, vr_job_types[t]->name) == 0;
        if (!found)
            g_error("job type %s has no row here", vr_job_types[t]->name);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    vr_log_set_level(VR_LOG_ERROR);
    g_test_add_func("/restart/every kind of job is tried", test_all);
    g_test_add_func("/restart/a job goes on when its host comes late", test_late);
    g_test_add_func("/restart/a job goes by its host's absence when the grace is over", test_never);
    g_test_add_func("/restart/an election that a kill prevented is held when a host comes", test_spm);
    g_test_add_func("/restart/an unfit host goes on into maintenance", test_leaving);
    g_test_add_func("/restart/a host in Error stays so for its time", test_error);
    return g_test_run();
}
