/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/vms/internal.h"

struct vms *vms_state(struct vr_engine *engine)
{
    return vr_engine_module(engine, &vr_vms_module);
}

void vr_vms_host_changed(struct vr_engine *engine, const char *host_id)
{
    struct vms *vms = vms_state(engine);
    if (vms && host_id)
        placement_host_changed(vms->placement, host_id);
}

static void *start(struct vr_engine *engine)
{
    struct vms *vms = g_new0(struct vms, 1);
    vms->engine = engine;
    vms->placement = placement_new(engine);
    vms->clocks = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                        (GDestroyNotify)g_hash_table_unref);
    vms->garbage = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return vms;
}

static void host_state(void *state, const char *host_id, bool connected, const char *reason)
{
    struct vms *vms = state;
    g_hash_table_remove(vms->clocks, host_id);
}

static void begin(void *state) VR_REQUIRES(vr_role_engine);
static void begin(void *state)
{
    memory_begin(((struct vms *)state)->engine);
}

static void stop(void *state)
{
    struct vms *vms = state;
    placement_free(vms->placement);
    g_hash_table_destroy(vms->clocks);
    g_hash_table_destroy(vms->garbage);
    g_free(vms);
}

const struct vr_module vr_vms_module = {
    .name = "vms",
    .start = start,
    .begin = begin,
    .stop = stop,
    .host_state = host_state,
};
