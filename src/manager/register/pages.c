/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "register"
#include "manager/register/pages.h"

#include "gen/faults.h"
#include "manager/engine/real.h"
#include "manager/register/limits.h"
#include "manager/register/register.h"
#include "manager/rest/fault.h"
#include "setup/pki.h"

#define TEXT "text/plain; charset=UTF-8"
#define PEM "application/x-x509-ca-cert"
#define VALUE_MAX 4096
/* The engine may wait for the database. */
#define ANSWER_MS 60000

static const struct vr_limits_options limits = {
    .burst = 10, .refill_ms = 6000, .all_burst = 100, .all_refill_ms = 200, .addresses = 4096
};

struct vr_register_pages {
    struct vr_engine *engine;
    const char *ca, *ssh_key;
    struct vr_limits *limits;
};

struct vr_register_pages *vr_register_pages_new(struct vr_engine *engine, const char *ca,
                                                const char *ssh_key)
{
    struct vr_register_pages *pages = g_new(struct vr_register_pages, 1);
    *pages = (struct vr_register_pages){ engine, ca, ssh_key, vr_limits_new(&limits) };
    return pages;
}

void vr_register_pages_free(struct vr_register_pages *pages)
{
    if (!pages)
        return;
    vr_limits_free(pages->limits);
    g_free(pages);
}

/* One line, so that a host can show it to a person. */
static void refuse(struct vr_request *request, int status, const char *text)
{
    GString *line = g_string_new(text);
    g_string_append_c(line, '\n');
    vr_reply(request, status, TEXT, line);
}

static bool is_too_often(struct vr_register_pages *pages, struct vr_request *request)
{
    char address[64];
    vr_request_peer(request, address);
    int64_t wait = vr_limits_take(pages->limits, address, g_get_monotonic_time() / 1000);
    if (wait == 0)
        return false;
    refuse(request, 429, "Too many requests; try again later.");
    vr_reply_header(request, "Retry-After",
                    g_strdup_printf("%" G_GINT64_FORMAT, wait / 1000 + 1));
    return true;
}

/* --- to the engine and back --- */

struct order {
    struct vr_waiter *waiter;
    struct vr_registration *registration; /* NULL: a renewal */
    char *key_id, *request;
};

struct answer {
    int status;
    char *text;
};

static void answer_free(gpointer data)
{
    struct answer *answer = data;
    g_free(answer->text);
    g_free(answer);
}

static void answered(const struct vr_error *error, const char *text, void *arg)
{
    struct answer *answer = g_new(struct answer, 1);
    const char *reason = !error ? NULL : error->detail ? error->detail : error->fault->text;
    *answer = (struct answer){ error ? error->fault->http : 200, g_strdup(error ? reason : text) };
    vr_waiter_wake(arg, answer, answer_free);
}

static void order_free(struct order *order)
{
    vr_registration_free(order->registration);
    g_free(order->key_id);
    g_free(order->request);
    g_free(order);
}

static void decide(struct vr_engine *engine, void *arg) VR_REQUIRES(vr_role_engine)
{
    struct order *order = arg;
    if (order->registration)
        vr_register_host(engine, order->registration, answered, order->waiter);
    else
        vr_register_renew(engine, order->key_id, order->request, answered, order->waiter);
    order_free(order);
}

static void show(struct vr_request *request)
{
    const struct answer *answer = request->data;
    if (!answer)
        refuse(request, 503, "The Manager is busy; try again later.");
    else if (answer->status != 200)
        refuse(request, answer->status, answer->text);
    else
        vr_reply_text(request, 200, TEXT, answer->text);
}

static void hand_over(struct vr_register_pages *pages, struct vr_request *request,
                      struct order *order)
{
    order->waiter = vr_request_suspend(request, ANSWER_MS, show);
    vr_engine_post(pages->engine, decide, order);
}

/* --- host-register --- */

