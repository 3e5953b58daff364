/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "cli/client.h"
#include "cli/output.h"
#include "cli/wait.h"

static const struct vr_cli_column vm_columns[] = {
    { "NAME", "name", VR_CLI_TEXT, NULL },
    { "STATUS", "status", VR_CLI_TEXT, NULL },
    { "HOST", "host.id", VR_CLI_TEXT, "hosts" },
    { "CLUSTER", "cluster.id", VR_CLI_TEXT, "clusters" },
    { "CPUS", "cpu.topology", VR_CLI_THREADS, NULL },
    { "MEMORY", "memory", VR_CLI_BYTES, NULL },
    { "ID", "id", VR_CLI_TEXT, NULL },
    { 0 },
};

static const char *const down[] = { "down", NULL };
static const char *const up[] = { "up", NULL };

bool vr_cli_vm_list(struct vr_cli *cli, struct vr_error **error)
{
    vr_auto_client struct vr_client *client = vr_client_open(cli, error);
    vr_auto_json json_object *items =
        client ? vr_client_list_asked(client, cli, "vms", error) : NULL;
    return items && vr_cli_print_list(cli, client, items, vm_columns, error);
}

bool vr_cli_vm_show(struct vr_cli *cli, struct vr_error **error)
{
    vr_auto_client struct vr_client *client = vr_client_open(cli, error);
    vr_auto_json json_object *vm =
        client ? vr_client_find(client, "vms", vr_cli_arg(cli, 0), error) : NULL;
    if (vm)
        vr_cli_print_object(cli, vm);
    return vm != NULL;
}

/* ---- actions ---- */

struct action {
    const char *method, *suffix; /* "POST", "/start" */
    const char *const *good;     /* status to wait for */
    const char *const *bad;
    bool gone;                   /* until the machine is no more */
};

static bool act_on_one(struct vr_client *client, const struct vr_cli *cli,
                       const struct action *action, const char *name, struct vr_error **error)
{
    unsigned limit;
    if (!vr_cli_wait_limit(cli, &limit, error))
        return false;
    vr_auto_json json_object *vm = vr_client_find(client, "vms", name, error);
    if (!vm)
        return false;
    g_autofree char *path = g_strdup_printf("/vms/%s", vr_cli_text(vm, "id"));
    g_autofree char *target = g_strconcat(path, action->suffix, NULL);
    vr_auto_json json_object *body = NULL;
    if (strcmp(action->method, "POST") == 0) {
        body = json_object_new_object();
        if (vr_cli_value(cli, VR_CLI_FORCE))
            json_object_object_add(body, "force", json_object_new_string("true"));
    }
    if (!vr_client_call(client, action->method, target, body, NULL, error))
        return false;
    if (!vr_cli_value(cli, VR_CLI_WAIT))
        return true;
    const struct vr_cli_goal goal = { .path = path, .member = "status", .good = action->good,
                                      .bad = action->bad, .gone = action->gone, .seconds = limit };
    return vr_cli_wait_for(client, &goal, NULL, error);
}

/* Every name gets its turn; the first failure decides the exit code, the others are told. */
static bool act(struct vr_cli *cli, const struct action *action, struct vr_error **error)
{
    vr_auto_client struct vr_client *client = vr_client_open(cli, error);
    if (!client)
        return false;
    for (unsigned i = 0; i < cli->args->len; i++) {
        vr_auto_error struct vr_error *failure = NULL;
        const char *name = vr_cli_arg(cli, i);
        if (act_on_one(client, cli, action, name, &failure))
            continue;
        if (cli->args->len > 1)
            vr_error_prefix(&failure, "%s", name);
        bool over = failure->fault == &vr_cli_stopped || failure->fault == &vr_cli_connect ||
                    failure->fault == &vr_cli_login;
        if (!*error) {
            vr_error_move(error, &failure);
        } else {
            g_autofree char *text = vr_error_text(failure);
            g_autofree char *clean = vr_cli_clean(text);
            fprintf(stderr, "vireo: %s\n", clean);
        }
        if (over)
            break;
    }
    return !*error;
}

bool vr_cli_vm_start(struct vr_cli *cli, struct vr_error **error)
{
    const struct action start = { .method = "POST", .suffix = "/start", .good = up, .bad = down };
    return act(cli, &start, error);
}

bool vr_cli_vm_stop(struct vr_cli *cli, struct vr_error **error)
{
    const struct action stop = { .method = "POST", .suffix = "/stop", .good = down };
    return act(cli, &stop, error);
}

bool vr_cli_vm_shutdown(struct vr_cli *cli, struct vr_error **error)
{
    const struct action shutdown = { .method = "POST", .suffix = "/shutdown", .good = down };
    return act(cli, &shutdown, error);
}

