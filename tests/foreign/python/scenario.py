"""What python-etcd3 does against a store: prints the same text for every store that speaks etcd.

    scenario.py 127.0.0.1:2379,127.0.0.1:22379
"""

import sys
import threading

import etcd3
import grpc

PREFIX = "python/"


def keys(client):
    print("== keys")
    client.put(PREFIX + "a", "1")
    client.put(PREFIX + "b", "2")
    print("before:", client.put(PREFIX + "a", "3", prev_kv=True).prev_kv.value)
    value, meta = client.get(PREFIX + "a")
    print("get:", value, meta.key, "version", meta.version)
    print("absent:", client.get(PREFIX + "absent"))
    print("prefix:", [(meta.key, value) for value, meta in client.get_prefix(PREFIX)])
    print("descending:", [meta.key for _, meta in client.get_prefix(PREFIX, sort_order="descend", keys_only=True)])
    print("range:", [meta.key for _, meta in client.get_range(PREFIX + "a", PREFIX + "b")])
    print("serializable:", client.get(PREFIX + "a", serializable=True)[0])
    print("replace:", client.replace(PREFIX + "a", "3", "4"), client.replace(PREFIX + "a", "3", "5"))
    print("put if absent:", client.put_if_not_exists(PREFIX + "a", "6"), client.put_if_not_exists(PREFIX + "c", "6"))
    print("delete:", client.delete(PREFIX + "c"), client.delete(PREFIX + "c"))
    print("delete of a prefix:", client.delete_prefix(PREFIX).deleted)


def transactions(client):
    print("== transactions")
    key, t = PREFIX + "owner", client.transactions
    for owner in ("alice", "bob"):
        succeeded, responses = client.transaction(
            compare=[t.version(key) == 0], success=[t.put(key, owner)], failure=[t.get(key)]
        )
        print(owner, succeeded, "" if succeeded else "taken by " + responses[0][0][0].decode())
    succeeded, _ = client.transaction(
        compare=[t.value(key) == "alice", t.version(key) > 0], success=[t.delete(key)], failure=[]
    )
    print("deleted by its owner:", succeeded, client.get(key)[0])


def watch(client):
    print("== watch")
    seen, done = [], threading.Event()

    def callback(answer):
        if isinstance(answer, Exception):
            seen.append(repr(answer))
            done.set()
            return
        for event in answer.events:
            seen.append((type(event).__name__, event.key, event.value, event.prev_value))
            if isinstance(event, etcd3.events.DeleteEvent):
                done.set()

    watch_id = client.add_watch_prefix_callback(PREFIX + "watched/", callback, prev_kv=True)
    client.put(PREFIX + "watched/a", "1")
    client.put(PREFIX + "unwatched", "0")
    client.put(PREFIX + "watched/a", "2")
    client.delete(PREFIX + "watched/a")
    print("in time:", done.wait(30))
    client.cancel_watch(watch_id)
    for event in seen:
        print(event)
    # From a revision of the past: the iterator first yields what was.
    revision = int(client.put(PREFIX + "watched/b", "1").header.revision)
    client.put(PREFIX + "watched/b", "2")
    events, cancel = client.watch_prefix(PREFIX + "watched/", start_revision=revision)
    print("from a revision:", [next(events).value for _ in range(2)])
    cancel()
    print("once:", once(client))


def once(client):
    timer = threading.Timer(0.2, lambda: client.put(PREFIX + "once", "now"))
    timer.start()
    try:
        return client.watch_once(PREFIX + "once", timeout=30).value
    finally:
        timer.join()


def leases(client):
    print("== leases")
    lease = client.lease(60)
    print("granted:", lease.granted_ttl, 0 < lease.remaining_ttl <= 60)
    client.put(PREFIX + "leased", "1", lease=lease)
    print("keys:", list(lease.keys), "kept alive:", [answer.TTL for answer in lease.refresh()])
    lease.revoke()
    print("after the revoke:", client.get(PREFIX + "leased"))
    print("kept alive after:", [answer.TTL for answer in client.refresh_lease(lease.id)])
    print("revoked twice:", failure(lease.revoke))
    print("put under no lease:", failure(lambda: client.put(PREFIX + "leased", "1", lease=12345)))
    chosen = client.lease(60, lease_id=4242)
    print("chosen:", chosen.id, failure(lambda: client.lease(60, lease_id=4242)))
    chosen.revoke()


def locks(client):
    print("== locks")
    first, second = client.lock("job", ttl=30), client.lock("job", ttl=30)
    print("first:", first.acquire(timeout=10), "second:", second.acquire(timeout=1))
    print("held:", first.is_acquired(), second.is_acquired())
    print("refreshed:", [answer.TTL for answer in first.refresh()])
    waiting = []
    thread = threading.Thread(target=lambda: waiting.append(second.acquire(timeout=30)))
    thread.start()
    print("released:", first.release())
    thread.join()
    print("then second:", waiting, second.release())
    with client.lock("job", ttl=30) as lock:
        print("with:", lock.is_acquired())


def compaction(client):
    print("== compaction")
    revision = int(client.put(PREFIX + "compacted", "1").header.revision)
    client.put(PREFIX + "compacted", "2")
    client.compact(revision + 1, physical=True)
    print("twice:", failure(lambda: client.compact(revision + 1)))
    print("in the future:", failure(lambda: client.compact(revision + 1000)))
    answers, done = [], threading.Event()

    def callback(answer):
        answers.append(answer)
        done.set()

    failed = failure(lambda: client.add_watch_callback(PREFIX + "compacted", callback, start_revision=revision))
    if failed == "succeeded":
        done.wait(30)
        failed = repr_error(answers[0])
    print("watch:", failed)


def cluster(client):
    print("== cluster")
    status, members = client.status(), list(client.members)
    print("a leader that is a member:", status.leader.id in [member.id for member in members])
    print("addresses of all:", all(member.client_urls for member in members))
    print("alarms:", list(client.list_alarms()))
    client.defragment()
    print("defragmented")


def failure(call):
    try:
        call()
        return "succeeded"
    except Exception as error:  # the scenario is what clients see, whatever it is
        return repr_error(error)


def repr_error(error):
    if isinstance(error, grpc.RpcError):
        return f"{error.code().name}: {error.details()}"
    if isinstance(error, etcd3.exceptions.RevisionCompactedError):
        return f"compacted: {error.compacted_revision > 0}"
    return repr(error)


def main():
    host, port = sys.argv[1].split(",")[0].removeprefix("http://").rsplit(":", 1)
    with etcd3.client(host=host, port=int(port), timeout=10) as client:
        client.delete_prefix(PREFIX)
        for part in (keys, transactions, watch, leases, locks, compaction, cluster):
            part(client)
        client.delete_prefix(PREFIX)


main()
