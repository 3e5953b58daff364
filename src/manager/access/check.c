/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/access/access.h"

/* An object's place: its permissions hold for what is below, along these links upwards. */
static const struct {
    int kind;
    const char *links[5];
} above[] = {
    { VR_KIND_VM, { "cluster", "vm_pool" } },
    { VR_KIND_HOST, { "cluster" } },
    { VR_KIND_VM_POOL, { "cluster" } },
    { VR_KIND_TEMPLATE, { "cluster", "data_center" } },
    { VR_KIND_CLUSTER, { "data_center" } },
    { VR_KIND_STORAGE_DOMAIN, { "data_center" } },
    { VR_KIND_DISK, { "storage_domain", "vm", "template" } },
    { VR_KIND_NETWORK, { "data_center" } },
    { VR_KIND_VNIC_PROFILE, { "network" } },
    { VR_KIND_DISK_PROFILE, { "storage_domain" } },
    { VR_KIND_CPU_PROFILE, { "cluster" } },
    { VR_KIND_QUOTA, { "data_center" } },
    { VR_KIND_QOS, { "data_center" } },
    { VR_KIND_AFFINITY_GROUP, { "cluster" } },
    { VR_KIND_NIC, { "vm", "template" } },
    { VR_KIND_DISK_ATTACHMENT, { "vm", "template" } },
    { VR_KIND_SNAPSHOT, { "vm" } },
    { VR_KIND_WATCHDOG, { "vm", "template" } },
    { VR_KIND_HOST_NIC, { "host" } },
    { VR_KIND_NETWORK_ATTACHMENT, { "host" } },
    { VR_KIND_AGENT, { "host" } },
    { VR_KIND_IMAGE_TRANSFER, { "disk" } },
};

#define CHAIN 32

struct place {
    int kind;
    const char *id; /* interned for the check: owned by `texts` */
};

struct chain {
    struct place places[CHAIN];
    unsigned count;
    GStringChunk *texts;
};

static void chain_add(struct chain *chain, struct vr_inventory *inventory, int kind,
                      const char *id);

static const char *const *links_above(int kind)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(above); i++)
        if (above[i].kind == kind)
            return above[i].links;
    return NULL;
}

static void chain_add_links(struct chain *chain, struct vr_inventory *inventory, int kind,
                            const void *object)
{
    const char *const *links = links_above(kind);
    for (unsigned i = 0; links && i < 5 && links[i]; i++) {
        const struct vr_field *field =
            vr_type_field(((const struct vr_object *)object)->type, links[i]);
        if (!field || field->kind != VR_FIELD_LINK || field->flags & VR_FIELD_IS_LIST ||
            !vr_has(object, field))
            continue;
        void *const *stub = vr_member(object, field);
        const struct vr_type *type = field->sub;
        if (vr_id(*stub))
            chain_add(chain, inventory, type->kind, vr_id(*stub));
    }
    /* A disk is also below the machines that it is attached to. */
    if (kind == VR_KIND_DISK && vr_id(object)) {
        vr_auto_objects struct vr_objects attachments = { 0 };
        const struct vr_field *disk = vr_type_field(&vr_type_disk_attachment, "disk");
        if (disk && disk->flags & VR_FIELD_INDEXED)
            vr_inventory_list_by(inventory, VR_KIND_DISK_ATTACHMENT, "disk", vr_id(object),
                                 &attachments);
        VR_OBJECTS(struct vr_disk_attachment, attachment, &attachments)
            if (attachment->vm && attachment->vm->id)
                chain_add(chain, inventory, VR_KIND_VM, attachment->vm->id);
    }
}

static void chain_add(struct chain *chain, struct vr_inventory *inventory, int kind,
                      const char *id)
{
    if (chain->count == CHAIN || kind < 0)
        return;
    for (unsigned i = 0; i < chain->count; i++)
        if (chain->places[i].kind == kind && strcmp(chain->places[i].id, id) == 0)
            return;
    chain->places[chain->count++] =
        (struct place){ kind, g_string_chunk_insert(chain->texts, id) };
    vr_auto void *object = vr_inventory_get(inventory, kind, id);
    if (object)
        chain_add_links(chain, inventory, kind, object);
}

