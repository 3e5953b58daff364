# SPDX-License-Identifier: Apache-2.0
"""Walks the service tree into routes, and writes them in C."""

import names
from c_types import enum_symbol, field_symbol, kind_constant, type_symbol
from model import Struct

_HEAD = '/* Written by tools/schema; do not edit. */\n'
_METHODS = ('GET', 'POST', 'PUT', 'DELETE')
_KINDS = {'boolean': 'BOOLEAN', 'integer': 'INTEGER', 'double': 'DOUBLE', 'date': 'DATE',
          'string': 'STRING', 'json': 'JSON'}
_DEPTH = 12


class Operation:
    """A method at one kind of place in the tree."""

    def __init__(self, service, method, by, lost):
        self.service = service
        self.method = method
        self.by = by                # Field, or None
        # A list that should be narrowed to its parent, which no link leads to, cannot be read
        # straight from the inventory.
        self.way = None if lost and method.way == 'generic' else method.way
        self.name = '%s.%s' % (service.name, method.name)
        self.body = self.result = None
        self.rest = []
        self.split()

    def split(self):
        """Finds body and result among the parameters."""
        method = self.method
        for param in method.params:
            whole = isinstance(param.type, Struct) and not method.is_action
            if whole and param.io != 'in' and not self.result:
                self.result = param.type
            if whole and method.name in ('add', 'update') and param.io != 'out' and not self.body:
                self.body = param
            elif not (whole and param.type is self.result and param.io == 'out'):
                self.rest.append(param)

    @property
    def symbol(self):
        by = '_by_' + self.by.c_name if self.by else ''
        return 'operation_%s__%s%s%s' % (self.service.name, self.method.name, by,
                                         '' if self.way == self.method.way else '_lost')

    @property
    def mandatory(self):
        """The mandatory paths inside the body."""
        for paths, _ in self.method.mandatory:
            if self.method.is_action:
                yield paths
            elif self.body:
                prefix = self.body.name + '.'
                inside = [p[len(prefix):] for p in paths.split('|') if p.startswith(prefix)]
                if inside:
                    yield '|'.join(inside)


class Node:
    """One segment of an address."""

    def __init__(self, segment, service, path, parents):
        self.segment = segment      # None: any id
        self.parents = parents      # Structs of the ids in the path, outermost first
        self.service = service      # None at an action
        self.path = path            # /vms/{id}/nics
        self.children = []
        self.operations = {}        # HTTP method: Operation
        self.links = []
        self.actions = []

    @property
    def entity(self):
        service = self.service
        return service.entity.entity if service and service.entity else None


def link_to(struct, parent):
    """The link of a struct to a parent entity: by its name, else the first of that type."""
    links = [f for f in struct.fields if f.link and not f.container and f.type is parent]
    for field in links:
        if field.name == parent.name:
            return field
    return links[0] if links else None


class Tree:
    def __init__(self, schema):
        self.schema = schema
        self.operations = {}        # symbol: Operation
        self.nodes = []             # every node
        system = schema.services.get('system')
        self.root = self.node(None, system, '', []) if system else None

    def operation(self, service, method, parent):
        by, lost = None, False
        if service.by and service.entity and parent:
            if service.by == '*':
                by = link_to(service.entity, parent)
            else:
                by = service.entity.field(service.by)
            lost = by is None
        made = Operation(service, method, by, lost)
        return self.operations.setdefault(made.symbol, made)

    def node(self, segment, service, path, parents):
        """@parents: the structs of the ids in the path, outermost first (None: no struct)."""
        node = Node(segment, service, path or '/', parents)
        self.nodes.append(node)
        if len(parents) > _DEPTH:
            raise RecursionError('the services form a circle at %s' % path)
        own = path.endswith('{id}')
        above = parents[:-1] if own else parents
        parent = above[-1] if above else None
        for method in service.methods:
            operation = self.operation(service, method, parent)
            if method.is_action:
                name = method.name.replace('_', '')
                node.actions.append(name)
                child = self.child(node, name, path)
                child.operations['POST'] = operation
            else:
                node.operations[method.http] = operation
        for locator in service.locators:
            if locator.path is None:
                inner = path + '/{id}'
                struct = locator.service.entity
                child = self.node(None, locator.service, inner, parents + [struct])
            else:
                inner = path + '/' + locator.path
                if not locator.hidden:
                    node.links.append(locator.path)
                child = self.node(locator.path, locator.service, inner, parents)
            self.adopt(node, child)
        node.children.sort(key=lambda n: (n.segment is None, n.segment or ''))
        return node

    def child(self, node, segment, path):
        for child in node.children:
            if child.segment == segment:
                return child
        child = Node(segment, None, path + '/' + segment, node.parents)
        self.nodes.append(child)
        node.children.append(child)
        return child

    def adopt(self, node, child):
        """An action and a sub-collection may have one segment."""
        for other in node.children:
            if other.segment == child.segment:
                child.operations.update(other.operations)
                node.children.remove(other)
                self.nodes.remove(other)
        node.children.append(child)

    def find(self, href):
        """The node of a path such as /vms/{vm}/nics/{id}, or None."""
        node = self.root
        for part in href.strip('/').split('/'):
            segment = None if part.startswith('{') else part
            node = next((c for c in node.children if c.segment == segment), None) if node else None
        return node

    def urls(self):
        """Every (HTTP method, path, operation), sorted by path."""
        return sorted(((http, node.path, operation) for node in self.nodes
                       for http, operation in node.operations.items()),
                      key=lambda url: (url[1], _METHODS.index(url[0])))


