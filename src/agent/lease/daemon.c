/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/lease/lease.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Compiled into sanlock (sanlock(8), SANLOCK_RUN_DIR). */
#define SOCKET "/run/sanlock/sanlock.sock"

bool vr_lease_daemon_answers(struct vr_error **error)
{
    const struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = SOCKET };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool good = fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
    if (!good)
        vr_error_set(error, &vr_fault_system, "sanlock does not answer: %s: %s", SOCKET,
                     g_strerror(errno));
    if (fd >= 0)
        close(fd);
    return good;
}
