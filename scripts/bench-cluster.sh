#!/usr/bin/env bash
# One load over three members of cfgstored and three of Debian's etcd, in turns in one run: throughput, latency, the servers'
# CPU time and memory, and ratios. Figures are of this machine in this minute: compare ratios.
# usage: bench-cluster.sh [short|full]      short: about a minute and a half; full: about fifteen minutes, a million keys
# CFGSTORE_BUILD_DIR: folder with a release build of cfgstored; default: build/
set -euo pipefail
cd "$(dirname "$0")/.."
CFGSTORE_BUILD_DIR=$(cd "${CFGSTORE_BUILD_DIR:-build}" && pwd)
export CFGSTORE_BUILD_DIR
cargo build --locked --release --quiet -p cfgstore-tests --bin bench-cluster
"${CARGO_TARGET_DIR:-target}/release/bench-cluster" "${1:-short}"
