#!/usr/bin/env bash
# Installs what this machine lacks of what the build and the demo need; with `test`, also what the tests and the benchmarks
# need; with `php-debug`, what php-debug.sh needs. Only apt and a Rust toolchain are assumed. Prints nothing and takes well under a second when everything is there.
# usage: setup.sh [test | php-debug]
set -euo pipefail
cd "$(dirname "$0")/.."

oldest=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
if ! command -v cargo >/dev/null; then
    echo "setup: no Rust toolchain found: install Rust $oldest or newer (https://rustup.rs), then run this again" >&2
    exit 1
fi
cargo=$(cargo --version | cut -d' ' -f2)
if ! printf '%s\n' "$oldest" "$cargo" | sort -VC; then
    echo "setup: $(command -v cargo) is $cargo, and cfgstore needs Rust $oldest or newer: the Rust of Debian's packages is too old." >&2
    echo "       Install it from https://rustup.rs, see that ~/.cargo/bin comes first in PATH, then run this again." >&2
    exit 1
fi

# command or file that proves a package is there : package
needed=(
    "php8.2:php8.2-cli" "php-config8.2:php8.2-dev" "php-fpm8.2:php8.2-fpm"
    "nginx:nginx-light" "etcdctl:etcd-client" "curl:curl" "cc:gcc" "python3:python3"
)
[ "${1:-}" = test ] && needed+=(
    "php-cgi8.2:php8.2-cgi" "/usr/lib/php/20220829/apcu.so:php8.2-apcu" "/usr/lib/php/20220829/opcache.so:php8.2-opcache"
    "/usr/lib/php/20220829/curl.so:php8.2-curl" "etcd:etcd-server" "c++:g++" "pgrep:procps" "mount:mount" "setpriv:util-linux"
    "valgrind:valgrind" "go:golang-go" "mvn:maven" "javac:default-jdk-headless" "/usr/lib/python3.11/ensurepip:python3-venv"
    "/usr/lib/python3/dist-packages/yaml:python3-yaml" "systemd-analyze:systemd" "ip:iproute2" "openssl:openssl"
    "/usr/share/php/Amp/autoload.php:php-amphp-amp"
    "/usr/lib/apache2/modules/libphp8.2.so:libapache2-mod-php8.2"
)
[ "${1:-}" = php-debug ] && needed+=("php-cgi8.2:php8.2-cgi" "/usr/include/sodium.h:libsodium-dev" "pkg-config:pkg-config" "autoconf:autoconf")

missing=()
for pair in "${needed[@]}"; do
    probe=${pair%%:*} package=${pair##*:}
    case $probe in
        /*) [ -e "$probe" ] || missing+=("$package") ;;
        *) PATH="$PATH:/usr/sbin:/sbin" command -v "$probe" >/dev/null || missing+=("$package") ;;
    esac
done
[ ${#missing[@]} -eq 0 ] && exit 0

sudo=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "setup: missing packages: ${missing[*]}; install them as root" >&2; exit 1; }
    sudo=(sudo)
fi
echo "setup: installing ${missing[*]}"

# Debian starts nginx, php-fpm and etcd when their packages are installed. The demo and the tests run their own,
# on loopback and free ports, so the machine's services are not started (policy-rc.d exit 101 says "not allowed").
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee $policy >/dev/null
    "${sudo[@]}" chmod +x $policy
    trap '"${sudo[@]}" rm -f $policy' EXIT
fi
"${sudo[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
