#!/usr/bin/env bash
# The Python module's tests and its example, against the built module.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${CFGSTORE_BUILD_DIR:-$PWD/build}
export CFGSTORE_PYTHON_MODULE=$build/python/cfgstore.abi3.so CFGSTORED=$build/cfgstored
exec bindings/python/run-tests.sh
