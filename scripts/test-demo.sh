#!/usr/bin/env bash
# The demo runs, runs again without harm, and stops leaving no process behind.
set -euo pipefail
cd "$(dirname "$0")/.."
export CFGSTORE_DEMO_DIR; CFGSTORE_DEMO_DIR=$(mktemp -d)
trap 'examples/shop/demo.sh stop; rm -rf "$CFGSTORE_DEMO_DIR"' EXIT
examples/shop/demo.sh start
examples/shop/demo.sh start
examples/shop/demo.sh stop
if pgrep -f -- "$CFGSTORE_DEMO_DIR"; then
    echo "the demo left these processes behind" >&2
    exit 1
fi
