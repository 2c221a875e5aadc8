"""What the tests share: a store inside this process, or a server process of their own."""

import glob
import os
import shutil
import signal
import subprocess
import tempfile
import unittest

import cfgstore

# Far above what anything here takes; what waits longer has failed.
PATIENCE = 20.0


def new_folder(test):
    """An empty folder for a store; after the test it is gone, and its mirror in shared memory too."""
    folder = tempfile.mkdtemp(prefix="cfgstore-")

    def clean_up():
        # The mirror outlives its publisher, for readers that still have it.
        for link in glob.glob(folder + "/**/mirror", recursive=True):
            shutil.rmtree(os.path.realpath(link), ignore_errors=True)
        shutil.rmtree(folder)

    test.addCleanup(clean_up)
    return folder


class StoreTest(unittest.TestCase):
    """Has a store inside this process, empty for each test: self.config."""

    def setUp(self):
        self.address = "embedded:" + new_folder(self)
        self.config = self.open(self.address)

    def open(self, address, **options):
        client = cfgstore.open(address, **options)
        self.addCleanup(client.close)
        return client


class ServerProcess:
    """A cfgstored with a port and a data folder."""

    def __init__(self, test):
        self.process = subprocess.Popen(
            [
                os.environ["CFGSTORE_CFGSTORED"],
                "--data-dir=" + new_folder(test),
                "--listen-client-urls=http://127.0.0.1:0",
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        test.addCleanup(self.stop)
        line = self.process.stdout.readline()
        facts = dict(word.split("=", 1) for word in line.split() if "=" in word)
        self.url = facts["urls"]
        self.socket = "unix://" + facts["socket"]

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()


def in_child(work):
    """Runs work() in a forked child; returns what it raised there as text, or "" if nothing."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        signal.alarm(int(PATIENCE))
        try:
            work()
            said = ""
        except BaseException as error:  # noqa: B902: whatever it was, the parent reports it
            said = repr(error)
        os.write(write, said.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        said = pipe.read().decode()
    _, status = os.waitpid(pid, 0)
    return said if status == 0 else f"{said} (ended with status {status})"
