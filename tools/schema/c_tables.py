# SPDX-License-Identifier: Apache-2.0
"""Writes the C tables of verbs, faults, events and options."""

import names
from c_types import type_symbol

_HEAD = '/* Written by tools/schema; do not edit. */\n'


def verb_symbol(verb):
    return 'vr_verb_' + names.snake(verb.name)


def verbs_header(verbs):
    out = [_HEAD, '#pragma once', '', '#include "model/verb.h"', '']
    for verb in verbs:
        if verb.doc:
            out.append('/* %s */' % verb.doc)
        out.append('extern const struct vr_verb %s;' % verb_symbol(verb))
    return '\n'.join(out) + '\n'


def verbs_source(verbs):
    out = [_HEAD, '#include "gen/verbs.h"', '', '#include "gen/model_host.h"', '']
    for i, verb in enumerate(verbs):
        out.append('const struct vr_verb %s = { %s, &%s, %s, VR_RESULT_%s, %d };' % (
            verb_symbol(verb), names.string(verb.name), type_symbol(verb.params),
            '&' + type_symbol(verb.result) if verb.result else 'NULL', verb.shape, i))
    out.append('')
    out.append('const struct vr_verb *const vr_verbs[] = {')
    out += ['    &%s,' % verb_symbol(verb) for verb in verbs]
    out += ['};', 'const unsigned vr_verb_count = %d;' % len(verbs)]
    return '\n'.join(out) + '\n'


def faults_header(faults):
    out = [_HEAD, '#pragma once', '', '#include "base/error.h"', '']
    out += ['extern const struct vr_fault vr_fault_%s; /* %d */' % (fault.name, fault.http)
            for fault in faults if not fault.base]
    out += ['', '/* Every fault, those of base as well; NULL ended. */',
            'extern const struct vr_fault *const vr_faults[];']
    return '\n'.join(out) + '\n'


def faults_source(faults):
    out = [_HEAD, '#include "gen/faults.h"', '']
    for fault in faults:
        if not fault.base:
            out.append('const struct vr_fault vr_fault_%s = { %s, %d, %d, %d, %s };' % (
                fault.name, names.string(fault.name), fault.http, fault.rpc, fault.exit,
                names.string(fault.text)))
    out.append('const struct vr_fault *const vr_faults[] = {')
    out += ['    &vr_fault_%s,' % fault.name for fault in faults]
    out += ['    NULL,', '};']
    return '\n'.join(out) + '\n'
