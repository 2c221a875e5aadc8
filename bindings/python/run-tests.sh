#!/usr/bin/env bash
# Runs the module's tests. $CFGSTORE_PYTHON_MODULE is the built module and $CFGSTORED the built server; what is not given
# is built in the dev profile. The last line is "N passed, N failed".
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}/debug
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

module=${CFGSTORE_PYTHON_MODULE:-}
if [ -z "$module" ]; then
    (cd "$root" && cargo build -p cfgstore-python)
    module=$target/libcfgstore_python.so
fi
server=${CFGSTORED:-}
if [ -z "$server" ]; then
    (cd "$root" && cargo build -p cfgstore-server --bin cfgstored)
    server=$target/cfgstored
fi

mkdir "$folder/module"
cp "$module" "$folder/module/cfgstore.abi3.so"
export PYTHONPATH=$folder/module PYTHONDONTWRITEBYTECODE=1
CFGSTORE_CFGSTORED=$(realpath "$server")
export CFGSTORE_CFGSTORED
# No test may meet the store of this host.
export CFGSTORE_DATA_DIR=$folder/default
cd "$here/tests"
runner='
import sys, unittest
result = unittest.TextTestRunner(verbosity=2, stream=sys.stdout).run(unittest.defaultTestLoader.discover("."))
failed = len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)
print(f"{max(result.testsRun - failed, 0)} passed, {failed} failed")
sys.exit(failed > 0 or result.testsRun == 0)'
timeout 300 python3 -X faulthandler -c "$runner"
