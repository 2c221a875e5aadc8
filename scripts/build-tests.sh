#!/usr/bin/env bash
# Builds every test program, and the extension and cfgstored with debug assertions and overflow checks on.
# usage: build-tests.sh FOLDER    gets programs.json, for test-package.py, and cfgstore.so and cfgstored
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:?usage: build-tests.sh FOLDER}
target=${CARGO_TARGET_DIR:-target}/debug
mkdir -p "$folder"
cargo build --locked --workspace --lib --bins --tests --message-format=json-render-diagnostics >"$folder/programs.json"
install -m 755 "$target/libcfgstore_php.so" "$folder/cfgstore.so"
install -m 755 "$target/cfgstored" "$folder/cfgstored"
