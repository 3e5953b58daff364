/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What both doors need of libmicrohttpd. */

#include "agent/image/peers.h"
#include "agent/image/ticket.h"

#include <microhttpd.h>

/* A body that a control or PATCH request may have. */
#define VR_HTTP_BODY_MAX KiB(64)

struct vr_image_server {
    struct vr_tickets *tickets;
    struct MHD_Daemon *data, *control;
    struct vr_peers *peers;   /* of data's connections */
    struct vr_linger *linger; /* of their ends */
    unsigned delete_wait_s;
};

/* One request, from its first line to its last byte. */
struct vr_http_request {
    bool started;
    /* Data door. */
    struct vr_ticket_use *use;
    int verb;
    bool flush, close;
    uint64_t offset, left; /* of a PUT */
    char *buffer;          /* what of a PUT's body is not yet written */
    size_t filled;
    /* A small body. */
    GString *body;
    /* What went wrong while a body came in, answered when it ended. */
    unsigned status;
    char *text;
};

/* Parsed from "/images/ID/extents": the parts after the first slash, at most 4; owned. */
char **vr_http_path(const char *url);
enum MHD_Result vr_http_answer(struct MHD_Connection *connection, unsigned status, const char *type,
                               const char *body, bool close);
enum MHD_Result vr_http_error(struct MHD_Connection *connection, const struct vr_error *error);

enum MHD_Result vr_http_data(void *server, struct MHD_Connection *connection, const char *url,
                             const char *method, const char *version, const char *upload,
                             size_t *upload_size, void **request);
enum MHD_Result vr_http_control(void *server, struct MHD_Connection *connection, const char *url,
                                const char *method, const char *version, const char *upload,
                                size_t *upload_size, void **request);
/* What a connection of the data door keeps between its requests. */
struct vr_guest *vr_http_guest(struct MHD_Connection *connection);
void vr_http_request_free(struct vr_http_request *request);
