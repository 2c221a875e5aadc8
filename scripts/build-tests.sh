#!/usr/bin/env bash
# Builds every test program, benchmark and example, and the extension and cfgstored, as cargo-checked.sh says.
# usage: build-tests.sh FOLDER    gets programs.json, for test-package.py, profile.toml, the cargo configuration of this build,
#                                 and cfgstore.so and cfgstored
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:?usage: build-tests.sh FOLDER}
target=${CARGO_TARGET_DIR:-target}/release
mkdir -p "$folder"
scripts/checked-profile.py >"$folder/profile.toml"
scripts/cargo-checked.sh "$folder/profile.toml" build --all-targets \
    --message-format=json-render-diagnostics >"$folder/programs.json"
install -m 755 "$target/libcfgstore_php.so" "$folder/cfgstore.so"
install -m 755 "$target/cfgstored" "$folder/cfgstored"
