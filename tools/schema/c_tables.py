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


def events_header(events):
    out = [_HEAD, '#pragma once', '', '#include "model/event.h"', '', 'enum vr_event_code {']
    out += ['    VR_EVENT_%s = %d,' % (event.name, event.number) for event in events]
    out.append('};')
    return '\n'.join(out) + '\n'


def events_source(events):
    out = [_HEAD, '#include "gen/events.h"', '', 'const struct vr_event_info vr_events[] = {']
    for event in events:
        out.append('    { %d, %s, VR_LOG_SEVERITY_%s, %d, %s },' % (
            event.number, names.string(event.name), event.severity.upper(), event.flood,
            names.string(event.text)))
    out += ['};', 'const unsigned vr_event_count = %d;' % len(events)]
    return '\n'.join(out) + '\n'


_OPTION_MEMBERS = {'boolean': 'bool ', 'integer': 'int64_t ', 'double': 'double ',
                   'string': 'char *'}


def config_header(options):
    out = [_HEAD, '#pragma once', '', '#include "model/config.h"', '', 'struct vr_config {']
    out += ['    %s%s; /* %s */' % (_OPTION_MEMBERS[option.type], option.name, option.text)
            for option in options]
    out.append('};')
    return '\n'.join(out) + '\n'


def config_source(options):
    out = [_HEAD, '#include "gen/config.h"', '', 'const struct vr_config_option vr_config_options[] = {']
    for option in options:
        out.append('    { %s, VR_OPTION_%s, %s, %s, offsetof(struct vr_config, %s) },' % (
            names.string(option.name), option.type.upper(), names.string(option.default),
            names.string(option.text), option.name))
    out += ['};', 'const unsigned vr_config_option_count = %d;' % len(options),
            'const size_t vr_config_size = sizeof(struct vr_config);']
    return '\n'.join(out) + '\n'
