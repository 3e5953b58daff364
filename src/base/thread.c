/* SPDX-License-Identifier: Apache-2.0 */
#include "base/thread.h"

struct vr_thread_role vr_role_engine = { "engine" };
struct vr_thread_role vr_role_io = { "io" };
struct vr_thread_role vr_role_worker = { "worker" };
