#!/usr/bin/env python3
"""A cfgstored that starts like the real one and serves nothing.

Its behaviour is in the file `fake` of the data folder, one word; without it, it serves:
  slow     serves after a second
  silent   takes the folder, says so by the file `taken`, and never serves
  fails    logs an error and ends
"""
import fcntl, json, os, signal, socket, sys, time

arguments = dict(zip(sys.argv[1::2], sys.argv[2::2]))
folder = arguments["--data-dir"]


def in_folder(name):
    return os.path.join(folder, name)


with open(in_folder("starts"), "a") as starts:
    state = {
        "arguments": arguments,
        "cwd": os.getcwd(),
        "descriptors": sorted(int(name) for name in os.listdir("/proc/self/fd")),
        "session": os.getsid(0) != os.getpid() and os.getsid(0),
        "group": os.getpgid(0),
        "parent": os.getppid(),
        "blocked": [int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, [])],
        "usr1": signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL,
        "pid": os.getpid(),
    }
    starts.write(json.dumps(state) + "\n")

lock = open(in_folder("lock"), "a+")
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    sys.exit("the data folder is in use by another process")

try:
    behaviour = open(in_folder("fake")).read().strip()
except FileNotFoundError:
    behaviour = "serves"
if behaviour == "fails":
    sys.exit("first line\nthe log is damaged at offset 17\n")
if behaviour == "silent":
    open(in_folder("taken"), "w").close()
    time.sleep(600)
if behaviour == "slow":
    time.sleep(1)

path = in_folder("cfgstore.sock")
if os.path.exists(path):
    os.unlink(path)
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen(64)
print(f"cfgstored 0.0.0 serving: data_dir={folder} socket={path}", flush=True)
accepted = []
while True:
    accepted.append(listener.accept())
