/* SPDX-License-Identifier: Apache-2.0 */
/* What stands beside the interface: certificates, health, documentation, the welcome page. */
#include "codec/codec.h"
#include "manager/rest/exchange.h"

#include "setup/pki.h"

#define HTML "text/html; charset=UTF-8"
#define PEM "application/x-x509-ca-cert"

static void serve_ca(struct vr_rest *rest, struct vr_request *request)
{
    vr_reply_text(request, 200, PEM, rest->options.ca);
}

static void serve_health(struct vr_rest *rest, struct vr_request *request)
{
    bool up = !rest->options.database_up || rest->options.database_up(rest->options.database_arg);
    if (up)
        vr_reply_text(request, 200, HTML, "DB Up!Welcome to Health Status!");
    else
        vr_reply_text(request, 500, HTML, "The database cannot be reached.");
}

static void serve_pki(struct vr_rest *rest, struct vr_request *request)
{
    const char *resource = vr_url_param(&request->url, "resource");
    const char *format = vr_url_param(&request->url, "format");
    const char *pem = NULL;
    if (g_strcmp0(resource, "ca-certificate") == 0 ||
        g_strcmp0(resource, "qemu-ca-certificate") == 0)
        pem = rest->options.ca;
    else if (g_strcmp0(resource, "engine-certificate") == 0)
        pem = rest->options.manager_certificate ? rest->options.manager_certificate
                                                : rest->options.certificate;
    if (pem && g_strcmp0(format, "X509-PEM") == 0) {
        vr_reply_text(request, 200, "application/x-x509-cert", pem);
    } else if (pem && g_strcmp0(format, "X509-PEM-CA") == 0) {
        vr_reply_text(request, 200, PEM, pem);
    } else if (pem && g_strcmp0(format, "OPENSSH-PUBKEY") == 0) {
        g_autofree char *key = vr_pki_openssh_key(pem);
        vr_reply_text(request, key ? 200 : 400, "text/plain; charset=UTF-8",
                      key ? key : "The key has no form that SSH knows.\n");
    } else {
        vr_reply_text(request, 400, "text/plain; charset=UTF-8",
                      "The resource or the format is unknown.\n");
    }
}

static void serve_welcome(struct vr_rest *rest, struct vr_request *request)
{
    GString *out = g_string_new("<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">"
                                "<title>Vireo</title></head><body><h1>Vireo ");
    vr_xml_escape(out, rest->options.version);
    g_string_append(out, "</h1><ul><li><a href=\"/ovirt-engine/api\">REST API</a></li>"
                         "<li><a href=\"/ovirt-engine/apidoc\">REST API documentation</a></li>"
                         "<li><a href=\"/ca.crt\">CA certificate</a></li></ul></body></html>\n");
    vr_reply(request, 200, HTML, out);
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const struct vr_operation *const *)a)->name,
                  (*(const struct vr_operation *const *)b)->name);
}

/* Every operation, and whether it is there. */
static void serve_apidoc(struct vr_rest *rest, struct vr_request *request)
{
    g_autoptr(GPtrArray) operations = g_ptr_array_new();
    for (unsigned i = 0; vr_operations[i]; i++)
        g_ptr_array_add(operations, (void *)(uintptr_t)vr_operations[i]);
    g_ptr_array_sort(operations, by_name);
    GString *out = g_string_new("<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">"
                                "<title>Vireo REST API</title></head><body><h1>REST API</h1>"
                                "<table><tr><th>Operation</th><th>Mandatory</th><th></th></tr>");
    for (unsigned i = 0; i < operations->len; i++) {
        const struct vr_operation *operation = operations->pdata[i];
        g_string_append_printf(out, "<tr id=\"%s\"><td>%s</td><td>", operation->name,
                               operation->name);
        for (unsigned m = 0; operation->mandatory[m]; m++)
            g_string_append_printf(out, "%s%s", m ? ", " : "", operation->mandatory[m]);
        g_string_append_printf(out, "</td><td>%s</td></tr>",
                               operation->way == VR_WAY_MISSING ? "answers 501" : "");
    }
    g_string_append(out, "</table></body></html>\n");
    vr_reply(request, 200, HTML, out);
}

static void serve_openapi(struct vr_rest *rest, struct vr_request *request)
{
    if (rest->options.openapi)
        vr_reply_text(request, 200, vr_media_type(VR_MEDIA_JSON), rest->options.openapi);
    else
        vr_fault_reply_missing(request);
}

static const struct {
    const char *path;
    void (*serve)(struct vr_rest *rest, struct vr_request *request);
} pages[] = {
    { "ca.crt", serve_ca },
    { "ovirt-engine", serve_welcome },
    { "ovirt-engine/apidoc", serve_apidoc },
    { "ovirt-engine/apidoc/openapi.json", serve_openapi },
    { "ovirt-engine/services/health", serve_health },
    { "ovirt-engine/services/pki-resource", serve_pki },
};

/* What other modules serve: the page of this path, or the one of a folder above it. */
static const struct vr_page *find_page(struct vr_rest *rest, const char *path)
{
    for (const struct vr_page *page = rest->options.pages; page && page->path; page++)
        if (g_str_has_suffix(page->path, "/") ? g_str_has_prefix(path, page->path)
                                              : strcmp(path, page->path) == 0)
            return page;
    return NULL;
}

void vr_pages_serve(struct vr_rest *rest, struct vr_request *request)
{
    GString *path = g_string_new(NULL);
    for (unsigned i = 0; i < request->url.segment_count; i++)
        g_string_append_printf(path, "%s%s", i ? "/" : "", request->url.segments[i]);
    g_autofree char *text = g_string_free(path, FALSE);
    if (g_str_has_prefix(text, "ovirt-engine/") &&
        vr_sessions_serve(rest->options.sessions, request, text + strlen("ovirt-engine/")))
        return;
    const struct vr_page *page = find_page(rest, text);
    if (page) {
        page->serve(request, page->arg);
        return;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(pages); i++) {
        if (strcmp(text, pages[i].path) != 0)
            continue;
        if (strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0) {
            pages[i].serve(rest, request);
        } else {
            vr_fault_reply(request, 405, "Operation Failed", "[The method is not allowed here.]");
            vr_reply_header(request, "Allow", g_strdup("GET, HEAD"));
        }
        return;
    }
    if (!*text) {
        vr_reply(request, 302, HTML, NULL);
        vr_reply_header(request, "Location", g_strdup("/ovirt-engine/"));
        return;
    }
    vr_fault_reply_missing(request);
}
