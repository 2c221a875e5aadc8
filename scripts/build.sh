#!/usr/bin/env bash
# Builds the release and lays what is shipped into one folder.
# usage: build.sh FOLDER
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-build}
target=${CARGO_TARGET_DIR:-target}/release

cargo build --release --locked --workspace --exclude cfgstore-tests
mkdir -p "$out/python"
# install replaces the file: a running process keeps the one it has mapped
install -m 755 "$target/cfgstored" "$target/cfgctl" "$out/"
install -m 755 "$target/libcfgstore.so" "$out/libcfgstore.so"
install -m 644 "$target/libcfgstore.a" "$out/libcfgstore.a"
install -m 755 "$target/libcfgstore_php.so" "$out/cfgstore.so"
install -m 644 include/cfgstore.h "$out/cfgstore.h"
install -m 755 "$target/libcfgstore_python.so" "$out/python/cfgstore.abi3.so"
install -m 644 bindings/python/cfgstore.pyi "$out/python/"
