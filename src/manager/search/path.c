/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/search/path.h"

static bool is_reference(const struct vr_field *field)
{
    return field->kind == VR_FIELD_LINK;
}

static bool is_nested(const struct vr_field *field)
{
    return field->kind == VR_FIELD_STRUCT || field->kind == VR_FIELD_LINK;
}

static bool add_step(struct vr_search_path *path, const struct vr_field *field, int from)
{
    if (path->count == VR_SEARCH_STEPS)
        return false;
    path->steps[path->count++] = (struct vr_search_step){ field, from };
    path->leaf = from < 0 && !is_nested(field) ? field : NULL;
    return true;
}

/* A collection has no stubs of its own: the way is backwards along the items' link to us. */
static bool add_collection(struct vr_search_path *path, const struct vr_type *type,
                           const struct vr_field *field)
{
    const struct vr_type *item = field->sub;
    if (item->kind < 0)
        return false;
    for (unsigned i = 0; i < item->field_count; i++)
        if (is_reference(&item->fields[i]) && item->fields[i].sub == type)
            return add_step(path, &item->fields[i], item->kind);
    return false;
}

bool vr_search_path_add(struct vr_search_path *path, const struct vr_type *type, const char *text)
{
    while (*text) {
        const char *dot = strchrnul(text, '.');
        char name[64];
        if ((size_t)(dot - text) >= sizeof(name))
            return false;
        g_strlcpy(name, text, (gsize)(dot - text) + 1);
        text = *dot ? dot + 1 : dot;

        const struct vr_field *field = vr_type_field(type, name);
        if (!field || field->flags & VR_FIELD_SECRET || field->kind == VR_FIELD_JSON)
            return false;
        bool added = field->flags & VR_FIELD_COLLECTION ? add_collection(path, type, field)
                                                        : add_step(path, field, -1);
        if (!added)
            return false;
        if (is_nested(field))
            type = field->sub;
        else if (*text)
            return false;
    }
    /* A bare link or struct means its id. */
    return path->leaf || (type->id_field >= 0 && add_step(path, &type->fields[type->id_field], -1));
}

/*
 * How kinds relate where no single link does it.  A step is a member, or
 * `<kind.link` for the objects of that kind whose link points here.
 */
static const struct {
    const char *from, *to, *way;
} relations[] = {
    { "vm", "disk", "<disk_attachment.vm disk" },
    { "disk", "vm", "<disk_attachment.disk vm" },
    { "template", "disk", "<disk_attachment.template disk" },
    { "disk", "template", "<disk_attachment.disk template" },
    { "vm", "storage_domain", "<disk_attachment.vm disk storage_domain" },
    { "template", "storage_domain", "<disk_attachment.template disk storage_domain" },
    { "storage_domain", "vm", "<disk.storage_domain <disk_attachment.disk vm" },
    { "storage_domain", "template", "<disk.storage_domain <disk_attachment.disk template" },
    { "vm", "network", "<nic.vm vnic_profile network" },
    { "network", "vm", "<vnic_profile.network <nic.vnic_profile vm" },
    { "template", "network", "<nic.template vnic_profile network" },
    { "vm", "data_center", "cluster data_center" },
    { "host", "data_center", "cluster data_center" },
    { "template", "data_center", "cluster data_center" },
    { "vm_pool", "data_center", "cluster data_center" },
    { "disk", "data_center", "storage_domain data_center" },
    { "data_center", "disk", "<storage_domain.data_center <disk.storage_domain" },
    { "data_center", "host", "<cluster.data_center <host.cluster" },
    { "data_center", "vm", "<cluster.data_center <vm.cluster" },
    { "cluster", "storage_domain", "data_center <storage_domain.data_center" },
    { "storage_domain", "cluster", "data_center <cluster.data_center" },
    { "host", "storage_domain", "cluster data_center <storage_domain.data_center" },
    { "storage_domain", "host", "data_center <cluster.data_center <host.cluster" },
    { "host", "template", "<vm.host template" },
    { "template", "host", "<vm.template host" },
    { "vnic_profile", "data_center", "network data_center" },
    { "vm", "user", "<permission.vm user" },
    { "user", "vm", "<permission.user vm" },
    { "host", "user", "<permission.host user" },
    { "user", "host", "<permission.user host" },
    { "template", "user", "<permission.template user" },
    { "user", "template", "<permission.user template" },
};

static int kind_named(const char *name, size_t length)
{
    for (int kind = 0; kind < VR_KIND_COUNT; kind++)
        if (strlen(vr_kinds[kind].name) == length &&
            strncmp(vr_kinds[kind].name, name, length) == 0)
            return kind;
    return -1;
}

