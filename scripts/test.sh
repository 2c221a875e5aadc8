#!/usr/bin/env bash
# Installs what is missing, builds everything and runs every test, with a progress line for each step and a count at the end.
# Each step's whole output is in target/test-logs/; a failed step prints its end, and the others still run.
set -uo pipefail
cd "$(dirname "$0")/.."
if [ "$(id -u)" -ne 0 ]; then
    echo "test: the tests need root, as they mount small file systems, become other users and make network namespaces:" >&2
    echo "      run \`make test\` as root, in a container or a virtual machine" >&2
    exit 1
fi
scripts/setup.sh test || exit 1
export CARGO_TERM_COLOR=never CFGSTORE_BUILD_DIR=$PWD/build CFGSTORE_FOREIGN_DIR=$PWD/target/foreign
target=${CARGO_TARGET_DIR:-$PWD/target}
# Shorter to build, for once.
export CARGO_INCREMENTAL=0
logs=$target/test-logs checked=$target/checked
export CFGSTORE_TEST_PROGRAMS=$checked/programs.json
mkdir -p "$logs"
passed=0 failed=0 started=$SECONDS

# report NAME OK SECONDS: counts what the test runners in its output count; a step without a runner counts as one test
report() {
    local name=$1 ok=$2 seconds=$3 log="$logs/${1// /-}.log" p f
    read -r p f < <(awk '
        /^test result: /                  { p += $4; f += $6; seen = 1 }            # cargo test
        /^[0-9]+ passed, [0-9]+ failed$/  { p += $1; f += $3; seen = 1 }            # our own runners
        END                               { print seen ? p : -1, f + 0 }' "$log")
    if [ "$p" -lt 0 ]; then p=$ok f=$((1 - ok)); fi
    if [ "$ok" -eq 0 ] && [ "$f" -eq 0 ]; then f=1; fi
    passed=$((passed + p)) failed=$((failed + f))
    if [ "$ok" -eq 1 ]; then
        printf ' ok    %4d passed  %4ds\n' "$p" "$seconds"
    else
        printf ' FAILED  %d passed, %d failed  %ds, %s:\n' "$p" "$f" "$seconds" "$log"
        # what failed, wherever it is in the log, then its end
        { grep -aE -A12 '(^|\t)(FAIL|---- |error(\[|:)|thread .* panicked|.*\.\.\. FAILED)' "$log" | head -n 60; echo …; tail -n 15 "$log"; } | sed 's/^/    /'
    fi
}

# step NAME COMMAND…
step() {
    local name=$1 from=$SECONDS ok=1
    shift
    printf '%-44s' "$name …"
    "$@" >"$logs/${name// /-}.log" 2>&1 </dev/null || ok=0
    report "$name" "$ok" $((SECONDS - from))
}

# beside AFTER NAME COMMAND…: the same in the background, at low priority, once the background step AFTER has ended (-: at once).
# The machine's cores are never idle so, and what runs in the foreground hardly notices. `join` waits and reports.
declare -A beside_pid
beside() {
    local after=$1 name=$2 log="$logs/${2// /-}.log"
    local before=${beside_pid[$after]:-}
    shift 2
    (
        [ -z "$before" ] || tail --pid="$before" -f /dev/null
        from=$SECONDS
        nice -n 19 "$@" >"$log" 2>&1 </dev/null
        ok=$?
        echo $((SECONDS - from)) >"$log.seconds"
        exit $ok
    ) &
    beside_pid[$name]=$!
}
join() {
    local name=$1 ok=1
    printf '%-44s' "$name …"
    wait "${beside_pid[$name]}" || ok=0
    report "$name" "$ok" "$(cat "$logs/${name// /-}.log.seconds")"
}

# no_warnings LOG: whether the compiler, which is clippy, had nothing to say
no_warnings() { ! grep -A12 '^warning' "$1"; }

# Whole-system tests that take all of both cores and expect to get them.
loaded="agent_kills apache fpm lock mirror_in_php soak stored_copy"

step "format"                      cargo fmt --all --check
step "dependency audit"            python3 scripts/audit.py
step "release build"               scripts/build.sh build

# Everything below is of the release profile, so that dependencies are compiled once.
# Cargo locks its target folder, so what uses it goes one after the other, and what runs in the foreground does without cargo.
beside - "build of the tests"      scripts/build-tests.sh "$checked"
beside "build of the tests" "build of foreign clients" scripts/foreign.sh "$CFGSTORE_FOREIGN_DIR"
# What is shipped is tested below; under valgrind, with assertions on.
beside "build of the tests" "extension tests under valgrind" env CFGSTORE_BUILD_DIR="$checked" php-ext/run-tests.sh --valgrind
beside "build of foreign clients" "documentation and its examples" \
    env RUSTDOC="$PWD/scripts/rustdoc-and-tests.sh" scripts/cargo-checked.sh "$checked/profile.toml" test --doc
step "extension tests"             php-ext/run-tests.sh
step "php examples"                scripts/test-examples.sh
step "python tests"                scripts/test-python.sh
step "deployment guide"            scripts/test-guides.py
step "demo"                        scripts/test-demo.sh
step "demo against an etcd"        scripts/test-demo-endpoints.sh

join "build of the tests"
step "clippy"                      no_warnings "$logs/build-of-the-tests.log"
step "unit and property tests"     scripts/test-package.py --except cfgstore-tests
step "client against three members" env CFGSTORE_TEST_CFGSTORED="$PWD/build/cfgstored" CFGSTORE_TEST_MEMBERS=3 \
    scripts/test-package.py cfgstore-client failover kv lock watch
join "build of foreign clients"
step "whole-system tests"          scripts/test-package.py cfgstore-tests --without $loaded -- --test-threads=1
join "extension tests under valgrind"
join "documentation and its examples"
step "tests under load"            scripts/test-package.py cfgstore-tests $loaded -- --test-threads=1

echo
echo "took $((SECONDS - started)) s"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
