/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * attempt: counts failed logins, so that guessing becomes slow and then
 * impossible (facts/manager-behaviour.md 7.4).
 *
 * The pair of user and address is slowed down: 0, 0, 0, 1, 2, 4 … seconds.
 * The user is locked after a number of failures in a row from anywhere.  Names
 * that do not exist are treated like those that do, so that nobody learns
 * which is which.
 */

#include "base/base.h"

struct vr_attempts;

/* @failures in a row lock a user for @lock_ms. */
struct vr_attempts *vr_attempts_new(unsigned failures, int64_t lock_ms);
void vr_attempts_free(struct vr_attempts *attempts);

/* An attempt begins; until it ends it counts like a failure, so that many at once gain nothing.
 * Returns how long it has to wait, in ms. */
int64_t vr_attempts_begin(struct vr_attempts *attempts, const char *user, const char *address,
                          int64_t now_ms);
/* The attempt was right: both counts start anew. */
void vr_attempts_succeeded(struct vr_attempts *attempts, const char *user, const char *address);
/* The attempt was wrong.  True when it was the one that locked the user. */
bool vr_attempts_failed(struct vr_attempts *attempts, const char *user, const char *address,
                        int64_t now_ms);
/* The attempt ended without a verdict. */
void vr_attempts_dropped(struct vr_attempts *attempts, const char *user, const char *address);
bool vr_attempts_locked(struct vr_attempts *attempts, const char *user, int64_t now_ms);