static bool relate_by_way(struct vr_search_path *path, int kind, const char *way)
{
    const struct vr_type *type = vr_kinds[kind].type;
    g_auto(GStrv) words = g_strsplit(way, " ", VR_SEARCH_STEPS);
    for (unsigned i = 0; words[i]; i++) {
        const char *name = words[i];
        int from = -1;
        if (*name == '<') {
            const char *dot = strchr(name, '.');
            from = kind_named(name + 1, (size_t)(dot - name - 1));
            if (from < 0)
                return false;
            type = vr_kinds[from].type;
            name = dot + 1;
        }
        const struct vr_field *field = vr_type_field(type, name);
        if (!field || !is_reference(field) || !add_step(path, field, from))
            return false;
        if (from < 0)
            type = field->sub;
    }
    return true;
}

static const struct vr_field *link_between(const struct vr_type *from, const struct vr_type *to)
{
    for (unsigned i = 0; i < from->field_count; i++) {
        const struct vr_field *field = &from->fields[i];
        if (is_reference(field) && field->sub == to && !(field->flags & VR_FIELD_COLLECTION))
            return field;
    }
    return NULL;
}

bool vr_search_path_relate(struct vr_search_path *path, int kind, int other)
{
    if (kind == other)
        return true;
    struct vr_search_path start = *path;
    for (unsigned i = 0; i < G_N_ELEMENTS(relations); i++) {
        if (strcmp(relations[i].from, vr_kinds[kind].name) == 0 &&
            strcmp(relations[i].to, vr_kinds[other].name) == 0) {
            if (relate_by_way(path, kind, relations[i].way))
                return true;
            *path = start;
        }
    }
    const struct vr_type *from = vr_kinds[kind].type, *to = vr_kinds[other].type;
    const struct vr_field *field = link_between(from, to);
    if (field)
        return add_step(path, field, -1);
    field = link_between(to, from);
    return field && add_step(path, field, other);
}

static bool same_word(const char *a, const char *b, size_t length)
{
    /* `storage_domain` and `StorageDomain` are one word. */
    size_t i = 0;
    for (; *a; a++) {
        if (*a == '_')
            continue;
        while (i < length && b[i] == '_')
            i++;
        if (i == length || g_ascii_tolower(*a) != g_ascii_tolower(b[i]))
            return false;
        i++;
    }
    return i == length;
}

int vr_search_kind(const char *word, size_t length)
{
    static const struct {
        const char *word, *kind;
    } aliases[] = {
        { "storage", "storage_domain" },
        { "storages", "storage_domain" },
        { "vnic", "nic" },
        { "pool", "vm_pool" },
        { "pools", "vm_pool" },
        { "cluster_network", "network" },
        { "instancetype", "instance_type" },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(aliases); i++)
        if (same_word(aliases[i].word, word, length))
            return kind_named(aliases[i].kind, strlen(aliases[i].kind));
    for (int kind = 0; kind < VR_KIND_COUNT; kind++) {
        const struct vr_kind_info *info = &vr_kinds[kind];
        if ((info->search_name && same_word(info->search_name, word, length)) ||
            same_word(info->type->name, word, length) || same_word(info->type->plural, word, length))
            return kind;
    }
    return -1;
}

static bool add_word(struct vr_search_path *path, int kind, const char *word)
{
    const struct vr_kind_info *info = &vr_kinds[kind];
    for (const struct vr_search_word *w = info->search; w && w->word; w++) {
        if (g_ascii_strcasecmp(w->word, word) == 0) {
            path->unit = w->unit;
            return vr_search_path_add(path, info->type, w->path);
        }
    }
    /* What every kind can be found by, listed or not. */
    if (g_ascii_strcasecmp(word, "name") == 0 || g_ascii_strcasecmp(word, "id") == 0) {
        g_autofree char *lower = g_ascii_strdown(word, -1);
        return vr_search_path_add(path, info->type, lower);
    }
    return false;
}

bool vr_search_path_word(struct vr_search_path *path, int kind, const char *word)
{
    memset(path, 0, sizeof(*path));
    const char *dot = strchr(word, '.');
    if (!dot) {
        if (add_word(path, kind, word))
            return true;
        /* An object word alone means its name. */
        memset(path, 0, sizeof(*path));
        int other = vr_search_kind(word, strlen(word));
        return other >= 0 && other != kind && vr_search_path_relate(path, kind, other) &&
               add_word(path, other, "name");
    }
    int other = vr_search_kind(word, (size_t)(dot - word));
    return other >= 0 && vr_search_path_relate(path, kind, other) && add_word(path, other, dot + 1);
}
