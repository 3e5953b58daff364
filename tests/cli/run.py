# SPDX-License-Identifier: Apache-2.0
"""Runs the tests of this folder and tells the results as TAP."""

import os
import shutil
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))


class Tap(unittest.TestResult):
    count = 0

    def line(self, word, test, note=""):
        self.count += 1
        name = test.id().split(".", 1)[-1].replace("_", " ")
        print("%s %d - %s%s" % (word, self.count, name, note), flush=True)

    def addSuccess(self, test):
        super().addSuccess(test)
        self.line("ok", test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.line("ok", test, " # SKIP " + reason)

    def broken(self, test, text):
        print("\n".join("# " + line for line in text.split("\n")))
        self.line("not ok", test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.broken(test, self.failures[-1][1])

    def addError(self, test, err):
        super().addError(test, err)
        self.broken(test, self.errors[-1][1])


def main():
    if not shutil.which("openssl"):
        print("1..0 # SKIP openssl is missing, which makes the certificates")
        return 0
    import test_cli
    suite = unittest.defaultTestLoader.loadTestsFromModule(test_cli)
    result = Tap()
    suite.run(result)
    print("1..%d" % result.count)
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
