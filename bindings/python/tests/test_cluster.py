"""A cluster of three members, one of which ends, and an etcd: by their addresses, and through an agent of this host."""

import os
import select
import signal
import socket
import subprocess
import unittest

import cfgstore

from support import PATIENCE, new_folder


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Cluster:
    """Members of a program that takes etcd's flags; they end with the test."""

    def __init__(self, test, program, count):
        folder = new_folder(test)
        ports = [(free_port(), free_port()) for _ in range(count)]
        members = ",".join(f"m{n}=http://127.0.0.1:{peer}" for n, (_, peer) in enumerate(ports))
        self.urls = [f"http://127.0.0.1:{client}" for client, _ in ports]
        self.processes = []
        for n, (_, peer) in enumerate(ports):
            command = [
                program, f"--name=m{n}", f"--data-dir={folder}/m{n}", f"--initial-cluster={members}",
                f"--listen-client-urls={self.urls[n]}", f"--advertise-client-urls={self.urls[n]}",
                f"--listen-peer-urls=http://127.0.0.1:{peer}",
                f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}", "--log-level=error",
            ]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            self.processes.append(process)
            test.addCleanup(self.kill, n)
        for url in self.urls:
            with cfgstore.open(url, call_timeout=PATIENCE) as client:
                client.has("x")

    def kill(self, n):
        self.processes[n].kill()
        self.processes[n].wait()


class ClusterTest(unittest.TestCase):
    def open(self, address, **options):
        data_dir = new_folder(self)
        client = cfgstore.open(address, data_dir=data_dir, call_timeout=PATIENCE, **options)
        self.addCleanup(self.end_agent, data_dir)
        self.addCleanup(client.close)
        return client

    def end_agent(self, data_dir):
        for folder, _, files in os.walk(data_dir):
            if "cfgstore.sock" in files:
                with cfgstore.open(f"unix://{folder}/cfgstore.sock", autostart=False) as client:
                    pid = client.status().agent_pid
                # It is no child of this process, so there is nothing to wait for but its descriptor.
                watched = os.pidfd_open(pid)
                os.kill(pid, signal.SIGTERM)
                select.select([watched], [], [], PATIENCE)
                os.close(watched)

    def use(self, client, between):
        """Does with a client what one does; `between` happens halfway."""
        key = f"k{client.revision()}"
        self.assertEqual(client.get(key, None), None)
        first = client.put(key, {"a": 1}, if_revision=0)
        watch = client.watch(key, from_revision=first, timeout=PATIENCE)
        lock = client.lock("deploy", ttl=60.0)
        between()
        self.assertEqual(client.get(key), {"a": 1})
        with self.assertRaises(cfgstore.Conflict):
            client.put(key, 2, if_revision=0)
        second = client.put(key, 2, if_revision=first)
        self.assertTrue(client.delete(key, if_revision=second))
        changes = [next(watch) for _ in range(3)]
        self.assertEqual([change.revision for change in changes][:2], [first, second])
        self.assertTrue(lock.is_held())
        with self.assertRaises(cfgstore.Timeout):
            client.lock("deploy")
        lock.release()
        with client.lock("deploy", wait=PATIENCE) as again:
            self.assertGreater(again.token, lock.token)

    def test_members_of_which_one_ends(self):
        for prefix in ["", "agent:"]:
            with self.subTest(address=prefix):
                cluster = Cluster(self, os.environ["CFGSTORE_CFGSTORED"], 3)
                client = self.open(prefix + ",".join(cluster.urls))
                self.use(client, between=lambda: cluster.kill(0))

    def test_an_etcd(self):
        cluster = Cluster(self, "etcd", 1)
        for prefix in ["", "agent:"]:
            with self.subTest(address=prefix):
                self.use(self.open(prefix + cluster.urls[0]), between=lambda: None)


if __name__ == "__main__":
    unittest.main()
