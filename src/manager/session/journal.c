/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/session/journal.h"

struct entry {
    enum vr_session_fact fact;
    char *user_id, *user_name, *address, *correlation_id;
    int64_t locked_until_ms;
};

static void entry_free(struct entry *entry)
{
    g_free(entry->user_id);
    g_free(entry->user_name);
    g_free(entry->address);
    g_free(entry->correlation_id);
    g_free(entry);
}

/* The name that the interface shows: admin@internal-authz for whoever came as admin@internal. */
static void add_event(struct vr_txn *txn, const struct entry *entry)
    VR_REQUIRES(vr_role_engine)
{
    struct vr_engine *engine = vr_txn_engine(txn);
    const struct vr_user *user =
        entry->user_id ? VR_PEEK(vr_engine_head(engine), USER, user, entry->user_id) : NULL;
    const struct vr_event_about about = { .user = user, .correlation_id = entry->correlation_id };
    const char *name = entry->user_name ? entry->user_name : "?";
    const char *address = entry->address && *entry->address ? entry->address : "?";
    switch (entry->fact) {
    case VR_SESSION_LOGIN:
        vr_event_add(txn, VR_EVENT_USER_VDC_LOGIN, &about, "UserName", name, "SourceIP", address,
                     NULL);
        break;
    case VR_SESSION_LOGOUT:
        vr_event_add(txn, VR_EVENT_USER_VDC_LOGOUT, &about, "UserName", name, NULL);
        break;
    case VR_SESSION_FAILED:
        vr_event_add(txn, VR_EVENT_USER_VDC_LOGIN_FAILED, &about, "UserName", name, "SourceIP",
                     address, "Reason", "the user name or password is incorrect", NULL);
        break;
    case VR_SESSION_LOCKED: {
        g_autofree char *count = g_strdup_printf(
            "%" G_GINT64_FORMAT, vr_engine_config(engine)->AccountLockFailures);
        vr_event_add(txn, VR_EVENT_USER_LOCKED, &about, "UserName", name, "Count", count, NULL);
        break;
    }
    }
}

static void write_entry(struct vr_engine *engine, void *arg) VR_NO_THREAD_SAFETY
{
    struct entry *entry = arg;
    struct vr_txn *txn = vr_txn_new(engine);
    struct vr_user *user = entry->fact == VR_SESSION_LOCKED && entry->user_id
                               ? VR_EDIT(txn, USER, user, entry->user_id)
                               : NULL;
    if (user)
        VR_SET(user, locked_until, entry->locked_until_ms);
    add_event(txn, entry);
    vr_txn_commit(txn, NULL, NULL);
    entry_free(entry);
}

void vr_session_journal(const struct vr_session_news *news, struct vr_engine *engine,
                        void (*post)(struct vr_engine *engine, vr_timer_fn *fn, void *arg))
{
    struct entry *entry = g_new0(struct entry, 1);
    entry->fact = news->fact;
    entry->user_id = g_strdup(news->user_id);
    entry->user_name = g_strdup(news->user_name);
    entry->address = g_strdup(news->address);
    entry->correlation_id = g_strdup(news->correlation_id);
    entry->locked_until_ms = news->locked_until_ms;
    post(engine, write_entry, entry);
}
