# SPDX-License-Identifier: Apache-2.0
"""Turns lines into declarations; check.py then resolves what they name."""

import re

from lines import Text
from model import (LIST, MAP, Entity, Enum, Event, Fault, Field, Locator, Method, Option, Param,
                   Schema, Service, Struct, Verb)

_API_NAME = re.compile(r'^[a-z][a-z0-9]*(_[a-z0-9]+)*$')
_HOST_NAME = re.compile(r'^[A-Za-z_][A-Za-z0-9_.\-]*$')
_FLAGS = {'wide', 'unsigned', 'deprecated', 'internal', 'secret', 'indexed', 'collection',
          'optional'}
_WAYS = ('generic', 'read', 'write')
_SEVERITIES = ('normal', 'warning', 'error', 'alert')
_OPTION_TYPES = ('boolean', 'integer', 'double', 'string')


class Loader:
    def __init__(self, errors):
        self.errors = errors
        self.schema = Schema()
        self.extensions = []        # (name, [Field], line)
        self.tags = []              # (name, singular, plural, line)

    def error(self, line, reason):
        self.errors.add(line, reason)

    def load(self, lines, host):
        for line in lines:
            reader = getattr(self, 'read_' + line.word, None)
            if not reader:
                self.error(line, 'unknown declaration `%s`' % line.word)
            else:
                reader(line, host)

    # helpers

    def name(self, line, at, what, host):
        """The token that names a thing, or None after an error."""
        if len(line.tokens) <= at:
            self.error(line, '%s has no name' % what)
            return None
        name = line.tokens[at]
        if not (_HOST_NAME if host else _API_NAME).match(name):
            self.error(line, '`%s` is no name for %s' % (name, what))
            return None
        return name

    def define(self, table, thing, line, what):
        other = table.get(thing.name)
        if other:
            self.error(line, '%s `%s` is defined twice, first at %s:%d' %
                       (what, thing.name, other.line.file, other.line.number))
        else:
            table[thing.name] = thing

    def no_more(self, line, count):
        if len(line.tokens) > count:
            self.error(line, 'nothing may follow `%s`' % line.tokens[count - 1])

    def no_children(self, line):
        for child in line.children:
            self.error(child, 'nothing may be indented below `%s`' % line.word)

    def number(self, line, text, what):
        try:
            return int(text)
        except ValueError:
            self.error(line, '`%s` is no %s' % (text, what))
            return 0

    def text_of(self, line, what):
        """The quoted texts below a line, joined by blanks."""
        parts = []
        for child in line.children:
            if len(child.tokens) != 1 or not isinstance(child.tokens[0], Text):
                self.error(child, 'the text of %s is one text in double quotes' % what)
            else:
                parts.append(child.tokens[0])
        if not parts:
            self.error(line, '%s has no text' % what)
        return ' '.join(parts)

    # types

    def read_enum(self, line, host):
        name = self.name(line, 1, 'an enum', host)
        if not name:
            return
        enum = Enum(name, line)
        enum.host = host
        enum.deprecated = 'deprecated' in line.tokens[2:]
        self.no_more(line, 3 if enum.deprecated else 2)
        for child in line.children:
            word = child.word
            self.no_more(child, 1)
            self.no_children(child)
            if word in enum.words:
                self.error(child, 'word `%s` stands twice in enum `%s`' % (word, name))
            else:
                enum.words.append(word)
                enum.docs[word] = child.doc
        if not enum.words:
            self.error(line, 'enum `%s` has no words' % name)
        schema = self.schema
        self.define(schema.host_enums if host else schema.enums, enum, line, 'enum')

    def read_struct(self, line, host):
        name = self.name(line, 1, 'a struct', host)
        if not name:
            return
        struct = Struct(name, line)
        struct.host = host
        if host:
            struct.plural = name
        rest = line.tokens[2:]
        if rest[:1] == [':']:
            if len(rest) < 2:
                self.error(line, 'no struct is named after `:`')
            else:
                struct.base_name = rest[1]
            rest = rest[2:]
        if rest == ['deprecated']:
            struct.deprecated = True
        elif rest:
            self.error(line, 'unknown `%s` after struct `%s`' % (rest[0], name))
        struct.own = self.fields(line, host)
        schema = self.schema
        self.define(schema.host_structs if host else schema.structs, struct, line, 'struct')

    def read_extend(self, line, host):
        if len(line.tokens) != 3 or line.tokens[1] != 'struct':
            self.error(line, 'expected `extend struct NAME`')
            return
        self.extensions.append((line.tokens[2], self.fields(line, host), line, host))

    def read_tag(self, line, host):
        if len(line.tokens) != 4:
            self.error(line, 'expected `tag NAME SINGULAR PLURAL`')
            return
        self.no_children(line)
        self.tags.append((line.tokens[1], line.tokens[2], line.tokens[3], line))

    def fields(self, line, host):
        fields = []
        for child in line.children:
            self.no_children(child)
            field = self.field(child, host)
            if field:
                fields.append(field)
        return fields

    def field(self, line, host):
        name = self.name(line, 0, 'a field', host)
        if not name:
            return None
        tokens = line.tokens[1:]
        container = None
        if tokens and tokens[0] in (LIST, MAP):
            container = tokens.pop(0)
        link = bool(tokens) and tokens[0] == 'link'
        if link:
            tokens.pop(0)
        if not tokens:
            self.error(line, 'field `%s` has no type' % name)
            return None
        field = Field(name, tokens.pop(0), line)
        field.container = container
        field.link = link
        for flag in tokens:
            key, _, value = flag.partition('=')
            if key == 'wire' and value:
                field.wire = value
            elif key == 'item' and value:
                field.item = value
            elif flag in _FLAGS:
                if flag in field.flags:
                    self.error(line, 'flag `%s` stands twice' % flag)
                field.flags.add(flag)
            else:
                self.error(line, 'unknown flag `%s`' % flag)
        return field

    # entities

    def read_entity(self, line, host):
        name = self.name(line, 1, 'an entity', host)
        if not name:
            return
        self.no_more(line, 2)
        entity = Entity(Struct(name, line), line)
        for child in line.children:
            self.no_children(child)
            self.entity_line(entity, child)
        self.define(self.schema.entities, entity, line, 'entity')

    def entity_line(self, entity, line):
        tokens = line.tokens
        count = len(tokens)
        if line.word == 'href' and count == 2:
            entity.hrefs.append((tokens[1], line))
        elif line.word == 'order' and count in (2, 3):
            if count == 3 and tokens[2] != 'descending':
                self.error(line, 'only `descending` may follow the order')
            entity.order = (tokens[1], line)
            entity.newest_first = count == 3
        elif line.word == 'search' and count == 2:
            entity.search = tokens[1]
        elif line.word == 'word' and count in (3, 4):
            unit = tokens[3] if count == 4 else None
            if unit not in (None, 'MB', 'GB'):
                self.error(line, 'unit `%s` is neither MB nor GB' % unit)
            if any(word == tokens[1] for word, _, _, _ in entity.words):
                self.error(line, 'word `%s` stands twice' % tokens[1])
            entity.words.append((tokens[1], tokens[2], unit, line))
        else:
            self.error(line, 'unknown line `%s` in an entity' % ' '.join(tokens))

    # services

    def read_service(self, line, host):
        name = self.name(line, 1, 'a service', False)
        if not name:
            return
        service = Service(name, line)
        rest = line.tokens[2:]
        if rest[:1] == [':']:
            rest = rest[1:]
        while rest:
            if rest[0] == 'entity' and len(rest) > 1:
                service.entity_name = rest[1]
                rest = rest[2:]
                if rest[:1] == ['by'] and len(rest) > 1:
                    service.by = rest[1]
                    rest = rest[2:]
            elif rest[0] == 'extends' and len(rest) > 1:
                service.base_name = rest[1]
                rest = rest[2:]
            else:
                self.error(line, 'unknown `%s` after service `%s`' % (rest[0], name))
                break
        for child in line.children:
            if child.word == 'locator':
                self.locator(service, child)
            else:
                self.method(service, child)
        self.define(self.schema.services, service, line, 'service')

    def locator(self, service, line):
        self.no_children(line)
        hidden = line.tokens[3:] == ['hidden']
        if len(line.tokens) != (4 if hidden else 3):
            self.error(line, 'expected `locator NAME SERVICE [hidden]`, or {NAME} for an id')
            return
        name = line.tokens[1]
        path = name.replace('_', '')
        if name.startswith('{') and name.endswith('}'):
            name, path = name[1:-1], None
        if any(other.path == path for other in service.own_locators):
            self.error(line, 'service `%s` has this locator twice' % service.name)
            return
        service.own_locators.append(Locator(name, path, line.tokens[2], line, hidden))

    def method(self, service, line):
        name = self.name(line, 0, 'a method', False)
        if not name:
            return
        method = Method(name, line)
        rest = line.tokens[1:]
        if rest and rest[0] in _WAYS:
            method.way = rest.pop(0)
            if method.way != 'generic':
                if not rest or rest[0] == 'deprecated':
                    self.error(line, '`%s` names no function' % method.way)
                else:
                    method.function = rest.pop(0)
        if rest == ['deprecated']:
            method.deprecated = True
        elif rest:
            self.error(line, 'unknown way `%s` of method `%s`' % (rest[0], name))
        if method.way == 'generic' and name not in ('get', 'list'):
            self.error(line, 'only `get` and `list` may be generic')
        if method.function and not re.match(r'^vr_[a-z0-9_]+$', method.function):
            self.error(line, '`%s` is no name of a handler; it begins with vr_' % method.function)
        for child in line.children:
            self.method_line(method, child)
        if any(other.name == name for other in service.own_methods):
            self.error(line, 'method `%s` is defined twice' % name)
        else:
            service.own_methods.append(method)

    def method_line(self, method, line):
        tokens = line.tokens
        if line.word == 'variant' and len(tokens) == 2:
            variant = Method(tokens[1], line)
            for child in line.children:
                if child.word in ('variant', 'permit'):
                    self.error(child, 'a variant has no `%s` of its own' % child.word)
                else:
                    self.method_line(variant, child)
            method.variants.append(variant)
            return
        self.no_children(line)
        if line.word in ('in', 'out', 'inout'):
            self.param(method, line)
        elif line.word in ('mandatory', 'optional') and len(tokens) > 1:
            getattr(method, line.word).extend((path, line) for path in tokens[1:])
        elif line.word == 'permit' and len(tokens) == 2:
            method.permit = tokens[1]
        else:
            self.error(line, 'unknown line `%s` in a method' % ' '.join(tokens))

    def param(self, method, line):
        rest = line.tokens[2:]
        is_list = rest[:1] == [LIST]
        if is_list:
            rest = rest[1:]
        if not rest:
            self.error(line, 'expected `%s NAME [list] TYPE`' % line.word)
            return
        param = Param(line.word, line.tokens[1], rest[0], line)
        param.list = is_list
        param.deprecated = rest[1:] == ['deprecated']
        if rest[1:] and not param.deprecated:
            self.error(line, 'unknown `%s` after the type' % rest[1])
        if any(other.name == param.name for other in method.params):
            self.error(line, 'parameter `%s` stands twice' % param.name)
        else:
            method.params.append(param)

    # the host protocol

    def read_verb(self, line, host):
        name = line.tokens[1] if len(line.tokens) > 1 else ''
        if not re.match(r'^[A-Z][A-Za-z]*\.[A-Za-z][A-Za-z0-9_]*$', name):
            self.error(line, 'a verb is named `Class.verb`')
            return
        verb = Verb(name, line)
        verb.deprecated = line.tokens[2:] == ['deprecated']
        self.no_more(line, 3 if verb.deprecated else 2)
        verb.params = Struct('%s_params' % name, line)
        verb.params.host = True
        for child in line.children:
            if child.word not in ('param', 'returns'):
                self.error(child, 'unknown line `%s` in a verb' % child.word)
                continue
            self.no_children(child)
            returns = child.word == 'returns'
            child.tokens[:1] = ['value'] if returns else []
            field = self.field(child, True) if child.tokens else None
            if not field:
                if not child.tokens:
                    self.error(child, 'a parameter has no name')
            elif not returns:
                verb.params.own.append(field)
            elif verb.result:
                self.error(child, 'verb `%s` returns twice' % name)
            else:
                verb.result = Struct('%s_result' % name, line)
                verb.result.host = True
                verb.result.own = [field]
        self.define(self.schema.verbs, verb, line, 'verb')

    # faults, events, options

    def read_fault(self, line, host):
        name = self.name(line, 1, 'a fault', False)
        if not name:
            return
        fault = Fault(name, line)
        rest = line.tokens[2:]
        if not rest:
            self.error(line, 'fault `%s` has no HTTP status' % name)
            return
        fault.http = self.number(line, rest.pop(0), 'HTTP status')
        if not 400 <= fault.http <= 599:
            self.error(line, 'HTTP status %d is not between 400 and 599' % fault.http)
        while rest:
            key = rest.pop(0)
            if key == 'base':
                fault.base = True
            elif key in ('rpc', 'exit') and rest:
                setattr(fault, key, self.number(line, rest.pop(0), key + ' code'))
            else:
                self.error(line, 'unknown `%s` after fault `%s`' % (key, name))
        if not 1 <= fault.exit <= 125:
            self.error(line, 'exit code %d is not between 1 and 125' % fault.exit)
        fault.text = self.text_of(line, 'fault `%s`' % name)
        self.define(self.schema.faults, fault, line, 'fault')

    def read_event(self, line, host):
        tokens = line.tokens
        if len(tokens) < 4:
            self.error(line, 'expected `event NUMBER NAME SEVERITY [flood SECONDS]`')
            return
        event = Event(self.number(line, tokens[1], 'event number'), tokens[2], line)
        if not re.match(r'^[A-Z][A-Z0-9_]*$', event.name):
            self.error(line, '`%s` is no name for an event' % event.name)
        event.severity = tokens[3]
        if event.severity not in _SEVERITIES:
            self.error(line, 'severity `%s` is none of %s' % (event.severity,
                                                              ' '.join(_SEVERITIES)))
        if tokens[4:5] == ['flood'] and len(tokens) == 6:
            event.flood = self.number(line, tokens[5], 'number of seconds')
        elif tokens[4:]:
            self.error(line, 'unknown `%s` after event `%s`' % (tokens[4], event.name))
        event.text = self.text_of(line, 'event `%s`' % event.name)
        for other in self.schema.events.values():
            if other.number == event.number:
                self.error(line, 'event number %d is taken by `%s`' % (event.number, other.name))
        self.define(self.schema.events, event, line, 'event')

    def read_option(self, line, host):
        tokens = line.tokens
        if len(tokens) != 4:
            self.error(line, 'expected `option NAME TYPE DEFAULT`')
            return
        option = Option(tokens[1], line)
        if not re.match(r'^[A-Za-z][A-Za-z0-9]*$', option.name):
            self.error(line, '`%s` is no name for an option' % option.name)
        option.type, option.default = tokens[2], tokens[3]
        if option.type not in _OPTION_TYPES:
            self.error(line, 'type `%s` of an option is none of %s' % (option.type,
                                                                       ' '.join(_OPTION_TYPES)))
        elif option.type == 'boolean' and option.default not in ('true', 'false'):
            self.error(line, 'default `%s` is neither true nor false' % option.default)
        elif option.type in ('integer', 'double'):
            try:
                (int if option.type == 'integer' else float)(option.default)
            except ValueError:
                self.error(line, 'default `%s` is no %s' % (option.default, option.type))
        option.text = self.text_of(line, 'option `%s`' % option.name)
        self.define(self.schema.options, option, line, 'option')
