/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/config.h"

#include <unistd.h>

static const char *const agent_keys[] = {
    "address",     "port", "image-port",    "state", "run-root", "link-root",
    "nbd-root",    "iod",  "imaged",        "enroll", "uid",     "gid",
    "certificate", "key",  "ticket-socket", "uuid",  "log",      "ca",
    "manager",     NULL
};
static const char *const libvirt_keys[] = {
    "uri", "accel", "log-dir", "serial-log-dir", "console-dir", "qemu-conf", NULL
};
static const char *const network_keys[] = { "bridges", "connectivity-timeout", NULL };

static const struct {
    const char *name;
    const char *const *keys;
} groups[] = {
    { "agent", agent_keys },
    { "libvirt", libvirt_keys },
    { "network", network_keys },
};

bool vr_cpuinfo_has_virtualization(const char *cpuinfo)
{
    const char *flags = strstr(cpuinfo, "\nflags");
    if (!flags)
        return false;
    const char *end = strchr(flags + 1, '\n');
    g_autofree char *line = end ? g_strndup(flags, end - flags) : g_strdup(flags);
    g_auto(GStrv) words = g_strsplit_set(line, " \t:", -1);
    return g_strv_contains((const char *const *)words, "vmx") ||
           g_strv_contains((const char *const *)words, "svm");
}

static enum vr_accel detect_accel(void)
{
    g_autofree char *cpuinfo = NULL;
    if (!g_file_get_contents("/proc/cpuinfo", &cpuinfo, NULL, NULL))
        return VR_ACCEL_TCG;
    return vr_cpuinfo_has_virtualization(cpuinfo) && access("/dev/kvm", R_OK | W_OK) == 0
               ? VR_ACCEL_KVM
               : VR_ACCEL_TCG;
}

static bool check_names(GKeyFile *file, struct vr_error **error)
{
    g_auto(GStrv) found = g_key_file_get_groups(file, NULL);
    for (char **group = found; *group; group++) {
        const char *const *keys = NULL;
        for (unsigned i = 0; i < G_N_ELEMENTS(groups); i++)
            if (!strcmp(groups[i].name, *group))
                keys = groups[i].keys;
        if (!keys) {
            vr_error_set(error, &vr_fault_bad_request, "There is no group [%s].", *group);
            return false;
        }
        g_auto(GStrv) names = g_key_file_get_keys(file, *group, NULL, NULL);
        for (char **name = names; *name; name++)
            if (!g_strv_contains(keys, *name)) {
                vr_error_set(error, &vr_fault_bad_request, "Group [%s] has no option \"%s\".",
                             *group, *name);
                return false;
            }
    }
    return true;
}

/* Owned; NULL when the option is absent (and has no default) or empty. */
static char *get_string(GKeyFile *file, const char *group, const char *key, const char *otherwise)
{
    char *value = g_key_file_get_string(file, group, key, NULL);
    if (!value)
        return g_strdup(otherwise);
    g_strstrip(value);
    if (!*value)
        g_clear_pointer(&value, g_free);
    return value;
}

static bool get_number(GKeyFile *file, const char *group, const char *key, unsigned otherwise,
                       unsigned most, unsigned *ret, struct vr_error **error)
{
    g_autofree char *text = get_string(file, group, key, NULL);
    *ret = otherwise;
    if (!text)
        return true;
    guint64 value;
    if (!g_ascii_string_to_unsigned(text, 10, 0, most, &value, NULL)) {
        vr_error_set(error, &vr_fault_bad_request, "Option \"%s\" must be a number from 0 to %u.",
                     key, most);
        return false;
    }
    *ret = value;
    return true;
}

#define RUN_ROOT "/rhev/data-center"

char *vr_agent_program(const char *folder, const char *name)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *dir = g_path_get_dirname(self ? self : VR_LIBEXEC);
    g_autofree char *beside = g_build_filename(dir, name, NULL);
    if (g_file_test(beside, G_FILE_TEST_IS_EXECUTABLE))
        return g_steal_pointer(&beside);
    g_autofree char *below = g_build_filename(dir, folder, name, NULL);
    if (g_file_test(below, G_FILE_TEST_IS_EXECUTABLE))
        return g_steal_pointer(&below);
    return g_build_filename(VR_LIBEXEC, name, NULL);
}

