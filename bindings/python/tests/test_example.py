"""The example runs."""

import os
import subprocess
import sys
import unittest

from support import PATIENCE, new_folder

EXAMPLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../examples/python/quickstart.py")


class Example(unittest.TestCase):
    def test_the_quickstart(self):
        command = [sys.executable, EXAMPLE, "embedded:" + new_folder(self)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for line in ["got {'host': 'db1'}", "changed: put database", "changed: delete database", "done"]:
            self.assertIn(line, done.stdout)
