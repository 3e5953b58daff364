/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * client: a session with the Manager.  It comes from what `vireo login` kept, or, when user and
 * password file are given, is made for this command and ended after it.
 */

#include <json-c/json.h>

#include "base/base.h"
#include "cli/cli.h"
#include "cli/http.h"

#define VR_CLIENT_API "/ovirt-engine/api"

struct vr_client;

/* From options, environment and configuration, in this order. */
struct vr_client *vr_client_open(const struct vr_cli *cli, struct vr_error **error);
/* Ends a session that was made for this command.  Takes NULL. */
void vr_client_close(struct vr_client *client);
static inline void vr_client_closep(struct vr_client **client)
{
    vr_client_close(*client);
}
#define vr_auto_client __attribute__((cleanup(vr_client_closep)))

/* The connections; borrowed. */
struct vr_http *vr_client_http(struct vr_client *client);

/*
 * Calls @path, which is below the API's root and starts with "/".  @body may be NULL.  *@ret_answer
 * (which may be NULL for "do not care") is the parsed answer, owned by the caller, or NULL when it
 * was empty.  Any other status than success is an error with the fault's words.
 */
bool vr_client_call(struct vr_client *client, const char *method, const char *path,
                    json_object *body, json_object **ret_answer, struct vr_error **error);
/* The same with the caller's bytes; the answer as it came. */
bool vr_client_send(struct vr_client *client, const char *method, const char *path,
                    const char *type, const void *body, size_t size, struct vr_http_answer *ret,
                    struct vr_error **error);

/* The items of a collection ("vms"), owned array.  @query: "search=...&max=5" or NULL. */
json_object *vr_client_list(struct vr_client *client, const char *collection, const char *query,
                            struct vr_error **error);
/* As --search and --max ask. */
json_object *vr_client_list_asked(struct vr_client *client, const struct vr_cli *cli,
                                  const char *collection, struct vr_error **error);
/* The object with this id or name; not found and ambiguous are errors. */
json_object *vr_client_find(struct vr_client *client, const char *collection, const char *name,
                            struct vr_error **error);

/* Parses an answer; depth is capped. */
json_object *vr_client_parse(const char *text, size_t size, struct vr_error **error);

/* A token for @user, owned.  Wipe it when done. */
char *vr_client_get_token(struct vr_http *http, const char *url, const char *user,
                          const char *password, struct vr_error **error);
/* Tells the Manager that the token ends. */
bool vr_client_end_token(struct vr_http *http, const char *url, const char *token,
                         struct vr_error **error);

/* An option, or its environment variable; NULL when neither is given. */
const char *vr_client_setting(const struct vr_cli *cli, enum vr_cli_option_id id);
/* First line of a file; owned, wipe it. */
char *vr_client_read_password(const char *path, struct vr_error **error);
/* PEM text of a file; owned. */
char *vr_client_read_ca(const char *path, struct vr_error **error);
void vr_client_wipe(char *secret); /* overwrites and frees; takes NULL */
