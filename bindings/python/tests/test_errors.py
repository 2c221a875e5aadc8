"""Exceptions say what to do."""

import os
import unittest

import cfgstore
from support import PATIENCE, ServerProcess

KINDS = """NotFound Conflict InvalidArgument TooLarge Unavailable Timeout Denied Compacted LockLost Exhausted Corrupt
    NotSynced Unsupported Canceled Internal Sealed SchemaViolation""".split()


class Errors(unittest.TestCase):
    def test_one_class_for_each_kind(self):
        for kind in KINDS:
            error = getattr(cfgstore, kind)
            self.assertTrue(issubclass(error, cfgstore.Error))
            self.assertEqual((error.__module__, error.__name__), ("cfgstore", kind))
            self.assertTrue(error.__doc__)
            self.assertEqual((error("x").retryable, error("x").maybe_committed), (False, False))
            self.assertEqual(str(error("it's so")), "it's so")
        self.assertTrue(issubclass(cfgstore.Timeout, TimeoutError))

    def test_a_server_that_is_away(self):
        with cfgstore.open("http://127.0.0.1:1", call_timeout=0.2) as config:
            for call in [lambda: config.get("a"), lambda: config.put("a", 1), config.watch, lambda: config.lock("l")]:
                with self.assertRaises(cfgstore.Unavailable) as raised:
                    call()
                self.assertTrue(raised.exception.retryable)
                self.assertFalse(raised.exception.maybe_committed)
                self.assertIn("127.0.0.1:1", str(raised.exception))

    def test_a_write_of_unknown_fate(self):
        server = ServerProcess(self)
        with cfgstore.open(server.url, call_timeout=2.0) as config:
            config.put("a", 1)
            server.pause()
            with self.assertRaises(cfgstore.Error) as raised:
                config.put("a", 2)
            self.assertTrue(raised.exception.maybe_committed)
            self.assertFalse(raised.exception.retryable)
            with self.assertRaises(cfgstore.Error) as raised:
                config.get("a")
            self.assertFalse(raised.exception.maybe_committed)
            self.assertTrue(raised.exception.retryable)
            server.resume()
        with cfgstore.open(server.url, call_timeout=PATIENCE) as config:
            self.assertIn(config.get("a"), [1, 2])

    def test_no_server_to_start(self):
        with cfgstore.open(data_dir="/nonexistent/x", autostart=False, call_timeout=0.2) as config:
            self.assertRaises(cfgstore.Unavailable, config.get, "a")
        binary = os.path.join(os.path.dirname(__file__), "absent")
        with cfgstore.open(data_dir="/nonexistent/x", cfgstored=binary, call_timeout=0.2) as config:
            with self.assertRaisesRegex(cfgstore.Unavailable, "absent"):
                config.get("a")
