#!/usr/bin/env bash
# Runs tests/*.phpt with PHP's own run-tests.php against a fresh store, and prints "N passed, M failed".
# usage: run-tests.sh [--valgrind] [TEST.phpt …]
#   --valgrind          under memcheck; without names of tests, those in PROCESSES are left out
#   CFGSTORE_BUILD_DIR  folder with cfgstore.so and cfgstored; default: build/ of the repository
#   PHP_CONFIG          which PHP; default: php-config
set -uo pipefail
cd "$(dirname "$0")"
build=$(cd "${CFGSTORE_BUILD_DIR:-../build}" && pwd) || exit 2
php_config=${PHP_CONFIG:-php-config}
export CFGSTORE_SO=$build/cfgstore.so CFGSTORED=$build/cfgstored
export TEST_PHP_EXECUTABLE TEST_PHP_CGI_EXECUTABLE
TEST_PHP_EXECUTABLE=$("$php_config" --php-binary)
TEST_PHP_CGI_EXECUTABLE=$(PATH="${TEST_PHP_EXECUTABLE%/*}:$PATH" && command -v "php-cgi${TEST_PHP_EXECUTABLE##*/php}" || command -v php-cgi) || {
    echo "run-tests: no php-cgi for $TEST_PHP_EXECUTABLE; install it (php8.2-cgi)" >&2; exit 2; }
extension_dir=$("$php_config" --extension-dir)
for runner in "$extension_dir/build/run-tests.php" "$("$php_config" --prefix)/lib/php/build/run-tests.php"; do
    [ -e "$runner" ] && break
done
[ -e "$runner" ] || { echo "run-tests: no run-tests.php; install PHP's development files (php8.2-dev)" >&2; exit 2; }

folder=$(mktemp -d) && chmod 755 "$folder"
export CFGSTORE_TEST_DIR=$folder CFGSTORE_DATA_DIR=$folder/store
scripts=$(cd ../scripts && pwd)
trap '"$scripts/stop-store.sh" "$folder"/*; rm -rf "$folder"' EXIT

options=(-n -q --show-diff -j"$(nproc)" --set-timeout 120
    -d "extension=$CFGSTORE_SO" -d "cfgstore.cfgstored=$CFGSTORED" -d "cfgstore.timeout=20")
[ -e "$extension_dir/posix.so" ] && options+=(-d extension=posix)
# What these test is in processes that they start and end, which takes minutes under valgrind; what they run of the extension, others do.
PROCESSES="agent amp autostart endpoints mirror_full rights"
tests=()
for argument; do
    case $argument in
        --valgrind)
            options+=(-m --set-timeout 600 --show-slow 20000 -d pcre.jit=0)
            export CFGSTORE_VALGRIND=1
            # Before the real one in PATH, where the runner looks.
            CFGSTORE_REAL_VALGRIND=$(command -v valgrind) || { echo "run-tests: no valgrind; install it" >&2; exit 2; }
            export CFGSTORE_REAL_VALGRIND
            mkdir "$folder/bin" && ln -s "$PWD/valgrind.sh" "$folder/bin/valgrind" && PATH=$folder/bin:$PATH
            export VALGRIND_OPTS="--trace-children-skip=*/cfgstored,*/etcd,*/php*-fpm*,*/mount,*/umount --num-callers=30 --vgdb=no" ;;
        *) tests+=("$argument") ;;
    esac
done
if [ ${#tests[@]} -eq 0 ]; then
    for test in tests/*.phpt; do
        name=$(basename "$test" .phpt)
        [[ -n ${CFGSTORE_VALGRIND:-} && " $PROCESSES " == *" $name "* ]] || tests+=("$test")
    done
fi

# The runner writes beside itself and beside the tests, so that two runs at a time need a copy each.
mkdir "$folder/copy"
cp -r tests cfgstore.stub.php README.md "$folder/copy"
cp "$runner" "$folder/copy/run-tests.php"
cd "$folder/copy"
"$TEST_PHP_EXECUTABLE" -n run-tests.php "${options[@]}" "${tests[@]}" 2>&1 | tee "$folder/output"
count() { sed -n "s/^Tests $1 *: *\([0-9]*\).*/\1/p" "$folder/output" | head -1; }
passed=$(count passed) failed=$(count failed) leaked=$(count leaked) skipped=$(count skipped)
# A test that can't run here proves nothing.
failed=$((${failed:-0} + ${leaked:-0} + ${skipped:-0}))
echo "${passed:-0} passed, $failed failed"
[ "$failed" -eq 0 ] && [ "${passed:-0}" -gt 0 ]
