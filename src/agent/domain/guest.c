/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "domain"
#include "agent/domain/vm.h"

#include <json-c/json.h>
#include <libvirt/libvirt-qemu.h>
#include <stdlib.h>

/*
 * What the guest agent says.  The periods are those of facts/host-rpc.md 17.
 * A guest may be slow, silent or hostile: questions run on their own threads,
 * each with a deadline, at most one a machine, and answers are capped.
 */
#define DEADLINE_S 5
#define PERIOD_S 5
#define USERS_EVERY 2   /* periods: 10 s */
#define SYSTEM_EVERY 24 /* 120 s */
#define DISKS_EVERY 60  /* 300 s */
#define CPUS_EVERY 12   /* 60 s */
#define AGENT_EVERY 60  /* 300 s */
#define SETTLES 6       /* 30 s after a boot or a hot plug, while addresses come */
#define SILENT_PERIOD_S 15
#define ITEMS_MAX 64
#define TEXT_MAX 255
#define INFO_MAX KiB(256) /* of guest-info, which lists some hundred commands */

struct vr_guest {
    char *host_name, *os_id, *os_name, *os_version, *os_kernel, *os_machine, *os_pretty;
    char *zone, *users, *ips, *agent_version;
    int64_t zone_offset; /* minutes */
    bool has_zone;
    int64_t cpus;
    GPtrArray *nics;  /* of vr_rpc_guest_network_device_info */
    GPtrArray *disks; /* of vr_rpc_guest_mount_info */
};

static struct vr_guest *guest_new(void)
{
    struct vr_guest *guest = g_new0(struct vr_guest, 1);
    guest->cpus = -1;
    guest->nics = g_ptr_array_new_with_free_func((GDestroyNotify)vr_unref);
    guest->disks = g_ptr_array_new_with_free_func((GDestroyNotify)vr_unref);
    return guest;
}

void vr_guest_free(struct vr_guest *guest)
{
    if (!guest)
        return;
    g_free(guest->host_name);
    g_free(guest->os_id);
    g_free(guest->os_name);
    g_free(guest->os_version);
    g_free(guest->os_kernel);
    g_free(guest->os_machine);
    g_free(guest->os_pretty);
    g_free(guest->zone);
    g_free(guest->users);
    g_free(guest->ips);
    g_free(guest->agent_version);
    g_ptr_array_unref(guest->nics);
    g_ptr_array_unref(guest->disks);
    g_free(guest);
}

void vr_guest_report(const struct vr_guest *guest, struct vr_rpc_vm_stats *stats)
{
    if (!guest) {
        VR_SET(stats, guest_cpu_count, -1);
        VR_SET_STRING(stats, guest_ips, "");
        VR_SET_STRING(stats, username, "Unknown");
        VR_SET_STRING(stats, session, "Unknown");
        return;
    }
    VR_SET_STRING(stats, guest_name, guest->host_name);
    VR_SET_STRING(stats, guest_fqdn, guest->host_name ? guest->host_name : "");
    VR_SET_STRING(stats, guest_os, guest->os_kernel);
    VR_SET_STRING(stats, guest_ips, guest->ips ? guest->ips : "");
    VR_SET_STRING(stats, username, guest->users && *guest->users ? guest->users : "None");
    VR_SET_STRING(stats, session, guest->users && *guest->users ? "UserLoggedOn" : "LoggedOff");
    VR_SET(stats, guest_cpu_count, guest->cpus);
    /* qemu-ga cannot list programs; it is the one that is known to be there. */
    if (guest->agent_version)
        VR_APPEND(stats, apps_list,
                  g_strdup_printf("qemu-guest-agent-%s", guest->agent_version));
    if (guest->os_id || guest->os_name) {
        struct vr_rpc_vm_guest_os_info *info = VR_NEW(rpc_vm_guest_os_info);
        bool windows = !g_strcmp0(guest->os_id, "mswindows");
        VR_SET_STRING(info, type, windows ? "windows" : "linux");
        VR_SET_STRING(info, distribution, guest->os_name ? guest->os_name : "");
        VR_SET_STRING(info, version, guest->os_version ? guest->os_version : "");
        VR_SET_STRING(info, codename, guest->os_pretty ? guest->os_pretty : "");
        VR_SET_STRING(info, kernel, guest->os_kernel ? guest->os_kernel : "");
        VR_SET_STRING(info, arch, guest->os_machine ? guest->os_machine : "");
        VR_TAKE(stats, guest_os_info, info);
    }
    if (guest->has_zone) {
        struct vr_rpc_vm_guest_timezone *zone = VR_NEW(rpc_vm_guest_timezone);
        VR_SET(zone, offset, guest->zone_offset);
        VR_SET_STRING(zone, zone, guest->zone ? guest->zone : "");
        VR_TAKE(stats, guest_timezone, zone);
    }
    for (unsigned i = 0; i < guest->nics->len; i++)
        VR_APPEND(stats, net_ifaces, vr_ref(guest->nics->pdata[i]));
    for (unsigned i = 0; i < guest->disks->len; i++)
        VR_APPEND(stats, disks_usage, vr_ref(guest->disks->pdata[i]));
}

