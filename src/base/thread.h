/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * thread: locks and thread roles that clang's -Wthread-safety checks.
 *
 * A role is a capability that a thread holds for its whole life: the engine
 * thread enters vr_role_engine once, and a function marked
 * VR_REQUIRES(vr_role_engine) may be called from there only.  docs/threads.md
 * holds the rules and the rank of every lock.
 */

#include <glib.h>

#if defined(__clang__)
#define VR_TSA(x) __attribute__((x))
#else
#define VR_TSA(x)
#endif

#define VR_CAPABILITY(name) VR_TSA(capability(name))
#define VR_GUARDED_BY(x) VR_TSA(guarded_by(x))
#define VR_REQUIRES(...) VR_TSA(requires_capability(__VA_ARGS__))
#define VR_EXCLUDES(...) VR_TSA(locks_excluded(__VA_ARGS__))
#define VR_ACQUIRE(...) VR_TSA(acquire_capability(__VA_ARGS__))
#define VR_RELEASE(...) VR_TSA(release_capability(__VA_ARGS__))
#define VR_ACQUIRE_SHARED(...) VR_TSA(acquire_shared_capability(__VA_ARGS__))
#define VR_RELEASE_SHARED(...) VR_TSA(release_shared_capability(__VA_ARGS__))
#define VR_NO_THREAD_SAFETY VR_TSA(no_thread_safety_analysis)

/*
 * ThreadSanitizer does not see the synchronization within GLib, which is not
 * built with it.  tsan.c tells it of locks and pools; where memory changes
 * threads by other means, the giver calls vr_thread_release() and the taker
 * vr_thread_acquire() on it.
 */
#if defined(__SANITIZE_THREAD__)
#define VR_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define VR_TSAN 1
#endif
#endif
#ifdef VR_TSAN
void __tsan_acquire(void *address);
void __tsan_release(void *address);
#define vr_thread_acquire(address) __tsan_acquire(address)
#define vr_thread_release(address) __tsan_release(address)
#else
#define vr_thread_acquire(address) ((void)(address))
#define vr_thread_release(address) ((void)(address))
#endif

struct VR_CAPABILITY("mutex") vr_mutex {
    GMutex mutex;
};

static inline void vr_mutex_init(struct vr_mutex *mutex)
{
    g_mutex_init(&mutex->mutex);
}
static inline void vr_mutex_done(struct vr_mutex *mutex)
{
    g_mutex_clear(&mutex->mutex);
}
static inline void vr_mutex_lock(struct vr_mutex *mutex) VR_ACQUIRE(mutex) VR_NO_THREAD_SAFETY
{
    g_mutex_lock(&mutex->mutex);
    vr_thread_acquire(mutex);
}
static inline void vr_mutex_unlock(struct vr_mutex *mutex) VR_RELEASE(mutex) VR_NO_THREAD_SAFETY
{
    vr_thread_release(mutex);
    g_mutex_unlock(&mutex->mutex);
}

struct VR_CAPABILITY("role") vr_thread_role {
    const char *name;
};

/* The three roles of a Vireo thread.  Entering costs nothing; it informs the checker. */
extern struct vr_thread_role vr_role_engine; /* decides; never blocks */
extern struct vr_thread_role vr_role_io;     /* one loop; never blocks */
extern struct vr_thread_role vr_role_worker; /* may block */

static inline void vr_role_enter(struct vr_thread_role *role) VR_ACQUIRE(role)
    VR_NO_THREAD_SAFETY
{
    (void)role;
}
static inline void vr_role_leave(struct vr_thread_role *role) VR_RELEASE(role) VR_NO_THREAD_SAFETY
{
    (void)role;
}
