/* SPDX-License-Identifier: Apache-2.0 */
/* Writes: the body parsed and checked, a call for the engine, and its reply. */
#include "codec/codec.h"
#include "manager/access/access.h"
#include "manager/rest/exchange.h"

#include "gen/faults.h"

/* What the engine refers to until it has replied, whatever becomes of the request. */
struct posted {
    struct vr_caller caller;
    char *user_id, *user_name;
    struct vr_waiter *waiter;
};

/* The reply, kept beyond the engine's callback. */
struct outcome {
    int status;
    struct vr_error *error;
    int kind;
    char *id, *job_id;
    bool created;
    void *object;
    const char *action_status, *creation_status;
};

static void outcome_free(void *data)
{
    struct outcome *outcome = data;
    vr_error_free(outcome->error);
    vr_unref(outcome->object);
    g_free(outcome->id);
    g_free(outcome->job_id);
    g_free(outcome);
}

/* Engine thread. */
static void replied(const struct vr_call_reply *reply, void *arg)
{
    struct posted *posted = arg;
    struct outcome *outcome = g_new0(struct outcome, 1);
    outcome->status = reply->status;
    outcome->error = vr_error_copy(reply->error);
    outcome->kind = reply->kind;
    outcome->id = g_strdup(reply->id);
    outcome->job_id = g_strdup(reply->job_id);
    outcome->created = reply->created;
    outcome->object = vr_ref(reply->object);
    outcome->action_status = reply->action_status;
    outcome->creation_status = reply->creation_status;
    vr_waiter_wake(posted->waiter, outcome, outcome_free);
    g_free(posted->user_id);
    g_free(posted->user_name);
    g_free(posted);
}

/* --- the body --- */

static void *read_body(struct vr_exchange *x, struct vr_error **error)
{
    const struct vr_type *type = x->operation->body;
    const GString *body = x->request->body;
    const char *text = body ? body->str : "";
    size_t length = body ? body->len : 0;
    while (length && g_ascii_isspace(*text))
        text++, length--;
    /* An action without a body is one without parameters. */
    if (length == 0 && x->operation->is_action)
        return vr_object_new(type);
    if (length == 0) {
        vr_error_set(error, &vr_fault_malformed_body, "A body with one %s is missing.",
                     type->singular);
        return NULL;
    }
    const char *content = vr_request_header(x->request, "Content-Type");
    if (vr_media_content(content) == VR_MEDIA_JSON || (!content && *text == '{'))
        return vr_json_read(type, text, length, VR_JSON_API, &vr_codec_caps_api, error);
    return vr_xml_read(type, NULL, text, length, &vr_codec_caps_api, error);
}

static bool has_path(const void *object, const char *path)
{
    const char *dot = strchrnul(path, '.');
    g_autofree char *name = g_strndup(path, (gsize)(dot - path));
    const struct vr_field *field =
        vr_type_field(((const struct vr_object *)object)->type, name);
    if (!field || !vr_has(object, field))
        return false;
    const void *member = vr_member(object, field);
    bool nested = field->kind == VR_FIELD_STRUCT || field->kind == VR_FIELD_LINK;
    if (field->flags & VR_FIELD_IS_LIST) {
        const struct vr_list *list = member;
        for (unsigned i = 0; i < list->len; i++)
            if (!*dot || (nested && has_path(list->items[i], dot + 1)))
                return true;
        return false;
    }
    if (!*dot)
        return true;
    void *const *item = member;
    return nested && *item && has_path(*item, dot + 1);
}

static bool has_any(const void *object, const char *alternatives)
{
    g_auto(GStrv) paths = g_strsplit(alternatives, "|", 16);
    for (unsigned i = 0; paths[i]; i++)
        if (has_path(object, paths[i]))
            return true;
    return false;
}

/* storage_domain.id -> storageDomain.id, and with @upper Vm for vm. */
static void append_camel(GString *out, const char *name, bool upper)
{
    for (; *name; name++) {
        if (*name == '_') {
            upper = true;
            continue;
        }
        g_string_append_c(out, upper ? g_ascii_toupper(*name) : *name);
        upper = false;
    }
}

