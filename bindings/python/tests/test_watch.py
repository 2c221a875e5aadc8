"""Changes, in order, each once."""

import select
import signal
import threading

import cfgstore
from support import PATIENCE, ServerProcess, StoreTest


class Watches(StoreTest):
    def test_changes_come_in_order(self):
        with self.config.watch("app/") as watch:
            first = self.config.put("app/a", {"x": 1})
            self.config.put("other", 0)
            both = self.config.transaction().delete("app/a").put_bytes("app/b", b"\xff").commit()
            changes = [watch.next(PATIENCE) for _ in range(3)]
            self.assertIsNone(watch.next(0))
        self.assertEqual(
            [(change.kind, change.key, change.value, change.raw, change.revision) for change in changes],
            [
                ("put", "app/a", {"x": 1}, b'{"x":1}', first), ("delete", "app/a", None, b"", both),
                ("put", "app/b", b"\xff", b"\xff", both),
            ],
        )
        self.assertEqual([change.version for change in changes], [1, 0, 1])
        self.assertIn("app/a", repr(changes[0]))

    def test_iteration_ends_after_its_timeout(self):
        revision = self.config.put("a", 1)
        self.config.put("a", 2)
        watch = self.config.watch("a", from_revision=revision, timeout=0.5)
        self.assertEqual([change.value for change in watch], [1, 2])
        self.config.put("a", 3)
        self.assertEqual([change.value for change in watch], [3])

    def test_an_event_loop_can_wait(self):
        with self.config.watch() as watch:
            self.config.put("a", 1)
            readable, _, _ = select.select([watch], [], [], PATIENCE)
            self.assertEqual(readable, [watch])
            change = watch.next(PATIENCE)
            self.assertEqual(change.value, 1)
            self.assertIsNone(watch.next(0))

    def test_other_threads_run_meanwhile(self):
        with self.config.watch() as watch:
            writer = threading.Timer(0.05, self.config.put, ("a", 1))
            writer.start()
            self.assertEqual(watch.next(PATIENCE).key, "a")
            writer.join()

    def test_a_signal_ends_the_wait(self):
        def interrupt(_number, _frame):
            raise KeyboardInterrupt

        previous = signal.signal(signal.SIGALRM, interrupt)
        self.addCleanup(signal.signal, signal.SIGALRM, previous)
        with self.config.watch() as watch:
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            self.assertRaises(KeyboardInterrupt, watch.next)
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            self.assertRaises(KeyboardInterrupt, watch.next, float("inf"))
            self.config.put("a", 1)
            self.assertEqual(watch.next(PATIENCE).value, 1)

    def test_it_goes_on_after_a_pause_of_the_server(self):
        server = ServerProcess(self)
        config = self.open(server.url)
        with config.watch() as watch:
            config.put("a", 1)
            server.pause()
            server.resume()
            config.put("a", 2)
            self.assertEqual([watch.next(PATIENCE).value for _ in range(2)], [1, 2])

    def test_history_that_does_not_reach_back(self):
        with self.config.watch(from_revision=self.config.revision() + 100) as watch:
            self.assertIsNone(watch.next(0.1))

    def test_a_closed_watch_says_so(self):
        watch = self.config.watch()
        watch.close()
        watch.close()
        for call in [watch.next, watch.fileno, lambda: next(watch)]:
            self.assertRaisesRegex(cfgstore.InvalidArgument, "closed", call)
