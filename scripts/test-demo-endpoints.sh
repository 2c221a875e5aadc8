#!/usr/bin/env bash
# The demo's application against members instead of the embedded store, by changing cfgstore.endpoints only: a real etcd
# (Debian's), then three members of cfgstored. Leaves no process behind.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${CFGSTORE_BUILD_DIR:-$PWD/build}
folder=$(mktemp -d)
export CFGSTORE_DEMO_DIR=$folder/demo
servers=()
end_servers() {
    [ ${#servers[@]} -eq 0 ] || { kill "${servers[@]}" 2>/dev/null || true; wait "${servers[@]}" 2>/dev/null || true; }
    servers=()
}
trap 'examples/shop/demo.sh stop; end_servers; rm -rf "$folder"' EXIT
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

run_demo() { # run_demo URL
    ETCDCTL_API=3 timeout 30 bash -c "until etcdctl --endpoints=$1 endpoint health >/dev/null 2>&1; do sleep 0.1; done"
    ENDPOINTS=$1 examples/shop/demo.sh start
    # What the application wrote is in the members' store, and no other store was started.
    ETCDCTL_API=3 etcdctl --endpoints="$1" get /shop/features | grep -q express_checkout
    [ ! -e "$CFGSTORE_DEMO_DIR/store/wal" ] || { echo "an embedded store was started" >&2; exit 1; }
    examples/shop/demo.sh stop
    end_servers
    rm -rf "$CFGSTORE_DEMO_DIR"
}

client=http://127.0.0.1:$(free_port) peer=http://127.0.0.1:$(free_port)
etcd --name m --data-dir "$folder/etcd" --log-level error --listen-client-urls "$client" --advertise-client-urls "$client" \
    --listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" --initial-cluster "m=$peer" >"$folder/etcd.log" 2>&1 </dev/null &
servers+=($!)
run_demo "$client"

clients=() members=
for name in a b c; do
    clients+=("http://127.0.0.1:$(free_port)")
    members+=${members:+,}$name=http://127.0.0.1:$(free_port)
done
for i in 0 1 2; do
    name=$(cut -c$((i + 1)) <<<abc)
    peer=$(tr , '\n' <<<"$members" | sed -n "s/^$name=//p")
    "$build/cfgstored" --name "$name" --data-dir "$folder/$name" --initial-cluster "$members" --listen-peer-urls "$peer" \
        --listen-client-urls "${clients[$i]}" >"$folder/$name.log" 2>&1 </dev/null &
    servers+=($!)
done
run_demo "$(IFS=,; echo "${clients[*]}")"

if pgrep -f -- "$folder"; then
    echo "the demo left these processes behind" >&2
    exit 1
fi
