/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/deploy/internal.h"

/*
 * Certificates that come to their end (facts/manager-behaviour.md 1.5): a
 * warning 30 days before, an alert 7 days before and when it has come.  Hosts
 * renew theirs when a third of its life is left, so one that is told about
 * here could not.
 */

#define DAY_MS ((int64_t)24 * 60 * 60 * 1000)
/* The first look is when a Manager that starts has other things behind it. */
#define FIRST_LOOK_MS 60000

enum stage { STAGE_FINE, STAGE_WARNING, STAGE_ALERT, STAGE_EXPIRED, STAGES };

static enum stage stage_of(struct vr_engine *engine, int64_t expires) VR_REQUIRES(vr_role_engine);
static enum stage stage_of(struct vr_engine *engine, int64_t expires)
{
    const struct vr_config *config = vr_engine_config(engine);
    int64_t left = expires - vr_engine_wall_ms(engine);
    if (expires == 0 || left > config->CertExpirationWarnPeriodInDays * DAY_MS)
        return STAGE_FINE;
    if (left > config->CertExpirationAlertPeriodInDays * DAY_MS)
        return STAGE_WARNING;
    return left > 0 ? STAGE_ALERT : STAGE_EXPIRED;
}

static char *date_of(int64_t ms)
{
    g_autoptr(GDateTime) date = g_date_time_new_from_unix_utc(ms / 1000);
    return date ? g_date_time_format(date, "%Y-%m-%d") : g_strdup("?");
}

static void tell_host(struct vr_txn *txn, const struct vr_host *host) VR_REQUIRES(vr_role_engine);
static void tell_host(struct vr_txn *txn, const struct vr_host *host)
{
    static const enum vr_event_code codes[STAGES] = {
        [STAGE_WARNING] = VR_EVENT_HOST_CERTIFICATION_IS_ABOUT_TO_EXPIRE,
        [STAGE_ALERT] = VR_EVENT_HOST_CERTIFICATION_EXPIRES_SOON,
        [STAGE_EXPIRED] = VR_EVENT_HOST_CERTIFICATION_HAS_EXPIRED,
    };
    int64_t expires = VR_GET(host, certificate_expires, 0);
    enum stage stage = stage_of(vr_txn_engine(txn), expires);
    g_autofree char *date = date_of(expires);
    if (stage != STAGE_FINE)
        vr_event_add(txn, codes[stage], &(struct vr_event_about){ .host = host }, "ExpirationDate",
                     date, NULL);
}

static void tell_own(struct vr_txn *txn, int64_t expires, const enum vr_event_code codes[STAGES],
                     const char *which) VR_REQUIRES(vr_role_engine);
static void tell_own(struct vr_txn *txn, int64_t expires, const enum vr_event_code codes[STAGES],
                     const char *which)
{
    enum stage stage = stage_of(vr_txn_engine(txn), expires);
    g_autofree char *date = date_of(expires);
    if (stage != STAGE_FINE)
        vr_event_add(txn, codes[stage], NULL, "ExpirationDate", date, "Which", which, NULL);
}

static void own_ones(struct vr_engine *engine, struct vr_errand *errand, void *arg)
    VR_REQUIRES(vr_role_engine);
static void own_ones(struct vr_engine *engine, struct vr_errand *errand, void *arg)
{
    static const enum vr_event_code leaf[STAGES] = {
        [STAGE_WARNING] = VR_EVENT_ENGINE_CERTIFICATION_IS_ABOUT_TO_EXPIRE,
        [STAGE_ALERT] = VR_EVENT_ENGINE_CERTIFICATION_EXPIRES_SOON,
        [STAGE_EXPIRED] = VR_EVENT_ENGINE_CERTIFICATION_HAS_EXPIRED,
    };
    static const enum vr_event_code authority[STAGES] = {
        [STAGE_WARNING] = VR_EVENT_ENGINE_CA_CERTIFICATION_IS_ABOUT_TO_EXPIRE,
        [STAGE_ALERT] = VR_EVENT_ENGINE_CA_CERTIFICATION_EXPIRES_SOON,
        [STAGE_EXPIRED] = VR_EVENT_ENGINE_CA_CERTIFICATION_HAS_EXPIRED,
    };
    const struct vr_errand_expiry *found = &errand->expiry;
    struct vr_txn *txn = vr_txn_new(engine);
    /* One event a code and day: the one that ends first. */
    bool https = found->https && (!found->manager || found->https <= found->manager);
    tell_own(txn, https ? found->https : found->manager, leaf,
             https ? "for clients" : "towards hosts");
    tell_own(txn, found->authority, authority, "");
    vr_txn_commit(txn, NULL, NULL);
}

static void look(struct vr_engine *engine, void *arg) VR_REQUIRES(vr_role_engine);
static void look(struct vr_engine *engine, void *arg)
{
    int64_t hours = MAX(1, vr_engine_config(engine)->CertificationValidityCheckTimeInHours);
    struct vr_txn *txn = vr_txn_new(engine);
    vr_auto_objects struct vr_objects hosts = { 0 };
    vr_inventory_list(vr_engine_head(engine), VR_KIND_HOST, &hosts);
    VR_OBJECTS (struct vr_host, host, &hosts)
        tell_host(txn, host);
    vr_txn_commit(txn, NULL, NULL);
    vr_engine_errand(engine, vr_errand_new(VR_ERRAND_EXPIRY), own_ones, NULL);
    vr_engine_after(engine, hours * 60 * 60 * 1000, look, NULL);
}

void deploy_watch_expiry(struct vr_engine *engine)
{
    vr_engine_after(engine, FIRST_LOOK_MS, look, NULL);
}
