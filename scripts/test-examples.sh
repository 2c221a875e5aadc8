#!/usr/bin/env bash
# Every example under examples/php runs against a fresh embedded store and ends with status 0, and every public method occurs in one.
set -uo pipefail
cd "$(dirname "$0")/.."
build=${CFGSTORE_BUILD_DIR:-$PWD/build}
folder=$(mktemp -d)
export CFGSTORE_DATA_DIR=$folder/store PATH="$PATH:$build"
settings=(-d "extension=$build/cfgstore.so" -d "cfgstore.cfgstored=$build/cfgstored" -d "cfgstore.data_dir=$folder/store")
finish() {
    scripts/stop-store.sh "$folder/store"
    rm -rf "$folder"
}
trap finish EXIT
passed=0 failed=0
for example in examples/php/*.php examples/php/config-manager/*.php; do
    if timeout 60 php8.2 "${settings[@]}" "$example" >"$folder/out" 2>&1 </dev/null; then
        passed=$((passed + 1)); echo "PASS $example"
    else
        failed=$((failed + 1)); echo "FAIL $example"; sed 's/^/    /' "$folder/out"
    fi
done
if php8.2 "${settings[@]}" scripts/check-examples.php examples/php/*.php; then
    passed=$((passed + 1)); echo "PASS every public method has an example"
else
    failed=$((failed + 1)); echo "FAIL every public method has an example"
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
