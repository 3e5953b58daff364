/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/engine/internal.h"

/* A text member of @object, or NULL when it has no such member or it is not set. */
static const char *text_of(const void *object, const char *name)
{
    const struct vr_field *field = vr_type_field(((const struct vr_object *)object)->type, name);
    if (!field || field->kind != VR_FIELD_STRING || field->flags & VR_FIELD_IS_LIST)
        return NULL;
    return *(char **)vr_member(object, field);
}

const void *vr_resolve(struct vr_engine *engine, int kind, const void *link, const char *what,
                       struct vr_error **error)
{
    const char *id = link ? text_of(link, "id") : NULL;
    const char *name = link ? text_of(link, "name") : NULL;
    if (id) {
        const void *found = vr_inventory_peek(engine->head, kind, id);
        if (!found)
            vr_error_set(error, &vr_fault_bad_request, "%s %s does not exist.", what, id);
        return found;
    }
    if (!name) {
        vr_error_set(error, &vr_fault_bad_request, "%s [id|name] required", what);
        return NULL;
    }
    vr_auto_objects struct vr_objects found = { 0 };
    vr_inventory_list_named(engine->head, kind, name, &found);
    if (found.count == 1) /* the head holds a reference of its own */
        return found.items[0];
    vr_error_set(error, &vr_fault_bad_request,
                 found.count ? "%s %s is not the only one with that name; give its id."
                             : "%s %s does not exist.",
                 what, name);
    return NULL;
}

const void *vr_call_target(struct vr_call *call, int kind, struct vr_error **error)
{
    const void *found = vr_inventory_peek(call->engine->head, kind, vr_call_id(call));
    if (!found)
        vr_error_set(error, &vr_fault_not_found, NULL);
    return found;
}

static bool fits(gunichar c, enum vr_name_rule rule)
{
    switch (rule) {
    case VR_NAME_HOST:
        return c < 128 && (g_ascii_isalnum((char)c) || strchr("._-", (int)c));
    case VR_NAME_SIMPLE:
        return c < 128 && (g_ascii_isalnum((char)c) || strchr("_-", (int)c));
    case VR_NAME_VM:
        return g_unichar_isalnum(c) || (c < 128 && strchr("._-", (int)c));
    case VR_NAME_FREE:
        return g_unichar_isprint(c);
    }
    return false;
}

static const char *const rules[] = {
    [VR_NAME_HOST] = "letters A to Z, digits, \".\", \"_\" and \"-\"",
    [VR_NAME_SIMPLE] = "letters A to Z, digits, \"_\" and \"-\"",
    [VR_NAME_VM] = "letters, digits, \".\", \"_\" and \"-\"",
    [VR_NAME_FREE] = "printable characters",
};

bool vr_check_name(const char *what, const char *name, enum vr_name_rule rule, unsigned max_length,
                   struct vr_error **error)
{
    if (!name || !*name) {
        vr_error_set(error, &vr_fault_bad_request, "%s: a name must not be empty.", what);
        return false;
    }
    if (!g_utf8_validate(name, -1, NULL) || g_utf8_strlen(name, -1) > (glong)max_length) {
        vr_error_set(error, &vr_fault_bad_request,
                     "%s: a name must not have more than %u characters.", what, max_length);
        return false;
    }
    for (const char *c = name; *c; c = g_utf8_next_char(c)) {
        if (!fits(g_utf8_get_char(c), rule)) {
            vr_error_set(error, &vr_fault_bad_request, "%s: a name may have only %s.", what,
                         rules[rule]);
            return false;
        }
    }
    return true;
}
