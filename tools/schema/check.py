# SPDX-License-Identifier: Apache-2.0
"""Resolves the names of a loaded schema and reports what does not hold."""

import re

import names
from model import LIST, MAP, SCALARS, Field, Struct


class Checker:
    def __init__(self, loader):
        self.loader = loader
        self.schema = loader.schema
        self.errors = loader.errors

    def error(self, line, reason):
        self.errors.add(line, reason)

    def run(self):
        schema = self.schema
        self.extend()
        self.tag()
        self.verb_types()
        self.action()
        for host in (False, True):
            structs = schema.host_structs if host else schema.structs
            enums = schema.host_enums if host else schema.enums
            for struct in structs.values():
                self.inherit(struct, structs)
            for struct in structs.values():
                self.resolve(struct, structs, enums)
            self.c_names(structs, enums, host)
        self.verb_results()
        self.services()
        self.entities()
        for service in schema.services.values():
            self.service_paths(service)

    # types

    def extend(self):
        for name, fields, line, host in self.loader.extensions:
            structs = self.schema.host_structs if host else self.schema.structs
            struct = structs.get(name)
            if not struct:
                self.error(line, 'no struct `%s` to extend' % name)
            else:
                struct.own.extend(fields)

    def tag(self):
        for name, singular, plural, line in self.loader.tags:
            struct = self.schema.structs.get(name)
            if not struct:
                self.error(line, 'no struct `%s` to tag' % name)
            else:
                struct.singular, struct.plural = singular, plural

    def verb_types(self):
        for verb in self.schema.verbs.values():
            self.schema.host_structs[verb.params.name] = verb.params
            verb.params.plural = verb.params.name

    def action(self):
        """Gives the struct `action` a field for each parameter of each action."""
        action = self.schema.structs.get('action')
        if not action:
            return
        known = {field.name: field for field in action.own}
        for name in sorted(self.schema.services):
            for method in self.schema.services[name].own_methods:
                if not method.is_action:
                    continue
                for param in method.params + [p for v in method.variants for p in v.params]:
                    self.action_field(action, known, param)
        action.own.sort(key=lambda field: field.name)

    def action_field(self, action, known, param):
        container = LIST if param.list else None
        other = known.get(param.name)
        if other:
            if (other.type_name, other.container) != (param.type_name, container):
                self.error(param.line, 'parameter `%s` has another type at %s:%d' %
                           (param.name, other.line.file, other.line.number))
            return
        field = Field(param.name, param.type_name, param.line)
        field.container = container
        field.doc = ''
        if 'password' in param.name:
            field.flags.add('secret')
        known[param.name] = field
        action.own.append(field)

    def inherit(self, struct, structs, chain=()):
        """Fills struct.fields with the inherited ones first."""
        if struct.fields or struct in chain:
            if struct in chain:
                self.error(struct.line, 'struct `%s` inherits from itself' % struct.name)
            return
        inherited = []
        if struct.base_name:
            struct.base = structs.get(struct.base_name)
            if not struct.base:
                self.error(struct.line, 'unknown struct `%s`' % struct.base_name)
            else:
                self.inherit(struct.base, structs, chain + (struct,))
                inherited = struct.base.fields
        seen = {}
        for field in inherited:
            seen[field.name] = field
        fields = list(inherited)
        for field in struct.own:
            if field.name in seen:
                self.error(field.line, 'field `%s` of `%s` is defined twice, first at %s:%d' %
                           (field.name, struct.name, seen[field.name].line.file,
                            seen[field.name].line.number))
                continue
            seen[field.name] = field
            fields.append(field)
        struct.fields = fields

    def resolve(self, struct, structs, enums):
        for field in struct.own:
            if field.type_name in SCALARS:
                field.type = None
            else:
                field.type = structs.get(field.type_name) or enums.get(field.type_name)
                if not field.type:
                    self.error(field.line, 'unknown type `%s` of field `%s`' %
                               (field.type_name, field.name))
                    continue
            self.field(struct, field)

    def field(self, struct, field):
        flags = field.flags
        if field.link and not field.is_struct:
            self.error(field.line, 'link `%s` does not lead to a struct' % field.name)
        elif field.link and not field.type.identified:
            self.error(field.line, 'link `%s` leads to `%s`, which has no id' %
                       (field.name, field.type_name))
        for flag in ('wide', 'unsigned'):
            if flag in flags and field.type_name != 'integer':
                self.error(field.line, 'only an integer can be %s' % flag)
        if 'indexed' in flags and (not field.link or field.container == MAP):
            self.error(field.line, 'only a link can be indexed')
        if 'collection' in flags and not (field.link and field.container == LIST):
            self.error(field.line, 'only a list of links can be a collection')
        if 'optional' in flags and not struct.host:
            self.error(field.line, 'only fields of host messages are optional')
        if field.container == MAP and not struct.host:
            self.error(field.line, 'maps exist in host messages only')
        if field.item and field.container != LIST:
            self.error(field.line, 'only a list has items to name')
        if field.container == LIST and not field.item:
            if field.is_struct:
                field.item = field.type.singular
            else:
                field.item = field.wire[:-1] if field.wire.endswith('s') else field.wire

    def c_names(self, structs, enums, host):
        types = {}
        for thing in list(structs.values()) + list(enums.values()):
            name = names.type_name(thing.name, host)
            if name in names.RESERVED_TYPES:
                self.error(thing.line, '`%s` is a name of the run-time side' % thing.name)
            kind = isinstance(thing, Struct)
            if (kind, name) in types:
                self.error(thing.line, '`%s` and `%s` are the same name in C' %
                           (thing.name, types[kind, name].name))
            types[kind, name] = thing
        constants = {}
        for enum in enums.values():
            for word in enum.words:
                constant = names.enum_constant(enum, word)
                if constant in constants:
                    self.error(enum.line, '%s stands for `%s` of `%s` and `%s` of `%s`' %
                               ((constant, word, enum.name) + constants[constant]))
                constants[constant] = (word, enum.name)
        for struct in structs.values():
            taken = set()
            for field in struct.fields:
                if field.c_name is None:
                    field.c_name = names.member(field.name)
                    while field.c_name in taken:
                        field.c_name += '_'
                taken.add(field.c_name)

    def verb_results(self):
        schema = self.schema
        for verb in schema.verbs.values():
            if not verb.result:
                continue
            wrapper = verb.result
            field = wrapper.own[0]
            wrapper.fields = wrapper.own
            wrapper.plural = wrapper.name
            self.resolve(wrapper, schema.host_structs, schema.host_enums)
            field.c_name = 'value'
            if field.is_struct and not field.container:
                verb.result, verb.shape = field.type, 'STRUCT'
            else:
                verb.shape = 'WRAPPED'
                schema.host_structs[wrapper.name] = wrapper

    # paths

    def path(self, struct, path, line):
        """The field that `a.b.c` leads to from a struct, or None after an error."""
        field = None
        for i, part in enumerate(path.split('.')):
            if struct is None:
                self.error(line, 'path `%s`: `%s` has no members' % (path, field.name))
                return None
            field = struct.field(part)
            if not field:
                self.error(line, 'path `%s`: `%s` has no field `%s`' % (path, struct.name, part))
                return None
            struct = field.type if field.is_struct else None
        return field

    # entities

    def entities(self):
        for entity in self.schema.entities.values():
            struct = self.schema.structs.get(entity.name)
            if not struct:
                self.error(entity.line, 'entity `%s` is no struct' % entity.name)
                continue
            entity.struct = struct
            struct.entity = entity
            if not struct.identified:
                self.error(entity.line, 'entity `%s` has no id' % entity.name)
            for href, line in entity.hrefs:
                for name in re.findall(r'\{([a-z0-9_]+)\}', href):
                    field = struct.field(name)
                    if name != 'id' and (not field or not field.link):
                        self.error(line, '{%s} is no link of `%s`' % (name, entity.name))
                if not href.startswith('/') or href.count('{') != href.count('}'):
                    self.error(line, '`%s` is no path' % href)
            if entity.order:
                self.path(struct, *entity.order)
            for _, path, _, line in entity.words:
                self.path(struct, path, line)

    # services

    def services(self):
        services = self.schema.services
        for service in services.values():
            self.inherit_service(service, services)
        for service in services.values():
            for locator in service.own_locators:
                locator.service = services.get(locator.service_name)
                if not locator.service:
                    self.error(locator.line, 'unknown service `%s`' % locator.service_name)
            if service.entity_name:
                service.entity = self.schema.structs.get(service.entity_name)
                if not service.entity:
                    self.error(service.line, 'unknown entity `%s`' % service.entity_name)
            for method in service.own_methods:
                for each in [method] + method.variants:
                    self.params(each)

    def inherit_service(self, service, services, chain=()):
        if service in chain:
            self.error(service.line, 'service `%s` inherits from itself' % service.name)
            return
        service.methods = list(service.own_methods)
        service.locators = list(service.own_locators)
        if not service.base_name:
            return
        service.base = services.get(service.base_name)
        if not service.base:
            self.error(service.line, 'unknown service `%s`' % service.base_name)
            return
        self.inherit_service(service.base, services, chain + (service,))
        own = {method.name for method in service.own_methods}
        service.methods += [m for m in service.base.methods if m.name not in own]
        own = {locator.path for locator in service.own_locators}
        service.locators += [l for l in service.base.locators if l.path not in own]

    def params(self, method):
        for param in method.params:
            if param.type_name not in SCALARS:
                param.type = self.schema.structs.get(param.type_name) or \
                    self.schema.enums.get(param.type_name)
                if not param.type:
                    self.error(param.line, 'unknown type `%s` of parameter `%s`' %
                               (param.type_name, param.name))

    def service_paths(self, service):
        if service.by and service.by != '*' and service.entity:
            field = service.entity.field(service.by)
            if not field or not field.link:
                self.error(service.line, '`%s` is no link of `%s`' % (service.by,
                                                                      service.entity.name))
        for method in service.own_methods:
            if method.way == 'generic' and (not service.entity or not service.entity.entity):
                self.error(method.line, 'service `%s` lists no entity, so `%s` cannot be generic' %
                           (service.name, method.name))
            for each in [method] + method.variants:
                params = {param.name: param for param in method.params + each.params}
                for paths, line in each.mandatory + each.optional:
                    for path in paths.split('|'):
                        self.param_path(params, path, line)

    def param_path(self, params, path, line):
        head, _, rest = path.partition('.')
        param = params.get(head)
        if not param:
            self.error(line, 'path `%s`: no parameter `%s`' % (path, head))
        elif rest and not isinstance(param.type, Struct):
            self.error(line, 'path `%s`: `%s` has no members' % (path, head))
        elif rest:
            self.path(param.type, rest, line)