/* "cluster.id|cluster.name" is written "cluster.id|name". */
static void append_alternatives(GString *out, const char *alternatives)
{
    g_auto(GStrv) paths = g_strsplit(alternatives, "|", 16);
    const char *dot = paths[0] ? strrchr(paths[0], '.') : NULL;
    for (unsigned i = 0; paths[i]; i++) {
        const char *path = paths[i];
        size_t common = dot ? (size_t)(dot - paths[0]) + 1 : 0;
        if (i > 0 && common && strncmp(path, paths[0], common) == 0)
            path += common;
        if (i > 0)
            g_string_append_c(out, '|');
        append_camel(out, path, false);
    }
}

static const char *method_name(const struct vr_operation *operation)
{
    const char *dot = strrchr(operation->name, '.');
    return dot ? dot + 1 : operation->name;
}

/* The wording of facts/rest-api.md 6: "Vm [name, cluster.id|name] required for add". */
static bool check_mandatory(const struct vr_operation *operation, const void *body,
                            struct vr_error **error)
{
    g_autoptr(GString) missing = g_string_new(NULL);
    for (unsigned i = 0; operation->mandatory[i]; i++) {
        if (has_any(body, operation->mandatory[i]))
            continue;
        if (missing->len)
            g_string_append(missing, ", ");
        append_alternatives(missing, operation->mandatory[i]);
    }
    if (!missing->len)
        return true;
    g_autoptr(GString) text = g_string_new(NULL);
    append_camel(text, operation->body->name, true);
    g_string_append_printf(text, " [%s] required for ", missing->str);
    append_camel(text, method_name(operation), false);
    vr_error_set(error, &vr_fault_incomplete_parameters, "%s", text->str);
    return false;
}

static bool check_immutable(const struct vr_exchange *x, const void *body, struct vr_error **error)
{
    const char *id = vr_id(body);
    if (x->operation->method != VR_METHOD_PUT || !id || !*id || x->id_count == 0 ||
        g_ascii_strcasecmp(id, x->ids[x->id_count - 1]) == 0)
        return true;
    vr_error_set(error, &vr_fault_immutable_field, "Attempt to set immutable field: id");
    return false;
}

/* --- permission --- */

/* The object that a permission is needed on: the one in the address, or else what the body of an
 * addition names as its place. */
static bool is_allowed(struct vr_exchange *x, const void *body)
{
    struct vr_inventory *inventory = x->rest->options.inventory;
    /* What the schema does not open to a role is for those who may do everything. */
    const char *permit = x->operation->permit ? x->operation->permit : "configure_engine";
    for (unsigned i = x->id_count; i-- > 0;)
        if (x->id_kinds[i] >= 0)
            return vr_access_allowed(inventory, &x->caller, permit, x->id_kinds[i], x->ids[i]);
    return vr_access_allowed_new(inventory, &x->caller, permit, body);
}

/* --- the reply --- */

static void render_created(struct vr_exchange *x, struct outcome *outcome, const void *object)
{
    char *address = vr_render_href(x, object);
    if (outcome->created && address) {
        g_autofree char *origin = vr_request_origin(x->request);
        vr_reply_header(x->request, "Location", g_strconcat(origin, address, NULL));
    }
    g_free(address);
    vr_render_object(x, outcome->status, object);
}

static void render_action(struct vr_exchange *x, struct outcome *outcome)
{
    vr_auto struct vr_action *action =
        outcome->object ? vr_copy(outcome->object) : vr_object_new(&vr_type_action);
    VR_SET_STRING(action, status, outcome->action_status);
    if (outcome->job_id)
        VR_SET_LINK(action, job, job, outcome->job_id);
    vr_render_object(x, outcome->status, action);
}

