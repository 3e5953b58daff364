#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The schema compiler: reads model/, writes what docs/model.md lists."""

import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import c_tables
import c_tests
import c_types
import documents
import lines
import routes
import sql
from check import Checker
from load import Loader


def is_host(path):
    return os.path.basename(os.path.dirname(path)) == 'host'


def load(paths, root=''):
    """The schema of the files and the texts of all mistakes in them."""
    errors = lines.Errors()
    loader = Loader(errors)
    for path in sorted(paths):
        name = os.path.relpath(path, root) if root else path
        with open(path, encoding='utf-8') as file:
            loader.load(lines.read(name, file.read(), errors), is_host(path))
    Checker(loader).run()
    return loader.schema, errors.texts()


def outputs(schema):
    """{file name: function that makes its text}."""
    def named(table):
        return [table[name] for name in sorted(table)]
    enums, structs = named(schema.enums), named(schema.structs)
    host_enums, host_structs = named(schema.host_enums), named(schema.host_structs)
    entities = named(schema.entities)
    verbs, faults = named(schema.verbs), named(schema.faults)
    events = sorted(schema.events.values(), key=lambda event: event.number)
    options = named(schema.options)
    tree = routes.Tree(schema)
    return {
        'model_api.h': lambda: c_types.header(enums, structs, entities),
        'model_api.c': lambda: c_types.source('model_api.h', enums, structs, entities),
        'model_host.h': lambda: c_types.header(host_enums, host_structs, None),
        'model_host.c': lambda: c_types.source('model_host.h', host_enums, host_structs, None),
        'verbs.h': lambda: c_tables.verbs_header(verbs),
        'verbs.c': lambda: c_tables.verbs_source(verbs),
        'faults.h': lambda: c_tables.faults_header(faults),
        'faults.c': lambda: c_tables.faults_source(faults),
        'events.h': lambda: c_tables.events_header(events),
        'events.c': lambda: c_tables.events_source(events),
        'config.h': lambda: c_tables.config_header(options),
        'config.c': lambda: c_tables.config_source(options),
        'routes.h': lambda: routes.header(schema),
        'routes.c': lambda: routes.source(tree, entities),
        'schema.h': sql.header,
        'schema.c': lambda: sql.source(entities),
        'schema.sql': lambda: sql.text(entities),
        'openapi.json': lambda: documents.openapi(schema, tree),
        'types.ts': lambda: documents.typescript(schema),
        'reference.md': lambda: documents.reference(schema, tree),
        'test_presence.c': lambda: c_tests.presence(['model_api.h', 'model_host.h'],
                                                    structs + host_structs),
    }


def write(path, text):
    """Leaves a file alone whose text is the same, so that nothing is rebuilt for it."""
    try:
        with open(path, encoding='utf-8') as file:
            if file.read() == text:
                return
    except FileNotFoundError:
        pass
    with open(path, 'w', encoding='utf-8') as file:
        file.write(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--out', help='folder to write to; without it the schema is only checked')
    parser.add_argument('--root', default='', help='file names in messages are relative to this')
    parser.add_argument('files', nargs='+', help='the .idl files')
    args = parser.parse_args()
    schema, errors = load(args.files, args.root)
    for text in errors:
        print(text, file=sys.stderr)
    if errors:
        return 1
    if args.out:
        for name, make in outputs(schema).items():
            write(os.path.join(args.out, name), make())
    return 0


if __name__ == '__main__':
    sys.exit(main())
