/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/storage/iod.h"

#include <errno.h>
#include <fcntl.h>

static void read_connection(struct iod_request *request, struct vr_connection *connection)
{
    connection->connection = iod_string_or(request, "connection", NULL);
    connection->vfs_type = iod_string_or(request, "vfs_type", NULL);
    connection->mnt_options = iod_string_or(request, "mnt_options", NULL);
    connection->protocol_version = iod_string_or(request, "protocol_version", NULL);
    connection->timeout = (int)CLAMP(iod_integer(request, "timeout", 0), -1, 100000);
    connection->retrans = (int)CLAMP(iod_integer(request, "retrans", 0), -1, 100000);
}

/* The identity that works on the storage must be able to use its root (facts 18: 469). */
static bool usable(struct iod_request *request, const char *target, struct vr_error **error)
{
    vr_fs_become(request->uid, request->gid);
    int fd = open(target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd < 0 ? -1 : faccessat(fd, ".", R_OK | W_OK | X_OK, AT_EACCESS);
    int saved = errno;
    if (fd >= 0)
        close(fd);
    vr_fs_become(0, 0);
    if (rc == 0)
        return true;
    vr_storage_error(error, connection_permission, "%s: %s", target, g_strerror(saved));
    return false;
}

json_object *iod_op_connect(struct iod_request *request, struct vr_error **error)
{
    const char *name = iod_string(request, "driver", error);
    const char *mnt = name ? iod_string(request, "mnt", error) : NULL;
    if (!mnt)
        return NULL;
    const struct vr_storage_driver *driver = vr_storage_driver_by_name(name);
    struct vr_connection connection;
    read_connection(request, &connection);
    vr_auto_plan struct vr_mount_plan plan = { 0 };
    if (!driver) {
        vr_storage_error(error, unsupported, "No driver %.32s.", name);
        return NULL;
    }
    if (!driver->plan(&connection, &plan, error))
        return NULL;
    g_autofree char *target = g_build_filename(mnt, plan.name, NULL);
    if (!driver->attach(&plan, target, &vr_mounter_real, error))
        return NULL;
    if (!usable(request, target, error)) {
        vr_auto_error struct vr_error *ignored = NULL;
        driver->detach(target, &vr_mounter_real, &ignored);
        return NULL;
    }
    json_object *result = json_object_new_object();
    iod_put(result, "target", target);
    return result;
}

json_object *iod_op_disconnect(struct iod_request *request, struct vr_error **error)
{
    const char *name = iod_string(request, "driver", error);
    const char *target = name ? iod_string(request, "target", error) : NULL;
    const struct vr_storage_driver *driver = name ? vr_storage_driver_by_name(name) : NULL;
    if (target && !driver)
        vr_storage_error(error, unsupported, "No driver %.32s.", name);
    if (!target || !driver || !driver->detach(target, &vr_mounter_real, error))
        return NULL;
    return iod_true();
}