bool vr_cli_vm_reboot(struct vr_cli *cli, struct vr_error **error)
{
    const struct action reboot = { .method = "POST", .suffix = "/reboot", .good = up, .bad = down };
    return act(cli, &reboot, error);
}

bool vr_cli_vm_remove(struct vr_cli *cli, struct vr_error **error)
{
    static const char *const none[] = { NULL };
    bool keep = vr_cli_value(cli, VR_CLI_KEEP_DISKS), force = vr_cli_value(cli, VR_CLI_FORCE);
    const struct action remove = { .method = "DELETE",
                                   .suffix = keep && force ? "?detach_only=true&force=true"
                                             : keep        ? "?detach_only=true"
                                             : force       ? "?force=true"
                                                           : "",
                                   .good = none, .gone = true };
    return act(cli, &remove, error);
}

/* ---- create ---- */

static void add_text(json_object *object, const char *key, const char *text)
{
    json_object_object_add(object, key, json_object_new_string(text));
}

/* {"id": ID} of a found object, under @key. */
static void add_reference(json_object *body, const char *key, json_object *object)
{
    json_object *reference = json_object_new_object();
    add_text(reference, "id", vr_cli_text(object, "id"));
    json_object_object_add(body, key, reference);
}

static json_object *pick_cluster(struct vr_client *client, const char *name,
                                 struct vr_error **error)
{
    if (name)
        return vr_client_find(client, "clusters", name, error);
    vr_auto_json json_object *items = vr_client_list(client, "clusters", NULL, error);
    if (!items)
        return NULL;
    if (json_object_array_length(items) == 1)
        return json_object_get(json_object_array_get_idx(items, 0));
    vr_error_set(error, &vr_cli_usage, "There is more or less than one cluster; give --cluster.");
    return NULL;
}

/* What the template guarantees or allows must not contradict the size that was asked for. */
static void add_memory(json_object *body, json_object *base, uint64_t bytes)
{
    static const char *const limits[] = { "guaranteed", "max" };
    g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT, bytes);
    json_object *policy = NULL;
    add_text(body, "memory", text);
    for (unsigned i = 0; i < G_N_ELEMENTS(limits); i++) {
        g_autofree char *path = g_strconcat("memory_policy.", limits[i], NULL);
        const char *own = vr_cli_text(base, path);
        uint64_t limit = own ? g_ascii_strtoull(own, NULL, 10) : bytes;
        if (i == 0 ? limit <= bytes : limit >= bytes)
            continue;
        policy = policy ? policy : json_object_new_object();
        add_text(policy, limits[i], text);
    }
    if (policy)
        json_object_object_add(body, "memory_policy", policy);
}

static json_object *vm_body(const struct vr_cli *cli, struct vr_client *client,
                            struct vr_error **error)
{
    const char *template = vr_cli_value(cli, VR_CLI_TEMPLATE);
    const char *memory = vr_cli_value(cli, VR_CLI_MEMORY);
    const char *description = vr_cli_value(cli, VR_CLI_DESCRIPTION);
    uint64_t bytes = 0, cpus = 0;
    if ((memory && !vr_cli_size(memory, &bytes, error)) ||
        !vr_cli_number(cli, VR_CLI_CPUS, 1, 4096, 0, &cpus, error))
        return NULL;
    vr_auto_json json_object *cluster =
        pick_cluster(client, vr_cli_value(cli, VR_CLI_CLUSTER), error);
    vr_auto_json json_object *base =
        cluster ? vr_client_find(client, "templates", template ? template : "Blank", error) : NULL;
    if (!base)
        return NULL;
    json_object *body = json_object_new_object();
    add_text(body, "name", vr_cli_arg(cli, 0));
    if (description)
        add_text(body, "description", description);
    add_reference(body, "cluster", cluster);
    add_reference(body, "template", base);
    if (memory)
        add_memory(body, base, bytes);
    if (cpus) {
        g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT, cpus);
        json_object *cpu = json_object_new_object(), *topology = json_object_new_object();
        add_text(topology, "sockets", text);
        add_text(topology, "cores", "1");
        add_text(topology, "threads", "1");
        json_object_object_add(cpu, "topology", topology);
        json_object_object_add(body, "cpu", cpu);
    }
    return body;
}

static bool attach_disk(struct vr_client *client, const char *vm_path, json_object *disk,
                        bool first, struct vr_error **error)
{
    g_autofree char *path = g_strconcat(vm_path, "/diskattachments", NULL);
    vr_auto_json json_object *body = json_object_new_object();
    add_reference(body, "disk", disk);
    add_text(body, "interface", "virtio");
    add_text(body, "bootable", first ? "true" : "false");
    add_text(body, "active", "true");
    return vr_client_call(client, "POST", path, body, NULL, error);
}