static void chain_init(struct chain *chain)
{
    chain->count = 0;
    chain->texts = g_string_chunk_new(512);
}

static void chain_done(struct chain *chain)
{
    g_string_chunk_free(chain->texts);
}

/* --- who --- */

typedef bool visit_permission(const struct vr_permission *permission, const struct vr_role *role,
                              void *arg);

static bool visit_of(struct vr_inventory *inventory, const char *link, const char *id,
                     visit_permission *visit, void *arg)
{
    bool stopped = false;
    vr_auto_objects struct vr_objects permissions = { 0 };
    vr_inventory_list_by(inventory, VR_KIND_PERMISSION, link, id, &permissions);
    for (unsigned i = 0; i < permissions.count && !stopped; i++) {
        const struct vr_permission *permission = permissions.items[i];
        vr_auto struct vr_role *role =
            permission->role && permission->role->id
                ? vr_inventory_get(inventory, VR_KIND_ROLE, permission->role->id)
                : NULL;
        stopped = role && visit(permission, role, arg);
    }
    return stopped;
}

/* Every permission of the user, of his groups, and of everyone, until @visit is true. */
static bool visit_all(struct vr_inventory *inventory, const char *user_id, visit_permission *visit,
                      void *arg)
{
    if (!user_id)
        return false;
    if (visit_of(inventory, "user", user_id, visit, arg) ||
        visit_of(inventory, "group", VR_ACCESS_EVERYONE, visit, arg))
        return true;
    vr_auto struct vr_user *user = vr_inventory_get(inventory, VR_KIND_USER, user_id);
    bool stopped = false;
    for (unsigned i = 0; user && i < user->groups.len && !stopped; i++)
        if (vr_id(user->groups.items[i]))
            stopped = visit_of(inventory, "group", vr_id(user->groups.items[i]), visit, arg);
    return stopped;
}

static bool is_administrative(const struct vr_permission *permission, const struct vr_role *role,
                              void *arg)
{
    return VR_GET(role, administrative, false);
}

bool vr_access_is_admin(struct vr_inventory *inventory, const char *user_id)
{
    return visit_all(inventory, user_id, is_administrative, NULL);
}

/* --- what --- */

/* The object of a permission; kind -1: the system. */
static struct place object_of(const struct vr_permission *permission)
{
    static const char *const subjects[] = { "role", "user", "group", NULL };
    const struct vr_type *type = &vr_type_permission;
    for (unsigned i = 0; i < type->field_count; i++) {
        const struct vr_field *field = &type->fields[i];
        if (field->kind != VR_FIELD_LINK || g_strv_contains(subjects, field->name) ||
            !vr_has(permission, field))
            continue;
        void *const *stub = vr_member(permission, field);
        if (vr_id(*stub))
            return (struct place){ ((const struct vr_type *)field->sub)->kind, vr_id(*stub) };
    }
    return (struct place){ -1, NULL };
}

static bool role_has(const struct vr_role *role, unsigned number)
{
    for (unsigned i = 0; i < role->permit_numbers.len; i++)
        if (GPOINTER_TO_SIZE(role->permit_numbers.items[i]) == number)
            return true;
    return false;
}

struct question {
    const struct chain *chain;
    unsigned permit; /* 0: any role that shows what is below */
};

static bool answers(const struct vr_permission *permission, const struct vr_role *role, void *arg)
{
    const struct question *question = arg;
    const struct chain *chain = question->chain;
    if (question->permit && !role_has(role, question->permit))
        return false;
    struct place place = object_of(permission);
    bool views = VR_GET(role, allows_viewing_children, false);
    if (place.kind < 0)
        return question->permit || views;
    for (unsigned i = 0; i < chain->count; i++)
        if (chain->places[i].kind == place.kind && strcmp(chain->places[i].id, place.id) == 0)
            return question->permit || i == 0 || views;
    return false;
}

