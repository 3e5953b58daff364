/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/access/access.h"

#include "base/mark.h"

static bool fits(const char *known_by, const struct vr_tls_peer *peer)
{
    const char *value = known_by + strlen("OU=");
    if (g_str_has_prefix(known_by, "OU="))
        return g_strcmp0(peer->unit, value) == 0;
    /* Names of machines are the same in upper and lower case. */
    return g_str_has_prefix(known_by, "CN=") && peer->name &&
           g_ascii_strcasecmp(peer->name, value) == 0;
}

enum vr_peer_role vr_access_role(const char *const *known_by, const struct vr_tls_peer *peer)
{
    if (!peer)
        return VR_PEER_ANYBODY;
    if (g_strcmp0(peer->unit, VR_MANAGER_UNIT) == 0)
        return VR_PEER_MANAGER;
    if (peer->has_our_key)
        return VR_PEER_SELF;
    for (const char *const *known = known_by; *known; known++)
        if (fits(*known, peer))
            return VR_PEER_MANAGER;
    return *known_by ? VR_PEER_HOST : VR_PEER_ANYBODY;
}

static const struct {
    const struct vr_verb *verb;
    enum vr_visit visit;
} visits[] = {
    { &vr_verb_host_ping, VR_VISIT_MAY },
    { &vr_verb_vm_migration_create, VR_VISIT_MAY }, /* answered 44 until there is migration */
    { &vr_verb_vm_destroy, VR_VISIT_INCOMING },
    { &vr_verb_vm_refresh_disk, VR_VISIT_INCOMING },
    { &vr_verb_host_get_capabilities, VR_VISIT_INCOMING },
};

enum vr_visit vr_access_visit(const struct vr_verb *verb)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(visits); i++)
        if (visits[i].verb == verb)
            return visits[i].visit;
    return VR_VISIT_NEVER;
}

const char *vr_access_refusal(const struct vr_verb *verb)
{
    static const char *const refusals[] = {
        [VR_VISIT_NEVER] = "Only the Manager may ask for it.",
        [VR_VISIT_INCOMING] = "Another host may ask for it only about a machine that it is migrating "
                              "here, and there is none.",
        [VR_VISIT_MAY] = NULL,
    };
    return refusals[vr_access_visit(verb)];
}
