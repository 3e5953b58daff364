/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/engine/engine.h"

/*
 * Every part of the Manager that lives on the engine thread, in the order they
 * start.  A test that wants others defines vr_modules itself.
 */
const struct vr_module *const vr_modules[] = {
    NULL,
};
