# SPDX-License-Identifier: Apache-2.0
"""Writes the C structs, enums and descriptors of one side of the model."""

import names
from model import LIST, MAP

_HEAD = '/* Written by tools/schema; do not edit. */\n'
_KINDS = {'boolean': 'BOOLEAN', 'integer': 'INTEGER', 'double': 'DOUBLE', 'date': 'DATE',
          'string': 'STRING', 'json': 'JSON'}
_MEMBERS = {'boolean': 'bool ', 'integer': 'int64_t ', 'double': 'double ', 'date': 'int64_t ',
            'string': 'char *', 'json': 'char *'}
_FLAGS = {'internal': 'INTERNAL', 'secret': 'SECRET', 'wide': 'WIDE', 'unsigned': 'UNSIGNED',
          'optional': 'OPTIONAL', 'deprecated': 'DEPRECATED', 'indexed': 'INDEXED',
          'collection': 'COLLECTION'}
_ATTRIBUTES = ('id', 'href', 'rel')


def type_symbol(struct):
    return 'vr_type_' + names.type_name(struct.name, struct.host)


def enum_symbol(enum):
    return 'vr_enum_' + names.type_name(enum.name, enum.host)


def fields_symbol(struct):
    return 'vr_fields_' + names.type_name(struct.name, struct.host)


def struct_name(struct):
    return 'struct vr_' + names.type_name(struct.name, struct.host)


def field_symbol(struct, field):
    return '&%s[%d]' % (fields_symbol(struct), struct.fields.index(field))


def kind_constant(entity):
    return 'VR_KIND_' + names.constant(entity.name)


def _member(field):
    if field.container == LIST:
        return 'struct vr_list ' + field.c_name
    if field.container == MAP:
        return 'struct vr_map ' + field.c_name
    if field.is_struct:
        return '%s *%s' % (struct_name(field.type), field.c_name)
    if field.is_enum:
        return 'enum vr_%s %s' % (names.type_name(field.type.name, field.type.host), field.c_name)
    return _MEMBERS[field.type_name] + field.c_name


def _comment(doc):
    return doc.replace('*/', '* /')


def _header_struct(out, struct):
    if struct.doc:
        out.append('/* %s */' % _comment(struct.doc))
    out.append('%s {' % struct_name(struct))
    out.append('    struct vr_object vr_object;')
    out.append('    struct {')
    for field in struct.fields:
        out.append('        bool %s : 1;' % field.c_name)
    if not struct.fields:
        out.append('        bool vr_nothing : 1;')
    out.append('    } has;')
    for field in struct.fields:
        doc = ' /* %s */' % _comment(field.doc) if field.doc else ''
        out.append('    %s;%s' % (_member(field), doc))
    out.append('};')


def header(enums, structs, entities):
    out = [_HEAD, '#pragma once', '', '#include "model/model.h"', '']
    for enum in enums:
        out.append('enum vr_%s {' % names.type_name(enum.name, enum.host))
        out += ['    %s,' % names.enum_constant(enum, word) for word in enum.words]
        out.append('};')
        out.append('extern const struct vr_enum %s;' % enum_symbol(enum))
    out.append('')
    if entities is not None:
        out.append('enum vr_kind {')
        out += ['    %s,' % kind_constant(entity) for entity in entities]
        out += ['    VR_KIND_COUNT', '};', '']
    out += ['%s;' % struct_name(struct) for struct in structs]
    out.append('')
    for struct in structs:
        _header_struct(out, struct)
    out.append('')
    for struct in structs:
        out.append('extern const struct vr_type %s;' % type_symbol(struct))
        out.append('extern const struct vr_field %s[];' % fields_symbol(struct))
    side = 'host' if structs and structs[0].host else 'api'
    out += ['', '/* Every type above. */',
            'extern const struct vr_type *const vr_%s_types[];' % side,
            'extern const unsigned vr_%s_type_count;' % side]
    return '\n'.join(out) + '\n'


