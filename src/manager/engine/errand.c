/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/engine/errand.h"

#include "manager/engine/internal.h"

struct vr_errand *vr_errand_new(enum vr_errand_kind kind)
{
    struct vr_errand *errand = g_new0(struct vr_errand, 1);
    errand->kind = kind;
    return errand;
}

static void ssh_clear(struct vr_errand_ssh *ssh)
{
    if (ssh->password)
        explicit_bzero(ssh->password, strlen(ssh->password));
    g_free(ssh->address);
    g_free(ssh->user);
    g_free(ssh->password);
    g_free(ssh->fingerprint);
    g_free(ssh->script);
    vr_ssh_answer_clear(&ssh->answer);
}

static void sign_clear(struct vr_errand_sign *sign)
{
    g_free(sign->request);
    g_free(sign->common_name);
    g_strfreev(sign->names);
    vr_error_free(sign->error);
    g_free(sign->certificate);
    g_free(sign->authority);
    g_free(sign->subject);
    g_free(sign->organization);
    g_free(sign->fingerprint);
    g_free(sign->key_id);
}

static void offer_clear(struct vr_errand_offer *offer)
{
    vr_error_free(offer->error);
    g_free(offer->manager_url);
    g_free(offer->authority);
    g_free(offer->ssh_key);
    g_free(offer->known_by);
    g_free(offer->url);
    g_free(offer->sha256);
    g_free(offer->version);
}

void vr_errand_free(struct vr_errand *errand)
{
    if (!errand)
        return;
    ssh_clear(&errand->ssh);
    sign_clear(&errand->sign);
    offer_clear(&errand->offer);
    g_free(errand);
}

void vr_errand_refuse(struct vr_errand *errand, const char *why)
{
    switch (errand->kind) {
    case VR_ERRAND_SSH:
        errand->ssh.answer = (struct vr_ssh_answer){ .outcome = VR_SSH_CANCELLED,
                                                     .message = g_strdup(why),
                                                     .exit_status = -1 };
        break;
    case VR_ERRAND_SIGN:
        vr_error_set(&errand->sign.error, &vr_fault_system, "%s", why);
        break;
    case VR_ERRAND_OFFER:
        vr_error_set(&errand->offer.error, &vr_fault_system, "%s", why);
        break;
    case VR_ERRAND_EXPIRY:
    case VR_ERRAND_KINDS:
        break;
    }
}

/* --- on the engine thread --- */

struct pending_errand {
    uint64_t number;
    vr_errand_done *done;
    void *arg;
};

void errands_init(struct vr_engine *engine)
{
    engine->errands = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
}

void errands_done(struct vr_engine *engine)
{
    g_hash_table_destroy(engine->errands);
}

void vr_engine_errand(struct vr_engine *engine, struct vr_errand *errand, vr_errand_done *done,
                      void *arg)
{
    struct pending_errand *pending = g_new(struct pending_errand, 1);
    *pending = (struct pending_errand){ ++engine->last_errand, done, arg };
    g_hash_table_insert(engine->errands, &pending->number, pending);
    engine->world->ops->errand(engine->world, pending->number, errand);
}

void vr_engine_errand_done(struct vr_engine *engine, uint64_t number, struct vr_errand *errand)
{
    struct pending_errand *pending = g_hash_table_lookup(engine->errands, &number);
    if (!pending)
        g_error("engine: errand %" G_GUINT64_FORMAT " comes back twice", number);
    const struct pending_errand copy = *pending;
    g_hash_table_remove(engine->errands, &number);
    copy.done(engine, errand, copy.arg);
    vr_errand_free(errand);
}
