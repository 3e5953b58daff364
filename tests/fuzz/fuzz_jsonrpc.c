/* SPDX-License-Identifier: Apache-2.0 */

/*
 * JSON-RPC messages from outside, as both ends take them: requests are read
 * with the parameters of the verb they name, answers with the result of a
 * verb that the first byte chooses.  What was read can be written, and the
 * written can be read again.
 */

#include "net/jsonrpc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct vr_codec_caps caps = { .depth = 32, .bytes = 1 << 16, .items = 10000 };

static void must_parse(const GString *text)
{
    vr_auto_error struct vr_error *error = NULL;
    struct vr_jsonrpc rpc = { 0 };
    if (!vr_jsonrpc_parse(text->str, text->len, &vr_codec_caps_host, &rpc, &error))
        g_error("%s: %s", error->detail, text->str);
    g_assert(rpc.count == 1 && !rpc.batch && rpc.messages[0].valid);
    vr_jsonrpc_done(&rpc);
}

static void check_request(const struct vr_jsonrpc_message *message, const char *id)
{
    vr_auto_error struct vr_error *error = NULL;
    g_autoptr(GString) out = g_string_new(NULL);
    const struct vr_verb *verb = vr_verb_find(message->method);
    if (!verb)
        return;
    vr_auto void *params = vr_jsonrpc_read_params(verb, message->params, &caps, &error);
    g_assert(!params == !!error);
    if (params)
        vr_jsonrpc_write_request(out, verb, params, "id");
    else
        vr_jsonrpc_write_error(out, error->fault->rpc, error->detail, id);
    must_parse(out);
}

static void check_answer(const struct vr_jsonrpc_message *message, const struct vr_verb *verb,
                         const char *id)
{
    vr_auto_error struct vr_error *error = NULL;
    g_autoptr(GString) out = g_string_new(NULL);
    if (message->error.text) {
        g_autofree char *text = NULL;
        int code = vr_jsonrpc_read_error(message->error, &text);
        g_assert(code && text);
        vr_jsonrpc_write_error(out, code, text, id);
    } else if (message->result.text) {
        vr_auto void *result = vr_jsonrpc_read_result(verb, message->result, &caps, &error);
        g_assert(verb->shape == VR_RESULT_VOID ? !result : !result == !!error);
        vr_jsonrpc_write_result(out, verb, result, id);
    } else {
        return;
    }
    must_parse(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    const struct vr_verb *verb = vr_verbs[data[0] % vr_verb_count];
    vr_auto_error struct vr_error *error = NULL;
    struct vr_jsonrpc rpc = { 0 };
    bool ok = vr_jsonrpc_parse((const char *)data + 1, size - 1, &caps, &rpc, &error);
    g_assert(ok == !error && ok == (rpc.count > 0));
    for (unsigned i = 0; i < rpc.count; i++) {
        const struct vr_jsonrpc_message *message = &rpc.messages[i];
        g_autofree char *id =
            message->id.text ? g_strndup(message->id.text, message->id.length) : NULL;
        g_autofree char *text = vr_json_span_string(message->id);
        g_assert(!text || (id && id[0] == '"'));
        if (message->method)
            check_request(message, id);
        else
            check_answer(message, verb, id);
    }
    vr_jsonrpc_done(&rpc);
    return 0;
}
