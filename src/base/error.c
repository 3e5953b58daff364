/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include <stdarg.h>

const struct vr_fault vr_fault_system = {
    .name = "system", .http = 500, .rpc = 100, .exit = 1, .text = "The operating system refused."
};
const struct vr_fault vr_fault_bad_request = {
    .name = "bad_request", .http = 400, .rpc = 1000, .exit = 2, .text = "The request is not valid."
};
const struct vr_fault vr_fault_internal = {
    .name = "internal", .http = 500, .rpc = -32603, .exit = 70, .text = "Internal error."
};

void vr_error_set(struct vr_error **error, const struct vr_fault *fault, const char *format, ...)
{
    g_assert(error && !*error && fault);
    struct vr_error *e = g_new0(struct vr_error, 1);
    e->fault = fault;
    if (format) {
        va_list args;
        va_start(args, format);
        e->detail = g_strdup_vprintf(format, args);
        va_end(args);
    }
    *error = e;
}

void vr_error_prefix(struct vr_error **error, const char *format, ...)
{
    if (!*error)
        return;
    va_list args;
    va_start(args, format);
    g_autofree char *context = g_strdup_vprintf(format, args);
    va_end(args);
    char *old = (*error)->detail;
    (*error)->detail = old ? g_strdup_printf("%s: %s", context, old) : g_steal_pointer(&context);
    g_free(old);
}

void vr_error_move(struct vr_error **error, struct vr_error **source)
{
    g_assert(!*error);
    *error = g_steal_pointer(source);
}

struct vr_error *vr_error_copy(const struct vr_error *error)
{
    if (!error)
        return NULL;
    struct vr_error *copy = g_new0(struct vr_error, 1);
    copy->fault = error->fault;
    copy->detail = g_strdup(error->detail);
    return copy;
}

void vr_error_free(struct vr_error *error)
{
    if (!error)
        return;
    g_free(error->detail);
    g_free(error);
}

char *vr_error_text(const struct vr_error *error)
{
    if (!error->detail)
        return g_strdup(error->fault->text);
    return g_strdup_printf("%s %s", error->fault->text, error->detail);
}
