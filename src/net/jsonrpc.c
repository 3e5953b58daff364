/* SPDX-License-Identifier: Apache-2.0 */
#include "net/jsonrpc.h"

#include "codec/json_scan.h"
#include "gen/faults.h"

static struct vr_json_scan scan_of(const char *text, size_t length,
                                   const struct vr_codec_caps *caps, GString *decoded,
                                   struct vr_error **error)
{
    return (struct vr_json_scan){
        .start = text,
        .at = text,
        .end = text + length,
        .caps = caps,
        .items = caps->items,
        .decoded = decoded,
        .fault = &vr_fault_rpc_parse,
        .error = error,
    };
}

/* Passes over one value and says where it stood. */
static bool take_span(struct vr_json_scan *scan, unsigned depth, struct vr_json_span *span)
{
    vr_json_peek(scan);
    span->text = scan->at;
    if (!vr_json_skip(scan, depth))
        return false;
    span->length = (size_t)(scan->at - span->text);
    return true;
}

static bool take_id(struct vr_json_scan *scan, unsigned depth, struct vr_jsonrpc_message *message,
                    bool *good)
{
    struct vr_json_span id;
    if (!take_span(scan, depth, &id))
        return false;
    message->id = (struct vr_json_span){ 0 };
    *good = id.text[0] != '{' && id.text[0] != '[' && id.length <= VR_JSONRPC_MAX_ID;
    if (*good && id.text[0] != 'n')
        message->id = id;
    return true;
}

/* A string; NULL for any other value. */
static bool take_text(struct vr_json_scan *scan, unsigned depth, char **text)
{
    struct vr_json_token token;
    g_clear_pointer(text, g_free);
    if (vr_json_peek(scan) != '"')
        return vr_json_skip(scan, depth);
    if (!vr_json_take_token(scan, &token))
        return false;
    *text = g_strndup(token.text, token.length);
    return true;
}

static bool is_named(const struct vr_json_token *name, const char *wanted)
{
    return name->length == strlen(wanted) && memcmp(name->text, wanted, name->length) == 0;
}

/* Of members with the same name the last one counts. */
static bool take_object(struct vr_json_scan *scan, unsigned depth,
                        struct vr_jsonrpc_message *message)
{
    g_autofree char *version = NULL;
    bool good_id = true, ok = true;
    struct vr_json_walk walk = { .close = '}' };
    while (ok && vr_json_walk_next(scan, &walk, depth)) {
        struct vr_json_token name;
        struct vr_json_span other;
        if (!vr_json_take_name(scan, &name))
            return false;
        if (is_named(&name, "id"))
            ok = take_id(scan, depth, message, &good_id);
        else if (is_named(&name, "jsonrpc"))
            ok = take_text(scan, depth, &version);
        else if (is_named(&name, "method"))
            ok = take_text(scan, depth, &message->method);
        else if (is_named(&name, "params"))
            ok = take_span(scan, depth, &message->params);
        else if (is_named(&name, "result"))
            ok = take_span(scan, depth, &message->result);
        else if (is_named(&name, "error"))
            ok = take_span(scan, depth, &message->error);
        else
            ok = take_span(scan, depth, &other);
    }
    message->valid = good_id && g_strcmp0(version, "2.0") == 0;
    return ok && walk.done;
}

static bool take_message(struct vr_json_scan *scan, unsigned depth,
                         struct vr_jsonrpc_message *message)
{
    struct vr_json_span other;
    return vr_json_peek(scan) == '{' ? take_object(scan, depth + 1, message)
                                     : take_span(scan, depth, &other);
}

static void clear_message(void *data)
{
    g_free(((struct vr_jsonrpc_message *)data)->method);
}

static bool take_batch(struct vr_json_scan *scan, GArray *messages)
{
    struct vr_json_walk walk = { .close = ']' };
    while (vr_json_walk_next(scan, &walk, 1)) {
        if (messages->len == VR_JSONRPC_MAX_BATCH) {
            vr_error_set(scan->error, &vr_fault_rpc_invalid_request,
                         "An array has more than %d messages.", VR_JSONRPC_MAX_BATCH);
            return false;
        }
        g_array_set_size(messages, messages->len + 1);
        struct vr_jsonrpc_message *last =
            &g_array_index(messages, struct vr_jsonrpc_message, messages->len - 1);
        if (!take_message(scan, 1, last))
            return false;
    }
    return walk.done;
}

