"""Locks: one holder, a token that grows."""

import signal
import threading
import time

import cfgstore
from support import PATIENCE, ServerProcess, StoreTest


class Locks(StoreTest):
    def test_one_holder_at_a_time(self):
        other = self.open(self.address)
        with self.config.lock("nightly") as lock:
            self.assertTrue(lock.is_held())
            lock.check()
            with self.assertRaises(cfgstore.Timeout) as raised:
                other.lock("nightly")
            self.assertIn("nightly", str(raised.exception))
            self.assertTrue(raised.exception.retryable)
            token = lock.token
        self.assertFalse(lock.is_held())
        self.assertRaises(cfgstore.LockLost, lock.check)
        lock.release()
        again = other.lock("nightly")
        self.assertGreater(again.token, token)
        again.release()

    def test_waiting_for_it(self):
        holder = self.config.lock("l")
        threading.Timer(0.1, holder.release).start()
        with self.open(self.address).lock("l", wait=float("inf")) as lock:
            self.assertGreater(lock.token, holder.token)
        with self.config.lock("l"):
            began = time.monotonic()
            self.assertRaises(cfgstore.Timeout, self.open(self.address).lock, "l", wait=0.2)
            self.assertGreaterEqual(time.monotonic() - began, 0.2)

    def test_a_lock_that_is_forgotten_is_freed(self):
        self.config.lock("l")
        self.open(self.address).lock("l", wait=PATIENCE).release()

    def test_a_signal_ends_the_wait_and_leaves_no_lock(self):
        def interrupt(_number, _frame):
            raise KeyboardInterrupt

        previous = signal.signal(signal.SIGALRM, interrupt)
        self.addCleanup(signal.signal, signal.SIGALRM, previous)
        holder = self.config.lock("l")
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        self.assertRaises(KeyboardInterrupt, self.config.lock, "l", wait=1.0)
        holder.release()
        # The wait that was left may get the lock yet, and gives it back.
        self.config.lock("l", wait=PATIENCE).release()

    def test_a_lost_lock_says_so(self):
        server = ServerProcess(self)
        lock = self.open(server.socket).lock("l")
        server.kill()
        deadline = time.monotonic() + PATIENCE
        while lock.is_held() and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertFalse(lock.is_held())
        self.assertRaises(cfgstore.LockLost, lock.check)
        self.assertRaises(cfgstore.LockLost, lock.release)

    def test_what_went_wrong_inside_is_what_is_raised(self):
        server = ServerProcess(self)
        with self.assertRaises(ZeroDivisionError):
            with self.open(server.socket).lock("l"):
                server.kill()
                raise ZeroDivisionError
