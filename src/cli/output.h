/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * output: tables for people, JSON and YAML for programs, names for shells.  What the Manager sent
 * never reaches a terminal with control characters in it.
 */

#include <json-c/json.h>

#include "base/base.h"
#include "cli/cli.h"

enum vr_cli_format { VR_CLI_TEXT, VR_CLI_BYTES, VR_CLI_TIME, VR_CLI_THREADS };

struct vr_cli_column {
    const char *title;
    const char *path;          /* members with dots between, as in "cpu.topology" */
    enum vr_cli_format format;
    const char *names;         /* collection whose names stand for the ids at @path; or NULL */
};

/* Text with every control character replaced; owned by the caller. */
char *vr_cli_clean(const char *text);

/* The value at @path as text; NULL when there is none.  Borrowed from @object. */
const char *vr_cli_text(json_object *object, const char *path);
json_object *vr_cli_member(json_object *object, const char *path);

/*
 * Prints @items, an array, in the format that --output asks for; @columns end in a row without a
 * title.  @client serves the columns' names; a name that cannot be had is shown as its id.
 */
bool vr_cli_print_list(const struct vr_cli *cli, struct vr_client *client, json_object *items,
                       const struct vr_cli_column *columns, struct vr_error **error);
/* One object: all its members in a table, or as --output asks. */
void vr_cli_print_object(const struct vr_cli *cli, json_object *object);
/* One item a line, without a heading: for lists that grow. */
void vr_cli_print_item(const struct vr_cli *cli, json_object *item,
                       const struct vr_cli_column *columns);

/* "name" of an object, else its alias or its id; never NULL. */
const char *vr_cli_name_of(json_object *object);

/* Appends @value as a YAML document without its "---". */
void vr_cli_yaml(GString *out, json_object *value);