/* The answers of libvirt, by name. */
struct answers {
    virTypedParameterPtr values;
    int count;
};

static const char *text_of(const struct answers *answers, const char *name)
{
    const char *value = NULL;
    virTypedParamsGetString(answers->values, answers->count, name, &value);
    return value;
}

/* A guest's text: valid UTF-8 of bounded length; owned, or NULL. */
static char *safe(const char *text)
{
    if (!text)
        return NULL;
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    return g_utf8_strlen(valid, -1) > TEXT_MAX ? g_utf8_substring(valid, 0, TEXT_MAX)
                                               : g_steal_pointer(&valid);
}

static char *safe_of(const struct answers *answers, const char *name)
{
    return safe(text_of(answers, name));
}

static unsigned count_of(const struct answers *answers, const char *name)
{
    unsigned value = 0;
    virTypedParamsGetUInt(answers->values, answers->count, name, &value);
    return MIN(value, ITEMS_MAX);
}

static const char *item(const struct answers *answers, const char *what, unsigned i,
                        const char *name)
{
    g_autofree char *key = g_strdup_printf("%s.%u.%s", what, i, name);
    return text_of(answers, key);
}

static void read_system(struct vr_guest *guest, const struct answers *answers)
{
    const struct {
        char **into;
        const char *name;
    } rows[] = {
        { &guest->host_name, "hostname" },
        { &guest->os_id, "os.id" },
        { &guest->os_name, "os.name" },
        { &guest->os_version, "os.version-id" },
        { &guest->os_kernel, "os.kernel-release" },
        { &guest->os_machine, "os.machine" },
        { &guest->os_pretty, "os.version" },
        { &guest->zone, "timezone.name" },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        char *value = safe_of(answers, rows[i].name);
        if (value) {
            g_free(*rows[i].into);
            *rows[i].into = value;
        }
    }
    int seconds;
    if (virTypedParamsGetInt(answers->values, answers->count, "timezone.offset", &seconds) == 1) {
        guest->zone_offset = seconds / 60;
        guest->has_zone = true;
    }
}

