/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * model: the run-time side of the schema.  The schema compiler
 * (tools/schema) writes, into the build folder, one C struct and one constant
 * descriptor a type; the walkers here and in codec/ read the descriptors.
 *
 *     struct vr_vm                      a type `vm` of model/api/
 *     struct vr_rpc_vm_stats            a type `VmStats` of model/host/
 *     vr_type_vm, vr_type_rpc_vm_stats  its descriptor
 *     enum vr_vm_status, VR_VM_STATUS_UP, vr_enum_vm_status
 *     VR_KIND_VM                        the kind `vm`: a type whose objects the Manager keeps
 *
 * Every struct begins with a struct vr_object and a `has` member with one
 * presence bit a field.  A field whose bit is not set holds zero and is absent
 * on the wire.  Members are:
 *
 *     boolean bool | integer int64_t | double double | date int64_t (epoch ms)
 *     enum    enum vr_<name>
 *     string  char *        owned, UTF-8, NUL terminated
 *     struct  struct vr_<t> *   owned
 *     link    struct vr_<t> *   owned; a stub of which usually only `id` is set
 *     list    struct vr_list    owned; items as its descriptor says
 *     map     struct vr_map     owned; string keys (host messages only)
 *     json    char *        owned; one JSON text, passed through unread
 *
 * Objects are reference counted.  Whoever got one from vr_new() or vr_copy()
 * may change it until it is shared (put into the inventory or handed to
 * another thread); from then on it is immutable and copied to be changed.
 */

#include "base/base.h"

struct vr_type;

struct vr_object {
    const struct vr_type *type;
    gint refs;       /* atomic */
    uint32_t shared; /* of share.c: 0, or the hash of its content */
};

/*
 * Items are owned strings, owned objects, or (for boolean, integer, enum, date) the value itself
 * through VR_ITEM(); a double travels as its bits.
 */
struct vr_list {
    void **items;
    unsigned len;
    unsigned allocated;
};

/*
 * Parallel arrays, in the order of strcmp() of the keys, which are owned and
 * unique.  Values are like the items of a list.  Only vr_map_set() adds.
 */
struct vr_map {
    char **keys;
    void **values;
    unsigned len;
    unsigned allocated;
};

/* A scalar as a list item or map value, and back. */
#define VR_ITEM(number) ((void *)(intptr_t)(number))
#define VR_ITEM_NUMBER(item) ((int64_t)(intptr_t)(item))

enum vr_field_kind {
    VR_FIELD_BOOLEAN,
    VR_FIELD_INTEGER,
    VR_FIELD_DOUBLE,
    VR_FIELD_DATE,
    VR_FIELD_STRING,
    VR_FIELD_ENUM,
    VR_FIELD_STRUCT,
    VR_FIELD_LINK,
    VR_FIELD_JSON,
};

enum vr_field_flags {
    VR_FIELD_IS_LIST = 1 << 0,
    VR_FIELD_IS_MAP = 1 << 1,
    VR_FIELD_INTERNAL = 1 << 2,   /* kept, never on the API */
    VR_FIELD_SECRET = 1 << 3,     /* accepted from the API, kept, never shown or logged */
    VR_FIELD_ATTRIBUTE = 1 << 4,  /* an XML attribute: id, href, rel */
    VR_FIELD_WIDE = 1 << 5,       /* an integer of 64 bits; others are signed 32 bits on the API */
    VR_FIELD_UNSIGNED = 1 << 6,   /* an integer that is never negative */
    VR_FIELD_OPTIONAL = 1 << 7,   /* host messages: may be absent */
    VR_FIELD_DEPRECATED = 1 << 8,
    VR_FIELD_INDEXED = 1 << 9,    /* the inventory keeps a reverse index of this link */
    VR_FIELD_COLLECTION = 1 << 10 /* a list of links that is a sub-collection with its own URL */
};

struct vr_enum {
    const char *name;
    const char *const *words; /* wire words, in the order of the C constants */
    unsigned count;
};

struct vr_field {
    const char *name;      /* wire name */
    const char *item;      /* lists: the tag of one item; else NULL */
    const void *sub;       /* const struct vr_type * (struct, link) or const struct vr_enum * */
    uint16_t offset;       /* of the member in the struct */
    uint16_t bit;          /* of the presence bit, counted from the start of `has` */
    uint8_t kind;          /* enum vr_field_kind */
    uint16_t flags;        /* enum vr_field_flags */
};