static bool ask(struct vr_inventory *inventory, const struct vr_caller *caller,
                const char *permit, const struct chain *chain)
{
    const struct vr_access_permit *found = vr_access_permit_find(permit);
    const struct question question = { chain, found ? found->number : G_MAXUINT };
    return visit_all(inventory, caller->user_id, answers, (void *)(uintptr_t)&question);
}

bool vr_access_allowed(struct vr_inventory *inventory, const struct vr_caller *caller,
                       const char *permit, int kind, const char *id)
{
    struct chain chain;
    chain_init(&chain);
    chain_add(&chain, inventory, kind, id);
    bool allowed = ask(inventory, caller, permit, &chain);
    chain_done(&chain);
    return allowed;
}

bool vr_access_allowed_new(struct vr_inventory *inventory, const struct vr_caller *caller,
                           const char *permit, const void *body)
{
    struct chain chain;
    chain_init(&chain);
    const struct vr_type *type = body ? ((const struct vr_object *)body)->type : NULL;
    for (unsigned i = 0; type && i < type->field_count; i++) {
        const struct vr_field *field = &type->fields[i];
        const struct vr_type *target = field->sub;
        if (field->kind != VR_FIELD_LINK || field->flags & VR_FIELD_IS_LIST ||
            !vr_has(body, field) || target->kind < 0)
            continue;
        void *const *stub = vr_member(body, field);
        const struct vr_field *name = vr_type_field(target, "name");
        char *const *text = name && vr_has(*stub, name) ? vr_member(*stub, name) : NULL;
        vr_auto void *named =
            !vr_id(*stub) && text ? vr_inventory_get_named(inventory, target->kind, *text) : NULL;
        const char *id = vr_id(*stub) ? vr_id(*stub) : named ? vr_id(named) : NULL;
        /* A template, an instance type or a quota is used, not added to. */
        if (id && target->kind != VR_KIND_TEMPLATE && target->kind != VR_KIND_QUOTA)
            chain_add(&chain, inventory, target->kind, id);
    }
    bool allowed = ask(inventory, caller, permit, &chain);
    chain_done(&chain);
    return allowed;
}

bool vr_access_visible(struct vr_inventory *inventory, const struct vr_caller *caller, int kind,
                       const void *object)
{
    const char *id = vr_id(object);
    if (kind == VR_KIND_USER)
        return g_strcmp0(id, caller->user_id) == 0;
    if (kind == VR_KIND_PERMISSION) {
        const struct vr_permission *permission = object;
        return g_strcmp0(VR_LINK_ID(permission, user), caller->user_id) == 0;
    }
    if (kind == VR_KIND_EVENT) {
        const struct vr_event *event = object;
        return g_strcmp0(VR_LINK_ID(event, user), caller->user_id) == 0;
    }
    if (kind == VR_KIND_JOB) {
        const struct vr_job *job = object;
        return g_strcmp0(VR_LINK_ID(job, owner), caller->user_id) == 0;
    }
    /* What stands below nothing is a catalogue that everybody may read. */
    if (kind != VR_KIND_DATA_CENTER && !links_above(kind))
        return true;
    struct chain chain;
    chain_init(&chain);
    if (id)
        chain_add(&chain, inventory, kind, id);
    const struct question question = { &chain, 0 };
    bool visible =
        visit_all(inventory, caller->user_id, answers, (void *)(uintptr_t)&question);
    chain_done(&chain);
    return visible;
}

bool vr_access_holds(struct vr_inventory *inventory, const struct vr_permission *permission,
                     int kind, const char *id)
{
    struct place place = object_of(permission);
    if (place.kind < 0 || kind < 0)
        return place.kind < 0;
    struct chain chain;
    chain_init(&chain);
    chain_add(&chain, inventory, kind, id);
    bool holds = false;
    for (unsigned i = 0; i < chain.count && !holds; i++)
        holds = chain.places[i].kind == place.kind && strcmp(chain.places[i].id, place.id) == 0;
    chain_done(&chain);
    return holds;
}