/* A parameter, copied; NULL when it is absent, empty or too long. */
static char *param(const struct vr_request *request, const char *name)
{
    const char *value = vr_url_param(&request->url, name);
    return value && *value && strlen(value) <= VALUE_MAX ? g_strdup(value) : NULL;
}

/* A number from 1; G_MAXUINT for what is none, 0 when it is absent. */
static unsigned port_param(const struct vr_request *request, const char *name)
{
    const char *value = vr_url_param(&request->url, name);
    int64_t number = value && *value ? vr_number(value, -1) : 0;
    return number < 0 || number > 65535 ? G_MAXUINT : (unsigned)number;
}

static void register_host(struct vr_register_pages *pages, struct vr_request *request)
{
    if (is_too_often(pages, request))
        return;
    struct vr_registration *said = g_new0(struct vr_registration, 1);
    said->unique_id = param(request, "uniqueId");
    said->name = param(request, "name");
    said->address = param(request, "address");
    said->ssh_user = param(request, "sshUser");
    said->ssh_fingerprint = param(request, "sshKeyFingerprint");
    said->ssh_public_key = param(request, "sshPublicKey");
    said->ssh_port = port_param(request, "sshPort");
    /* Some hosts of old say `port`. */
    said->port = vr_url_param(&request->url, "vdsPort") ? port_param(request, "vdsPort")
                                                         : port_param(request, "port");
    if (!said->address) {
        char peer[64];
        vr_request_peer(request, peer);
        said->address = g_strdup(peer);
    }
    vr_log_info("A host asks to be registered: address %.64s, name %.64s.", said->address,
                said->name ? said->name : "?");
    struct order *order = g_new0(struct order, 1);
    order->registration = said;
    hand_over(pages, request, order);
}

void vr_register_serve(struct vr_request *request, void *arg)
{
    struct vr_register_pages *pages = arg;
    const char *version = vr_url_param(&request->url, "version");
    const char *command = vr_url_param(&request->url, "command");
    if (strcmp(request->method, "GET") != 0) {
        refuse(request, 405, "The method is not allowed here.");
        vr_reply_header(request, "Allow", g_strdup("GET"));
    } else if (g_strcmp0(version, "1") != 0 && g_strcmp0(version, "2") != 0) {
        refuse(request, 400, "Invalid registration protocol version.");
    } else if (g_strcmp0(command, "get-version") == 0) {
        vr_reply_text(request, 200, TEXT, version);
    } else if (g_strcmp0(command, "get-pki-trust") == 0) {
        vr_reply_text(request, 200, PEM, pages->ca);
    } else if (g_strcmp0(command, "get-ssh-trust") == 0 && pages->ssh_key) {
        g_autofree char *line = g_strconcat(pages->ssh_key, "\n", NULL);
        vr_reply_text(request, 200, TEXT, line);
    } else if (g_strcmp0(command, "register") == 0) {
        register_host(pages, request);
    } else {
        refuse(request, 400, "Invalid command.");
    }
}

/* --- host-renew --- */

void vr_register_serve_renewal(struct vr_request *request, void *arg)
{
    struct vr_register_pages *pages = arg;
    vr_auto_error struct vr_error *error = NULL;
    g_autofree char *key_id = NULL;
    if (strcmp(request->method, "POST") != 0) {
        refuse(request, 405, "The method is not allowed here.");
        vr_reply_header(request, "Allow", g_strdup("POST"));
        return;
    }
    if (is_too_often(pages, request))
        return;
    if (!request->body || request->body->len > VR_PKI_REQUEST_MAX ||
        strlen(request->body->str) != request->body->len ||
        !vr_pki_request_key(request->body->str, &key_id, &error)) {
        refuse(request, 400, error && error->detail ? error->detail
                                                    : "The body is no certificate request.");
        return;
    }
    struct order *order = g_new0(struct order, 1);
    order->key_id = g_steal_pointer(&key_id);
    order->request = g_strdup(request->body->str);
    hand_over(pages, request, order);
}
