/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/hosts/fitness.h"

/* The line of Managers that hosts know us as (supportedENGINEs). */
#define ENGINE_LINE "4.5"

static bool listed(const struct vr_list *list, const char *word)
{
    for (unsigned i = 0; i < list->len; i++)
        if (strcmp(list->items[i], word) == 0)
            return true;
    return false;
}

static bool has_flag(char **flags, const char *flag)
{
    return g_strv_contains((const char *const *)flags, flag);
}

/* --- processor --- */

/*
 * A cluster's CPU type by its name: "Secure Intel Haswell Family" wants model
 * Haswell, in one of its variants, and the flags that close the known holes.
 * The virtualization flag is left to the check for KVM: where a host emulates,
 * it has none and serves all the same.
 */
static char *model_of_type(const char *type, bool *ret_secure)
{
    *ret_secure = g_str_has_prefix(type, "Secure ");
    const char *rest = *ret_secure ? type + strlen("Secure ") : type;
    if (g_str_has_prefix(rest, "AMD ")) {
        char *model = g_strdup(rest + strlen("AMD "));
        return g_strdelimit(model, " ", '_'); /* Opteron_G4 */
    }
    if (!g_str_has_prefix(rest, "Intel "))
        return NULL;
    char *model = g_strdup(rest + strlen("Intel "));
    if (g_str_has_suffix(model, " Family"))
        model[strlen(model) - strlen(" Family")] = '\0';
    return g_strdelimit(model, " ", '-'); /* Skylake-Server */
}

static bool has_model(char **flags, const char *model)
{
    static const char *const variants[] = { "", "-noTSX", "-IBRS", "-noTSX-IBRS" };
    for (unsigned i = 0; i < G_N_ELEMENTS(variants); i++) {
        g_autofree char *flag = g_strdup_printf("model_%s%s", model, variants[i]);
        if (has_flag(flags, flag))
            return true;
    }
    return false;
}

static bool misses_cpu(const struct vr_cluster *cluster,
                       const struct vr_rpc_vdsm_capabilities *caps, char **ret_detail)
{
    const char *type = cluster->cpu ? cluster->cpu->type : NULL;
    /* No flags at all is a host that could not read them: worth an event elsewhere, not a verdict. */
    if (!type || !type[0] || !caps->cpu_flags || !caps->cpu_flags[0])
        return false;
    g_auto(GStrv) flags = g_strsplit(caps->cpu_flags, ",", 4096);
    g_autoptr(GString) missing = g_string_new(NULL);
    bool secure;
    g_autofree char *model = model_of_type(type, &secure);
    if (!has_flag(flags, "nx"))
        g_string_append(missing, "nx ");
    if (model && !has_model(flags, model))
        g_string_append_printf(missing, "model_%s ", model);
    bool amd = strstr(type, "AMD ") != NULL;
    if (secure && !has_flag(flags, "ssbd") && !has_flag(flags, "virt_ssbd"))
        g_string_append(missing, "ssbd ");
    if (secure && !amd && !has_flag(flags, "md_clear"))
        g_string_append(missing, "md_clear ");
    if (secure && amd && !has_flag(flags, "ibpb"))
        g_string_append(missing, "ibpb ");
    if (missing->len == 0)
        return false;
    g_string_truncate(missing, missing->len - 1);
    *ret_detail = g_strdup(missing->str);
    return true;
}

/* Where a host says its architecture, it is the cluster's.  VDSM says it by the machine types. */
static bool has_other_architecture(const struct vr_cluster *cluster,
                                   const struct vr_rpc_vdsm_capabilities *caps, char **ret_detail)
{
    enum vr_architecture wanted = cluster->cpu
                                      ? VR_GET(cluster->cpu, architecture, VR_ARCHITECTURE_UNDEFINED)
                                      : VR_ARCHITECTURE_UNDEFINED;
    if (wanted == VR_ARCHITECTURE_UNDEFINED || caps->emulated_machines.len == 0)
        return false;
    bool pc = false, power = false, mainframe = false;
    for (unsigned i = 0; i < caps->emulated_machines.len; i++) {
        const char *machine = caps->emulated_machines.items[i];
        pc |= g_str_has_prefix(machine, "pc") || g_str_has_prefix(machine, "q35");
        power |= g_str_has_prefix(machine, "pseries");
        mainframe |= g_str_has_prefix(machine, "s390");
    }
    bool known = pc || power || mainframe;
    bool same = wanted == VR_ARCHITECTURE_X86_64  ? pc
                : wanted == VR_ARCHITECTURE_PPC64 ? power
                : wanted == VR_ARCHITECTURE_S390X ? mainframe
                                                  : true;
    if (!known || same)
        return false;
    *ret_detail = g_strdup_printf("the cluster is %s",
                                  vr_enum_word(&vr_enum_architecture, (int)wanted));
    return true;
}