/* The file behind a console, as a file. */
static void render_viewer_file(struct vr_exchange *x, const struct vr_action *action)
{
    vr_reply_text(x->request, 200, vr_media_type(VR_MEDIA_VIEWER),
                  action->remote_viewer_connection_file);
    vr_reply_header(x->request, "Cache-Control", g_strdup("no-store"));
    vr_reply_header(x->request, "Content-Disposition",
                    g_strdup("attachment; filename=console.vv"));
}

static bool is_action_object(const void *object)
{
    return object && ((const struct vr_object *)object)->type == &vr_type_action;
}

static void finish(struct vr_request *request)
{
    struct vr_exchange *x = request->state;
    struct outcome *outcome = request->data;
    bool file = x->media == VR_MEDIA_VIEWER;
    if (outcome->error) {
        vr_fault_reply_error(request, outcome->error, x->operation->is_action && !file);
        return;
    }
    if (file && is_action_object(outcome->object)) {
        render_viewer_file(x, outcome->object);
        return;
    }
    if (outcome->kind >= 0 && outcome->id) {
        vr_auto void *object =
            vr_inventory_get(x->rest->options.inventory, outcome->kind, outcome->id);
        vr_auto void *shown = object ? vr_read_decorate(x, object) : NULL;
        if (shown)
            render_created(x, outcome, shown);
        else /* removed again meanwhile */
            vr_fault_reply_missing(request);
        return;
    }
    if (outcome->object && !is_action_object(outcome->object)) {
        render_created(x, outcome, outcome->object);
        return;
    }
    if (x->operation->method == VR_METHOD_DELETE && outcome->status == 202) {
        vr_reply(request, 202, NULL, NULL);
        return;
    }
    render_action(x, outcome);
}

/* Names in lower case; the query, the matrix, then the headers that count as parameters. */
static char **call_params(const struct vr_exchange *x)
{
    static const struct {
        const char *param, *header;
    } headers[] = {
        { "filter", "Filter" },
        { "expect", "Expect" },
        { "expect", "X-Ovirt-Expect" },
    };
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    const struct vr_url *url = &x->request->url;
    for (unsigned i = 0; i < url->param_count; i++) {
        g_autofree char *name = g_ascii_strdown(url->params[i].name, -1);
        g_strv_builder_add(builder, name);
        g_strv_builder_add(builder, url->params[i].value ? url->params[i].value : "");
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(headers); i++) {
        const char *value = vr_request_header(x->request, headers[i].header);
        if (value) {
            g_strv_builder_add(builder, headers[i].param);
            g_strv_builder_add(builder, value);
        }
    }
    return g_strv_builder_end(builder);
}

static void post(struct vr_exchange *x, void *body)
{
    struct posted *posted = g_new0(struct posted, 1);
    posted->user_id = g_strdup(x->caller.user_id);
    posted->user_name = g_strdup(x->caller.user_name);
    posted->caller = x->caller;
    posted->caller.user_id = posted->user_id;
    posted->caller.user_name = posted->user_name;
    g_auto(GStrv) params = call_params(x);
    struct vr_call *call =
        vr_call_new(x->operation, x->ids, x->id_count, body, &posted->caller,
                    x->request->correlation, (const char *const *)params, replied, posted);
    /* The engine itself gives up on a database that stays away. */
    posted->waiter = vr_request_suspend(x->request, 0, finish);
    x->rest->options.post(call, x->rest->options.post_arg);
}

void vr_write_serve(struct vr_exchange *x)
{
    vr_auto_error struct vr_error *error = NULL;
    vr_auto void *body = NULL;
    const struct vr_operation *operation = x->operation;
    bool ok = true;
    if (operation->body && (operation->method != VR_METHOD_DELETE)) {
        body = read_body(x, &error);
        ok = body && check_mandatory(operation, body, &error) &&
             check_immutable(x, body, &error);
    }
    if (ok && !is_allowed(x, body)) {
        vr_error_set(&error, &vr_fault_not_authorized, NULL);
        ok = false;
    }
    if (ok)
        post(x, g_steal_pointer(&body));
    else
        vr_fault_reply_error(x->request, error,
                             operation->is_action && x->media != VR_MEDIA_VIEWER);
}