static void read_nics(struct vr_guest *guest, const struct answers *answers)
{
    g_autoptr(GString) ips = g_string_new(NULL);
    g_ptr_array_set_size(guest->nics, 0);
    unsigned count = count_of(answers, "if.count");
    for (unsigned i = 0; i < count; i++) {
        struct vr_rpc_guest_network_device_info *nic = VR_NEW(rpc_guest_network_device_info);
        VR_TAKE_STRING(nic, name, safe(item(answers, "if", i, "name")));
        VR_TAKE_STRING(nic, hw, safe(item(answers, "if", i, "hwaddr")));
        nic->has.inet = nic->has.inet6 = true;
        g_autofree char *key = g_strdup_printf("if.%u.addr", i);
        g_autofree char *many = g_strdup_printf("if.%u.addr.count", i);
        unsigned addresses = count_of(answers, many);
        for (unsigned j = 0; j < addresses; j++) {
            char *address = safe(item(answers, key, j, "addr"));
            if (!address)
                continue;
            bool v6 = !g_strcmp0(item(answers, key, j, "type"), "ipv6");
            if (g_strcmp0(nic->name, "lo") && !g_str_has_prefix(address, "fe80"))
                g_string_append_printf(ips, "%s%s", ips->len ? " " : "", address);
            vr_list_append(v6 ? &nic->inet6 : &nic->inet, address);
        }
        g_ptr_array_add(guest->nics, nic);
    }
    g_free(guest->ips);
    guest->ips = g_strdup(ips->str);
}

static void read_users(struct vr_guest *guest, const struct answers *answers)
{
    g_autoptr(GString) users = g_string_new(NULL);
    unsigned count = count_of(answers, "user.count");
    for (unsigned i = 0; i < count; i++) {
        g_autofree char *name = safe(item(answers, "user", i, "name"));
        if (name)
            g_string_append_printf(users, "%s%s", users->len ? ", " : "", name);
    }
    g_free(guest->users);
    guest->users = g_strdup(users->str);
}

static void read_disks(struct vr_guest *guest, const struct answers *answers)
{
    g_ptr_array_set_size(guest->disks, 0);
    unsigned count = count_of(answers, "fs.count");
    for (unsigned i = 0; i < count; i++) {
        unsigned long long total = 0, used = 0;
        g_autofree char *total_key = g_strdup_printf("fs.%u.total-bytes", i);
        g_autofree char *used_key = g_strdup_printf("fs.%u.used-bytes", i);
        virTypedParamsGetULLong(answers->values, answers->count, total_key, &total);
        virTypedParamsGetULLong(answers->values, answers->count, used_key, &used);
        struct vr_rpc_guest_mount_info *mount = VR_NEW(rpc_guest_mount_info);
        VR_TAKE_STRING(mount, path, safe(item(answers, "fs", i, "mountpoint")));
        VR_TAKE_STRING(mount, fs, safe(item(answers, "fs", i, "fstype")));
        VR_TAKE_STRING(mount, total, g_strdup_printf("%llu", total));
        VR_TAKE_STRING(mount, used, g_strdup_printf("%llu", used));
        g_ptr_array_add(guest->disks, mount);
    }
}

/* A copy that a new answer may change; the old one may be in use by nobody else: under the lock. */
static struct vr_guest *guest_copy(const struct vr_guest *old)
{
    struct vr_guest *guest = guest_new();
    if (!old)
        return guest;
    guest->host_name = g_strdup(old->host_name);
    guest->os_id = g_strdup(old->os_id);
    guest->os_name = g_strdup(old->os_name);
    guest->os_version = g_strdup(old->os_version);
    guest->os_kernel = g_strdup(old->os_kernel);
    guest->os_machine = g_strdup(old->os_machine);
    guest->os_pretty = g_strdup(old->os_pretty);
    guest->zone = g_strdup(old->zone);
    guest->users = g_strdup(old->users);
    guest->ips = g_strdup(old->ips);
    guest->agent_version = g_strdup(old->agent_version);
    guest->zone_offset = old->zone_offset;
    guest->has_zone = old->has_zone;
    guest->cpus = old->cpus;
    for (unsigned i = 0; i < old->nics->len; i++)
        g_ptr_array_add(guest->nics, vr_ref(old->nics->pdata[i]));
    for (unsigned i = 0; i < old->disks->len; i++)
        g_ptr_array_add(guest->disks, vr_ref(old->disks->pdata[i]));
    return guest;
}

