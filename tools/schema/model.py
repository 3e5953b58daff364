# SPDX-License-Identifier: Apache-2.0
"""What a schema says, resolved: the objects that the writers read."""

SCALARS = ('boolean', 'integer', 'double', 'date', 'string', 'json')
LIST, MAP = 'list', 'map'


class Enum:
    def __init__(self, name, line):
        self.name = name
        self.line = line
        self.words = []
        self.docs = {}
        self.deprecated = False
        self.host = False


class Field:
    def __init__(self, name, type_name, line):
        self.name = name            # schema name
        self.wire = name            # name on the wire
        self.type_name = type_name
        self.type = None            # Struct or Enum; None for a scalar
        self.line = line
        self.container = None       # None, LIST or MAP
        self.link = False
        self.flags = set()
        self.item = None            # tag of one item of a list
        self.c_name = None
        self.doc = line.doc

    @property
    def is_struct(self):
        return isinstance(self.type, Struct)

    @property
    def is_enum(self):
        return isinstance(self.type, Enum)


class Struct:
    def __init__(self, name, line):
        self.name = name
        self.line = line
        self.base_name = None
        self.base = None
        self.own = []               # fields of its own, `extend struct` ones last
        self.fields = []            # all, inherited first
        self.singular = name
        self.plural = plural_of(name)
        self.deprecated = False
        self.host = False
        self.entity = None
        self.doc = line.doc

    def field(self, name):
        for field in self.fields:
            if field.name == name:
                return field
        return None

    @property
    def identified(self):
        return self.field('id') is not None


class Entity:
    def __init__(self, struct, line):
        self.struct = struct
        self.line = line
        self.hrefs = []
        self.order = None
        self.newest_first = False
        self.search = None
        self.words = []             # (word, path, unit or None)

    @property
    def name(self):
        return self.struct.name


class Param:
    def __init__(self, io, name, type_name, line):
        self.io = io                # in, out, inout
        self.name = name
        self.type_name = type_name
        self.type = None
        self.list = False
        self.deprecated = False
        self.line = line


class Method:
    def __init__(self, name, line):
        self.name = name
        self.line = line
        self.way = None             # None (missing), generic, read, write
        self.function = None
        self.params = []
        self.mandatory = []         # "vm.cluster.id|vm.cluster.name"
        self.optional = []
        self.permit = None
        self.variants = []          # Methods: other shapes of the same request
        self.deprecated = False
        self.doc = line.doc

    @property
    def is_action(self):
        return self.name not in ('get', 'list', 'add', 'update', 'remove')

    @property
    def http(self):
        return {'get': 'GET', 'list': 'GET', 'update': 'PUT', 'remove': 'DELETE'}.get(self.name,
                                                                                      'POST')


class Locator:
    def __init__(self, name, path, service_name, line, hidden=False):
        self.name = name
        self.path = path            # None: any id
        self.service_name = service_name
        self.service = None
        self.line = line
        self.hidden = hidden        # reachable, but not linked to


class Service:
    def __init__(self, name, line):
        self.name = name
        self.line = line
        self.base_name = None
        self.base = None
        self.entity_name = None
        self.entity = None          # Struct
        self.by = None              # name of the link field to the parent, '*', or None
        self.own_methods = []
        self.own_locators = []
        self.methods = []
        self.locators = []
        self.doc = line.doc


class Verb:
    def __init__(self, name, line):
        self.name = name            # Class.verb
        self.line = line
        self.params = None          # Struct
        self.result = None          # Struct or None
        self.shape = 'VOID'
        self.deprecated = False
        self.doc = line.doc


class Fault:
    def __init__(self, name, line):
        self.name = name
        self.line = line
        self.http = 500
        self.rpc = 0
        self.exit = 1
        self.text = ''
        self.base = False           # defined by src/base


class Event:
    def __init__(self, number, name, line):
        self.number = number
        self.name = name
        self.line = line
        self.severity = 'normal'
        self.flood = 0
        self.text = ''


class Option:
    def __init__(self, name, line):
        self.name = name
        self.line = line
        self.type = 'string'
        self.default = ''
        self.text = ''


class Schema:
    def __init__(self):
        self.enums = {}
        self.structs = {}
        self.host_enums = {}
        self.host_structs = {}
        self.entities = {}
        self.services = {}
        self.verbs = {}
        self.faults = {}
        self.events = {}
        self.options = {}


def plural_of(name):
    if name.endswith('y') and name[-2:-1] not in 'aeiou':
        return name[:-1] + 'ies'
    return name + 's'
