/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * reason: the statuses of a virtual machine, why it went down and why it is
 * paused, as facts/host-rpc.md 10.3 names them.
 */

#include "base/base.h"

enum vr_vm_state {
    VR_STATE_WAIT_FOR_LAUNCH,
    VR_STATE_POWERING_UP,
    VR_STATE_UP,
    VR_STATE_PAUSED,
    VR_STATE_POWERING_DOWN,
    VR_STATE_REBOOTING,
    VR_STATE_RESTORING,
    VR_STATE_SAVING,
    VR_STATE_MIGRATION_SOURCE,
    VR_STATE_MIGRATION_DESTINATION,
    VR_STATE_DOWN,
};
/* The wire's word. */
const char *vr_state_word(enum vr_vm_state state);
/* The state of a wire word, or -1. */
int vr_state_parse(const char *word);

enum vr_exit_reason {
    VR_EXIT_SUCCESS = 0,
    VR_EXIT_GENERIC = 1,
    VR_EXIT_LOST_QEMU = 2,
    VR_EXIT_START = 3,
    VR_EXIT_MIGRATED = 4,
    VR_EXIT_SAVED = 5,
    VR_EXIT_ADMIN = 6,
    VR_EXIT_GUEST = 7,
    VR_EXIT_MIGRATION_FAILED = 8,
    VR_EXIT_MISSING = 9,
    VR_EXIT_DESTROYED_STARTING = 10,
    VR_EXIT_HOST_SHUTDOWN = 11,
    VR_EXIT_POSTCOPY = 12,
    VR_EXIT_REBOOT = 13,
    VR_EXIT_PAUSED_TOO_LONG = 14,
    VR_EXIT_COUNT
};
/* The sentence sent as exitMessage. */
const char *vr_exit_message(enum vr_exit_reason reason);
/* exitCode that goes with the reason: 0 normal, 1 error (a highly available VM is restarted). */
int vr_exit_code(enum vr_exit_reason reason);

/* How a domain ended, as a source that is not an event tells it. */
enum vr_ending {
    VR_ENDING_UNKNOWN,
    VR_ENDING_SHUTDOWN,
    VR_ENDING_DESTROYED,
    VR_ENDING_CRASHED,
    VR_ENDING_MIGRATED,
    VR_ENDING_SAVED,
    VR_ENDING_FAILED,
};
/* What the last "shutting down, reason=" line of a QEMU log says. */
enum vr_ending vr_ending_of_log(const char *log);

/* What is known when a domain stopped. */
struct vr_ended {
    enum vr_ending ending;
    bool by_destroy;  /* we were asked to destroy it */
    bool by_shutdown; /* we were asked to shut it down */
    bool by_reboot;   /* the guest rebooted and its owner wanted that to end it */
    bool starting;    /* it never reached the running state */
};
enum vr_exit_reason vr_exit_reason_of(const struct vr_ended *ended);