/* A socket's path holds 107 bytes; a state folder may be deep.  Owned. */
static char *default_socket(const struct vr_agent_config *config, bool usual)
{
    if (usual)
        return g_strdup("/run/ovirt-imageio/sock");
    g_autofree char *path = g_build_filename(config->state, "image.sock", NULL);
    if (strlen(path) < 100)
        return g_steal_pointer(&path);
    return g_strdup_printf("/run/vireo-image-%08x.sock", g_str_hash(config->state));
}

static bool read_storage(struct vr_agent_config *config, GKeyFile *file, struct vr_error **error)
{
    bool usual = !strcmp(config->run_root, RUN_ROOT);
    g_autofree char *links =
        usual ? g_strdup("/run/vdsm/storage") : g_build_filename(config->state, "links", NULL);
    g_autofree char *nbd =
        usual ? g_strdup("/run/vdsm/nbd") : g_build_filename(config->state, "nbd", NULL);
    g_autofree char *iod = vr_agent_program("storage", "vireo-iod");
    g_autofree char *imaged = vr_agent_program("image", "vireo-imaged");
    g_autofree char *socket = default_socket(config, usual);
    config->link_root = get_string(file, "agent", "link-root", links);
    config->nbd_root = get_string(file, "agent", "nbd-root", nbd);
    g_autofree char *enroll = vr_agent_program("enroll", "vireo-enroll");
    config->enroll = get_string(file, "agent", "enroll", enroll);
    config->iod = get_string(file, "agent", "iod", iod);
    config->imaged = get_string(file, "agent", "imaged", imaged);
    config->ticket_socket = get_string(file, "agent", "ticket-socket", socket);
    if (!config->link_root || !config->nbd_root || !config->iod || !config->imaged || !config->enroll ||
        !config->ticket_socket) {
        vr_error_set(error, &vr_fault_bad_request,
                     "link-root, nbd-root, iod, imaged, enroll and ticket-socket cannot be empty.");
        return false;
    }
    return get_number(file, "agent", "uid", 0, G_MAXINT, &config->uid, error) &&
           get_number(file, "agent", "gid", 0, G_MAXINT, &config->gid, error);
}

bool vr_agent_known_by_fits(const char *const *known_by)
{
    for (; *known_by; known_by++)
        if ((!g_str_has_prefix(*known_by, "OU=") && !g_str_has_prefix(*known_by, "CN=")) ||
            strlen(*known_by) < sizeof("OU="))
            return false;
    return true;
}

static bool read_manager(struct vr_agent_config *config, GKeyFile *file, struct vr_error **error)
{
    config->manager = g_key_file_get_string_list(file, "agent", "manager", NULL, NULL);
    if (!config->manager)
        config->manager = g_new0(char *, 1);
    for (char **entry = config->manager; *entry; entry++)
        g_strstrip(*entry);
    if (vr_agent_known_by_fits((const char *const *)config->manager))
        return true;
    vr_error_set(error, &vr_fault_bad_request,
                 "Option \"manager\" must be OU=unit or CN=name, several separated by semicolons.");
    return false;
}