/* Every interface but the loopback one has an address that others can reach. */
static bool has_addresses(const struct vr_guest *guest)
{
    for (unsigned i = 0; i < guest->nics->len; i++) {
        const struct vr_rpc_guest_network_device_info *nic = guest->nics->pdata[i];
        bool reachable = nic->inet.len > 0 || !g_strcmp0(nic->name, "lo");
        for (unsigned j = 0; j < nic->inet6.len && !reachable; j++)
            reachable = !g_str_has_prefix(nic->inet6.items[j], "fe80");
        if (!reachable)
            return false;
    }
    return guest->nics->len > 0;
}

static unsigned questions(unsigned round, bool know_ip)
{
    unsigned types = 0;
    if (round % USERS_EVERY == 0)
        types |= VIR_DOMAIN_GUEST_INFO_USERS;
    if (round % SYSTEM_EVERY == 0)
        types |= VIR_DOMAIN_GUEST_INFO_OS | VIR_DOMAIN_GUEST_INFO_TIMEZONE |
                 VIR_DOMAIN_GUEST_INFO_HOSTNAME;
    if (round < SETTLES || round % SYSTEM_EVERY == 0 || !know_ip)
        types |= VIR_DOMAIN_GUEST_INFO_INTERFACES;
    if (round % DISKS_EVERY == 0)
        types |= VIR_DOMAIN_GUEST_INFO_FILESYSTEM;
    return types;
}

/* {"return":{"version":"7.2.17",…}}: the version, owned, or NULL. */
static char *version_of(const char *answer)
{
    if (strlen(answer) > INFO_MAX)
        return NULL;
    json_object *object = json_tokener_parse(answer), *info, *version;
    char *text = NULL;
    if (json_object_object_get_ex(object, "return", &info) &&
        json_object_object_get_ex(info, "version", &version) &&
        json_object_is_type(version, json_type_string))
        text = safe(json_object_get_string(version));
    json_object_put(object);
    return text;
}

/* Whether the agent answers at all; now and then with what it is. */
static bool greet(virDomainPtr dom, unsigned round, struct vr_guest *guest)
{
    bool in_full = round % AGENT_EVERY == 0;
    char *answer = virDomainQemuAgentCommand(
        dom, in_full ? "{\"execute\":\"guest-info\"}" : "{\"execute\":\"guest-ping\"}", DEADLINE_S,
        0);
    if (!answer)
        return false;
    if (in_full) {
        g_free(guest->agent_version);
        guest->agent_version = version_of(answer);
    }
    free(answer);
    return true;
}

/* One kind a call, without it being an error that the guest cannot answer it. */
static void ask(virDomainPtr dom, unsigned types, struct vr_guest *guest)
{
    static const struct {
        unsigned type;
        void (*read)(struct vr_guest *, const struct answers *);
    } rows[] = {
        { VIR_DOMAIN_GUEST_INFO_INTERFACES, read_nics },
        { VIR_DOMAIN_GUEST_INFO_OS | VIR_DOMAIN_GUEST_INFO_TIMEZONE |
              VIR_DOMAIN_GUEST_INFO_HOSTNAME,
          read_system },
        { VIR_DOMAIN_GUEST_INFO_USERS, read_users },
        { VIR_DOMAIN_GUEST_INFO_FILESYSTEM, read_disks },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (!(types & rows[i].type))
            continue;
        struct answers answers = { 0 };
        if (virDomainGetGuestInfo(dom, rows[i].type, &answers.values, &answers.count, 0) < 0) {
            /* An agent without one of the three: each alone. */
            for (unsigned bit = 0; bit < 8; bit++)
                if ((rows[i].type & (1u << bit)) && rows[i].type != (1u << bit) &&
                    virDomainGetGuestInfo(dom, 1u << bit, &answers.values, &answers.count, 0) ==
                        0) {
                    rows[i].read(guest, &answers);
                    virTypedParamsFree(answers.values, answers.count);
                    answers = (struct answers){ 0 };
                }
            continue;
        }
        rows[i].read(guest, &answers);
        virTypedParamsFree(answers.values, answers.count);
    }
}

