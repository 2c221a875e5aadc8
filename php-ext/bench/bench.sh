#!/usr/bin/env bash
# What cfgstore costs in PHP, beside its peers, in one run, each figure with its target: some minutes. Ends with a failure when a ratio
# misses its target; times are of this machine in this minute, and do not fail it.
# usage: bench.sh [ROUNDS [PART…]]     parts: reads visible mirror memory; default: all
#   CFGSTORE_BUILD_DIR: folder with cfgstore.so and cfgstored (a release build); default: build/
set -euo pipefail
cd "$(dirname "$0")/../.."
rounds=${1:-9}
parts=" ${*:2} "
[ "$parts" = "  " ] && parts=" reads visible mirror memory "
build=$(cd "${CFGSTORE_BUILD_DIR:-build}" && pwd)
php_config=${PHP_CONFIG:-php-config}
php=$("$php_config" --php-binary)
extensions=$("$php_config" --extension-dir)
folder=$(mktemp -d) && chmod 755 "$folder"
export BENCH_FOLDER=$folder BENCH_BUILD=$build
pids=()
finish() {
    set +e                              # what was ended reports so, and the rest must end too
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null; done
    scripts/stop-store.sh "$folder"/store*
    rm -rf "$folder"
}
trap finish EXIT

settings=(-n -d "extension=$build/cfgstore.so" -d "cfgstore.cfgstored=$build/cfgstored")
for name in apcu curl posix; do
    [ -e "$extensions/$name.so" ] && settings+=(-d "extension=$name")
done
# run FILE SETTING… -- ARGUMENT…
run() {
    local file=$1 options=()
    shift
    while [ $# -gt 0 ] && [ "$1" != -- ]; do options+=(-d "$1"); shift; done
    "$php" "${settings[@]}" "${options[@]}" "php-ext/bench/$file" "${@:2}"
}

if [[ $parts == *" reads "* || $parts == *" visible "* ]]; then
    command -v etcd >/dev/null || { echo "bench: there is no etcd: install etcd-server" >&2; exit 1; }
    read -r client peer < <(python3 -c 'import socket; a, b = socket.socket(), socket.socket(); a.bind(("127.0.0.1", 0)); b.bind(("127.0.0.1", 0)); print(a.getsockname()[1], b.getsockname()[1])')
    etcd --data-dir "$folder/etcd" --listen-client-urls "http://127.0.0.1:$client" --advertise-client-urls "http://127.0.0.1:$client" \
        --listen-peer-urls "http://127.0.0.1:$peer" --initial-advertise-peer-urls "http://127.0.0.1:$peer" \
        --initial-cluster "default=http://127.0.0.1:$peer" >"$folder/etcd.log" 2>&1 &
    pids+=($!)
    export BENCH_ETCD="http://127.0.0.1:$client"
fi

if [[ $parts == *" reads "* ]]; then
    read -ra includes < <("$php_config" --includes)
    cc -O2 -D_GNU_SOURCE -shared -fPIC "${includes[@]}" -o "$folder/probe.so" php-ext/bench/probe.c
    run bench.php "extension=$folder/probe.so" "cfgstore.data_dir=$folder/store-reads" cfgstore.value_mode=immutable cfgstore.consistency=request \
        zend_extension=opcache opcache.enable_cli=1 opcache.validate_timestamps=0 opcache.file_update_protection=0 apc.enable_cli=1 -- "$rounds"
fi

if [[ $parts == *" visible "* ]]; then
    (cd tests/foreign/go && ../../../scripts/go.sh build -o "$folder/" ./watchers)
    run visible.php
fi
[[ $parts == *" mirror "* ]] && run mirror.php
[[ $parts == *" memory "* ]] && run memory.php "cfgstore.data_dir=$folder/store-memory"

if [ -e "$folder/missed" ]; then
    echo
    echo "missed:"
    sed 's/^/  /' "$folder/missed"
    exit 1
fi
