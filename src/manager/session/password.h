/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * password: hashes and checks passwords on threads of its own, since yescrypt
 * is slow by design; a check that succeeded is remembered for a short time,
 * so that a client with basic authentication does not pay for it with every
 * request.
 */

#include "base/base.h"

/* A password longer than this is refused unread: hashing must not be a way to waste our time. */
#define VR_PASSWORD_MAX 512

/* A yescrypt hash with a random salt; NULL when @password is too long.  Slow. */
char *vr_password_hash(const char *password);
/* Slow.  @hash NULL takes just as long and is always false. */
bool vr_password_matches(const char *hash, const char *password);

struct vr_passwords;

/* @threads check at once; @queue more may wait. */
struct vr_passwords *vr_passwords_new(unsigned threads, unsigned queue);
void vr_passwords_free(struct vr_passwords *passwords);

/* Whether the same password was right for @hash a short while ago.  Quick. */
bool vr_passwords_known(struct vr_passwords *passwords, const char *hash, const char *password);

typedef void vr_password_checked(bool right, void *arg);
/* Copies the texts; calls @done on one of the threads.  False, and @done is never called, when the
 * queue is full. */
bool vr_passwords_check(struct vr_passwords *passwords, const char *hash, const char *password,
                        vr_password_checked *done, void *arg);