/* --- software --- */

static bool cannot_virtualize(const struct vr_cluster *cluster,
                              const struct vr_rpc_vdsm_capabilities *caps, char **ret_detail)
{
    if (!caps->kvm_enabled || g_ascii_strcasecmp(caps->kvm_enabled, "true") == 0)
        return false;
    *ret_detail = g_strdup("KVM is not running; see the host's firmware settings and its log");
    return true;
}

static bool misses_machine(const struct vr_cluster *cluster,
                           const struct vr_rpc_vdsm_capabilities *caps, char **ret_detail)
{
    const char *machine = cluster->emulated_machine;
    if (!machine || !machine[0] || listed(&caps->emulated_machines, machine))
        return false;
    *ret_detail = g_strdup(machine);
    return true;
}

/* The cluster's further sources, and one of the kernel's own, which every machine gets. */
static bool misses_random(const struct vr_cluster *cluster,
                          const struct vr_rpc_vdsm_capabilities *caps, char **ret_detail)
{
    if (caps->rng_sources.len == 0)
        return false; /* an agent that does not say */
    if (!listed(&caps->rng_sources, "random") && !listed(&caps->rng_sources, "urandom")) {
        *ret_detail = g_strdup("random");
        return true;
    }
    for (unsigned i = 0; i < cluster->required_rng_sources.len; i++) {
        int source = (int)VR_ITEM_NUMBER(cluster->required_rng_sources.items[i]);
        if (source == VR_RNG_SOURCE_HWRNG && !listed(&caps->rng_sources, "hwrng")) {
            *ret_detail = g_strdup("hwrng");
            return true;
        }
    }
    return false;
}

/* --- versions --- */

static bool does_not_know_us(const struct vr_cluster *cluster,
                             const struct vr_rpc_vdsm_capabilities *caps, char **ret_detail)
{
    if (caps->supported_engines.len == 0 || listed(&caps->supported_engines, ENGINE_LINE))
        return false;
    *ret_detail = g_strdup_printf("agent %s is not made for Managers of version %s",
                                  caps->software_version ? caps->software_version : "?",
                                  ENGINE_LINE);
    return true;
}

static bool misses_level(const struct vr_cluster *cluster,
                         const struct vr_rpc_vdsm_capabilities *caps, char **ret_detail)
{
    if (!cluster->version || caps->cluster_levels.len == 0)
        return false;
    g_autofree char *level = g_strdup_printf("%d.%d", (int)VR_GET(cluster->version, major, 4),
                                             (int)VR_GET(cluster->version, minor, 7));
    if (listed(&caps->cluster_levels, level))
        return false;
    *ret_detail = g_strdup_printf("the host does not support cluster level %s", level);
    return true;
}

/* In the order of 1.3; the first that bites is the verdict. */
static const struct {
    enum vr_unfit reason;
    bool (*bites)(const struct vr_cluster *cluster, const struct vr_rpc_vdsm_capabilities *caps,
                  char **ret_detail);
} checks[] = {
    { VR_UNFIT_CPU_TYPE, misses_cpu },
    { VR_UNFIT_ARCHITECTURE, has_other_architecture },
    { VR_UNFIT_KVM, cannot_virtualize },
    { VR_UNFIT_MACHINE, misses_machine },
    { VR_UNFIT_RANDOM, misses_random },
    { VR_UNFIT_VERSION, does_not_know_us },
    { VR_UNFIT_CLUSTER_LEVEL, misses_level },
};

enum vr_unfit vr_host_fitness(const struct vr_cluster *cluster,
                              const struct vr_rpc_vdsm_capabilities *caps, char **ret_detail)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(checks); i++)
        if (checks[i].bites(cluster, caps, ret_detail))
            return checks[i].reason;
    return VR_UNFIT_NONE;
}