def _flags(struct, field):
    flags = [_FLAGS[flag] for flag in sorted(field.flags)]
    if field.container == LIST:
        flags.append('IS_LIST')
    elif field.container == MAP:
        flags.append('IS_MAP')
    if not struct.host and field.name in _ATTRIBUTES and not field.container:
        flags.append('ATTRIBUTE')
    return ' | '.join('VR_FIELD_' + flag for flag in flags) or '0'


def _kind(field):
    if field.link:
        return 'LINK'
    if field.is_struct:
        return 'STRUCT'
    if field.is_enum:
        return 'ENUM'
    return _KINDS[field.type_name]


def _field(struct, field, bit):
    sub = 'NULL'
    if field.is_struct:
        sub = '&' + type_symbol(field.type)
    elif field.is_enum:
        sub = '&' + enum_symbol(field.type)
    return '    { %s, %s, %s, offsetof(%s, %s), %d, VR_FIELD_%s, %s },' % (
        names.string(field.wire), names.string(field.item) if field.item else 'NULL', sub,
        struct_name(struct), field.c_name, bit, _kind(field), _flags(struct, field))


def _type(out, struct):
    out.append('const struct vr_field %s[] = {' % fields_symbol(struct))
    out += [_field(struct, field, bit) for bit, field in enumerate(struct.fields)]
    if not struct.fields:
        out.append('    { 0 },')
    out.append('};')
    ids = [i for i, field in enumerate(struct.fields)
           if field.name == 'id' and field.type_name == 'string']
    kind = kind_constant(struct.entity) if struct.entity else '-1'
    out.append('const struct vr_type %s = { %s, %s, %s, %s, %d, offsetof(%s, has), sizeof(%s), %s, '
               '%d };' % (type_symbol(struct), names.string(struct.name),
                          names.string(struct.singular), names.string(struct.plural),
                          fields_symbol(struct), len(struct.fields), struct_name(struct),
                          struct_name(struct), kind, ids[0] if ids else -1))


def _entity(out, entity):
    struct = entity.struct
    indexes = [field for field in struct.fields if 'indexed' in field.flags]
    out.append('static const struct vr_field *const indexes_%s[] = { %s };' % (
        entity.name, ', '.join([field_symbol(struct, f) for f in indexes] + ['NULL'])))
    out.append('static const char *const hrefs_%s[] = { %s };' % (
        entity.name, ', '.join([names.string(href) for href, _ in entity.hrefs] + ['NULL'])))
    out.append('static const struct vr_search_word words_%s[] = {' % entity.name)
    for word, path, unit, _ in entity.words:
        out.append('    { %s, %s, %s },' % (names.string(word), names.string(path),
                                            names.string(unit) if unit else 'NULL'))
    out += ['    { NULL, NULL, NULL },', '};']


def _entity_row(entity):
    return '    { %s, &%s, hrefs_%s, %s, indexes_%s, words_%s, %s, %s },' % (
        names.string(entity.name), type_symbol(entity.struct), entity.name,
        names.string(entity.order[0]) if entity.order else 'NULL', entity.name, entity.name,
        names.string(entity.search) if entity.search else 'NULL',
        'true' if entity.newest_first else 'false')


def source(header_name, enums, structs, entities):
    out = [_HEAD, '#include "gen/%s"' % header_name, '']
    for enum in enums:
        words = ', '.join(names.string(word) for word in enum.words)
        symbol = enum_symbol(enum)
        out.append('static const char *const words_of_%s[] = { %s };' % (symbol, words))
        out.append('const struct vr_enum %s = { %s, words_of_%s, %d };' % (
            symbol, names.string(enum.name), symbol, len(enum.words)))
    out.append('')
    for struct in structs:
        _type(out, struct)
    if entities is not None:
        for entity in entities:
            _entity(out, entity)
        out.append('const struct vr_kind_info vr_kinds[] = {')
        out += [_entity_row(entity) for entity in entities]
        if not entities:
            out.append('    { 0 },')
        out.append('};')
    side = 'host' if structs and structs[0].host else 'api'
    out.append('const struct vr_type *const vr_%s_types[] = {' % side)
    out += ['    &%s,' % type_symbol(struct) for struct in structs]
    out += ['};', 'const unsigned vr_%s_type_count = %d;' % (side, len(structs))]
    return '\n'.join(out) + '\n'