bool vr_jsonrpc_parse(const char *text, size_t length, const struct vr_codec_caps *caps,
                      struct vr_jsonrpc *ret, struct vr_error **error)
{
    g_autoptr(GString) decoded = g_string_new(NULL);
    g_autoptr(GArray) messages = g_array_new(FALSE, TRUE, sizeof(struct vr_jsonrpc_message));
    g_array_set_clear_func(messages, clear_message);
    struct vr_json_scan scan = scan_of(text, length, caps, decoded, error);
    if (!vr_json_begin(&scan))
        return false;

    bool batch = vr_json_peek(&scan) == '[';
    if (!batch)
        g_array_set_size(messages, 1);
    bool ok = batch
                  ? take_batch(&scan, messages)
                  : take_message(&scan, 0, &g_array_index(messages, struct vr_jsonrpc_message, 0));
    if (!ok || !vr_json_finish(&scan))
        return false;
    if (!messages->len) {
        vr_error_set(error, &vr_fault_rpc_invalid_request, "An array has no messages.");
        return false;
    }
    ret->batch = batch;
    ret->count = messages->len;
    ret->messages = (struct vr_jsonrpc_message *)g_array_steal(messages, NULL);
    return true;
}

void vr_jsonrpc_done(struct vr_jsonrpc *rpc)
{
    for (unsigned i = 0; i < rpc->count; i++)
        clear_message(&rpc->messages[i]);
    g_free(rpc->messages);
    *rpc = (struct vr_jsonrpc){ 0 };
}

char *vr_json_span_string(struct vr_json_span span)
{
    if (!span.text || span.text[0] != '"')
        return NULL;
    vr_auto_error struct vr_error *error = NULL;
    g_autoptr(GString) decoded = g_string_new(NULL);
    struct vr_json_scan scan =
        scan_of(span.text, span.length, &vr_codec_caps_host, decoded, &error);
    struct vr_json_token token;
    if (!vr_json_take_token(&scan, &token))
        return NULL;
    return g_strndup(token.text, token.length);
}

/* --- what messages carry --- */

/* The nth parameter is the nth field; more than there are are passed over. */
static void *read_positions(const struct vr_type *type, struct vr_json_span params,
                            const struct vr_codec_caps *caps, struct vr_error **error)
{
    g_autoptr(GString) decoded = g_string_new(NULL);
    struct vr_json_scan scan = scan_of(params.text, params.length, caps, decoded, error);
    vr_auto void *object = vr_object_new(type);
    struct vr_json_walk walk = { .close = ']' };
    for (unsigned i = 0; vr_json_walk_next(&scan, &walk, 1); i++) {
        struct vr_json_span value;
        if (!take_span(&scan, 1, &value))
            return NULL;
        if (i < type->field_count && !vr_json_read_field(object, &type->fields[i], value.text,
                                                         value.length, VR_JSON_HOST, caps, error))
            return NULL;
    }
    return walk.done ? g_steal_pointer(&object) : NULL;
}

void *vr_jsonrpc_read_params(const struct vr_verb *verb, struct vr_json_span params,
                             const struct vr_codec_caps *caps, struct vr_error **error)
{
    const struct vr_type *type = verb->params;
    vr_auto_error struct vr_error *bad = NULL;
    vr_auto void *object = NULL;
    if (!params.text || params.text[0] == 'n')
        object = vr_object_new(type);
    else if (params.text[0] == '[')
        object = read_positions(type, params, caps, &bad);
    else
        object = vr_json_read(type, params.text, params.length, VR_JSON_HOST, caps, &bad);
    if (!object) {
        vr_error_set(error, &vr_fault_rpc_bad_params, "%s", bad->detail);
        return NULL;
    }

    for (unsigned i = 0; i < type->field_count; i++) {
        const struct vr_field *field = &type->fields[i];
        if (!(field->flags & VR_FIELD_OPTIONAL) && !vr_has(object, field)) {
            vr_error_set(error, &vr_fault_rpc_bad_params,
                         "The parameter '%s' is missing or cannot be read.", field->name);
            return NULL;
        }
    }
    return g_steal_pointer(&object);
}