static bool add_nic(struct vr_client *client, const char *vm_path, json_object *profile,
                    unsigned number, struct vr_error **error)
{
    g_autofree char *path = g_strconcat(vm_path, "/nics", NULL);
    g_autofree char *name = g_strdup_printf("nic%u", number);
    vr_auto_json json_object *body = json_object_new_object();
    add_text(body, "name", name);
    add_reference(body, "vnic_profile", profile);
    return vr_client_call(client, "POST", path, body, NULL, error);
}

/* All that @names name in @collection, before anything is made. */
static bool find_all(struct vr_client *client, const char *collection, const GPtrArray *names,
                     json_object *ret_found, struct vr_error **error)
{
    for (unsigned i = 0; names && i < names->len; i++) {
        json_object *item = vr_client_find(client, collection, names->pdata[i], error);
        if (!item)
            return false;
        json_object_array_add(ret_found, item);
    }
    return true;
}

static bool equip(struct vr_client *client, const char *path, json_object *disks,
                  json_object *profiles, unsigned limit, struct vr_error **error)
{
    static const char *const settled[] = { "down", "up", "suspended", NULL };
    const struct vr_cli_goal goal = { .path = path, .member = "status", .good = settled,
                                      .seconds = limit };
    bool done = vr_cli_wait_for(client, &goal, NULL, error);
    for (size_t i = 0; done && i < json_object_array_length(disks); i++)
        done = attach_disk(client, path, json_object_array_get_idx(disks, i), i == 0, error);
    for (size_t i = 0; done && i < json_object_array_length(profiles); i++)
        done = add_nic(client, path, json_object_array_get_idx(profiles, i), (unsigned)i + 1,
                       error);
    return done;
}

static bool finish(struct vr_client *client, const struct vr_cli *cli, const char *path,
                   unsigned limit, struct vr_error **error)
{
    g_autofree char *start = g_strconcat(path, "/start", NULL);
    vr_auto_json json_object *vm = NULL, *empty = json_object_new_object();
    bool starts = vr_cli_value(cli, VR_CLI_START);
    if (starts && !vr_client_call(client, "POST", start, empty, NULL, error)) {
        vr_error_prefix(error, "The machine is there but did not start");
        return false;
    }
    const struct vr_cli_goal goal = { .path = path, .member = "status", .good = up, .bad = down,
                                      .seconds = limit };
    if (starts && vr_cli_value(cli, VR_CLI_WAIT) && !vr_cli_wait_for(client, &goal, NULL, error))
        return false;
    if (!vr_client_call(client, "GET", path, NULL, &vm, error))
        return false;
    vr_auto_json json_object *items = json_object_new_array();
    json_object_array_add(items, g_steal_pointer(&vm));
    return vr_cli_print_list(cli, client, items, vm_columns, error);
}

/* A machine that lacks what was asked for is not left behind; its disks are older than it. */
static void undo(struct vr_client *client, const char *path, struct vr_error **error)
{
    g_autofree char *remove = g_strconcat(path, "?detach_only=true", NULL);
    vr_auto_error struct vr_error *failure = NULL;
    vr_cli_clear_interrupt();
    if (!vr_client_call(client, "DELETE", remove, NULL, NULL, &failure))
        vr_error_prefix(error, "The machine was made but is not complete");
}

bool vr_cli_vm_create(struct vr_cli *cli, struct vr_error **error)
{
    unsigned limit;
    if (!vr_cli_wait_limit(cli, &limit, error))
        return false;
    vr_auto_client struct vr_client *client = vr_client_open(cli, error);
    if (!client)
        return false;
    vr_auto_json json_object *disks = json_object_new_array(), *profiles = json_object_new_array();
    vr_auto_json json_object *vm = NULL, *body = NULL;
    if (!find_all(client, "disks", cli->values[VR_CLI_DISK], disks, error) ||
        !find_all(client, "vnicprofiles", cli->values[VR_CLI_NIC], profiles, error) ||
        !(body = vm_body(cli, client, error)) ||
        !vr_client_call(client, "POST", "/vms", body, &vm, error))
        return false;
    const char *id = vr_cli_text(vm, "id");
    if (!id || !g_uuid_string_is_valid(id)) {
        vr_error_set(error, &vr_cli_failed, "The Manager's answer has no id.");
        return false;
    }
    g_autofree char *path = g_strdup_printf("/vms/%s", id);
    bool more = json_object_array_length(disks) || json_object_array_length(profiles) ||
                vr_cli_value(cli, VR_CLI_START) || vr_cli_value(cli, VR_CLI_WAIT);
    if (more && !equip(client, path, disks, profiles, limit, error)) {
        undo(client, path, error);
        return false;
    }
    return finish(client, cli, path, limit, error);
}
