# SPDX-License-Identifier: Apache-2.0
"""Writes OpenAPI, TypeScript types and the reference."""

import json

import names
from model import LIST, SCALARS, Struct

_JSON = {
    'boolean': {'type': 'string', 'enum': ['true', 'false']},
    'integer': {'type': 'string', 'pattern': '^-?[0-9]+$'},
    'double': {'type': 'number'},
    'date': {'type': 'integer', 'format': 'int64', 'description': 'Milliseconds since 1970.'},
    'string': {'type': 'string'},
    'json': {},
}
_TYPESCRIPT = {'boolean': 'ApiBoolean', 'integer': 'ApiInteger', 'double': 'number',
               'date': 'ApiDate', 'string': 'string', 'json': 'unknown'}
_HAND_WRITTEN = '''
/* The JSON of the interface: booleans and integers are strings, dates are milliseconds. */
export type ApiBoolean = 'true' | 'false';
export type ApiInteger = string;
export type ApiDate = number;
/** A list in its wrapper: {"nic": [...]}; empty: {}. */
export type ApiList<K extends string, T> = { [P in K]?: T[] };
export interface ApiLink {
  href: string;
  rel: string;
}
'''


def camel(name):
    return ''.join(part[:1].upper() + part[1:] for part in name.split('_'))


def shown(struct):
    """The fields that the interface shows or takes."""
    return [field for field in struct.fields if 'internal' not in field.flags]


def is_internal(struct):
    """A type of which the interface shows nothing of its own."""
    return bool(struct.own) and all('internal' in field.flags for field in struct.own)


# OpenAPI

def _schema_of(type_name, thing):
    if type_name in SCALARS:
        return dict(_JSON[type_name])
    return {'$ref': '#/components/schemas/' + thing.name}


def _field_schema(field):
    schema = _schema_of(field.type_name, field.type)
    if field.container == LIST:
        schema = {'type': 'object',
                  'properties': {field.item: {'type': 'array', 'items': schema}}}
    if 'secret' in field.flags:
        schema['writeOnly'] = True
    if field.doc and '$ref' not in schema:
        schema['description'] = field.doc
    if 'deprecated' in field.flags and '$ref' not in schema:
        schema['deprecated'] = True
    return schema


def _struct_schema(struct):
    properties = {}
    for field in shown(struct):
        properties[field.wire] = _field_schema(field)
    if struct.identified:
        properties['href'] = {'type': 'string'}
    if struct.entity or struct.name == 'api':
        links = {'type': 'array', 'items': {'$ref': '#/components/schemas/link'}}
        properties['link'] = links
        properties['actions'] = {'type': 'object', 'properties': {'link': links}}
    schema = {'type': 'object', 'properties': properties}
    if struct.doc:
        schema['description'] = struct.doc
    return schema


def _components(schema):
    out = {'link': {'type': 'object', 'properties': {'href': {'type': 'string'},
                                                     'rel': {'type': 'string'}}}}
    for name in sorted(schema.enums):
        out[name] = {'type': 'string', 'enum': list(schema.enums[name].words)}
    for name in sorted(schema.structs):
        if not is_internal(schema.structs[name]):
            out[name] = _struct_schema(schema.structs[name])
    return out


def _path(node):
    """/vms/{vm_id}/nics/{nic_id} and its parameters."""
    parts, params = [], []
    structs = list(node.parents)
    for part in node.path.strip('/').split('/'):
        if part == '{id}':
            struct = structs.pop(0) if structs else None
            name = (struct.name if struct else 'object') + '_id'
            while name in params:
                name += '_'
            params.append(name)
            part = '{%s}' % name
        parts.append(part)
    return '/' + '/'.join(parts), params


def _content(struct, collection=False):
    schema = {'$ref': '#/components/schemas/' + struct.name}
    if collection:
        schema = {'type': 'object',
                  'properties': {struct.singular: {'type': 'array', 'items': schema}}}
    return {'application/json': {'schema': schema}}


