"""Forks, threads, and members inside this process."""

import os
import select
import signal
import subprocess
import sys
import threading
import unittest

import cfgstore
from support import PATIENCE, ServerProcess, StoreTest, in_child, new_folder


class Forks(StoreTest):
    def test_a_child_goes_on_with_what_it_inherited(self):
        server = ServerProcess(self)
        for address in [self.address, server.url, server.socket]:
            with self.subTest(address=address):
                self.go_on_in_a_child(self.open(address))

    def go_on_in_a_child(self, config):
        lock = config.lock("l")
        watch = config.watch()
        config.put("before", 1)

        def child():
            assert config.get("before") == 1
            config.put("child", 2)
            assert not lock.is_held()
            try:
                lock.release()
                raise AssertionError("the parent's lock was released")
            except cfgstore.LockLost:
                pass
            assert watch.next(PATIENCE).key == "before"
            try:
                config.lock("l")
                raise AssertionError("the parent's lock was taken")
            except cfgstore.Timeout:
                pass
            watch.close()
            config.close()

        self.assertEqual(in_child(child), "")
        self.assertEqual(config.get("child"), 2)
        self.assertTrue(lock.is_held())
        self.assertEqual([watch.next(PATIENCE).key for _ in range(2)], ["before", "child"])
        lock.release()
        watch.close()

    def test_a_child_cannot_run_a_member_of_its_own(self):
        other = "embedded:" + new_folder(self)

        def child():
            for address in [self.address, other]:
                try:
                    cfgstore.open(address)
                    raise AssertionError("a member was started")
                except cfgstore.Unsupported as error:
                    assert "/cfgstore.sock" in str(error), error

        self.assertEqual(in_child(child), "")

    def test_a_child_that_ends_as_python_does_ends_nothing_of_its_parents(self):
        # atexit runs in this child, and the client is freed there.
        script = """
import os, sys, cfgstore
config = cfgstore.open(sys.argv[1])
config.put("a", 1)
pid = os.fork()
if pid == 0:
    assert config.get("a") == 1
    sys.exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
assert config.get("a") == 1
"""
        address = "embedded:" + new_folder(self)
        subprocess.run([sys.executable, "-c", script, address], check=True, timeout=PATIENCE)


class Threads(StoreTest):
    def test_threads_share_a_client(self):
        failures = []

        def work(number):
            try:
                for value in range(20):
                    self.config.put(f"t/{number}", value)
                    assert self.config.get(f"t/{number}") == value
            except BaseException as error:  # noqa: B902: reported below
                failures.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        self.assertEqual(len(self.config.all("t/")), 8)


class Embedded(unittest.TestCase):
    def setUp(self):
        self.folder = new_folder(self)
        self.address = "embedded:" + self.folder
        self.socket = os.path.join(self.folder, "cfgstore.sock")

    def test_it_is_shared_and_ends_with_its_last_user(self):
        first, second = cfgstore.open(self.address), cfgstore.open(self.address + "/.")
        first.put("a", 1)
        lock = first.lock("l")
        self.assertEqual(first.status().agent_pid, os.getpid())
        first.close()
        self.assertEqual(second.get("a"), 1)
        second.close()
        self.assertTrue(lock.is_held() and os.path.exists(self.socket))
        lock.release()
        self.assertFalse(os.path.exists(self.socket))
        with cfgstore.open(self.address) as config:
            self.assertEqual(config.get("a"), 1)

    def test_another_process_is_refused(self):
        script = "import sys, cfgstore\ntry: cfgstore.open(sys.argv[1])\nexcept cfgstore.Unavailable as e: print(e)"
        with cfgstore.open(self.address):
            done = subprocess.run(
                [sys.executable, "-c", script, self.address], capture_output=True, text=True, timeout=PATIENCE
            )
        self.assertIn(f"in use by process {os.getpid()}", done.stdout)

    def test_a_program_that_closes_nothing_still_ends_in_order(self):
        script = """
import sys, cfgstore
config = cfgstore.open(sys.argv[1])
config.put("a", 1)
watch = config.watch()
lock = config.lock("l")
"""
        done = subprocess.run(
            [sys.executable, "-c", script, self.address], capture_output=True, text=True, timeout=PATIENCE
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertFalse(os.path.exists(self.socket))
        with cfgstore.open(self.address) as config:
            self.assertEqual(config.get("a"), 1)
            config.lock("l").release()

    def test_a_folder_that_cannot_be_used(self):
        blocked = os.path.join(self.folder, "file")
        with open(blocked, "w", encoding="utf-8"):
            pass
        with self.assertRaisesRegex(cfgstore.Error, "file"):
            cfgstore.open("embedded:" + blocked)


class Default(unittest.TestCase):
    def test_the_embedded_store_of_the_host_is_started(self):
        folder = new_folder(self)
        with cfgstore.open(data_dir=folder) as config:
            config.put("a", 1)
            pid = config.status().agent_pid
            self.addCleanup(self.end, pid)
            self.assertNotEqual(pid, os.getpid())
        # It outlives the client that started it.
        with cfgstore.open(data_dir=folder, autostart=False) as config:
            self.assertEqual((config.get("a"), config.status().data_dir), (1, folder))

    @staticmethod
    def end(pid):
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        with os.fdopen(pidfd, "rb") as process:
            os.kill(pid, signal.SIGTERM)
            select.select([process], [], [], PATIENCE)
