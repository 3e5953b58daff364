/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base.h"

#include <dlfcn.h>

/*
 * Built under ThreadSanitizer alone.  GLib is not, and its locks are futexes of its own, so the
 * sanitizer would take everything that they protect for a race.  Calls of ours end here first, and
 * each tells it what the lock orders.  The engine of GLib behind them stays as it is.
 */

void __tsan_acquire(void *address);
void __tsan_release(void *address);

/* A name for the linker to ask for. */
void vr_tsan_between(void);
void vr_tsan_between(void)
{
}

/* What is between the program and GLib is not looked at itself. */
#define BETWEEN __attribute__((no_sanitize("thread")))
/* Of the library that would have been called. */
#define REAL(name)                                                                                 \
    static __typeof__(name) *real;                                                                 \
    if (!real)                                                                                     \
    real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

BETWEEN void g_mutex_lock(GMutex *mutex)
{
    REAL(g_mutex_lock);
    real(mutex);
    __tsan_acquire(mutex);
}

BETWEEN gboolean g_mutex_trylock(GMutex *mutex)
{
    REAL(g_mutex_trylock);
    gboolean locked = real(mutex);
    if (locked)
        __tsan_acquire(mutex);
    return locked;
}

BETWEEN void g_mutex_unlock(GMutex *mutex)
{
    REAL(g_mutex_unlock);
    __tsan_release(mutex);
    real(mutex);
}

BETWEEN void g_cond_wait(GCond *cond, GMutex *mutex)
{
    REAL(g_cond_wait);
    __tsan_release(mutex);
    real(cond, mutex);
    __tsan_acquire(mutex);
}

BETWEEN gboolean g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end)
{
    REAL(g_cond_wait_until);
    __tsan_release(mutex);
    gboolean signalled = real(cond, mutex, end);
    __tsan_acquire(mutex);
    return signalled;
}

/* Readers order nothing among themselves; telling more than that hides no race of a writer. */
BETWEEN void g_rw_lock_reader_lock(GRWLock *lock)
{
    REAL(g_rw_lock_reader_lock);
    real(lock);
    __tsan_acquire(lock);
}

BETWEEN void g_rw_lock_reader_unlock(GRWLock *lock)
{
    REAL(g_rw_lock_reader_unlock);
    __tsan_release(lock);
    real(lock);
}

BETWEEN void g_rw_lock_writer_lock(GRWLock *lock)
{
    REAL(g_rw_lock_writer_lock);
    real(lock);
    __tsan_acquire(lock);
}

BETWEEN void g_rw_lock_writer_unlock(GRWLock *lock)
{
    REAL(g_rw_lock_writer_unlock);
    __tsan_release(lock);
    real(lock);
}

/* Who finds it done looks by an atomic of its own. */
BETWEEN void (g_once_init_leave)(volatile void *location, gsize result)
{
    static void (*real)(volatile void *location, gsize result);
    if (!real)
        real = (void (*)(volatile void *, gsize))dlsym(RTLD_NEXT, "g_once_init_leave");
    __tsan_release((void *)(uintptr_t)location);
    real(location, result);
}

/* Work that is pushed is ordered before its running; pools live as long as their programs. */
struct pool {
    GFunc run;
    gpointer arg;
};

BETWEEN static void run_pushed(gpointer work, gpointer data)
{
    struct pool *pool = data;
    __tsan_acquire(pool);
    __tsan_acquire(work);
    pool->run(work, pool->arg);
}

BETWEEN GThreadPool *g_thread_pool_new(GFunc run, gpointer arg, gint threads, gboolean exclusive,
                                       GError **error)
{
    REAL(g_thread_pool_new);
    struct pool *pool = g_new(struct pool, 1);
    *pool = (struct pool){ run, arg };
    __tsan_release(pool);
    return real(run_pushed, pool, threads, exclusive, error);
}

BETWEEN gboolean g_thread_pool_push(GThreadPool *pool, gpointer work, GError **error)
{
    REAL(g_thread_pool_push);
    __tsan_release(work);
    return real(pool, work, error);
}
