"""Reading, writing, deleting, conditions and transactions."""

import cfgstore
from support import ServerProcess, StoreTest


class Keys(StoreTest):
    def test_read_write_delete(self):
        first = self.config.put("a", 1)
        second = self.config.put("a", 2)
        self.assertGreater(second, first)
        self.assertEqual((self.config.get("a"), self.config["a"]), (2, 2))
        self.assertTrue(self.config.has("a") and "a" in self.config)
        entry = self.config.entry("a")
        self.assertEqual((entry.key, entry.value, entry.raw), ("a", 2, b"2"))
        self.assertEqual((entry.revision, entry.create_revision, entry.version), (second, first, 2))
        self.assertTrue(self.config.delete("a"))
        self.assertFalse(self.config.delete("a"))
        self.assertFalse("a" in self.config)
        self.assertGreater(self.config.revision(), second)

    def test_what_is_not_there(self):
        for read in [self.config.get, self.config.get_bytes, self.config.entry, self.config.__getitem__]:
            with self.assertRaises(cfgstore.NotFound) as raised:
                read("absent")
            self.assertIsInstance(raised.exception, KeyError)
            self.assertEqual(str(raised.exception), "key 'absent' does not exist")
            self.assertFalse(raised.exception.retryable)
        default = object()
        self.assertIs(self.config.get("absent", default), default)
        self.assertIs(self.config.get("absent", default=None), None)
        self.assertIs(self.config.get_bytes("absent", default), default)

    def test_all_below_a_prefix(self):
        for key in ["b/2", "b/1", "a", "c"]:
            self.config.put(key, key.upper())
        self.assertEqual(list(self.config.all().items()), [(key, key.upper()) for key in ["a", "b/1", "b/2", "c"]])
        self.assertEqual(self.config.all("b/"), {"b/1": "B/1", "b/2": "B/2"})
        self.assertEqual(self.config.all("x"), {})

    def test_a_clients_prefix(self):
        shop = self.open(self.address, prefix="/shop/")
        shop.put("a", 1)
        self.assertEqual(shop.all(), {"a": 1})
        self.assertEqual(self.config.all(), {"/shop/a": 1})

    def test_keys_that_are_not_utf8(self):
        self.config.put(b"\xff\xfe", 1)
        self.assertEqual(list(self.config.all()), ["\udcff\udcfe"])
        self.assertEqual(self.config.get("\udcff\udcfe"), 1)
        self.assertEqual(self.config.entry(b"\xff\xfe").key, "\udcff\udcfe")
        self.config.put("\0ü", 2)
        self.assertEqual(self.config.get("\0ü".encode()), 2)

    def test_conditions(self):
        first = self.config.put("a", 1, if_revision=0)
        with self.assertRaises(cfgstore.Conflict) as raised:
            self.config.put("a", 2, if_revision=0)
        self.assertEqual(raised.exception.conflicts, (("a", 0, first),))
        with self.assertRaises(cfgstore.Conflict):
            self.config.put("b", 2, if_revision=first)
        second = self.config.put("a", 2, if_revision=first)
        with self.assertRaises(cfgstore.Conflict):
            self.config.delete("a", if_revision=first)
        self.assertTrue(self.config.delete("a", if_revision=second))

    def test_transactions(self):
        self.config.put("old", 1)
        transaction = self.config.transaction().if_exists("old").if_absent("a").put("a", [1]).put_bytes("b", b"\xff")
        revision = transaction.delete("old").commit()
        self.assertEqual(self.config.all(), {"a": [1], "b": b"\xff"})
        self.assertEqual({self.config.entry(key).revision for key in "ab"}, {revision})
        with self.assertRaises(cfgstore.Conflict) as raised:
            transaction.commit()
        self.assertEqual(raised.exception.conflicts, (("old", -1, 0), ("a", 0, revision)))
        with self.assertRaises(cfgstore.Conflict):
            self.config.transaction().if_revision("a", 1).put("a", 2).commit()
        with self.assertRaises(cfgstore.InvalidArgument):
            self.config.transaction().put("a", 1).put("a", 2).commit()
        self.assertEqual(self.config["a"], [1])

    def test_bad_arguments(self):
        for call in [
            lambda: self.config.get(""), lambda: self.config.put("", 1), lambda: self.config.get("\ud800"),
            lambda: self.config.put("a", 1, if_revision=-5), lambda: self.config.watch(from_revision=-1),
            lambda: self.config.lock(""), lambda: self.config.lock("l", ttl=0), lambda: self.config.lock("l", ttl=-1),
            lambda: self.config.lock("l", wait=float("nan")), lambda: cfgstore.open("ftp://x"),
            lambda: cfgstore.open("embedded:relative"), lambda: cfgstore.open(call_timeout=-1),
        ]:
            with self.assertRaises(cfgstore.InvalidArgument) as raised:
                call()
            self.assertIsInstance(raised.exception, ValueError)
        for call in [lambda: self.config.get(1), lambda: self.config.put_bytes("a", "text"), lambda: self.config.get()]:
            self.assertRaises(TypeError, call)
        self.assertRaises(cfgstore.TooLarge, self.config.get, "k" * 70_000)
        self.assertRaises(cfgstore.Unsupported, cfgstore.open, "https://a")
        self.assertEqual(self.config.all(), {})

    def test_a_closed_client_says_so(self):
        self.config.close()
        self.config.close()
        with self.assertRaisesRegex(cfgstore.InvalidArgument, "closed"):
            self.config.get("a")
        with cfgstore.open(self.address) as config:
            config.put("a", 1)
        self.assertRaises(cfgstore.InvalidArgument, config.revision)


class Remote(StoreTest):
    """The same over a cluster's port and over a host's socket."""

    def test_read_write_watch_lock(self):
        server = ServerProcess(self)
        for address in [server.url, server.socket]:
            config = self.open(address, prefix=address + "/")
            revision = config.put("a", 1)
            with config.watch(from_revision=revision) as watch:
                self.assertEqual(watch.next(20.0).value, 1)
            with config.lock("l") as lock:
                self.assertTrue(lock.is_held())
            self.assertEqual(config.all(), {"a": 1})
            status = config.status()
            self.assertGreaterEqual(status.revision, revision)
            self.assertEqual(status.leader_id, status.member_id)
            self.assertEqual(status.agent_pid, server.process.pid if address == server.socket else None)