struct vr_type {
    const char *name;     /* schema name: `vm`, `VmStats` */
    const char *singular; /* XML tag: `vm`; equals name for host types */
    const char *plural;   /* XML tag of a collection: `vms` */
    const struct vr_field *fields; /* inherited first, in schema order: that of the API's texts */
    uint16_t field_count;
    uint16_t has_offset; /* of `has` in the struct */
    uint32_t size;       /* of the struct */
    int16_t kind;        /* enum vr_kind, or -1 when the Manager keeps no objects of it */
    int16_t id_field;    /* index of `id` in fields, or -1 */
};

/* A new object with no field set and one reference.  Never NULL. */
void *vr_object_new(const struct vr_type *type);
#define VR_NEW(t) ((struct vr_##t *)vr_object_new(&vr_type_##t))

/* @object may be NULL; vr_ref() returns it. */
void *vr_ref(const void *object);
void vr_unref(const void *object);

static inline void vr_unrefp(void *pointer)
{
    void *object;
    memcpy(&object, pointer, sizeof(object));
    vr_unref(object);
}
/* vr_auto struct vr_vm *vm = VR_NEW(vm); */
#define vr_auto __attribute__((cleanup(vr_unrefp)))

/* A deep copy with one reference of its own. */
void *vr_copy(const void *object);
/*
 * Replaces the parts of @object (structs and links, at any depth) by ones that all objects with
 * equal parts have together.  For an object that is about to become immutable and to be kept;
 * only its owner has seen it yet.  A copy of it has parts of its own again.  The replaced ones are
 * added to @dropped for whoever may still look at them, or freed when that is NULL.  Any thread.
 */
void vr_share_parts(void *object, GPtrArray *dropped);
/* Deep comparison; both NULL is equal. */
bool vr_equal(const void *a, const void *b);
/* Every field that is set in @from is copied over the one in @into (same type), struct members
 * member by member, lists as a whole, links as a whole: what PUT means. */
void vr_merge(void *into, const void *from);

/* Three-way: brings @mine, an edited copy of @base, up to @theirs, a newer version of @base (all of
 * one type).  Where both changed the same member, mine wins. */
void vr_rebase(void *mine, const void *base, const void *theirs);

/* Sets @to in @into to a deep copy of @from in @source; both fields have the same shape. */
void vr_copy_field(void *into, const struct vr_field *to, const void *source,
                   const struct vr_field *from);

/* The id of an object of an identified type, or NULL when unset.  Borrowed. */
const char *vr_id(const void *object);
void vr_set_id(void *object, const char *id);
/* A stub of @type with only its id set: what a link holds.  NULL when @id is NULL. */
void *vr_stub(const struct vr_type *type, const char *id);
#define VR_STUB(t, id) ((struct vr_##t *)vr_stub(&vr_type_##t, (id)))
/* The id behind a link member, or NULL:  VR_LINK_ID(vm, cluster). */
#define VR_LINK_ID(object, field) ((object)->field ? (object)->field->id : NULL)

/* Presence and assignment.  VR_GET gives @otherwise when the field is absent. */
#define VR_HAS(object, field) ((object)->has.field)
#define VR_GET(object, field, otherwise) ((object)->has.field ? (object)->field : (otherwise))
#define VR_SET(object, field, value)                                                             \
    do {                                                                                         \
        (object)->field = (value);                                                               \
        (object)->has.field = true;                                                              \
    } while (0)
/* Copies @value; NULL clears the field. */
#define VR_SET_STRING(object, field, value)                                                      \
    do {                                                                                         \
        const char *vr_value_ = (value);                                                         \
        char *vr_copy_ = g_strdup(vr_value_);                                                    \
        g_free((object)->field);                                                                 \
        (object)->field = vr_copy_;                                                              \
        (object)->has.field = vr_copy_ != NULL;                                                  \
    } while (0)
/* Takes @value, an owned string or NULL. */
#define VR_TAKE_STRING(object, field, value)                                                     \
    do {                                                                                         \
        char *vr_value_ = (value);                                                               \
        g_free((object)->field);                                                                 \
        (object)->field = vr_value_;                                                             \
        (object)->has.field = vr_value_ != NULL;                                                 \
    } while (0)
