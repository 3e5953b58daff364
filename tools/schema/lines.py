# SPDX-License-Identifier: Apache-2.0
"""Reads schema files into trees of lines, and collects the mistakes of a run."""

import re

# A word, or a text in double quotes with \" and \\ inside.
_TOKEN = re.compile(r'"((?:[^"\\]|\\.)*)"|([^\s"]+)')
_INDENT = 4


class Text(str):
    """A token that stood in double quotes."""


class Errors:
    """Every mistake of a run, printed in the order of files and lines."""

    def __init__(self):
        self.items = []

    def add(self, line, reason):
        self.items.append((line.file, line.number, reason))

    def texts(self):
        return ['%s:%d: %s' % item for item in sorted(set(self.items))]


class Line:
    """One line of a schema file with the lines that are indented below it."""

    def __init__(self, file, number, tokens, doc):
        self.file = file
        self.number = number
        self.tokens = tokens
        self.doc = doc
        self.children = []

    @property
    def word(self):
        return self.tokens[0]


def _strip_comment(text):
    quoted = False
    previous = ''
    for i, c in enumerate(text):
        if c == '"' and previous != '\\':
            quoted = not quoted
        elif c == '#' and not quoted:
            return text[:i]
        previous = c
    return text


def _tokens(text, line, errors):
    tokens = []
    position = 0
    while position < len(text):
        if text[position].isspace():
            position += 1
            continue
        match = _TOKEN.match(text, position)
        if not match:
            errors.add(line, 'a text in double quotes does not end')
            return tokens
        if match.group(1) is not None:
            tokens.append(Text(re.sub(r'\\(.)', r'\1', match.group(1))))
        else:
            tokens.append(match.group(2))
        position = match.end()
    return tokens


def read(name, text, errors):
    """The lines of the file that stand at its left margin, with their children."""
    top = []
    stack = []  # (depth, line)
    doc = []
    for number, raw in enumerate(text.split('\n'), 1):
        line = Line(name, number, [], '')
        stripped = raw.strip()
        if stripped.startswith('##'):
            doc.append(stripped[2:].strip())
            continue
        body = _strip_comment(raw).rstrip()
        if not body:
            if not stripped:
                doc = []
            continue
        spaces = len(body) - len(body.lstrip(' '))
        if '\t' in raw[:len(raw) - len(raw.lstrip())]:
            errors.add(line, 'a tab in the indentation; use 4 spaces')
            continue
        if spaces % _INDENT:
            errors.add(line, 'indentation of %d spaces is not a multiple of 4' % spaces)
            continue
        line.tokens = _tokens(body, line, errors)
        line.doc = ' '.join(doc)
        doc = []
        if not line.tokens:
            continue
        depth = spaces // _INDENT
        while stack and stack[-1][0] >= depth:
            stack.pop()
        if depth == 0:
            top.append(line)
        elif not stack or stack[-1][0] != depth - 1:
            errors.add(line, 'this line is indented below nothing')
            continue
        else:
            stack[-1][1].children.append(line)
        stack.append((depth, line))
    return top
