/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/console/internal.h"

/* The consoles that machines, templates and instance types are configured to have. */

static const struct {
    const char *id, *member;
    enum vr_display_type display;
} types[VR_CONSOLE_TYPES] = {
    [VR_GRAPHICS_TYPE_SPICE] = { "7370696365", "spice_console", VR_DISPLAY_TYPE_SPICE },
    [VR_GRAPHICS_TYPE_VNC] = { "766e63", "vnc_console", VR_DISPLAY_TYPE_VNC },
};

const char *console_id(enum vr_graphics_type type)
{
    return types[type].id;
}

int console_type(const char *id)
{
    for (int i = 0; i < VR_CONSOLE_TYPES; i++)
        if (g_ascii_strcasecmp(types[i].id, id) == 0)
            return i;
    return -1;
}

/* --- the members of the three types that share them --- */

static const struct vr_field *field_of(const void *object, const char *name)
{
    return vr_type_field(((const struct vr_object *)object)->type, name);
}

/* 1, 0, or -1 when nothing is said. */
static int flag_of(const void *object, enum vr_graphics_type type)
{
    const struct vr_field *field = field_of(object, types[type].member);
    return vr_has(object, field) ? *(bool *)vr_member(object, field) : -1;
}

static void set_flag(void *object, enum vr_graphics_type type, bool has)
{
    const struct vr_field *field = field_of(object, types[type].member);
    *(bool *)vr_member(object, field) = has;
    vr_set_has(object, field, true);
}

static struct vr_display *display_of(const void *object)
{
    return *(struct vr_display **)vr_member(object, field_of(object, "display"));
}

static struct vr_display *display_sub(void *object)
{
    const struct vr_field *field = field_of(object, "display");
    struct vr_display **display = vr_member(object, field);
    if (!*display) {
        *display = VR_NEW(display);
        vr_set_has(object, field, true);
    }
    return *display;
}

bool vr_console_has(const void *object, enum vr_graphics_type type)
{
    int flag = flag_of(object, type);
    if (flag >= 0)
        return flag;
    if (flag_of(object, (enum vr_graphics_type)!type) >= 0)
        return false;
    /* Nothing was ever said of consoles but what the display is. */
    const struct vr_display *display = display_of(object);
    return types[type].display ==
           (display ? VR_GET(display, type, VR_DISPLAY_TYPE_VNC) : VR_DISPLAY_TYPE_VNC);
}

static void show_type(void *object)
{
    struct vr_display *display = display_sub(object);
    if (vr_console_has(object, VR_GRAPHICS_TYPE_SPICE))
        VR_SET(display, type, VR_DISPLAY_TYPE_SPICE);
    else if (vr_console_has(object, VR_GRAPHICS_TYPE_VNC))
        VR_SET(display, type, VR_DISPLAY_TYPE_VNC);
    else
        VR_CLEAR(display, type);
}

void vr_console_set(void *object, enum vr_graphics_type type, bool has)
{
    bool now[VR_CONSOLE_TYPES];
    for (int i = 0; i < VR_CONSOLE_TYPES; i++)
        now[i] = vr_console_has(object, (enum vr_graphics_type)i);
    now[type] = has;
    for (int i = 0; i < VR_CONSOLE_TYPES; i++)
        set_flag(object, (enum vr_graphics_type)i, now[i]);
    show_type(object);
}

void vr_console_choose(void *object)
{
    const struct vr_display *display = display_of(object);
    if (!display || !VR_HAS(display, type))
        return;
    for (int i = 0; i < VR_CONSOLE_TYPES; i++)
        set_flag(object, (enum vr_graphics_type)i, types[i].display == display->type);
}

void vr_console_fill(struct vr_vm *vm)
{
    for (int i = 0; i < VR_CONSOLE_TYPES; i++)
        vr_console_set(vm, (enum vr_graphics_type)i, vr_console_has(vm, (enum vr_graphics_type)i));
}

static bool is_one_of(const char *word, const char *const *words)
{
    for (; *words; words++)
        if (g_ascii_strcasecmp(word, *words) == 0)
            return true;
    return false;
}

bool vr_console_check(const struct vr_vm *vm, struct vr_error **error)
{
    static const char *const actions[] = { "none",     "lock_screen", "logout",
                                           "shutdown", "reboot",      NULL };
    const struct vr_display *display = vm->display;
    if (!display)
        return true;
    if (display->disconnect_action && !is_one_of(display->disconnect_action, actions)) {
        vr_error_set(error, &vr_fault_invalid_value,
                     "The action when the console is left is one of none, lock_screen, logout, "
                     "shutdown and reboot, not %s.", display->disconnect_action);
        return false;
    }
    for (const char *c = display->keyboard_layout; c && *c; c++)
        if (!g_ascii_isalnum(*c) && *c != '-' && *c != '_') {
            vr_error_set(error, &vr_fault_invalid_value,
                         "A keyboard layout is a name as in en-us, not %s.",
                         display->keyboard_layout);
            return false;
        }
    if (VR_GET(display, disconnect_action_delay, 0) < 0) {
        vr_error_set(error, &vr_fault_invalid_value,
                     "The minutes from leaving the console to the action are not negative.");
        return false;
    }
    return true;
}
