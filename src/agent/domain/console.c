/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "domain"
#include "agent/domain/vm.h"

#include <json-c/json.h>
#include <libvirt/libvirt-qemu.h>
#include <stdlib.h>

/*
 * Consoles: the ticket that opens one, who looks at it, and what happens when
 * the last viewer leaves (facts/host-rpc.md 12).
 */

/* What QEMU compares of a VNC password: the key of DES (RFC 6143, 7.2.2).  libvirt refuses more. */
#define VNC_PASSWORD_MAX 8
/* Viewers that are counted; SPICE has a connection for each of its channels. */
#define VIEWERS_MAX 256
/* A viewer that comes back that soon was not gone: SPICE clients move to the secure port. */
#define LEAVE_GRACE_MS 3000
#define DELAY_MAX_MINUTES (60 * 24)

/* ---- tickets ---- */

static const char *const leave_words[] = { "NONE", "LOCK_SCREEN", "LOGOUT", "SHUTDOWN", "REBOOT" };

const char *vr_leave_word(enum vr_leave_action action)
{
    return leave_words[action];
}

enum vr_leave_action vr_leave_parse(const char *word)
{
    for (unsigned i = 0; word && i < G_N_ELEMENTS(leave_words); i++)
        if (!g_ascii_strcasecmp(leave_words[i], word))
            return (enum vr_leave_action)i;
    return VR_LEAVE_NONE;
}

static xmlNode *find_graphics(const struct vr_change *change, const char *type)
{
    VR_TREE_EACH (node, change->devices, "graphics")
        if (!type || vr_tree_attr_is(node, "type", type))
            return node;
    return NULL;
}

/* The password as the protocol takes it; owned, to be wiped. */
static char *password_of(const struct vr_domain_ticket *ticket, const xmlNode *graphics)
{
    return vr_tree_attr_is(graphics, "type", "vnc") ? g_strndup(ticket->password, VNC_PASSWORD_MAX)
                                                    : g_strdup(ticket->password);
}

static void remember_leave(struct vr_domains *domains, struct vr_vm *vm,
                           const struct vr_domain_ticket *ticket)
{
    if (!ticket->leave)
        return;
    vr_mutex_lock(&domains->lock);
    vm->leave = vr_leave_parse(ticket->leave);
    vm->leave_delay = (unsigned)CLAMP(ticket->leave_delay, 0, DELAY_MAX_MINUTES);
    vr_mutex_unlock(&domains->lock);
    vr_record_write(domains, vm);
}

bool vr_domain_set_ticket(struct vr_domains *domains, const char *id,
                          const struct vr_domain_ticket *ticket, struct vr_error **error)
{
    /* An empty password would let everybody in whose viewer sends an empty one. */
    if (!ticket->password || !*ticket->password) {
        vr_agent_error(error, ticket, "A ticket needs a password.");
        return false;
    }
    vr_auto_change struct vr_change change = { 0 };
    if (!vr_change_begin(domains, id, VIR_DOMAIN_XML_SECURE, &change, error))
        return false;
    xmlNode *graphics = find_graphics(&change, ticket->type);
    if (!graphics) {
        vr_agent_error(error, ticket, "The machine has no %s display.",
                       ticket->type ? ticket->type : "graphical");
        return false;
    }
    char *password = password_of(ticket, graphics);
    vr_tree_set_attr(graphics, "passwd", password);
    explicit_bzero(password, strlen(password));
    g_free(password);
    g_autofree char *until = NULL;
    if (ticket->ttl > 0) {
        g_autoptr(GDateTime) now = g_date_time_new_now_utc();
        g_autoptr(GDateTime) end = g_date_time_add_seconds(now, (double)MIN(ticket->ttl, 1 << 30));
        until = g_date_time_format(end, "%Y-%m-%dT%H:%M:%S");
    }
    vr_tree_set_attr(graphics, "passwdValidTo", until);
    if (vr_tree_attr_is(graphics, "type", "spice"))
        vr_tree_set_attr(graphics, "connected", ticket->connected);
    if (!vr_change_device(&change, graphics, &vr_agent_fault_ticket, error))
        return false;
    remember_leave(domains, change.vm, ticket);
    return true;
}

/* ---- viewers ---- */

static char *viewer_key(const char *node, const char *service)
{
    return g_strdup_printf("%s %s", node ? node : "", service ? service : "");
}

static bool find_viewer(const struct vr_vm *vm, const char *key, unsigned *ret)
{
    for (unsigned i = 0; i < vm->viewers->len; i++)
        if (!strcmp(vm->viewers->pdata[i], key)) {
            *ret = i;
            return true;
        }
    return false;
}

/* The address of who came last and is still there.  True when it is another than before. */
static bool set_client(struct vr_vm *vm)
{
    const char *last = vm->viewers->len ? vm->viewers->pdata[vm->viewers->len - 1] : NULL;
    char *address = last ? g_strndup(last, strcspn(last, " ")) : NULL;
    bool other = g_strcmp0(address, vm->client_ip) != 0;
    g_free(vm->client_ip);
    vm->client_ip = address;
    return other;
}

