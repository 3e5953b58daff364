# SPDX-License-Identifier: Apache-2.0
"""Writes the tables and views of the kinds, as SQL and as C strings."""

import names

_CASTS = {'boolean': 'boolean', 'integer': 'bigint', 'double': 'double precision'}


def _quote(name):
    return '"%s"' % name


def _column(field):
    """(expression, column) of a field in the view."""
    member = "doc->'%s'" % field.wire
    text = "doc->>'%s'" % field.wire
    if field.container or field.type_name == 'json' or (field.is_struct and not field.link):
        return member, field.name
    if field.link:
        return "%s->>'id'" % member, field.name + '_id'
    if field.type_name == 'date':
        return 'to_timestamp((%s)::double precision / 1000)' % text, field.name
    cast = _CASTS.get(field.type_name)
    return '(%s)::%s' % (text, cast) if cast else text, field.name


def statements(entities):
    """A table and a view a kind, in pairs."""
    for entity in entities:
        table, view = _quote(entity.name), _quote(entity.name + '_v')
        yield ('create table if not exists %s (id text primary key, rev bigint not null, '
               'doc jsonb not null)' % table)
        columns = ['id', 'rev']
        taken = {'id', 'rev'}
        for field in entity.struct.fields:
            if 'secret' in field.flags or 'collection' in field.flags or field.name == 'id':
                continue
            expression, column = _column(field)
            while column in taken:
                column += '_'
            taken.add(column)
            columns.append('%s as %s' % (expression, _quote(column)))
        yield 'create view %s as select\n    %s\nfrom %s' % (view, ',\n    '.join(columns), table)


def text(entities):
    """One script: views are made anew, since their columns follow the schema."""
    out = ['-- Written by tools/schema; do not edit.', 'begin;']
    for entity in entities:
        out.append('drop view if exists %s;' % _quote(entity.name + '_v'))
    out += [statement + ';' for statement in statements(entities)]
    out.append('commit;')
    return '\n'.join(out) + '\n'


def header():
    return '''/* Written by tools/schema; do not edit. */
#pragma once

#include "model/model.h"

/* The whole of gen/schema.sql: one transaction that makes the tables that are not there yet, and
 * all views anew. */
extern const char vr_schema_sql[];
'''


def source(entities):
    lines = text(entities).split('\n')
    out = ['/* Written by tools/schema; do not edit. */', '#include "gen/schema.h"', '',
           'const char vr_schema_sql[] =']
    out += ['    ' + names.string(line + '\n') for line in lines if line]
    return '\n'.join(out) + ';\n'