/* How many processors "0-3,8" names; libvirt has no public reader of its lists. */
static unsigned count_list(const char *list)
{
    unsigned count = 0;
    g_auto(GStrv) parts = g_strsplit(list, ",", ITEMS_MAX);
    for (char **part = parts; *part; part++) {
        char *end;
        unsigned long first = strtoul(*part, &end, 10);
        unsigned long last = *end == '-' ? strtoul(end + 1, NULL, 10) : first;
        if (last >= first && last - first < 4096)
            count += (unsigned)(last - first + 1);
    }
    return count;
}

static void ask_cpus(virDomainPtr dom, struct vr_guest *guest)
{
    virTypedParameterPtr values = NULL;
    unsigned count = 0;
    if (virDomainGetGuestVcpus(dom, &values, &count, 0) < 0)
        return;
    const struct answers answers = { values, (int)count };
    const char *online = text_of(&answers, "online");
    guest->cpus = online ? (int64_t)count_list(online) : -1;
    virTypedParamsFree(values, (int)count);
}

void vr_guest_ask(gpointer data, gpointer user)
{
    struct vr_vm *vm = data;
    struct vr_domains *domains = user;
    vr_auto_error struct vr_error *error = NULL;
    vr_role_enter(&vr_role_worker);
    vr_mutex_lock(&domains->lock);
    unsigned round = vm->guest_round;
    struct vr_guest *guest = guest_copy(vm->guest);
    vr_mutex_unlock(&domains->lock);

    vr_auto_dom virDomainPtr dom = vr_connection_domain(domains, vm->id, &error);
    bool answered = false;
    if (dom) {
        virDomainAgentSetResponseTimeout(dom, DEADLINE_S, 0);
        answered = greet(dom, round, guest);
        if (answered)
            ask(dom, questions(round, has_addresses(guest)), guest);
        if (answered && round % CPUS_EVERY == 0)
            ask_cpus(dom, guest);
    }
    vr_mutex_lock(&domains->lock);
    bool announce = answered && vm->state != VR_STATE_DOWN &&
                    (round == 0 || g_strcmp0(vm->guest ? vm->guest->ips : NULL, guest->ips));
    if (answered && vm->state != VR_STATE_DOWN) {
        struct vr_guest *old = vm->guest;
        vm->guest = guest;
        guest = old;
        if (vm->guest_round == round) /* not begun anew meanwhile */
            vm->guest_round = round + 1;
        vm->agent_answered = true;
        if (vm->state == VR_STATE_POWERING_UP ||
            (vm->state == VR_STATE_REBOOTING && !vm->shutdown_next))
            vr_vm_set_state(domains, vm, VR_STATE_UP);
    }
    vm->guest_next =
        g_get_monotonic_time() + (answered ? PERIOD_S : SILENT_PERIOD_S) * (int64_t)G_USEC_PER_SEC;
    vm->guest_busy = false;
    vr_mutex_unlock(&domains->lock);
    vr_guest_free(guest);
    if (announce)
        vr_vm_announce(domains, vm);
    vr_role_leave(&vr_role_worker);
    vr_vm_unref(vm);
}

void vr_guest_tick(struct vr_domains *domains)
{
    g_autoptr(GPtrArray) all = vr_vm_all(domains);
    int64_t now = g_get_monotonic_time();
    for (unsigned i = 0; i < all->len; i++) {
        struct vr_vm *vm = all->pdata[i];
        vr_mutex_lock(&domains->lock);
        bool due = vm->agent_connected && !vm->guest_busy && !vm->creating &&
                   vm->guest_next <= now &&
                   (vm->state == VR_STATE_UP || vm->state == VR_STATE_POWERING_UP ||
                    vm->state == VR_STATE_REBOOTING);
        if (due)
            vm->guest_busy = true;
        vr_mutex_unlock(&domains->lock);
        if (due)
            g_thread_pool_push(domains->askers, vr_vm_ref(vm), NULL);
    }
}
