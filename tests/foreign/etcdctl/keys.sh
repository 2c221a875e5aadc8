#!/usr/bin/env bash
# Keys, history, transactions, watches, leases, locks, elections and mirrors by etcdctl. The store is fresh: revisions count.
. "$(dirname "$0")/lib.sh"

echo "== put and get"
ctl put greeting hello
ctl put greeting "hello again" --prev-kv
ctl put number 7 -w json
ctl put number --ignore-value --lease=0
ctl put absent --ignore-value
ctl put absent --ignore-lease value
ctl get greeting
ctl get greeting --print-value-only
ctl get greeting -w json
ctl get greeting -w fields
ctl get greeting --hex
ctl get greeting --rev=2
ctl get greeting --rev=1
ctl get greeting --rev=1000
ctl get absent
ctl get absent -w json
ctl get ""
ctl get greeting --consistency=s
ctl get greeting --consistency=l

echo "== ranges"
for key in app/a app/b app/c app/d apq zz; do
    ctl put "$key" "value of $key"
done
ctl put app/b changed
ctl get app/ --prefix
ctl get app/ --prefix --keys-only
ctl get app/ --prefix --count-only -w fields
ctl get app/ --prefix --limit=2 -w json
ctl get app/ --prefix --order=DESCEND --sort-by=KEY --keys-only
ctl get app/ --prefix --order=ASCEND --sort-by=MODIFY --keys-only
ctl get app/ --prefix --order=DESCEND --sort-by=VERSION --limit=1
ctl get app/ --prefix --order=ASCEND --sort-by=CREATE --keys-only
ctl get app/ --prefix --order=DESCEND --sort-by=VALUE --print-value-only
ctl get app/b app/d
ctl get app/c --from-key --keys-only
ctl get "" --prefix --keys-only
ctl get "" --from-key --keys-only --limit=3
ctl get app/ --prefix --rev=9 --keys-only
ctl get z a

echo "== delete"
ctl del app/a --prev-kv
ctl del app/a
ctl del app/b app/d
ctl del ap --prefix -w json
ctl get "" --prefix --keys-only

echo "== transactions"
ctl txn <<'TXN'
value("greeting") = "hello again"
version("absent") = "0"

put greeting "from a transaction"
get greeting

get number

TXN
ctl txn <<'TXN'
mod("greeting") < "5"

put greeting no

get greeting
del number

TXN
ctl txn -w json <<'TXN'
create("absent") = "0"

put absent 1
del zz
get gree --prefix --keys-only


TXN
ctl txn <<'TXN'
version("greeting") > "1"

put same 1
put same 2


TXN
ctl txn <<'TXN'


get greeting

TXN

echo "== watch"
# From a revision: what happened and nothing else, however late the watch comes.
start=$(quiet get greeting -w json | sed -E 's/.*"revision":([0-9]+).*/\1/')
ctl put watched/a 1
ctl put watched/b 2
ctl del watched/a
ctl put watched/b 3
first 12 watch watched/ --prefix --rev=$((start + 1))
first 8 watch watched/b watched/c --rev=$((start + 1)) --prev-kv
first 11 watch watched/ --prefix --rev=$((start + 1)) --prev-kv
first 1 watch watched/a --rev=$((start + 1)) -w json
first 8 watch watched/a --rev=$((start + 1)) -- sh -c 'echo "$ETCD_WATCH_EVENT_TYPE $ETCD_WATCH_KEY $ETCD_WATCH_VALUE at $ETCD_WATCH_REVISION"'

echo "== leases"
ctl lease grant 100
ctl lease grant 0
lease=$(quiet lease grant 100 | awk '{print $2}')
ctl put leased/a 1 "--lease=$lease"
ctl get leased/a -w json
ctl put leased/a 2 --ignore-lease
ctl lease timetolive "$lease" --keys | sed -E 's/remaining\([0-9]+s\)/remaining(<n>)/'
ctl put leased/b 2 "--lease=$lease"
ctl lease keep-alive --once "$lease"
first 1 lease keep-alive "$lease"
ctl lease list | sed -E 's/^found [0-9]+/found <n>/' | sort -u
ctl put leased/c 3 --lease=123456
ctl lease revoke "$lease"
ctl lease revoke "$lease"
ctl lease keep-alive --once "$lease"
ctl lease timetolive "$lease"
ctl get leased/ --prefix

echo "== lock"
ctl lock job -- sh -c 'echo "held by ${ETCD_LOCK_KEY%/*}"'
ctl lock job -- sh -c 'exit 3'
first 1 lock job
ctl get job --prefix

echo "== elect"
first 2 elect president alice
ctl get president --prefix

echo "== compaction"
ctl put compacted 1
ctl put compacted 2
ctl compaction 1000000
now=$(quiet get greeting -w json | sed -E 's/.*"revision":([0-9]+).*/\1/')
ctl compaction $((now - 1)) --physical
ctl compaction $((now - 1))
ctl get greeting --rev=$((now - 2))
ctl get compacted --rev=$((now - 1))
# A member that has come to a later revision has compacted, too.
ctl put compacted 3
until_true all_applied
ctl watch compacted --rev=2

echo "== make-mirror"
ctl put source/a 1
ctl put source/b 2
timeout -k 1 30 "$ETCDCTL" --endpoints "$ENDPOINTS" make-mirror --prefix source/ --dest-prefix copy/ "${endpoint[0]}" \
    >/dev/null 2>&1 </dev/null &
mirror=$!
copied() { [ "$(quiet get copy/ --prefix --keys-only | grep -c .)" -eq "$1" ]; }
until_true copied 2
ctl put source/c 3
until_true copied 3
kill "$mirror"
wait "$mirror" 2>/dev/null
ctl get copy/ --prefix
