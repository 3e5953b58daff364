/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "deploy"
#include "manager/deploy/pages.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "manager/deploy/site.h"
#include "manager/rest/fault.h"

/* ovirt-engine, services, host-package, TOKEN, FILE */
#define TOKEN_SEGMENT 3
#define SEGMENTS 5

void vr_deploy_serve_package(struct vr_request *request, void *site)
{
    struct stat st;
    int fd = -1;
    if (strcmp(request->method, "GET") != 0) {
        vr_fault_reply(request, 405, "Operation Failed", "[The method is not allowed here.]");
        vr_reply_header(request, "Allow", g_strdup("GET"));
        return;
    }
    g_autofree char *path = request->url.segment_count == SEGMENTS
                                ? vr_deploy_site_package(site, request->url.segments[TOKEN_SEGMENT])
                                : NULL;
    if (path)
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        vr_reply_file(request, "application/vnd.debian.binary-package", fd, (uint64_t)st.st_size);
        return;
    }
    if (fd >= 0)
        close(fd);
    vr_reply_text(request, 404, "text/plain; charset=UTF-8",
                  "The address has expired or never existed.\n");
}
