#!/usr/bin/env bash
# rustdoc as `cargo test --doc` starts it: writes the documentation too, and refuses what it warns of, before it runs the examples.
set -euo pipefail
documentation=()
run_tests=0
skip=0
for argument; do
    if [ "$skip" -eq 1 ]; then skip=0; continue; fi
    case $argument in
        --test) run_tests=1 ;;
        --test-run-directory | --test-args) skip=1 ;;
        *) documentation+=("$argument") ;;
    esac
done
if [ "$run_tests" -eq 1 ]; then
    rustdoc "${documentation[@]}" -D warnings --out-dir "${CARGO_TARGET_DIR:-target}/doc"
fi
exec rustdoc "$@"
