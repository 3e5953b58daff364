/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * error: what went wrong, once, with the same identity for REST, RPC, exit
 * codes and documentation.
 *
 * A fault is a constant: model/faults.idl declares them and the schema
 * compiler writes `vr_fault_<name>` objects.  An error is one occurrence of a
 * fault with the details of the moment.  Every function above base takes
 * `struct vr_error **error` last; it is never NULL, must point to NULL, and is
 * set exactly once, when the function fails.  Who returns an error does not
 * log it.
 */

#include <glib.h>
#include <stdbool.h>

struct vr_fault {
    const char *name; /* `vm_is_running` */
    int http;         /* REST status, 400 to 599 */
    int rpc;          /* host RPC code (facts/host-rpc.md 5), 0 when it never crosses that wire */
    int exit;         /* exit code of the command line, 1 to 125 */
    const char *text; /* one whole sentence: what is wrong; clients match on some of them */
};

struct vr_error {
    const struct vr_fault *fault;
    char *detail; /* what the moment adds, or NULL; a sentence, owned */
};

/* Sets @error (never NULL, *@error must be NULL) to @fault.  @format may be NULL. */
void vr_error_set(struct vr_error **error, const struct vr_fault *fault, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "context: " before the detail of *@error; does nothing when *@error is NULL. */
void vr_error_prefix(struct vr_error **error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Moves @source into *@error, which must be NULL. */
void vr_error_move(struct vr_error **error, struct vr_error **source);

struct vr_error *vr_error_copy(const struct vr_error *error);
void vr_error_free(struct vr_error *error); /* takes NULL */

/* The whole text for a person: the fault's sentence, then the detail.  Owned by the caller. */
char *vr_error_text(const struct vr_error *error);

/* A fault for "the system call failed": -errno in, the detail is strerror. */
extern const struct vr_fault vr_fault_system;
/* A fault for "the request makes no sense", where no more telling one exists. */
extern const struct vr_fault vr_fault_bad_request;
/* A fault for a defect of ours. */
extern const struct vr_fault vr_fault_internal;

static inline void vr_error_freep(struct vr_error **error)
{
    vr_error_free(*error);
}
/* vr_auto_error struct vr_error *error = NULL; */
#define vr_auto_error __attribute__((cleanup(vr_error_freep)))
