/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "domain"
#include "agent/domain/vm.h"

#include <stdlib.h>

static void ignore_error(void *arg, virErrorPtr error)
{
}

bool vr_domains_probe(const struct vr_agent_config *config, char **ret_text,
                      struct vr_error **error)
{
    virSetErrorFunc(NULL, ignore_error); /* it would print each one */
    vr_auto_conn virConnectPtr conn = virConnectOpen(config->libvirt_uri);
    unsigned long libvirt = 0, qemu = 0;
    if (!conn || virConnectGetLibVersion(conn, &libvirt) < 0) {
        vr_connection_error(error, &vr_agent_fault_general);
        return false;
    }
    const char *type = config->accel == VR_ACCEL_KVM ? "kvm" : "qemu";
    char *capabilities = virConnectGetDomainCapabilities(conn, NULL, "x86_64", NULL, type, 0);
    if (!capabilities || virConnectGetVersion(conn, &qemu) < 0) {
        vr_connection_error(error, &vr_agent_fault_general);
        vr_error_prefix(error, "libvirt cannot run machines of type %s", type);
        free(capabilities);
        return false;
    }
    free(capabilities);
    *ret_text = g_strdup_printf("libvirt %lu.%lu.%lu with QEMU %lu.%lu.%lu answers at %s",
                                libvirt / 1000000, libvirt / 1000 % 1000, libvirt % 1000,
                                qemu / 1000000, qemu / 1000 % 1000, qemu % 1000,
                                config->libvirt_uri);
    return true;
}