def _operation(schema, operation, params, unique):
    method = operation.method
    out = {'operationId': unique, 'tags': [operation.service.name], 'parameters': [
        {'name': name, 'in': 'path', 'required': True, 'schema': {'type': 'string'}}
        for name in params]}
    if method.doc:
        out['description'] = method.doc
    if method.deprecated:
        out['deprecated'] = True
    if operation.way is None:
        out['x-vireo-missing'] = True
    if not method.is_action:
        for param in operation.rest:
            if param.io != 'out' and not isinstance(param.type, Struct):
                out['parameters'].append({'name': param.name, 'in': 'query',
                                          'schema': _schema_of(param.type_name, param.type)})
    body = schema.structs.get('action') if method.is_action else \
        operation.body.type if operation.body else None
    if body:
        out['requestBody'] = {'required': not method.is_action, 'content': _content(body)}
        mandatory = list(operation.mandatory)
        if mandatory:
            out['requestBody']['description'] = 'Mandatory: %s.' % ', '.join(mandatory)
    result = schema.structs.get('action') if method.is_action else operation.result
    good = {'description': 'Done.'}
    if result:
        good['content'] = _content(result, method.name == 'list')
    out['responses'] = {'201' if method.name == 'add' else '200': good,
                        'default': {'description': 'Refused.',
                                    'content': _content(schema.structs['api_fault'])}}
    return out


def openapi(schema, tree):
    paths = {}
    counts = {}
    for node in sorted(tree.nodes, key=lambda n: n.path):
        if not node.operations:
            continue
        path, params = _path(node)
        entry = paths.setdefault(path, {})
        for http in ('GET', 'POST', 'PUT', 'DELETE'):
            operation = node.operations.get(http)
            if operation:
                count = counts[operation.name] = counts.get(operation.name, 0) + 1
                unique = operation.name if count == 1 else '%s.%d' % (operation.name, count)
                entry[http.lower()] = _operation(schema, operation, params, unique)
    document = {
        'openapi': '3.0.3',
        'info': {'title': 'Vireo', 'version': '4.5', 'description':
                 'Every operation of the interface; those with x-vireo-missing answer 501.'},
        'servers': [{'url': '/ovirt-engine/api'}],
        'security': [{'token': []}, {'basic': []}],
        'paths': paths,
        'components': {'schemas': _components(schema), 'securitySchemes': {
            'token': {'type': 'http', 'scheme': 'bearer'},
            'basic': {'type': 'http', 'scheme': 'basic'}}},
    }
    return json.dumps(document, indent=1) + '\n'


# TypeScript

def _ts_type(field):
    name = _TYPESCRIPT.get(field.type_name) or camel(field.type.name)
    if field.container == LIST:
        return "ApiList<'%s', %s>" % (field.item, name)
    return name


def typescript(schema):
    out = ['/* Written by tools/schema; do not edit. */', _HAND_WRITTEN]
    for name in sorted(schema.enums):
        words = ' | '.join("'%s'" % word for word in schema.enums[name].words)
        out.append('export type %s = %s;' % (camel(name), words))
    for name in sorted(schema.structs):
        struct = schema.structs[name]
        if is_internal(struct):
            continue
        out.append('')
        if struct.doc:
            out.append('/** %s */' % struct.doc)
        base = ' extends %s' % camel(struct.base.name) if struct.base else ''
        out.append('export interface %s%s {' % (camel(name), base))
        if struct.name == 'identified':
            out.append('  href?: string;')
        if struct.entity or struct.name == 'api':
            out += ['  link?: ApiLink[];', '  actions?: { link?: ApiLink[] };']
        for field in struct.own:
            if 'internal' in field.flags:
                continue
            if field.doc:
                out.append('  /** %s */' % field.doc)
            out.append('  %s?: %s;' % (field.wire, _ts_type(field)))
        out.append('}')
    return '\n'.join(out) + '\n'


# The reference

def _cell(text):
    return text.replace('|', '\\|')


def _type_cell(field):
    words = [field.container] if field.container else []
    if field.link:
        words.append('link')
    name = field.type_name
    words.append('[%s](#%s)' % (name, name.lower()) if name not in SCALARS else name)
    return ' '.join(words)