class Writer:
    def __init__(self, tree):
        self.tree = tree
        self.out = []
        self.shared = {}            # text of an array: its symbol

    def array(self, kind, prefix, items):
        """The symbol of a constant array with these items; equal ones are written once."""
        text = '{ %s }' % ', '.join(items)
        symbol = self.shared.get((kind, text))
        if not symbol:
            symbol = '%s_%d' % (prefix, len(self.shared))
            self.shared[kind, text] = symbol
            self.out.append('static %s%s[] = %s;' % (kind, symbol, text))
        return symbol

    def words(self, words):
        return self.array('const char *const ', 'words',
                          [names.string(word) for word in words] + ['NULL'])

    def param(self, param):
        if isinstance(param.type, Struct):
            kind, sub = 'STRUCT', '&' + type_symbol(param.type)
        elif param.type:
            kind, sub = 'ENUM', '&' + enum_symbol(param.type)
        else:
            kind, sub = _KINDS[param.type_name], 'NULL'
        flags = ('true' if param.io != 'out' else 'false', 'true' if param.io != 'in' else 'false',
                 'true' if param.list else 'false')
        return '{ %s, %s, VR_FIELD_%s, %s, %s, %s }' % ((names.string(param.name), sub, kind)
                                                        + flags)

    def operation(self, operation):
        method = operation.method
        params = [self.param(param) for param in operation.rest]
        table = self.array('const struct vr_param ', 'params', params) if params else 'NULL'
        mandatory = self.words(list(operation.mandatory))
        if method.is_action:
            body = result = '&vr_type_action'
        else:
            body = '&' + type_symbol(operation.body.type) if operation.body else 'NULL'
            result = '&' + type_symbol(operation.result) if operation.result else 'NULL'
        entity = operation.service.entity.entity if operation.service.entity else None
        way = operation.way or 'missing'
        self.out.append('static const struct vr_operation %s = {' % operation.symbol)
        self.out.append('    .name = %s, .way = VR_WAY_%s, .method = VR_METHOD_%s, .is_list = %s, '
                        '.is_action = %s,' % (names.string(operation.name), way.upper(),
                                              method.http,
                                              'true' if method.name == 'list' else 'false',
                                              'true' if method.is_action else 'false'))
        self.out.append('    .body = %s, .result = %s, .mandatory = %s, .params = %s, '
                        '.param_count = %d,' % (body, result, mandatory, table, len(params)))
        self.out.append('    .permit = %s, .kind = %s, .by = %s, .read = %s, .write = %s,' % (
            names.string(method.permit) if method.permit else 'NULL',
            kind_constant(entity) if entity else '-1',
            field_symbol(operation.service.entity, operation.by) if operation.by else 'NULL',
            method.function if way == 'read' else 'NULL',
            method.function if way == 'write' else 'NULL'))
        self.out.append('};')

    def route(self, node):
        children = [self.route(child) for child in node.children]
        table = self.array('const struct vr_route ', 'routes', children) if children else 'NULL'
        node.table = table
        operations = ['&' + node.operations[m].symbol if m in node.operations else 'NULL'
                      for m in _METHODS]
        return '{ %s, %s, %d, { %s }, %s, %s, %s }' % (
            names.string(node.segment) if node.segment else 'NULL', table, len(children),
            ', '.join(operations), self.words(node.links), self.words(node.actions),
            kind_constant(node.entity) if node.entity else '-1')

    def kind_routes(self, entities):
        rows = []
        for entity in entities:
            found = []
            for href, _ in entity.hrefs:
                parent = self.tree.find(href.rsplit('/', 1)[0])
                node = self.tree.find(href)
                index = parent.children.index(node) if node and parent else None
                found.append('&%s[%d]' % (parent.table, index) if node else '&vr_route_root')
            rows.append(self.array('const struct vr_route *const ', 'kind', found + ['NULL'])
                        if found else 'NULL')
        self.out.append('const struct vr_route *const *const vr_kind_routes[] = {')
        self.out += ['    %s,' % row for row in rows] or ['    NULL,']
        self.out.append('};')

    def write(self, entities):
        self.out += [_HEAD, '#include "gen/routes.h"', '', '#include "gen/model_api.h"', '']
        operations = [self.tree.operations[s] for s in sorted(self.tree.operations)]
        for operation in operations:
            self.operation(operation)
        root = self.route(self.tree.root)
        self.out.append('const struct vr_route vr_route_root = %s;' % root)
        self.kind_routes(entities)
        operations.sort(key=lambda o: (o.name, o.symbol))
        self.out.append('const struct vr_operation *const vr_operations[] = {')
        self.out += ['    &%s,' % operation.symbol for operation in operations]
        self.out += ['    NULL,', '};']
        return '\n'.join(self.out) + '\n'


def header(schema):
    handlers = {}
    for service in schema.services.values():
        for method in service.own_methods:
            if method.function:
                handlers[method.function] = method.way
    out = [_HEAD, '#pragma once', '', '#include "model/route.h"', '', '/* The handlers. */']
    for function in sorted(handlers):
        out.append('void %s(struct vr_reading *reading);' % function
                   if handlers[function] == 'read' else
                   'void %s(struct vr_call *call) VR_REQUIRES(vr_role_engine);' % function)
    return '\n'.join(out) + '\n'


def source(tree, entities):
    return Writer(tree).write(entities)
