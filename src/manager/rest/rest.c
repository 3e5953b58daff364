/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "rest"
#include "manager/rest/rest.h"

#include <sys/random.h>

#include "codec/codec.h"
#include "gen/faults.h"
#include "manager/access/access.h"
#include "manager/rest/exchange.h"
#include "manager/rest/view.h"

/* Bodies above this are worth a look at who sends them first. */
#define EARLY_BODY 65536
/* Texts of objects that are kept: 1,000 virtual machines are 6 MiB. */
#define CACHE_BYTES (32 * 1024 * 1024)

static void exchange_free(void *data)
{
    struct vr_exchange *x = data;
    if (x->shown)
        g_hash_table_unref(x->shown);
    g_free(x);
}

/* One system call for many requests. */
static void new_correlation(char out[37])
{
    static __thread uint8_t pool[16 * 64];
    static __thread size_t used = sizeof(pool);
    if (used == sizeof(pool)) {
        for (size_t have = 0; have < sizeof(pool);) {
            ssize_t n = getrandom(pool + have, MIN(sizeof(pool) - have, 256), 0);
            have += n > 0 ? (size_t)n : 0;
        }
        used = 0;
    }
    vr_uuid_format(out, pool + used);
    used += 16;
}

/* facts/rest-api.md 1.6: foreign characters go, the rest is cut at 36. */
static void set_correlation(struct vr_request *request)
{
    const char *given = vr_request_param(request, "correlation_id");
    unsigned length = 0;
    for (const char *c = given; c && *c && length < 36; c++)
        if (g_ascii_isalnum(*c) || *c == '_' || *c == '-')
            request->correlation[length++] = *c;
    request->correlation[length] = '\0';
    if (length == 0) {
        new_correlation(request->correlation);
    }
}

static bool is_api(const struct vr_request *request)
{
    return request->url.segment_count >= 2 &&
           strcmp(request->url.segments[0], "ovirt-engine") == 0 &&
           strcmp(request->url.segments[1], "api") == 0;
}

/* --- routing --- */

static enum vr_http_method method_of(const char *method)
{
    static const char *const names[] = { "GET", "POST", "PUT", "DELETE" };
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
        if (strcmp(method, names[i]) == 0)
            return (enum vr_http_method)i;
    return strcmp(method, "HEAD") == 0 ? VR_METHOD_GET : VR_METHOD_COUNT;
}

static char *allowed_methods(const struct vr_route *route)
{
    static const char *const names[] = { "GET, HEAD", "POST", "PUT", "DELETE" };
    GString *out = g_string_new(NULL);
    for (unsigned i = 0; i < VR_METHOD_COUNT; i++)
        if (route->operations[i])
            g_string_append_printf(out, "%s%s", out->len ? ", " : "", names[i]);
    return g_string_free(out, FALSE);
}

/* Walks down the tree; false when the path leads out of it. */
static bool find_route(struct vr_exchange *x)
{
    const struct vr_route *route = &vr_route_root;
    for (unsigned i = 0; i < x->segment_count; i++) {
        bool is_id = false;
        route = vr_route_child(route, x->segments[i], strlen(x->segments[i]), &is_id);
        if (!route || (is_id && x->id_count == VR_PATH_IDS))
            return false;
        if (is_id) {
            x->ids[x->id_count] = x->segments[i];
            x->id_kinds[x->id_count++] = route->kind;
        }
    }
    x->route = route;
    return true;
}

/* Some clients post the shapes of a body to addresses of their own, which no server has
 * (facts/rest-api.md 5.3); GET of an action with an id is its progress. */
static bool check_version(struct vr_exchange *x)
{
    const char *version = vr_request_header(x->request, "Version");
    if (x->segment_count > 0 && strcmp(x->segments[0], "v4") == 0) {
        x->prefix = "/ovirt-engine/api/v4";
        x->segments++;
        x->segment_count--;
        return true;
    }
    if (!version || strcmp(version, "4") == 0)
        return true;
    vr_fault_reply(x->request, 400, vr_fault_invalid_version.text,
                   "The only version that is served is 4.");
    return false;
}

static void refuse_method(struct vr_exchange *x)
{
    bool asked = strcmp(x->request->method, "OPTIONS") == 0;
    if (asked)
        vr_reply(x->request, 200, NULL, NULL);
    else
        vr_fault_reply(x->request, 405, "Operation Failed",
                       "[The method is not allowed for this address.]");
    vr_reply_header(x->request, "Allow", allowed_methods(x->route));
}

static void refuse_missing(struct vr_exchange *x)
{
    g_autofree char *detail = g_strdup_printf(
        "[The operation %s is not supported by this Manager.]", x->operation->name);
    if (x->operation->is_action)
        vr_fault_reply_action(x->request, 501, "Operation Failed", detail);
    else
        vr_fault_reply(x->request, 501, "Operation Failed", detail);
}

static bool refuse_media(struct vr_exchange *x)
{
    vr_fault_reply(x->request, 406, "Operation Failed",
                   "[Only application/xml and application/json can be produced.]");
    return false;
}

/*
 * A console has a third form, the file that opens it, which is what its action
 * of this name answers (facts/rest-api.md 1.10).  It sets a password, so a
 * HEAD, which promises to change nothing, has none.
 */
static bool choose_viewer_file(struct vr_exchange *x)
{
    static const char action[] = "remoteviewerconnectionfile";
    bool is_id = false;
    const struct vr_route *child = vr_route_child(x->route, action, strlen(action), &is_id);
    if (!child || is_id || strcmp(x->request->method, "GET") != 0 ||
        !child->operations[VR_METHOD_POST] || child->operations[VR_METHOD_POST]->way != VR_WAY_WRITE)
        return refuse_media(x);
    x->operation = child->operations[VR_METHOD_POST];
    return true;
}

