# SPDX-License-Identifier: Apache-2.0
"""Writes the check that the compiler lays out `has` as the descriptors say."""

import names
from c_types import struct_name


def presence(headers, structs):
    """One function that sets each presence bit by its name and looks for it by its number."""
    out = ['/* Written by tools/schema; do not edit. */'] + \
        ['#include "gen/%s"' % header for header in headers]
    out += ['#include "test_presence.h"', '', 'void test_presence_bits(void)', '{']
    for struct in structs:
        out += ['    {', '        %s object;' % struct_name(struct)]
        symbol = names.type_name(struct.name, struct.host)
        for i, field in enumerate(struct.fields):
            out.append('        BIT(%s, %s, %d);' % (symbol, field.c_name, i))
        if not struct.fields:
            out.append('        (void)object;')
        out.append('    }')
    out.append('}')
    return '\n'.join(out) + '\n'
