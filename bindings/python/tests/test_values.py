"""JSON in and out, and what is not JSON."""

import base64
import json
import os

import cfgstore
from support import StoreTest


class Values(StoreTest):
    def test_json_goes_round(self):
        for value in [
            {"host": "db1", "ports": [1, 2.5, None, True, {}]}, [], "text", "", "ü\u2028\0", 0, -1.5, 2**80, None, False,
        ]:
            self.config.put("k", value)
            self.assertEqual(self.config.get("k"), value)
            self.assertIs(type(self.config.get("k")), type(value))

    def test_json_is_what_other_languages_write(self):
        self.config.put("k", {"a": ["ü", 1]})
        self.assertEqual(self.config.get_bytes("k"), '{"a":["ü",1]}'.encode())

    def test_what_is_not_json_comes_back_as_it_is(self):
        for raw, value in [
            (b"plain text", "plain text"), (b"", ""), (b"{broken", "{broken"), ("ü".encode(), "ü"), (b"NaN", "NaN"),
            (b"[Infinity]", "[Infinity]"), (b"\xff\x00", b"\xff\x00"), (b"1" * 5000, None),
        ]:
            self.config.put_bytes("k", raw)
            self.assertEqual(self.config.get_bytes("k"), raw)
            if value is not None:
                self.assertEqual(self.config.get("k"), value)

    def test_bytes_go_round(self):
        for raw in [b"", b"\0\xff", bytearray(b"x"), bytes(1_000_000)]:
            self.config.put_bytes("k", raw)
            self.assertEqual(self.config.get_bytes("k"), bytes(raw))

    def test_what_json_cannot_say_is_refused(self):
        loop = []
        loop.append(loop)
        for value in [object(), {1, 2}, float("nan"), float("inf"), loop, b"bytes", "\ud800", {(1, 2): 3}]:
            with self.assertRaises(cfgstore.InvalidArgument) as raised:
                self.config.put("k", value)
            self.assertIsNotNone(raised.exception.__cause__)
            self.assertIn("JSON", str(raised.exception))
        with self.assertRaisesRegex(cfgstore.InvalidArgument, "put_bytes"):
            self.config.put("k", b"bytes")
        self.assertFalse(self.config.has("k"))

    def test_nesting_too_deep_for_python_is_said(self):
        self.config.put_bytes("deep", b"[" * 200_000 + b"]" * 200_000)
        with self.assertRaisesRegex(cfgstore.TooLarge, "get_bytes"):
            self.config.get("deep")
        self.assertEqual(len(self.config.get_bytes("deep")), 400_000)

    def test_a_value_over_the_servers_limit(self):
        with self.assertRaises(cfgstore.TooLarge) as raised:
            self.config.put_bytes("k", bytes(2 * 1024 * 1024))
        self.assertFalse(raised.exception.maybe_committed)
        self.assertFalse(self.config.has("k"))


class Sealed(StoreTest):
    """Values under the patterns of a keyring are in clear only for who has its key."""

    def keyring(self, name, key):
        variable = "PYTHON_KEYRING_" + name
        os.environ[variable] = json.dumps(
            {"primary": name, "patterns": ["secret/*"], "keys": {name: base64.b64encode(key).decode()}}
        )
        self.addCleanup(os.environ.pop, variable)
        return "env:" + variable

    def test_a_sealed_value_needs_its_key(self):
        sealing = self.open(self.address, keyring=self.keyring("one", b"1" * 32))
        sealing.put("secret/a", {"password": "open sesame"})
        sealing.put("clear", "open sesame")
        self.assertEqual(sealing.get("secret/a"), {"password": "open sesame"})
        # What the server has.
        stored = self.config.get_bytes("secret/a")
        self.assertTrue(stored.startswith(b'{"$sealed":"v1.one.'), stored)
        self.assertNotIn(b"sesame", stored)
        self.assertEqual(self.config.get("clear"), "open sesame")

        other = self.open(self.address, keyring=self.keyring("two", b"2" * 32))
        for read in other.get, other.get_bytes:
            with self.assertRaisesRegex(cfgstore.Sealed, "secret/a") as raised:
                read("secret/a")
            self.assertFalse(raised.exception.retryable)
        self.assertEqual(other.get("clear"), "open sesame")

    def test_nothing_is_put_in_clear_by_who_cannot_seal_it(self):
        broken = self.open(self.address, keyring="env:PYTHON_KEYRING_ABSENT")
        with self.assertRaisesRegex(cfgstore.Sealed, "PYTHON_KEYRING_ABSENT") as raised:
            broken.put("secret/a", 1)
        self.assertFalse(raised.exception.maybe_committed)
        self.assertFalse(self.config.has("secret/a"))
