/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * renewal: looks once a day whether the host's certificate has to be renewed,
 * and has vireo-enroll do it, so that no certificate ends by itself.
 */

#include "agent/config.h"
#include "net/loop.h"

struct vr_renewal;

/* On the loop's thread, after every look: @renewed says whether there is a new certificate,
 * @expires when the one in place ends (epoch, seconds; 0: unknown). */
typedef void vr_renewal_looked(bool renewed, int64_t expires, void *arg);

/* Looks at once, then daily; hourly while it fails.  @config and @path (of the configuration, or
 * NULL) are borrowed.  Never freed: it ends with the program. */
void vr_renewal_start(struct vr_loop *loop, const struct vr_agent_config *config, const char *path,
                      vr_renewal_looked *looked, void *arg);
