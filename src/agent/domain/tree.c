/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/domain/tree.h"

#include "agent/fault.h"

static void ignore_message(void *arg, const char *format, ...)
{
}

xmlDoc *vr_tree_parse(const char *text, size_t length, struct vr_error **error)
{
    if (length > VR_DOMAIN_XML_MAX) {
        vr_agent_error(error, invalid_parameter,
                       "The XML is longer than %" G_GUINT64_FORMAT " bytes.", VR_DOMAIN_XML_MAX);
        return NULL;
    }
    xmlSetGenericErrorFunc(NULL, ignore_message);
    xmlDoc *doc = xmlReadMemory(text, (int)length, "domain.xml", NULL,
                                XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING |
                                    XML_PARSE_NOBLANKS | XML_PARSE_COMPACT);
    if (!doc || !xmlDocGetRootElement(doc)) {
        if (doc)
            xmlFreeDoc(doc);
        vr_agent_error(error, invalid_parameter, "The XML is malformed.");
        return NULL;
    }
    if (doc->intSubset || doc->extSubset) {
        xmlFreeDoc(doc);
        vr_agent_error(error, invalid_parameter, "The XML must not have a document type.");
        return NULL;
    }
    return doc;
}

char *vr_tree_text(xmlDoc *doc, xmlNode *node)
{
    xmlBuffer *buffer = xmlBufferCreate();
    xmlNodeDump(buffer, doc, node ? node : xmlDocGetRootElement(doc), 0, 1);
    char *text = g_strndup((const char *)xmlBufferContent(buffer), xmlBufferLength(buffer));
    xmlBufferFree(buffer);
    return text;
}

static xmlNode *match(xmlNode *node, const char *name)
{
    for (; node; node = node->next)
        if (node->type == XML_ELEMENT_NODE && (!name || !strcmp((const char *)node->name, name)))
            return node;
    return NULL;
}

xmlNode *vr_tree_child(const xmlNode *node, const char *name)
{
    return node ? match(node->children, name) : NULL;
}

xmlNode *vr_tree_next(const xmlNode *node, const char *name)
{
    return node ? match(node->next, name) : NULL;
}

xmlNode *vr_tree_at(xmlNode *node, const char *path)
{
    g_auto(GStrv) names = g_strsplit(path, "/", -1);
    for (char **name = names; *name && node; name++)
        node = vr_tree_child(node, *name);
    return node;
}

static char *take(xmlChar *text)
{
    char *copy = g_strdup((const char *)text);
    xmlFree(text);
    return copy;
}

char *vr_tree_attr(const xmlNode *node, const char *name)
{
    return node ? take(xmlGetProp(node, (const xmlChar *)name)) : NULL;
}

char *vr_tree_content(const xmlNode *node)
{
    return node ? take(xmlNodeGetContent(node)) : NULL;
}

char *vr_tree_value(const xmlNode *node, const char *child)
{
    return vr_tree_content(vr_tree_child(node, child));
}

bool vr_tree_attr_is(const xmlNode *node, const char *name, const char *value)
{
    g_autofree char *have = vr_tree_attr(node, name);
    return !g_strcmp0(have, value);
}

void vr_tree_set_attr(xmlNode *node, const char *name, const char *value)
{
    if (value)
        xmlSetProp(node, (const xmlChar *)name, (const xmlChar *)value);
    else
        xmlUnsetProp(node, (const xmlChar *)name);
}

void vr_tree_set_content(xmlNode *node, const char *text)
{
    for (xmlNode *child = node->children, *next; child; child = next) {
        next = child->next;
        vr_tree_remove(child);
    }
    if (text)
        xmlNodeAddContent(node, (const xmlChar *)text);
}

xmlNode *vr_tree_ensure(xmlNode *node, const char *name)
{
    xmlNode *child = vr_tree_child(node, name);
    return child ? child : xmlNewChild(node, NULL, (const xmlChar *)name, NULL);
}

void vr_tree_remove(xmlNode *node)
{
    if (!node)
        return;
    xmlUnlinkNode(node);
    xmlFreeNode(node);
}
