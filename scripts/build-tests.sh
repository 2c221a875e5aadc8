#!/usr/bin/env bash
# Builds every test program, and the extension and cfgstored, with assertions and overflow checks on in our own packages.
# usage: build-tests.sh FOLDER    gets programs.json, for test-package.py, profile.toml, the cargo configuration of this build,
#                                 and cfgstore.so and cfgstored
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:?usage: build-tests.sh FOLDER}
target=${CARGO_TARGET_DIR:-target}/release
mkdir -p "$folder"
scripts/checked-profile.py >"$folder/profile.toml"
cargo build --release --config "$folder/profile.toml" --locked --workspace --lib --bins --tests \
    --message-format=json-render-diagnostics >"$folder/programs.json"
install -m 755 "$target/libcfgstore_php.so" "$folder/cfgstore.so"
install -m 755 "$target/cfgstored" "$folder/cfgstored"
