/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * jsonrpc: JSON-RPC 2.0 messages as the host protocol uses them
 * (facts/host-rpc.md 4).  The envelope is read here, what it carries is
 * read in place by the codec, with the types of its verb.
 */

#include "codec/codec.h"
#include "model/verb.h"

enum vr_rpc_code {
    VR_RPC_CODE_RECOVERING = 99, /* the agent is looking for its machines after a restart */
    VR_RPC_CODE_GENERAL = 100,
    VR_RPC_CODE_EXHAUSTED = 1100, /* too many requests wait */
    VR_RPC_CODE_NETWORK = 5022,   /* never on the wire: no connection, or no answer in time */
    VR_RPC_CODE_PARSE = -32700,
    VR_RPC_CODE_INVALID_REQUEST = -32600,
    VR_RPC_CODE_NO_METHOD = -32601,
    VR_RPC_CODE_BAD_PARAMS = -32602,
    VR_RPC_CODE_INTERNAL = -32603,
};

/* At most so many in an array. */
#define VR_JSONRPC_MAX_BATCH 1000
/* Of an id, as JSON text. */
#define VR_JSONRPC_MAX_ID 256

/* One JSON value within the text that was parsed; .text is NULL when there is none. */
struct vr_json_span {
    const char *text;
    size_t length;
};

/* The members are borrowed from the text, but `method`. */
struct vr_jsonrpc_message {
    bool valid;   /* an object with "jsonrpc":"2.0", and an id that is text, number or null */
    char *method; /* owned; NULL when there is none */
    struct vr_json_span id; /* absent as well when it is null or not valid */
    struct vr_json_span params, result, error;
};

struct vr_jsonrpc {
    struct vr_jsonrpc_message *messages; /* owned */
    unsigned count;                      /* at least 1 */
    bool batch;                          /* they stood in an array */
};

/* Reads one message, or an array of them.  The whole text is checked to be JSON within @caps.
 * false and @error: vr_fault_rpc_parse; vr_fault_rpc_invalid_request for an array without
 * elements or with too many. */
bool vr_jsonrpc_parse(const char *text, size_t length, const struct vr_codec_caps *caps,
                      struct vr_jsonrpc *ret, struct vr_error **error);
void vr_jsonrpc_done(struct vr_jsonrpc *rpc);

/* The text of a JSON string, or NULL when @span is something else.  Owned. */
char *vr_json_span_string(struct vr_json_span span);

/* The parameters of a request, by name or by position; unknown ones are passed over.  Owned; NULL
 * and @error (vr_fault_rpc_bad_params) when one that must be there is missing. */
void *vr_jsonrpc_read_params(const struct vr_verb *verb, struct vr_json_span params,
                             const struct vr_codec_caps *caps, struct vr_error **error);
/* A result; owned, NULL without an error for a verb that returns none. */
void *vr_jsonrpc_read_result(const struct vr_verb *verb, struct vr_json_span result,
                             const struct vr_codec_caps *caps, struct vr_error **error);
/* The code (never 0) and message (owned) of an error object, whatever it looks like. */
int vr_jsonrpc_read_error(struct vr_json_span object, char **ret_message);

/* Writers append one message.  @params and @result may be NULL: none.  @id of an answer is JSON
 * text, NULL for null; that of a request is the text of a string. */
void vr_jsonrpc_write_request(GString *out, const struct vr_verb *verb, const void *params,
                              const char *id);
void vr_jsonrpc_write_result(GString *out, const struct vr_verb *verb, const void *result,
                             const char *id);
void vr_jsonrpc_write_error(GString *out, int code, const char *message, const char *id);
/* @params is JSON text. */
void vr_jsonrpc_write_event(GString *out, const char *method, const char *params);
