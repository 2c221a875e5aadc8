#!/usr/bin/env bash
# The extension's tests against a build with debug assertions and overflow checks on, in the extension and in cfgstored.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
# As the tests are built, so that nothing is compiled twice.
cargo build --locked --workspace --lib --bins --tests
folder=$target/debug/shipped
mkdir -p "$folder"
install -m 755 "$target/debug/libcfgstore_php.so" "$folder/cfgstore.so"
install -m 755 "$target/debug/cfgstored" "$folder/cfgstored"
CFGSTORE_BUILD_DIR=$folder exec php-ext/run-tests.sh
