/* SPDX-License-Identifier: Apache-2.0 */

/*
 * rpc_echo_server CA CERTIFICATE KEY: the server of the host protocol with a
 * few verbs that answer the same always, for clients written in something
 * else.  Says "port N" on standard output; obeys lines of standard input:
 *
 *     event METHOD PARAMS     publishes
 *     recovering on|off
 *
 * and ends with its input.
 */

#include <stdio.h>
#include <stdlib.h>

#include "model/host.h"
#include "net/rpc.h"

/* The examples of facts/host-rpc.md 19. */
static const char stats[] =
    "{\"memFree\":40960,\"cpuIdle\":\"97.50\",\"vmCount\":3,\"storageDomains\":"
    "{\"5f0e1b0c-3a5b-4a5e-9d2e-5b1d0a44c001\":{\"code\":0,\"lastCheck\":\"4.2\","
    "\"delay\":\"0.000412\",\"valid\":true,\"version\":5,\"acquired\":true,\"actual\":true}}}";

static void *constant(const struct vr_type *type, const char *text)
{
    struct vr_error *error = NULL;
    void *object =
        vr_json_read(type, text, strlen(text), VR_JSON_HOST, &vr_codec_caps_host, &error);
    if (!object)
        g_error("%s", error->detail);
    return object;
}

static void handle(struct vr_rpc_request *request, const struct vr_verb *verb, void *params,
                   void *arg)
{
    if (verb == &vr_verb_host_get_stats) {
        vr_auto void *result = constant(verb->result, stats);
        vr_rpc_request_reply(request, result);
    } else if (verb == &vr_verb_host_echo) {
        const struct vr_rpc_host_echo_params *echo = params;
        vr_auto struct vr_rpc_host_echo_result *result = VR_NEW(rpc_host_echo_result);
        VR_SET_STRING(result, value, echo->message);
        vr_rpc_request_reply(request, result);
    } else if (verb == &vr_verb_vm_destroy) {
        const struct vr_rpc_vm_destroy_params *destroy = params;
        g_autofree char *text =
            g_strdup_printf("Virtual machine does not exist: {'vmId': '%s'}", destroy->vm_id);
        vr_rpc_request_fail(request, 1, text);
    } else if (verb == &vr_verb_host_ping) {
        vr_rpc_request_reply(request, NULL);
    } else {
        vr_rpc_request_fail(request, 44, "Not implemented");
    }
}

static void obey(struct vr_rpc_server *server, char *line)
{
    g_auto(GStrv) words = g_strsplit(g_strchomp(line), " ", 3);
    if (g_strv_length(words) == 3 && strcmp(words[0], "event") == 0)
        vr_rpc_server_event(server, words[1], words[2]);
    else if (g_strv_length(words) == 2 && strcmp(words[0], "recovering") == 0)
        vr_rpc_server_set_recovering(server, strcmp(words[1], "on") == 0);
    else
        g_error("unknown command %s", words[0]);
}

static void close_server(void *arg) VR_REQUIRES(vr_role_io);
static void close_server(void *arg)
{
    vr_rpc_server_free(arg);
}

int main(int argc, char **argv)
{
    static const struct vr_rpc_server_ops ops = { .handle = handle };
    struct vr_error *error = NULL;
    char line[4096];
    g_assert(argc == 4);
    struct vr_loop *loop = vr_loop_new("echo");
    struct vr_tls *tls = vr_tls_new(argv[1], argv[2], argv[3], &error);
    struct vr_rpc_server *server = NULL;
    if (tls) {
        const struct vr_rpc_server_options options = { .tls = tls };
        server = vr_rpc_server_new(loop, &options, &ops, NULL, &error);
    }
    if (!server) {
        fprintf(stderr, "%s\n", error->detail);
        return 1;
    }
    printf("port %u\n", vr_rpc_server_port(server));
    fflush(stdout);
    vr_loop_start_thread(loop, "echo");
    while (fgets(line, sizeof(line), stdin)) {
        obey(server, line);
        puts("done");
        fflush(stdout);
    }
    vr_loop_post(loop, close_server, server);
    vr_loop_stop_thread(loop);
    vr_tls_unref(tls);
    vr_loop_unref(loop);
    return 0;
}
