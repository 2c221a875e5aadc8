#!/usr/bin/env bash
# Cargo for what the tests run: assertions and overflow checks are on in our own packages, and clippy is the compiler, which lints on
# the way. Lints and documentation apart from it would have cargo check every dependency once more.
# usage: cargo-checked.sh PROFILE COMMAND ARGUMENT…    PROFILE: what checked-profile.py printed
set -euo pipefail
profile=$1 command=$2
shift 2
RUSTC_WORKSPACE_WRAPPER=$(rustc --print sysroot)/bin/clippy-driver
export RUSTC_WORKSPACE_WRAPPER
exec cargo "$command" --release --config "$profile" --locked --workspace "$@"