static bool read_agent(struct vr_agent_config *config, GKeyFile *file, struct vr_error **error)
{
    config->address = get_string(file, "agent", "address", "::");
    config->state = get_string(file, "agent", "state", "/var/lib/vireo-agent");
    config->run_root = get_string(file, "agent", "run-root", RUN_ROOT);
    config->ca = get_string(file, "agent", "ca", NULL);
    config->certificate = get_string(file, "agent", "certificate", NULL);
    config->key = get_string(file, "agent", "key", NULL);
    config->uuid = get_string(file, "agent", "uuid", NULL);
    if (!config->address || !config->state || !config->run_root) {
        vr_error_set(error, &vr_fault_bad_request, "address, state and run-root cannot be empty.");
        return false;
    }
    if (!!config->ca != !!config->certificate || !!config->ca != !!config->key) {
        vr_error_set(error, &vr_fault_bad_request, "ca, certificate and key belong together.");
        return false;
    }

    static const struct {
        const char *word;
        enum vr_log_level level;
    } levels[] = { { "error", VR_LOG_ERROR },
                   { "warning", VR_LOG_WARNING },
                   { "info", VR_LOG_INFO },
                   { "debug", VR_LOG_DEBUG } };
    g_autofree char *level = get_string(file, "agent", "log", "info");
    bool known = false;
    for (unsigned i = 0; i < G_N_ELEMENTS(levels); i++)
        if (!g_strcmp0(level, levels[i].word)) {
            config->log = levels[i].level;
            known = true;
        }
    if (!known) {
        vr_error_set(error, &vr_fault_bad_request,
                     "Option \"log\" must be error, warning, info or debug.");
        return false;
    }
    return get_number(file, "agent", "port", 54321, 65535, &config->port, error) &&
           get_number(file, "agent", "image-port", 54322, 65535, &config->image_port, error);
}

static bool read_libvirt(struct vr_agent_config *config, GKeyFile *file, struct vr_error **error)
{
    config->libvirt_uri = get_string(file, "libvirt", "uri", "qemu:///system");
    config->qemu_log_dir = get_string(file, "libvirt", "log-dir", "/var/log/libvirt/qemu");
    config->serial_log_dir = get_string(file, "libvirt", "serial-log-dir", NULL);
    config->console_dir = get_string(file, "libvirt", "console-dir", NULL);
    config->qemu_conf = get_string(file, "libvirt", "qemu-conf", "/etc/libvirt/qemu.conf");
    g_autofree char *accel = get_string(file, "libvirt", "accel", "auto");
    if (!g_strcmp0(accel, "auto")) {
        config->accel = detect_accel();
    } else if (!g_strcmp0(accel, "kvm")) {
        config->accel = VR_ACCEL_KVM;
    } else if (!g_strcmp0(accel, "tcg")) {
        config->accel = VR_ACCEL_TCG;
    } else {
        vr_error_set(error, &vr_fault_bad_request, "Option \"accel\" must be auto, kvm or tcg.");
        return false;
    }
    return true;
}

struct vr_agent_config *vr_agent_config_read(const char *path, struct vr_error **error)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autoptr(GError) failure = NULL;
    if (path && !g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, &failure)) {
        vr_error_set(error, &vr_fault_bad_request, "%s: %s", path, failure->message);
        return NULL;
    }

    struct vr_agent_config *config = g_new0(struct vr_agent_config, 1);
    config->bridges = g_key_file_get_string_list(file, "network", "bridges", NULL, NULL);
    if (!config->bridges)
        config->bridges = g_new0(char *, 1);
    if (!check_names(file, error) || !read_agent(config, file, error) ||
        !read_manager(config, file, error) || !read_storage(config, file, error) ||
        !read_libvirt(config, file, error) ||
        !get_number(file, "network", "connectivity-timeout", 4, 3600, &config->connectivity_timeout,
                    error)) {
        vr_error_prefix(error, "%s", path ? path : "the defaults");
        vr_agent_config_free(config);
        return NULL;
    }
    return config;
}

void vr_agent_config_free(struct vr_agent_config *config)
{
    if (!config)
        return;
    g_free(config->address);
    g_free(config->state);
    g_free(config->run_root);
    g_free(config->link_root);
    g_free(config->nbd_root);
    g_free(config->iod);
    g_free(config->imaged);
    g_free(config->enroll);
    g_free(config->ticket_socket);
    g_free(config->ca);
    g_free(config->certificate);
    g_free(config->key);
    g_strfreev(config->manager);
    g_free(config->uuid);
    g_free(config->libvirt_uri);
    g_free(config->qemu_log_dir);
    g_free(config->serial_log_dir);
    g_free(config->console_dir);
    g_free(config->qemu_conf);
    g_strfreev(config->bridges);
    g_free(config);
}
