/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/event/event.h"

#include <stdio.h>

#include "gen/routes.h"
#include "manager/engine/call.h"

/* --- events of clients --- */

/* A client numbers its own events; the same number again is the same event. */
static bool is_new(struct vr_engine *engine, const struct vr_event *event, struct vr_error **error)
    VR_REQUIRES(vr_role_engine)
{
    vr_auto_objects struct vr_objects all = { 0 };
    vr_inventory_list(vr_engine_head(engine), VR_KIND_EVENT, &all);
    VR_OBJECTS(struct vr_event, other, &all)
    {
        if (other->custom_id == event->custom_id && event->custom_id >= 0 &&
            g_strcmp0(other->origin, event->origin) == 0) {
            vr_error_set(error, &vr_fault_already_exists,
                         "Event %" G_GINT64_FORMAT " of %s has been told.", event->custom_id,
                         event->origin);
            return false;
        }
    }
    return true;
}

/* Every link given leads somewhere. */
static bool check_links(struct vr_engine *engine, const struct vr_event *event,
                        struct vr_error **error) VR_REQUIRES(vr_role_engine)
{
    const struct {
        int kind;
        const void *link;
        const char *what;
    } links[] = {
        { VR_KIND_CLUSTER, event->cluster, "Cluster" },
        { VR_KIND_DATA_CENTER, event->data_center, "Data center" },
        { VR_KIND_HOST, event->host, "Host" },
        { VR_KIND_STORAGE_DOMAIN, event->storage_domain, "Storage domain" },
        { VR_KIND_TEMPLATE, event->template, "Template" },
        { VR_KIND_USER, event->user, "User" },
        { VR_KIND_VM, event->vm, "VM" },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(links); i++) {
        if (links[i].link && !vr_resolve(engine, links[i].kind, links[i].link, links[i].what, error))
            return false;
    }
    return true;
}

static int code_of(enum vr_log_severity severity)
{
    switch (severity) {
    case VR_LOG_SEVERITY_NORMAL:
        return VR_EVENT_EXTERNAL_EVENT_NORMAL;
    case VR_LOG_SEVERITY_WARNING:
        return VR_EVENT_EXTERNAL_EVENT_WARNING;
    case VR_LOG_SEVERITY_ERROR:
        return VR_EVENT_EXTERNAL_EVENT_ERROR;
    case VR_LOG_SEVERITY_ALERT:
        return VR_EVENT_EXTERNAL_ALERT;
    }
    return VR_EVENT_EXTERNAL_EVENT_NORMAL;
}

void vr_events_add(struct vr_call *call) VR_NO_THREAD_SAFETY
{
    vr_auto_error struct vr_error *error = NULL;
    struct vr_event *event = call->body;
    size_t max = (size_t)vr_engine_config(call->engine)->MaxAuditLogMessageLength;
    if (event->description && strlen(event->description) > max)
        vr_error_set(&error, &vr_fault_bad_request, "The description is longer than %zu bytes.", max);
    else if (g_strcmp0(event->origin, "oVirt") == 0)
        vr_error_set(&error, &vr_fault_bad_request, "The origin oVirt is the Manager's own.");
    if (error || !is_new(call->engine, event, &error) ||
        !check_links(call->engine, event, &error)) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    event = vr_call_take_body(call);
    VR_CLEAR(event, name);
    VR_SET(event, code, code_of(event->severity));
    VR_SET_STRING(event, correlation_id, call->correlation_id);
    vr_event_number(txn, event);
    vr_txn_add(txn, VR_KIND_EVENT, event);
    vr_call_commit(call, txn, VR_KIND_EVENT, event->id);
}

void vr_event_remove(struct vr_call *call) VR_NO_THREAD_SAFETY
{
    vr_auto_error struct vr_error *error = NULL;
    if (!vr_call_target(call, VR_KIND_EVENT, &error)) {
        vr_call_fail(call, &error);
        return;
    }
    struct vr_txn *txn = vr_txn_new(call->engine);
    vr_txn_remove(txn, VR_KIND_EVENT, vr_call_id(call));
    vr_call_commit_remove(call, txn, NULL);
}

/* --- the end of old events (facts/manager-behaviour.md 11) --- */

#define DAY_MS INT64_C(86400000)
/* What one transaction removes; the rest follows a second later. */
#define REMOVE_AT_ONCE 2000

/* Milliseconds from @now to the next AuditLogCleanupTime ("HH:MM:SS", UTC). */
static int64_t until_cleanup(const char *when, int64_t now)
{
    unsigned hour = 3, minute = 35, second = 35;
    if (when)
        sscanf(when, "%2u:%2u:%2u", &hour, &minute, &second);
    int64_t at = (int64_t)((hour % 24) * 3600 + (minute % 60) * 60 + second % 60) * 1000;
    int64_t left = (at - now % DAY_MS + DAY_MS) % DAY_MS;
    return left ? left : DAY_MS;
}

static void clean(struct vr_engine *engine, void *nothing) VR_REQUIRES(vr_role_engine)
{
    const struct vr_config *config = vr_engine_config(engine);
    int64_t now = vr_engine_wall_ms(engine);
    int64_t oldest = now - config->AuditLogAgingThreshold * DAY_MS;
    unsigned removed = 0;
    struct vr_txn *txn = vr_txn_new(engine);
    vr_auto_objects struct vr_objects all = { 0 };
    vr_inventory_list(vr_engine_head(engine), VR_KIND_EVENT, &all);
    VR_OBJECTS(struct vr_event, event, &all)
    {
        if (event->time < oldest && removed < REMOVE_AT_ONCE) {
            vr_txn_remove(txn, VR_KIND_EVENT, event->id);
            removed++;
        }
    }
    vr_txn_commit(txn, NULL, NULL);
    vr_engine_after(engine,
                    removed == REMOVE_AT_ONCE ? 1000
                                              : until_cleanup(config->AuditLogCleanupTime, now),
                    clean, NULL);
}

static void *start(struct vr_engine *engine) VR_REQUIRES(vr_role_engine)
{
    struct vr_txn *txn = vr_txn_new(engine);
    vr_event_add(txn, VR_EVENT_VDC_START, NULL, NULL);
    vr_txn_commit(txn, NULL, NULL);
    clean(engine, NULL);
    return NULL;
}

const struct vr_module vr_event_module = {
    .name = "event",
    .start = start,
};
