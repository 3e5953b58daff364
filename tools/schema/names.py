# SPDX-License-Identifier: Apache-2.0
"""How names of the schema become names in C."""

import re

# C words, and macros that gcc or a system header defines in gnu17.
_TAKEN = set('''
auto break case char const continue default do double else enum extern float for goto if inline int
long register restrict return short signed sizeof static struct switch typedef union unsigned void
volatile while asm typeof bool true false linux unix i386 errno stdin stdout stderr NULL
vr_object has
'''.split())

# Names of src/model/ that a type of the schema must not take as struct vr_<name>.
RESERVED_TYPES = set('''
object list map field type enum kind_info search_word verb fault error operation route service param
reading call config http_method way event_info config_option codec_caps codec_hooks mutex thread_role
'''.split())


def snake(name):
    """vmId -> vm_id, GUID -> guid, supportedENGINEs -> supported_engines, hostQos -> host_qos."""
    name = name.replace('QoS', 'Qos')
    name = re.sub(r'([a-z0-9])([A-Z])', r'\1_\2', name)
    name = re.sub(r'([A-Z])([A-Z][a-z]{2,})', r'\1_\2', name)
    name = re.sub(r'[^A-Za-z0-9]+', '_', name).strip('_').lower()
    return name or 'value'


def member(name):
    name = snake(name)
    if name[0].isdigit():
        name = '_' + name
    return name + '_' if name in _TAKEN else name


def type_name(name, host):
    return ('rpc_' if host else '') + snake(name)


def constant(word):
    return re.sub(r'[^A-Za-z0-9]', '_', word).upper()


def enum_constant(enum, word):
    return 'VR_%s_%s' % (type_name(enum.name, enum.host).upper(), constant(word))


def string(text):
    """A C string literal; one line."""
    out = []
    for c in text:
        if c in '"\\':
            out.append('\\' + c)
        elif c == '\n':
            out.append('\\n')
        elif c == '?':
            out.append('\\?')
        else:
            out.append(c)
    return '"' + ''.join(out) + '"'