void *vr_jsonrpc_read_result(const struct vr_verb *verb, struct vr_json_span result,
                             const struct vr_codec_caps *caps, struct vr_error **error)
{
    if (verb->shape == VR_RESULT_VOID)
        return NULL;
    if (verb->shape == VR_RESULT_STRUCT)
        return vr_json_read(verb->result, result.text, result.length, VR_JSON_HOST, caps, error);
    vr_auto void *object = vr_object_new(verb->result);
    if (!vr_json_read_field(object, &verb->result->fields[0], result.text, result.length,
                            VR_JSON_HOST, caps, error))
        return NULL;
    return g_steal_pointer(&object);
}

int vr_jsonrpc_read_error(struct vr_json_span object, char **ret_message)
{
    vr_auto_error struct vr_error *error = NULL;
    g_autoptr(GString) decoded = g_string_new(NULL);
    struct vr_json_scan scan =
        scan_of(object.text, object.length, &vr_codec_caps_host, decoded, &error);
    struct vr_json_walk walk = { .close = '}' };
    struct vr_json_token name;
    int64_t code = 0;
    char *message = NULL;
    while (object.text[0] == '{' && vr_json_walk_next(&scan, &walk, 1) &&
           vr_json_take_name(&scan, &name)) {
        struct vr_json_span value;
        bool is_code = is_named(&name, "code"), is_message = is_named(&name, "message");
        if (!take_span(&scan, 1, &value))
            break;
        if (is_code) /* a number, or a number as text */
            code = g_ascii_strtoll(value.text + (value.text[0] == '"'), NULL, 10);
        if (is_message) {
            g_free(message);
            message = vr_json_span_string(value);
        }
    }
    *ret_message = message ? message : g_strdup("");
    return code && code >= INT_MIN && code <= INT_MAX ? (int)code : VR_RPC_CODE_INTERNAL;
}

/* --- writing --- */

void vr_jsonrpc_write_request(GString *out, const struct vr_verb *verb, const void *params,
                              const char *id)
{
    g_string_append(out, "{\"jsonrpc\":\"2.0\",\"method\":");
    vr_json_quote(out, verb->name);
    g_string_append(out, ",\"params\":");
    if (params)
        vr_json_write(out, params, VR_JSON_HOST, NULL);
    else
        g_string_append(out, "{}");
    g_string_append(out, ",\"id\":");
    vr_json_quote(out, id);
    g_string_append_c(out, '}');
}

static void begin_answer(GString *out, const char *id)
{
    g_string_append(out, "{\"jsonrpc\":\"2.0\",\"id\":");
    g_string_append(out, id ? id : "null");
}

void vr_jsonrpc_write_result(GString *out, const struct vr_verb *verb, const void *result,
                             const char *id)
{
    begin_answer(out, id);
    g_string_append(out, ",\"result\":");
    size_t before = out->len;
    if (verb->shape == VR_RESULT_VOID)
        g_string_append(out, "true");
    else if (verb->shape == VR_RESULT_STRUCT && result)
        vr_json_write(out, result, VR_JSON_HOST, NULL);
    else if (result)
        vr_json_write_field(out, result, &verb->result->fields[0], VR_JSON_HOST);
    if (out->len == before)
        g_string_append(out, verb->shape == VR_RESULT_STRUCT ? "{}" : "null");
    g_string_append_c(out, '}');
}

void vr_jsonrpc_write_error(GString *out, int code, const char *message, const char *id)
{
    begin_answer(out, id);
    g_string_append_printf(out, ",\"error\":{\"code\":%d,\"message\":", code);
    vr_json_quote(out, message);
    g_string_append(out, "}}");
}

void vr_jsonrpc_write_event(GString *out, const char *method, const char *params)
{
    g_string_append(out, "{\"jsonrpc\":\"2.0\",\"method\":");
    vr_json_quote(out, method);
    g_string_append_printf(out, ",\"params\":%s}", params);
}
