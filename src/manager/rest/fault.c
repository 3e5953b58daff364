/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/rest/fault.h"

#include "codec/codec.h"
#include "gen/faults.h"

static enum vr_media wanted(const struct vr_request *request)
{
    unsigned detail = 0;
    const char *accept = vr_url_param(&request->url, "accept");
    enum vr_media media =
        vr_media_accept(accept ? accept : vr_request_header(request, "Accept"), &detail);
    return media == VR_MEDIA_JSON ? media : VR_MEDIA_XML;
}

static void member_xml(GString *out, const char *name, const char *text)
{
    g_string_append_printf(out, "<%s>", name);
    vr_xml_escape(out, text);
    g_string_append_printf(out, "</%s>", name);
}

static void fault_xml(GString *out, const char *reason, const char *detail)
{
    g_string_append(out, "<fault>");
    if (detail)
        member_xml(out, "detail", detail);
    member_xml(out, "reason", reason);
    g_string_append(out, "</fault>");
}

static void fault_json(GString *out, const char *reason, const char *detail)
{
    g_string_append_c(out, '{');
    if (detail) {
        g_string_append(out, "\"detail\":");
        vr_json_quote(out, detail);
        g_string_append_c(out, ',');
    }
    g_string_append(out, "\"reason\":");
    vr_json_quote(out, reason);
    g_string_append_c(out, '}');
}

static void reply(struct vr_request *request, int status, const char *reason, const char *detail,
                  bool action)
{
    enum vr_media media = wanted(request);
    GString *out = g_string_new(NULL);
    if (media == VR_MEDIA_JSON) {
        if (action)
            g_string_append(out, "{\"fault\":");
        fault_json(out, reason, detail);
        if (action)
            g_string_append(out, ",\"status\":\"failed\"}");
    } else {
        g_string_append(out, vr_xml_prolog);
        if (action)
            g_string_append(out, "<action>");
        fault_xml(out, reason, detail);
        if (action)
            g_string_append(out, "<status>failed</status></action>");
    }
    vr_reply(request, status, vr_media_type(media), out);
}

void vr_fault_reply(struct vr_request *request, int status, const char *reason, const char *detail)
{
    reply(request, status, reason, detail, false);
}

void vr_fault_reply_action(struct vr_request *request, int status, const char *reason,
                           const char *detail)
{
    reply(request, status, reason, detail, true);
}

void vr_fault_reply_missing(struct vr_request *request)
{
    vr_reply(request, 404, NULL, NULL);
}

/* Faults whose sentence is the wire's reason; of the others the reason is "Operation Failed". */
static const struct vr_fault *const reasons[] = {
    &vr_fault_malformed_body,     &vr_fault_incomplete_parameters, &vr_fault_invalid_value,
    &vr_fault_value_out_of_range, &vr_fault_validation_failed,     &vr_fault_invalid_version,
    &vr_fault_immutable_field,    &vr_fault_host_parameter_missing,
};

void vr_fault_reply_error(struct vr_request *request, const struct vr_error *error, bool action)
{
    const struct vr_fault *fault = error->fault;
    if (fault == &vr_fault_not_found) {
        vr_fault_reply_missing(request);
        return;
    }
    if (fault == &vr_fault_reference_not_found) {
        g_autofree char *reason =
            g_strdup_printf("%s: %s", fault->text, error->detail ? error->detail : "");
        reply(request, fault->http, reason, error->detail, action);
        return;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(reasons); i++) {
        if (fault == reasons[i]) {
            reply(request, fault->http, fault->text, error->detail, action);
            return;
        }
    }
    g_autofree char *text = vr_error_text(error);
    g_autofree char *detail = g_strdup_printf("[%s]", text);
    reply(request, fault->http, "Operation Failed", detail, action);
    if (fault->http == 503)
        vr_reply_header(request, "Retry-After", g_strdup("10"));
}
