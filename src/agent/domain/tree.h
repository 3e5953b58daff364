/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* tree: short words for walking and changing a libxml2 tree of libvirt XML. */

#include <libxml/parser.h>
#include <libxml/tree.h>

#include "base/base.h"

/* What a Manager or libvirt may hand us; a domain is some 10 KiB. */
#define VR_DOMAIN_XML_MAX MiB(4)

static inline void vr_tree_freep(xmlDoc **doc)
{
    if (*doc)
        xmlFreeDoc(*doc);
}
#define vr_auto_tree __attribute__((cleanup(vr_tree_freep)))

/* A document without DTD, entities or network; NULL and @error otherwise. */
xmlDoc *vr_tree_parse(const char *text, size_t length, struct vr_error **error);
/* The subtree (or whole document for NULL) as text, no prolog.  Owned. */
char *vr_tree_text(xmlDoc *doc, xmlNode *node);

/* The first child element, and the next sibling element, of local name @name (NULL: any). */
xmlNode *vr_tree_child(const xmlNode *node, const char *name);
xmlNode *vr_tree_next(const xmlNode *node, const char *name);
/* vr_tree_at(root, "devices/graphics") */
xmlNode *vr_tree_at(xmlNode *node, const char *path);
#define VR_TREE_EACH(item, node, name)                                                             \
    for (xmlNode *item = vr_tree_child((node), (name)), *item##_next_;                             \
         item && (item##_next_ = vr_tree_next(item, (name)), true); item = item##_next_)

/* Owned copies; NULL when absent. */
char *vr_tree_attr(const xmlNode *node, const char *name);
char *vr_tree_content(const xmlNode *node);
/* The content of a child, or NULL.  Owned. */
char *vr_tree_value(const xmlNode *node, const char *child);
bool vr_tree_attr_is(const xmlNode *node, const char *name, const char *value);

/* NULL removes the attribute. */
void vr_tree_set_attr(xmlNode *node, const char *name, const char *value);
void vr_tree_set_content(xmlNode *node, const char *text);
/* The first child of that name, appended when there is none. */
xmlNode *vr_tree_ensure(xmlNode *node, const char *name);
void vr_tree_remove(xmlNode *node); /* takes NULL */
