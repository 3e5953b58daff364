/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/hosts/fitness.h"

static void add_words(struct vr_list *list, const char *words)
{
    g_auto(GStrv) all = g_strsplit(words, " ", 0);
    for (char **word = all; *word; word++)
        if (**word)
            vr_list_append(list, g_strdup(*word));
}

/* Every row is a host that asks to serve in a cluster; NULL: the host or the cluster does not say. */
static const struct {
    const char *what;
    const char *cluster_cpu, *cluster_machine;
    bool cluster_hwrng;
    const char *flags, *machines, *rng, *kvm, *engines, *levels;
    enum vr_unfit want;
    const char *detail;
} rows[] = {
    { "an ordinary host", NULL, "pc-q35-7.2", false, "nx,vmx,model_Nehalem", "pc-q35-7.2", "random",
      "true", "4.5", "4.7", VR_UNFIT_NONE, NULL },
    { "a host that says nothing", "Intel Nehalem Family", NULL, true, NULL, "", "", NULL, "", "",
      VR_UNFIT_NONE, NULL },
    { "the model that the cluster has", "Intel Nehalem Family", NULL, false, "nx,model_Nehalem", "",
      "", "true", "", "", VR_UNFIT_NONE, NULL },
    { "a variant of it", "Intel Haswell Family", NULL, false, "nx,model_Haswell-noTSX-IBRS", "", "",
      "true", "", "", VR_UNFIT_NONE, NULL },
    { "an older processor", "Intel Haswell Family", NULL, false, "nx,model_Nehalem", "", "", "true",
      "", "", VR_UNFIT_CPU_TYPE, "model_Haswell" },
    { "a name that only begins alike", "Intel Skylake Client Family", NULL, false,
      "nx,model_Skylake-Server", "", "", "true", "", "", VR_UNFIT_CPU_TYPE, "model_Skylake-Client" },
    { "nx off in the firmware", "Intel Nehalem Family", NULL, false, "model_Nehalem", "", "", "true",
      "", "", VR_UNFIT_CPU_TYPE, "nx" },
    { "an Opteron", "AMD Opteron G4", NULL, false, "nx,svm,model_Opteron_G4", "", "", "true", "", "",
      VR_UNFIT_NONE, NULL },
    { "holes that the cluster wants closed", "Secure Intel Nehalem Family", NULL, false,
      "nx,model_Nehalem,ssbd", "", "", "true", "", "", VR_UNFIT_CPU_TYPE, "md_clear" },
    { "holes that are closed", "Secure AMD EPYC", NULL, false, "nx,model_EPYC,ibpb,virt_ssbd", "", "",
      "true", "", "", VR_UNFIT_NONE, NULL },
    { "another architecture", NULL, NULL, false, NULL, "pseries-rhel7.6.0 pseries", "", "true", "",
      "", VR_UNFIT_ARCHITECTURE, "the cluster is x86_64" },
    { "no KVM", NULL, NULL, false, NULL, "", "", "false", "", "", VR_UNFIT_KVM, NULL },
    { "without the cluster's machine", NULL, "pc-q35-9.0", false, NULL, "pc-q35-7.2 pc", "", "true",
      "", "", VR_UNFIT_MACHINE, "pc-q35-9.0" },
    { "without the cluster's random source", NULL, NULL, true, NULL, "", "random", "true", "", "",
      VR_UNFIT_RANDOM, "hwrng" },
    { "without any of the kernel's", NULL, NULL, false, NULL, "", "hwrng", "true", "", "",
      VR_UNFIT_RANDOM, "random" },
    { "an agent of another age", NULL, NULL, false, NULL, "", "", "true", "3.6 4.0", "",
      VR_UNFIT_VERSION, NULL },
    { "without the cluster's level", NULL, NULL, false, NULL, "", "", "true", "4.5", "4.2 4.3",
      VR_UNFIT_CLUSTER_LEVEL, NULL },
    { "the processor is told before the rest", "Intel Haswell Family", "pc-q35-9.0", false,
      "nx,model_Nehalem", "pc-q35-7.2", "", "false", "", "", VR_UNFIT_CPU_TYPE, "model_Haswell" },
};

static void test_rows(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("%s", rows[i].what);
        vr_auto struct vr_cluster *cluster = VR_NEW(cluster);
        struct vr_cpu *cpu = VR_SUB(cluster, cpu, cpu);
        VR_SET(cpu, architecture, VR_ARCHITECTURE_X86_64);
        VR_SET_STRING(cpu, type, rows[i].cluster_cpu);
        VR_SET_STRING(cluster, emulated_machine, rows[i].cluster_machine);
        if (rows[i].cluster_hwrng)
            VR_APPEND(cluster, required_rng_sources, VR_ITEM(VR_RNG_SOURCE_HWRNG));
        struct vr_version *version = VR_SUB(cluster, version, version);
        VR_SET(version, major, 4);
        VR_SET(version, minor, 7);

        vr_auto struct vr_rpc_vdsm_capabilities *caps = VR_NEW(rpc_vdsm_capabilities);
        VR_SET_STRING(caps, cpu_flags, rows[i].flags);
        VR_SET_STRING(caps, kvm_enabled, rows[i].kvm);
        add_words(&caps->emulated_machines, rows[i].machines);
        add_words(&caps->rng_sources, rows[i].rng);
        add_words(&caps->supported_engines, rows[i].engines);
        add_words(&caps->cluster_levels, rows[i].levels);
        caps->has.emulated_machines = caps->has.rng_sources = true;
        caps->has.supported_engines = caps->has.cluster_levels = true;

        g_autofree char *detail = NULL;
        g_assert_cmpint(vr_host_fitness(cluster, caps, &detail), ==, rows[i].want);
        if (rows[i].detail)
            g_assert_cmpstr(detail, ==, rows[i].detail);
        g_assert_true(rows[i].want == VR_UNFIT_NONE ? !detail : detail != NULL);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/hosts/fitness", test_rows);
    return g_test_run();
}
