#!/usr/bin/env bash
# The tests that get better with time: property tests with many more cases, crashes and load for longer.
# CFGSTORE_SOAK_ROUNDS (default 20) says how often; one round takes some ten minutes on 2 cores.
set -euo pipefail
cd "$(dirname "$0")/.."
export CFGSTORE_BUILD_DIR=$PWD/build PROPTEST_CASES=${PROPTEST_CASES:-20000} CFGSTORE_LOAD_SECONDS=300 CFGSTORE_CHAOS_STEPS=${CFGSTORE_CHAOS_STEPS:-100}
scripts/build.sh build
# php-fpm's memory and descriptors over half an hour, once; CFGSTORE_SOAK_RATE is its requests per second.
CFGSTORE_SOAK_SECONDS=${CFGSTORE_SOAK_SECONDS:-1800} cargo test --locked --release -p cfgstore-tests --test soak -- --nocapture
php-ext/run-tests.sh --valgrind tests
scripts/test-php-debug.sh
for round in $(seq "${CFGSTORE_SOAK_ROUNDS:-20}"); do
    echo "== round $round"
    cargo test --locked --release -p cfgstore-store -p cfgstore-replica -p cfgstore-mirror -- --nocapture
    cargo test --locked --release -p cfgstore-tests -- --test-threads=1 --nocapture
done
