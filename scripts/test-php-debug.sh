#!/usr/bin/env bash
# The extension's tests in a PHP with threads and the engine's own checks: what leaks, what is counted wrongly, and what changes an
# immutable value fails its test. Builds that PHP first (php-debug.sh), and the extension for it. Needs cfgstored in build/.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh php-debug
folder=$PWD/target/php-debug
scripts/php-debug.sh "$folder"
export PHP_CONFIG=$folder/bin/php-config
mkdir -p "$folder/build"
CFLAGS=-DZEND_RC_DEBUG=1 CARGO_TARGET_DIR=$folder/target cargo build --locked -p cfgstore-php
install -m 755 "$folder/target/debug/libcfgstore_php.so" "$folder/build/cfgstore.so"
install -m 755 build/cfgstored "$folder/build/cfgstored"
CFGSTORE_BUILD_DIR=$folder/build php-ext/run-tests.sh
