#!/usr/bin/env python3
"""cfgstore from Python: write a value, read it, watch it change, hold a lock.

    python3 quickstart.py                            the embedded store of this host, started if need be
    python3 quickstart.py embedded:/tmp/quickstart   a store inside this process
    python3 quickstart.py http://127.0.0.1:2379      a cluster, of cfgstore or of etcd
"""

import sys

import cfgstore

address = sys.argv[1] if len(sys.argv) > 1 else ""

# Every key of this program is below one prefix.
with cfgstore.open(address, prefix="/quickstart/") as config:
    # Values are JSON, so that every language reads them.
    revision = config.put("database", {"host": "db1"})
    print("got", config.get("database"))
    print("got", config.get("theme", "light"), "by default")

    # A write that fails if somebody else was faster.
    try:
        config.put("database", {"host": "db2"}, if_revision=revision - 1)
    except cfgstore.Conflict as conflict:
        print("refused:", conflict)

    # Every later change, in order; the loop ends when none came for five seconds.
    with config.watch("data", timeout=5.0) as changes:
        config.put("database", {"host": "db2"}, if_revision=revision)
        config.delete("database")
        for change in changes:
            print("changed:", change.kind, change.key, change.value)
            if change.kind == "delete":
                break

    # One holder at a time, and a token that grows, for what the lock protects to refuse latecomers.
    with config.lock("nightly", wait=5.0) as lock:
        print("holding the lock:", lock.is_held(), "with a token:", lock.token > 0)

print("done")
