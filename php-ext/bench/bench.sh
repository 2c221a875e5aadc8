#!/usr/bin/env bash
# Nanoseconds of one read in PHP, beside its peers, in one run: see bench.php.
# usage: bench.sh [ROUNDS]      CFGSTORE_BUILD_DIR: folder with cfgstore.so and cfgstored (a release build); default: build/
set -euo pipefail
cd "$(dirname "$0")/../.."
build=$(cd "${CFGSTORE_BUILD_DIR:-build}" && pwd)
php_config=${PHP_CONFIG:-php-config}
php=$("$php_config" --php-binary)
extensions=$("$php_config" --extension-dir)
folder=$(mktemp -d)
etcd_pid=
finish() {
    set +e                              # an etcd that was ended reports so, and the store must end too
    [ -n "$etcd_pid" ] && kill "$etcd_pid" && wait "$etcd_pid" 2>/dev/null
    scripts/stop-store.sh "$folder/store"
    rm -rf "$folder"
}
trap finish EXIT

settings=(-n -d "extension=$build/cfgstore.so" -d "cfgstore.cfgstored=$build/cfgstored" -d "cfgstore.data_dir=$folder/store"
    -d cfgstore.value_mode=immutable -d cfgstore.consistency=request -d opcache.enable_cli=1 -d opcache.validate_timestamps=0 -d opcache.file_update_protection=0 -d apc.enable_cli=1)
[ -e "$extensions/opcache.so" ] && settings+=(-d zend_extension=opcache)
for name in apcu curl; do
    [ -e "$extensions/$name.so" ] && settings+=(-d "extension=$name")
done

if command -v etcd >/dev/null; then
    read -r client peer < <(python3 -c 'import socket; a, b = socket.socket(), socket.socket(); a.bind(("127.0.0.1", 0)); b.bind(("127.0.0.1", 0)); print(a.getsockname()[1], b.getsockname()[1])')
    etcd --data-dir "$folder/etcd" --listen-client-urls "http://127.0.0.1:$client" --advertise-client-urls "http://127.0.0.1:$client" \
        --listen-peer-urls "http://127.0.0.1:$peer" --initial-advertise-peer-urls "http://127.0.0.1:$peer" \
        --initial-cluster "default=http://127.0.0.1:$peer" >"$folder/etcd.log" 2>&1 &
    etcd_pid=$!
    export BENCH_ETCD="http://127.0.0.1:$client"
fi
BENCH_FOLDER=$folder "$php" "${settings[@]}" php-ext/bench/bench.php "${1:-9}"