static bool negotiate(struct vr_exchange *x)
{
    struct vr_request *request = x->request;
    const char *accept = vr_url_param(&request->url, "accept");
    x->media = vr_media_accept(accept ? accept : vr_request_header(request, "Accept"), &x->detail);
    x->detail |= vr_detail_parse(vr_url_param(&request->url, "detail"));
    x->views = (x->detail & VR_DETAIL_CONSOLES ? VR_VIEW_CONSOLES : 0u) |
               (vr_truth(vr_request_param(request, "all_content"), false) ? VR_VIEW_ALL_CONTENT : 0u);
    if (x->media == VR_MEDIA_NONE)
        return refuse_media(x);
    bool has_body = request->body && request->body->len;
    if (has_body &&
        vr_media_content(vr_request_header(request, "Content-Type")) == VR_MEDIA_NONE) {
        vr_fault_reply(request, 415, "Operation Failed",
                       "[Only application/xml and application/json are understood.]");
        return false;
    }
    return true;
}

/* The work goes on: 200 or the fault of the job behind an asynchronous creation. */
static bool serve_progress(struct vr_exchange *x)
{
    if (x->segment_count < 3 || strcmp(x->segments[x->segment_count - 2], "creation_status") != 0)
        return false;
    g_auto(GStrv) ids = g_strsplit(x->segments[x->segment_count - 1], ",", 16);
    const char *status = "complete";
    for (unsigned i = 0; ids[i]; i++) {
        vr_auto struct vr_job *job =
            vr_inventory_get(x->rest->options.inventory, VR_KIND_JOB, ids[i]);
        if (job && job->has.status && job->status == VR_JOB_STATUS_STARTED)
            status = "in_progress";
        else if (job && job->has.status && job->status != VR_JOB_STATUS_FINISHED)
            status = "failed";
    }
    GString *out = g_string_new(NULL);
    if (x->media == VR_MEDIA_JSON)
        g_string_append_printf(out, "{\"status\":\"%s\"}", status);
    else
        g_string_append_printf(out, "%s<creation><status>%s</status></creation>", vr_xml_prolog,
                               status);
    vr_reply(x->request, 200, vr_media_type(x->media), out);
    return true;
}

static bool set_caller(struct vr_exchange *x)
{
    const struct vr_credential *session = x->request->session;
    x->caller.user_id = session->user_id;
    x->caller.user_name = session->user_name;
    x->caller.admin = vr_access_is_admin(x->rest->options.inventory, session->user_id);
    const char *filter = vr_request_param(x->request, "filter");
    x->caller.filtered = vr_truth(filter, !x->caller.admin);
    if (!x->caller.admin && !x->caller.filtered) {
        vr_auto_error struct vr_error *error = NULL;
        vr_error_set(&error, &vr_fault_not_authorized, NULL);
        vr_fault_reply_error(x->request, error, false);
        return false;
    }
    return true;
}

static void serve(struct vr_exchange *x)
{
    if (!set_caller(x) || !check_version(x) || !negotiate(x))
        return;
    if (!find_route(x)) {
        if (!serve_progress(x))
            vr_fault_reply_missing(x->request);
        return;
    }
    enum vr_http_method method = method_of(x->request->method);
    if (method != VR_METHOD_COUNT)
        x->operation = x->route->operations[method];
    if (x->media == VR_MEDIA_VIEWER && !choose_viewer_file(x))
        return;
    if (!x->operation) {
        refuse_method(x);
    } else if (x->route == &vr_route_root && method == VR_METHOD_GET) {
        vr_root_serve(x);
    } else if (x->operation->way == VR_WAY_MISSING) {
        refuse_missing(x);
    } else if (x->operation->way == VR_WAY_WRITE) {
        vr_write_serve(x);
    } else {
        vr_read_serve(x);
    }
}

static void authenticated(struct vr_request *request)
{
    struct vr_exchange *x = g_new0(struct vr_exchange, 1);
    x->rest = vr_server_arg(request->server);
    x->request = request;
    x->segments = request->url.segments + 2;
    x->segment_count = request->url.segment_count - 2;
    x->prefix = "/ovirt-engine/api";
    request->state = x;
    request->state_free = exchange_free;
    serve(x);
}

static void handle(struct vr_request *request, bool body, void *arg)
{
    struct vr_rest *rest = arg;
    if (!body) {
        if (!is_api(request))
            return;
        set_correlation(request);
        /* Refusing before the body has been read costs the connection. */
        const char *length = vr_request_header(request, "Content-Length");
        bool large = vr_number(length, 0) > EARLY_BODY ||
                     vr_request_header(request, "Transfer-Encoding");
        if (large)
            vr_sessions_refuse_early(rest->options.sessions, request);
        return;
    }
    if (is_api(request))
        vr_sessions_authenticate(rest->options.sessions, request, authenticated);
    else
        vr_pages_serve(rest, request);
}

struct vr_rest *vr_rest_start(const struct vr_rest_options *options, struct vr_error **error)
{
    struct vr_rest *rest = g_new0(struct vr_rest, 1);
    rest->options = *options;
    rest->cache = vr_cache_new(CACHE_BYTES);
    rest->server = vr_server_start(&options->server, handle, rest, error);
    if (!rest->server) {
        vr_cache_free(rest->cache);
        g_clear_pointer(&rest, g_free);
    }
    return rest;
}

unsigned vr_rest_port(const struct vr_rest *rest)
{
    return vr_server_port(rest->server);
}

void vr_rest_stop(struct vr_rest *rest)
{
    if (!rest)
        return;
    vr_server_stop(rest->server);
    vr_cache_free(rest->cache);
    g_free(rest);
}