def _reference_type(out, thing):
    out += ['', '### %s' % thing.name, '']
    if not isinstance(thing, Struct):
        out.append('One of: %s.' % ', '.join('`%s`' % word for word in thing.words))
        return
    if thing.doc:
        out += [thing.doc, '']
    if thing.base:
        out += ['Has the members of [%s](#%s) as well.' % (thing.base.name, thing.base.name), '']
    rows = [f for f in thing.own if 'internal' not in f.flags]
    if not rows:
        return
    out += ['| member | type | |', '|---|---|---|']
    for field in rows:
        notes = [flag for flag in ('deprecated', 'secret', 'optional') if flag in field.flags]
        out.append('| `%s` | %s | %s |' % (field.wire, _type_cell(field),
                                           _cell(' '.join([field.doc] + notes).strip())))


def _reference_service(out, service, operations):
    out += ['', '### %s' % service.name, '']
    for method in service.methods:
        operation = operations.get((service.name, method.name))
        missing = operation is not None and operation.way is None
        out += ['- **%s**%s%s' % (method.name, ' (answers 501)' if missing else '',
                                  ': ' + method.doc if method.doc else '')]
        for param in method.params:
            out.append('  - %s `%s`: %s%s' % (param.io, param.name, 'list ' if param.list else '',
                                              param.type_name))
        if method.mandatory:
            out.append('  - mandatory: %s' % ', '.join('`%s`' % p for p, _ in method.mandatory))
        for variant in method.variants:
            out.append('  - variant %s%s' % (variant.name, ': ' + ', '.join(
                '`%s`' % p for p, _ in variant.mandatory) if variant.mandatory else ''))


def reference(schema, tree):
    out = ['<!-- Written by tools/schema; do not edit. -->', '# Reference', '', '## Addresses', '',
           '| method | address | operation |', '|---|---|---|']
    for http, path, operation in tree.urls():
        out.append('| %s | `%s` | %s%s |' % (http, path, operation.name,
                                             '' if operation.way else ' (501)'))
    operations = {}
    for operation in tree.operations.values():
        key = (operation.service.name, operation.method.name)
        if key not in operations or operation.way:
            operations[key] = operation
    out += ['', '## Services']
    for name in sorted(schema.services):
        _reference_service(out, schema.services[name], operations)
    out += ['', '## Types']
    for name in sorted(list(schema.structs) + list(schema.enums)):
        thing = schema.structs.get(name) or schema.enums[name]
        if not (isinstance(thing, Struct) and is_internal(thing)):
            _reference_type(out, thing)
    out += ['', '## Faults', '', '| name | HTTP | RPC | exit | text |', '|---|---|---|---|---|']
    for name in sorted(schema.faults):
        fault = schema.faults[name]
        out.append('| %s | %d | %s | %d | %s |' % (name, fault.http, fault.rpc or '', fault.exit,
                                                   _cell(fault.text)))
    out += ['', '## Events', '', '| code | name | severity | text |', '|---|---|---|---|']
    for event in sorted(schema.events.values(), key=lambda e: e.number):
        out.append('| %d | %s | %s | %s |' % (event.number, event.name, event.severity,
                                              _cell(event.text)))
    out += ['', '## Options', '', '| name | type | default | meaning |', '|---|---|---|---|']
    for name in sorted(schema.options):
        option = schema.options[name]
        out.append('| %s | %s | `%s` | %s |' % (name, option.type, option.default,
                                                _cell(option.text)))
    out += ['', '## Verbs of the host protocol', '', '| verb | parameters | result |', '|---|---|---|']
    for name in sorted(schema.verbs):
        verb = schema.verbs[name]
        result = 'true' if not verb.result else verb.result.name if verb.shape == 'STRUCT' else \
            '%s %s' % (verb.result.fields[0].container or '', verb.result.fields[0].type_name)
        params = ', '.join('%s%s' % (field.wire, '?' if 'optional' in field.flags else '')
                           for field in verb.params.fields)
        out.append('| %s | %s | %s |' % (name, params, result.strip()))
    return '\n'.join(out) + '\n'
