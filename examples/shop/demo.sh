#!/usr/bin/env bash
# The shop on cfgstore: php-fpm behind nginx, with nothing but extension=cfgstore.so and one data folder.
# usage: demo.sh start|stop      (make demo, make demo-stop)
#   ENDPOINTS  http://host:port,… of members, of cfgstore or of etcd, to use instead of the embedded store
set -euo pipefail

shop=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$shop/../.." && pwd)
build=${CFGSTORE_BUILD_DIR:-$root/build}
run=${CFGSTORE_DEMO_DIR:-$root/demo}
export PATH="$PATH:/usr/sbin"
export CFGSTORE_DATA_DIR="$run/store"                           # cfgctl and cfgstored find the store by this
export PHP_INI_SCAN_DIR=":$run/php.d"                           # the system's PHP settings, and ours
export ETCDCTL_API=3
php=php8.2
endpoints=${ENDPOINTS:-}
[ -z "$endpoints" ] || export CFGSTORE_ENDPOINTS=$endpoints           # cfgctl goes to the members then

stop() {
    for pid_file in "$run"/{nginx,php-fpm,watch}.pid; do
        [ -e "$pid_file" ] || continue
        pid=$(tr -cd 0-9 <"$pid_file")
        [ -n "$pid" ] && kill "$pid" 2>/dev/null || continue
        timeout 20 tail --pid="$pid" -f /dev/null               # returns when the process is gone
    done
    "$root/scripts/stop-store.sh" "$CFGSTORE_DATA_DIR"
}

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
show() { # show COMMAND…: as it would be typed, then what it prints
    local word line='  $'
    for word; do case $word in *[\ \"]*) line+=" '$word'" ;; *) line+=" ${word/#"$root/"/}" ;; esac; done
    printf '%s\n' "$line"
    "$@" | sed 's/^/  /'
}
page() { curl --silent --fail --max-time 10 "http://127.0.0.1:$port/"; }
field() { page | sed -n "s/.*id=\"$1\">\(.*\)/\1/p"; }
until_true() { local tries; for tries in {1..400}; do "$@" && return; sleep 0.05; done; return 1; }
soon() { # soon COMMAND…: true once it is. A write at a member is on the way to this host for a moment; one at its socket is there.
    if [ -n "$endpoints" ]; then until_true "$@"; else "$@"; fi
}
shows() { [ "$(field "$1")" = "$2" ]; }
says() { [ "$(page | grep -c -- "$1")" -gt 0 ]; }
expect() { # expect FIELD VALUE: what the page shows at the next request
    local got; soon shows "$1" "$2" || true; got=$(field "$1")
    [ "$got" = "$2" ] || { echo "demo: the page shows $1 as '$got', not '$2'" >&2; exit 1; }
    printf '  the page now says: %s = %s\n' "$1" "$got"
}
await() { # await FILE TEXT: until the file holds the text
    timeout 20 grep -m1 -F -- "$2" <(timeout 20 tail -n +1 -F "$1" 2>/dev/null) >/dev/null ||
        { echo "demo: '$2' did not appear in $1:" >&2; cat "$1" >&2; exit 1; }
}
in_queue() { # in_queue COUNT: so many want the shop's lock, each by a key of its own below the lock's; the first has it
    [ "$("$build/cfgctl" get --prefix --keys-only /_cfgstore/lock//shop/nightly-export/ | wc -l)" -eq "$1" ]
}
fill() { sed -e "s|@RUN@|$run|g" -e "s|@SHOP@|$shop|g" -e "s|@PORT@|$port|g" -e "s|@USER@|$2|g" "$1"; }

start() {
    stop
    mkdir -p "$run"/{php.d,nginx-tmp}
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    local fpm_user="" nginx_user="" fpm_root=()
    if [ "$(id -u)" -eq 0 ]; then                               # a checkout of root's is readable by root only
        fpm_user="user = root\ngroup = root" nginx_user="user root;" fpm_root=(--allow-to-run-as-root)
    fi
    cat >"$run/php.d/cfgstore.ini" <<INI
extension=$build/cfgstore.so
cfgstore.cfgstored=$build/cfgstored
cfgstore.data_dir=$run/store
cfgstore.prefix=/shop/
INI
    [ -z "$endpoints" ] || echo "cfgstore.endpoints=$endpoints" >>"$run/php.d/cfgstore.ini"
    fill "$shop/php-fpm.conf.in" "$fpm_user" >"$run/php-fpm.conf"
    fill "$shop/nginx.conf.in" "$nginx_user" >"$run/nginx.conf"

    if [ -z "$endpoints" ]; then
        say "1. The shop's configuration goes in: a folder of files, as one revision. That starts the store: no server was set up."
    else
        say "1. The shop's configuration goes in at $endpoints: a folder of files, as one revision."
    fi
    show "$build/cfgctl" apply -f "$shop/config" --prefix /shop/

    say "2. php-fpm behind nginx serves a page that reads it.${endpoints:+ The first request starts the agent of this host.}"
    php-fpm8.2 "${fpm_root[@]}" --fpm-config "$run/php-fpm.conf"
    nginx -c "$run/nginx.conf" -e "$run/nginx.log"
    page | sed -e '/<title>/d' -e 's/<[^>]*>/ /g' -e '/^ *$/d' -e '/^ *\(body\|h1\|td\)/d' -e 's/^/  /'

    say "3. A script watches; a change by cfgctl and one by a stock etcdctl are on the page at the next request."
    $php "$shop/watch.php" >"$run/watch.log" 2>&1 & echo $! >"$run/watch.pid"
    await "$run/watch.log" "watching from revision"
    show "$build/cfgctl" put /shop/theme '{"banner": "Winter sale", "colour": "#0b5394"}'
    soon says 'Winter sale' || { echo "demo: the page does not show the new banner" >&2; exit 1; }
    echo "  the page now says: Winter sale"
    show etcdctl --endpoints="${endpoints:-unix://$CFGSTORE_DATA_DIR/cfgstore.sock}" put /shop/features '{"express_checkout": false, "gift_cards": true}'
    expect gift_cards on
    expect express_checkout off
    await "$run/watch.log" "gift_cards"
    echo "  the watcher printed:"; sed 's/^/    /' "$run/watch.log"

    say "4. Two workers want one lock: one waits for the other."
    mkfifo "$run/first.in" "$run/second.in" 2>/dev/null || true
    : >"$run/lock.log"
    $php "$shop/nightly.php" first <"$run/first.in" >>"$run/lock.log" 2>&1 & first=$!
    exec 8>"$run/first.in"; await "$run/lock.log" "first: holds"
    $php "$shop/nightly.php" second <"$run/second.in" >>"$run/lock.log" 2>&1 & second=$!
    exec 9>"$run/second.in"
    until_true in_queue 2 || { echo "demo: the second worker does not queue for the lock" >&2; cat "$run/lock.log" >&2; exit 1; }
    echo >&8; wait $first; await "$run/lock.log" "second: holds"; echo >&9; wait $second
    exec 8>&- 9>&-; rm -f "$run/first.in" "$run/second.in"
    sed 's/^/  /' "$run/lock.log"
    local order="first: waits first: holds second: waits first: releases second: holds second: releases"
    [ "$(cut -d' ' -f1,2 "$run/lock.log" | xargs)" = "$order" ] || { echo "demo: the workers did not take turns" >&2; exit 1; }

    say "Done: a page of php-fpm reads its configuration from shared memory; what changes is there at the next request."
    cat <<END
  Look:        http://127.0.0.1:$port/
  Change it:   CFGSTORE_DATA_DIR=$run/store CFGSTORE_ENDPOINTS=$endpoints $build/cfgctl put /shop/theme '{"banner": "Hello", "colour": "#900"}'
  or:          ETCDCTL_API=3 etcdctl --endpoints=${endpoints:-unix://$run/store/cfgstore.sock} get --prefix /shop/
  Watch it:    tail -f $run/watch.log
  In PHP:      PHP_INI_SCAN_DIR=:$run/php.d $php -r 'print_r((new Cfgstore\Client())->get("database"));'
  Stop it:     make demo-stop        (the data stays in $run/store; make demo runs it again)
END
}

case ${1:-} in
    start) start ;;
    stop) stop; echo "the demo is stopped" ;;
    *) echo "usage: $0 start|stop" >&2; exit 2 ;;
esac
