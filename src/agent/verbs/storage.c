/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "verbs"
#include "agent/verbs/storage.h"

#include "agent/fault.h"
#include "agent/storage/fault.h"

/* One call that somebody waits for. */
struct wait {
    GMutex mutex;
    GCond cond;
    bool done;
    void *result; /* a reference */
    int code;
    char *message;
};

static void answered(void *result, int code, const char *message, void *arg)
{
    struct wait *wait = arg;
    g_mutex_lock(&wait->mutex);
    wait->result = vr_ref(result);
    wait->code = code;
    wait->message = g_strdup(message);
    wait->done = true;
    g_cond_signal(&wait->cond);
    g_mutex_unlock(&wait->mutex);
}

char *vr_agent_image_prepare(struct vr_storage *storage, const char *pool, const char *domain,
                             const char *image, const char *volume, struct vr_error **error)
{
    vr_auto struct vr_rpc_image_prepare_params *params = VR_NEW(rpc_image_prepare_params);
    VR_SET_STRING(params, storagepool_id, pool && *pool ? pool : VR_UUID_ZERO);
    VR_SET_STRING(params, storagedomain_id, domain);
    VR_SET_STRING(params, image_id, image);
    VR_SET_STRING(params, volume_id, volume);

    struct wait wait = { 0 };
    g_mutex_init(&wait.mutex);
    g_cond_init(&wait.cond);
    vr_storage_image_prepare(storage, params, answered, &wait);
    g_mutex_lock(&wait.mutex);
    while (!wait.done)
        g_cond_wait(&wait.cond, &wait.mutex);
    g_mutex_unlock(&wait.mutex);
    g_mutex_clear(&wait.mutex);
    g_cond_clear(&wait.cond);

    char *path = NULL;
    const struct vr_rpc_prepared_image_info *result = wait.result;
    if (wait.code)
        vr_error_set(error, vr_storage_fault_by_code(wait.code), "%s", wait.message);
    else if (result && result->path)
        path = g_strdup(result->path);
    else
        vr_agent_error(error, unexpected, "Storage gave no path of image %s.", image);
    vr_unref(wait.result);
    g_free(wait.message);
    return path;
}

static void ignored(void *result, int code, const char *message, void *arg)
{
    if (code)
        vr_log_debug("Tearing an image down failed with %d: %s", code, message);
}

void vr_agent_image_teardown(struct vr_storage *storage, const char *pool, const char *domain,
                             const char *image, const char *volume)
{
    vr_auto struct vr_rpc_image_teardown_params *params = VR_NEW(rpc_image_teardown_params);
    VR_SET_STRING(params, storagepool_id, pool && *pool ? pool : VR_UUID_ZERO);
    VR_SET_STRING(params, storagedomain_id, domain);
    VR_SET_STRING(params, image_id, image);
    VR_SET_STRING(params, volume_id, volume);
    vr_storage_image_teardown(storage, params, ignored, NULL);
}
