/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/console/internal.h"

#include "gen/routes.h"

/* /vms/{id}/sessions: who looks at a console, by the host, and who is logged on inside, by the guest. */

/* Names that a guest reports are many and its own choice. */
#define GUEST_SESSIONS 64

static void add(struct vr_reading *reading, const struct vr_vm *vm, struct vr_user *user,
                const char *address, const char *protocol)
{
    struct vr_session *session = VR_NEW(session);
    g_autofree char *name = g_strdup_printf("session %s %s", protocol ? "console" : "guest",
                                            user->user_name ? user->user_name : "");
    VR_TAKE_STRING(session, id, vr_reading_id(vm->id, name));
    VR_SET(session, console_user, protocol != NULL);
    VR_SET_STRING(session, protocol, protocol);
    if (address)
        VR_SET_STRING(VR_SUB(session, ip, ip), address, address);
    VR_TAKE(session, user, user);
    VR_SET_LINK(session, vm, vm, vm->id);
    vr_list_append(&reading->list, session);
}

static struct vr_user *user_named(const char *name)
{
    struct vr_user *user = VR_NEW(user);
    VR_SET_STRING(user, user_name, name);
    return user;
}

static void add_console(struct vr_reading *reading, const struct vr_vm *vm)
{
    if (!vm->console_address)
        return;
    vr_auto struct vr_user *known =
        VR_LINK_ID(vm, console_user)
            ? vr_inventory_get(reading->inventory, VR_KIND_USER, VR_LINK_ID(vm, console_user))
            : NULL;
    struct vr_user *user = user_named(known ? known->user_name : "");
    if (known)
        VR_SET_STRING(user, id, known->id);
    add(reading, vm, user, vm->console_address,
        vm->display && VR_HAS(vm->display, type)
            ? vr_enum_word(&vr_enum_display_type, (int)vm->display->type)
            : "");
}

static void add_guest(struct vr_reading *reading, const struct vr_vm *vm)
{
    vr_auto struct vr_rpc_vm_stats *stats =
        vr_statistics_get(reading->statistics, VR_KIND_VM, vm->id);
    const char *names = stats && stats->username ? stats->username : "";
    if (strcmp(names, "None") == 0 || strcmp(names, "Unknown") == 0)
        return;
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    g_auto(GStrv) words = g_strsplit(names, ",", GUEST_SESSIONS + 1);
    for (unsigned i = 0; words[i] && i < GUEST_SESSIONS; i++) {
        g_strstrip(words[i]);
        if (*words[i] && g_hash_table_add(seen, words[i]))
            add(reading, vm, user_named(words[i]), NULL, NULL);
    }
}

void vr_vm_sessions_list(struct vr_reading *reading)
{
    vr_auto struct vr_vm *vm = vr_inventory_get(reading->inventory, VR_KIND_VM, reading->ids[0]);
    if (!vm)
        return;
    add_console(reading, vm);
    add_guest(reading, vm);
}

void vr_vm_session_get(struct vr_reading *reading)
{
    vr_vm_sessions_list(reading);
    vr_reading_choose(reading, reading->ids[1]);
}
