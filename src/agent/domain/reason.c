/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/domain/reason.h"

static const char *const state_words[] = {
    [VR_STATE_WAIT_FOR_LAUNCH] = "WaitForLaunch",
    [VR_STATE_POWERING_UP] = "Powering up",
    [VR_STATE_UP] = "Up",
    [VR_STATE_PAUSED] = "Paused",
    [VR_STATE_POWERING_DOWN] = "Powering down",
    [VR_STATE_REBOOTING] = "RebootInProgress",
    [VR_STATE_RESTORING] = "Restoring state",
    [VR_STATE_SAVING] = "Saving State",
    [VR_STATE_MIGRATION_SOURCE] = "Migration Source",
    [VR_STATE_MIGRATION_DESTINATION] = "Migration Destination",
    [VR_STATE_DOWN] = "Down",
};

static const struct {
    int code;
    const char *message;
} exits[VR_EXIT_COUNT] = {
    [VR_EXIT_SUCCESS] = { 0, "Success" },
    [VR_EXIT_GENERIC] = { 1, "The virtual machine ended with an error" },
    [VR_EXIT_LOST_QEMU] = { 1, "Lost connection with qemu process" },
    [VR_EXIT_START] = { 1, "The virtual machine could not be started" },
    [VR_EXIT_MIGRATED] = { 0, "Migration succeeded" },
    [VR_EXIT_SAVED] = { 0, "Saved to disk" },
    [VR_EXIT_ADMIN] = { 0, "Admin shut down from the engine" },
    [VR_EXIT_GUEST] = { 0, "User shut down from within the guest" },
    [VR_EXIT_MIGRATION_FAILED] = { 1, "Migration failed" },
    [VR_EXIT_MISSING] = { 1, "Failed to find the libvirt domain" },
    [VR_EXIT_DESTROYED_STARTING] = { 0, "Destroyed while it was starting" },
    [VR_EXIT_HOST_SHUTDOWN] = { 1, "The host was shut down" },
    [VR_EXIT_POSTCOPY] = { 1, "Migration failed in post-copy" },
    [VR_EXIT_REBOOT] = { 0, "Destroyed because the guest rebooted" },
    [VR_EXIT_PAUSED_TOO_LONG] = { 1, "Destroyed because it was paused for too long" },
};

const char *vr_state_word(enum vr_vm_state state)
{
    return state_words[state];
}

int vr_state_parse(const char *word)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(state_words); i++)
        if (!g_strcmp0(state_words[i], word))
            return (int)i;
    return -1;
}

const char *vr_exit_message(enum vr_exit_reason reason)
{
    return exits[reason].message;
}

int vr_exit_code(enum vr_exit_reason reason)
{
    return exits[reason].code;
}

enum vr_ending vr_ending_of_log(const char *log)
{
    static const struct {
        const char *word;
        enum vr_ending ending;
    } words[] = {
        { "shutdown", VR_ENDING_SHUTDOWN }, { "destroyed", VR_ENDING_DESTROYED },
        { "crashed", VR_ENDING_CRASHED },   { "migrated", VR_ENDING_MIGRATED },
        { "saved", VR_ENDING_SAVED },       { "failed", VR_ENDING_FAILED },
    };
    static const char mark[] = "shutting down, reason=";
    const char *last = NULL;
    for (const char *at = log; (at = strstr(at, mark)); at += strlen(mark))
        last = at + strlen(mark);
    if (!last)
        return VR_ENDING_UNKNOWN;
    /* A start after the last end means that this run's end was never written. */
    if (strstr(last, ": starting up"))
        return VR_ENDING_UNKNOWN;
    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++)
        if (g_str_has_prefix(last, words[i].word))
            return words[i].ending;
    return VR_ENDING_UNKNOWN;
}

enum vr_exit_reason vr_exit_reason_of(const struct vr_ended *ended)
{
    if (ended->by_destroy)
        return ended->starting ? VR_EXIT_DESTROYED_STARTING : VR_EXIT_ADMIN;
    if (ended->by_reboot)
        return VR_EXIT_REBOOT;
    switch (ended->ending) {
    case VR_ENDING_SHUTDOWN:
        return ended->by_shutdown ? VR_EXIT_ADMIN : VR_EXIT_GUEST;
    case VR_ENDING_DESTROYED:
        /* Somebody used virsh: an administrator, though not through us. */
        return VR_EXIT_ADMIN;
    case VR_ENDING_MIGRATED:
        return VR_EXIT_MIGRATED;
    case VR_ENDING_SAVED:
        return VR_EXIT_SAVED;
    case VR_ENDING_CRASHED:
        return VR_EXIT_LOST_QEMU;
    case VR_ENDING_FAILED:
        return ended->starting ? VR_EXIT_START : VR_EXIT_LOST_QEMU;
    case VR_ENDING_UNKNOWN:
        break;
    }
    return VR_EXIT_MISSING;
}