bool vr_viewer_came(struct vr_vm *vm, const char *node, const char *service)
{
    g_autofree char *key = viewer_key(node, service);
    unsigned index;
    if (find_viewer(vm, key, &index))
        return false;
    if (vm->viewers->len == VIEWERS_MAX)
        g_ptr_array_remove_index(vm->viewers, 0);
    g_ptr_array_add(vm->viewers, g_steal_pointer(&key));
    vm->leave_at = 0;
    return set_client(vm);
}

bool vr_viewer_left(struct vr_vm *vm, const char *node, const char *service)
{
    g_autofree char *key = viewer_key(node, service);
    unsigned index;
    /* A connection that never showed a valid ticket was never counted. */
    if (!find_viewer(vm, key, &index))
        return false;
    g_ptr_array_remove_index(vm->viewers, index);
    if (!vm->viewers->len)
        vm->leave_at = g_get_monotonic_time() + LEAVE_GRACE_MS * 1000;
    return set_client(vm);
}

static const char *text_at(struct json_object *object, const char *name)
{
    struct json_object *value;
    return json_object_object_get_ex(object, name, &value) ? json_object_get_string(value) : NULL;
}

/* @list: "clients" of query-vnc, "channels" of query-spice. */
static void add_viewers(struct vr_vm *vm, const char *answer, const char *list)
{
    struct json_object *root = json_tokener_parse(answer), *result, *items;
    if (root && json_object_object_get_ex(root, "return", &result) &&
        json_object_object_get_ex(result, list, &items) &&
        json_object_is_type(items, json_type_array))
        for (size_t i = 0; i < json_object_array_length(items); i++) {
            struct json_object *item = json_object_array_get_idx(items, i);
            const char *service = text_at(item, "service");
            vr_viewer_came(vm, text_at(item, "host"), service ? service : text_at(item, "port"));
        }
    json_object_put(root);
}

void vr_console_recover(struct vr_domains *domains, struct vr_vm *vm, virDomainPtr dom)
{
    static const struct {
        const char *type, *command, *list;
    } rows[] = {
        { "vnc", "{\"execute\":\"query-vnc\"}", "clients" },
        { "spice", "{\"execute\":\"query-spice\"}", "channels" },
    };
    vr_mutex_lock(&domains->lock);
    g_ptr_array_set_size(vm->viewers, 0);
    set_client(vm);
    vr_mutex_unlock(&domains->lock);
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        vr_mutex_lock(&domains->lock);
        bool has = false;
        for (unsigned d = 0; d < vm->displays->len; d++) {
            const struct vr_vm_display *display = vm->displays->pdata[d];
            has = has || !g_strcmp0(display->type, rows[i].type);
        }
        vr_mutex_unlock(&domains->lock);
        char *answer = NULL;
        if (!has || virDomainQemuMonitorCommand(dom, rows[i].command, &answer, 0) < 0)
            continue;
        vr_mutex_lock(&domains->lock);
        add_viewers(vm, answer, rows[i].list);
        vr_mutex_unlock(&domains->lock);
        free(answer);
    }
}

/* ---- what follows when the last one left ---- */

static void leave(struct vr_domains *domains, struct vr_vm *vm, void *arg)
{
    vr_auto_error struct vr_error *error = NULL;
    enum vr_leave_action action = GPOINTER_TO_UINT(arg);
    const struct vr_domain_shutdown how = { .reboot = action == VR_LEAVE_REBOOT, .timeout = 120 };
    if (!vr_domain_shutdown(domains, vm->id, &how, &error)) {
        g_autofree char *text = vr_error_text(error);
        vr_log_warning("The last viewer of VM %s left, but it cannot be asked to %s: %s", vm->id,
                       how.reboot ? "reboot" : "shut down", text);
    }
}

void vr_console_tick(struct vr_domains *domains, struct vr_vm *vm, int64_t now)
{
    if (!vm->leave_at || now < vm->leave_at)
        return;
    bool acts = vm->leave == VR_LEAVE_SHUTDOWN || vm->leave == VR_LEAVE_REBOOT;
    int64_t delay = (int64_t)vm->leave_delay * 60 * G_USEC_PER_SEC;
    if (acts && now < vm->leave_at + delay)
        return;
    vm->leave_at = 0;
    if (vm->state != VR_STATE_UP || vm->viewers->len)
        return;
    if (acts)
        vr_chore_push(domains, vm, leave, GUINT_TO_POINTER((unsigned)vm->leave));
    else if (vm->leave != VR_LEAVE_NONE)
        /* Only the ovirt guest agent can do it, which today's guests do not have. */
        vr_log_debug("The last viewer of VM %s left; its screen is not locked from here.", vm->id);
}
