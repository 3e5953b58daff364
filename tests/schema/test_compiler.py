#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tests of the schema compiler.

bad/*.idl     one bad schema each; its `# expect LINE: MESSAGE` lines are all that is reported
golden/       a small schema and what is written for it; VIREO_GOLDEN=1 writes it anew
"""

import os
import re
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, 'tools', 'schema'))

import compile as compiler
import routes

GOLDEN = os.path.join(HERE, 'golden')


def files(folder):
    return sorted(os.path.join(top, name) for top, _, names in os.walk(folder)
                  for name in names if name.endswith('.idl'))


def read(path):
    with open(path, encoding='utf-8') as file:
        return file.read()


class BadSchemas(unittest.TestCase):
    def test_each_is_refused_with_its_messages(self):
        bad = files(os.path.join(HERE, 'bad'))
        self.assertGreater(len(bad), 50)
        for path in bad:
            name = os.path.basename(path)
            want = ['%s:%s' % (name, text)
                    for text in re.findall(r'^# expect (.+)$', read(path), re.MULTILINE)]
            with self.subTest(name):
                self.assertTrue(want, 'the file says what to expect')
                _, errors = compiler.load([path], os.path.dirname(path))
                self.assertEqual(errors, want)


class Golden(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.schema, cls.errors = compiler.load(files(GOLDEN), GOLDEN)

    def test_the_small_schema_holds(self):
        self.assertEqual(self.errors, [])

    def test_outputs_are_what_was_reviewed(self):
        for name, make in compiler.outputs(self.schema).items():
            path = os.path.join(GOLDEN, name + '.expected')
            with self.subTest(name):
                if os.environ.get('VIREO_GOLDEN'):
                    compiler.write(path, make())
                self.assertEqual(make(), read(path))

    def test_addresses(self):
        urls = [(http, path, operation.name, operation.way, operation.by and operation.by.name)
                for http, path, operation in routes.Tree(self.schema).urls()
                if not path.startswith('/attic')]
        self.assertEqual(urls, [
            ('GET', '/', 'system.get', 'read', None),
            ('GET', '/boxes', 'boxes.list', 'generic', None),
            ('POST', '/boxes', 'boxes.add', 'write', None),
            ('GET', '/boxes/{id}', 'box.get', 'generic', None),
            ('DELETE', '/boxes/{id}', 'box.remove', None, None),
            ('GET', '/boxes/{id}/lids', 'lids.list', 'generic', 'box'),
            ('GET', '/boxes/{id}/lids/{id}', 'lid.get', 'generic', 'box'),
            ('POST', '/boxes/{id}/lock', 'box.lock', 'write', None),
        ])


class WholeModel(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.schema, cls.errors = compiler.load(files(os.path.join(ROOT, 'model')), ROOT)

    def test_it_holds(self):
        self.assertEqual(self.errors, [])

    def test_two_runs_write_the_same(self):
        again, _ = compiler.load(reversed(files(os.path.join(ROOT, 'model'))), ROOT)
        other = compiler.outputs(again)
        for name, make in compiler.outputs(self.schema).items():
            with self.subTest(name):
                self.assertEqual(make(), other[name]())

    def test_every_href_leads_to_a_route(self):
        tree = routes.Tree(self.schema)
        for entity in self.schema.entities.values():
            for href, _ in entity.hrefs:
                with self.subTest(href):
                    node = tree.find(href)
                    self.assertIsNotNone(node)
                    self.assertIs(node.entity, entity)

    def test_every_permit_exists(self):
        permits = re.findall(r'^    \{ \d+, "(\w+)"', read(
            os.path.join(ROOT, 'src', 'manager', 'access', 'permits.c')), re.MULTILINE)
        self.assertIn('create_vm', permits)
        for service in self.schema.services.values():
            for method in service.own_methods:
                if method.permit:
                    self.assertIn(method.permit, permits, method.line.file)

    def test_what_changes_something_needs_a_permit(self):
        own = ('ssh_public_key', 'ssh_public_keys', 'user_option', 'user_options')
        free = ['%s.%s' % (service.name, method.name) for service in self.schema.services.values()
                for method in service.own_methods
                if method.name not in ('get', 'list') and not method.permit
                and service.name not in own]
        self.assertEqual(free, [])

    def test_every_address_is_there(self):
        self.assertEqual(len(routes.Tree(self.schema).urls()), 883)

    def test_an_unchanged_file_is_left_alone(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, 'file')
            compiler.write(path, 'text')
            os.utime(path, (1, 1))
            compiler.write(path, 'text')
            self.assertEqual(os.stat(path).st_mtime, 1)
            compiler.write(path, 'other')
            self.assertNotEqual(os.stat(path).st_mtime, 1)


if __name__ == '__main__':
    unittest.main()
