#!/usr/bin/env bash
# Builds a PHP that Debian has no package of, from Debian's source: with the engine's own checks (leaks, reference counts, writes to
# immutable values, assertions) and with threads (ZTS). Some five minutes on 2 cores; at once when it is there.
# usage: php-debug.sh FOLDER     FOLDER/bin gets php, php-cgi and php-config
set -euo pipefail
mkdir -p "${1:?usage: php-debug.sh FOLDER}"
folder=$(cd "$1" && pwd)
[ -x "$folder/bin/php-config" ] && exit 0
rm -rf "$folder/source" && mkdir -p "$folder"/source/{lists/partial,cache/archives/partial,parts}
cd "$folder/source"

# Where this machine's packages come from, their sources are too.
sed 's/^Types: .*/Types: deb-src/' /etc/apt/sources.list.d/*.sources >parts/all.sources 2>/dev/null || true
sed -n 's/^deb /deb-src /p' /etc/apt/sources.list >parts/all.list 2>/dev/null || true
apt=(-qq -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$PWD/parts" -o "Dir::State::lists=$PWD/lists" -o "Dir::Cache=$PWD/cache"
    -o APT::Sandbox::User=root)
apt-get "${apt[@]}" update
# fetch PACKAGE: its source, unpacked. A mirror may lack the newest for a while.
fetch() {
    local version
    for version in $(apt-cache "${apt[@]}" showsrc "$1" | sed -n 's/^Version: //p' | sort -rVu); do
        if apt-get "${apt[@]}" source --download-only --tar-only "$1=$version" 2>/dev/null; then
            mkdir "$1" && tar xf "$1"_*.orig.tar.* -C "$1" --strip-components=1 && return
        fi
    done
    echo "php-debug: the source of $1 could not be fetched" >&2
    exit 1
}
quietly() { "$@" >>"$folder/source/log" 2>&1 || { tail -40 "$folder/source/log" >&2; exit 1; }; }

fetch php8.2
fetch php-apcu
echo "php-debug: building PHP with threads and the engine's checks"
export CFLAGS="-O0 -g1 -DZEND_RC_DEBUG=1"
mkdir build && cd build
quietly ../php8.2/configure --prefix="$folder" --disable-all --enable-debug --enable-zts --enable-cli --enable-cgi --disable-phpdbg --without-pear \
    --enable-posix --enable-pcntl --enable-opcache --disable-opcache-jit --enable-ctype --enable-session --enable-tokenizer --with-sodium
quietly make -j"$(nproc)"
quietly make install
# APCu's release has its sources in a folder of its own.
cd "$(dirname "$(find "$folder/source/php-apcu" -name config.m4 | head -1)")"
quietly "$folder/bin/phpize"
quietly ./configure --with-php-config="$folder/bin/php-config"
quietly make -j"$(nproc)"
quietly make install
rm -rf "$folder/source"