/* Takes @value, an owned reference or NULL (struct and link members). */
#define VR_TAKE(object, member, value)                                                           \
    do {                                                                                         \
        void *vr_value_ = (value);                                                               \
        vr_unref((object)->member);                                                              \
        (object)->member = vr_value_;                                                            \
        (object)->has.member = vr_value_ != NULL;                                                \
    } while (0)
/* The struct member, made empty first when it is absent:  VR_SUB(vm, os, operating_system)->... */
#define VR_SUB(object, member, t)                                                                \
    ((object)->member ? (object)->member                                                         \
                      : ((object)->has.member = true, (object)->member = VR_NEW(t)))
/* Points the link at @target_id (NULL clears it). */
#define VR_SET_LINK(object, member, t, target_id) VR_TAKE(object, member, VR_STUB(t, target_id))

/* Clears one field by descriptor: frees what it owned and drops its presence bit. */
void vr_clear(void *object, const struct vr_field *field);
#define VR_CLEAR(object, member) vr_clear_named((object), #member)
void vr_clear_named(void *object, const char *wire_name);

bool vr_has(const void *object, const struct vr_field *field);
void vr_set_has(void *object, const struct vr_field *field, bool has);
/* The address of the member. */
void *vr_member(const void *object, const struct vr_field *field);
const struct vr_field *vr_type_field(const struct vr_type *type, const char *name);

/* Appends; the list takes the reference or the string. */
void vr_list_append(struct vr_list *list, void *item);
void vr_list_clear_objects(struct vr_list *list);
/* VR_APPEND(vm, nics, nic) sets the presence bit as well. */
#define VR_APPEND(object, member, item)                                                          \
    do {                                                                                         \
        vr_list_append(&(object)->member, (item));                                               \
        (object)->has.member = true;                                                             \
    } while (0)
/* VR_EACH(struct vr_nic, nic, &vm->nics) { ... }: borrowed items of a list of objects. */
#define VR_EACH(ctype, name, list)                                                               \
    for (unsigned name##_i_ = 0; name##_i_ < (list)->len; name##_i_++)                           \
        for (ctype *name = (list)->items[name##_i_]; name; name = NULL)

/* Map access; @value is owned by the map from then on.  Returns the value that @key had before,
 * now the caller's to free (NULL when there was none; ignore it for scalars). */
void *vr_map_set(struct vr_map *map, const char *key, void *value);
void *vr_map_get(const struct vr_map *map, const char *key); /* NULL when absent; borrowed */

/* The C constant of a wire word (any case, "-" and "_" alike, words may be run together), or -1. */
int vr_enum_parse(const struct vr_enum *e, const char *word);
/* The wire word; NULL when @value is out of range. */
const char *vr_enum_word(const struct vr_enum *e, int value);

/* A random UUID, lower case, 36 characters and a NUL, and whether a text is a well-formed one. */
void vr_uuid_format(char out[37], const uint8_t random[16]);
char *vr_uuid_new(void); /* owned; from getrandom(2) */
bool vr_uuid_valid(const char *text);
#define VR_UUID_ZERO "00000000-0000-0000-0000-000000000000"

/*
 * Kinds: the types whose objects the Manager keeps.  `entity` blocks of the
 * schema declare them.
 */
struct vr_search_word {
    const char *word; /* `cluster` */
    const char *path; /* `cluster.name`: fields, links followed through the inventory */
    const char *unit; /* NULL, "MB" or "GB": what a bare number means (facts/rest-api.md 4.2) */
};

struct vr_kind_info {
    const char *name;           /* `vm` */
    const struct vr_type *type;
    const char *const *hrefs;   /* "/vms/{id}", NULL ended; the first whose links are set wins */
    const char *order;          /* path of the default order, or NULL for id */
    const struct vr_field *const *indexes; /* NULL ended: links with a reverse index */
    const struct vr_search_word *search;   /* word == NULL ends */
    const char *search_name;    /* `vms`: the word before a dot in a query */
    bool newest_first;          /* default order is descending */
};

/* vr_kinds[VR_KIND_VM]; the count is VR_KIND_COUNT.  Generated. */
extern const struct vr_kind_info vr_kinds[];
