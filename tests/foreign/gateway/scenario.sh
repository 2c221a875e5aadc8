#!/usr/bin/env bash
# curl on the JSON gateway: a line for every request, the status and the body of its answer. The store is fresh. What differs
# from run to run (ids, terms, sizes) is replaced, and of an error only what every version of the gateway says is kept.
#
# Taken from the environment: ENDPOINTS (addresses, separated by commas), FOLDER (an empty one).
set -uo pipefail
: "${ENDPOINTS:?}" "${FOLDER:?}"
endpoint=${ENDPOINTS%%,*}
if [ -z "${RAW:-}" ]; then
    RAW=1 "$0" | "$(dirname "$0")/normalize.py"
    exit "${PIPESTATUS[0]}"
fi

b64() { printf %s "$1" | base64 -w0; }

# post PATH BODY: one call
post() {
    printf '$ POST %s %s\n' "$1" "$2"
    curl -sS -m 30 -o "$FOLDER/body" -w '%{http_code} %{content_type}\n' -X POST "$endpoint$1" -d "$2"
    cat "$FOLDER/body"
    echo
}

# field NAME: a field of the body of the last answer, wherever it is
field() { sed -E 's/.*"'"$1"'":"?([^",}]*)"?.*/\1/' "$FOLDER/body"; }

# stream COUNT PATH BODY: the first lines of a call that goes on, after which curl is ended
stream() {
    local count=$1 line seen=0 pid
    printf '$ POST %s %s\n' "$2" "$3"
    rm -f "$FOLDER/pipe" && mkfifo "$FOLDER/pipe"
    curl -sS -N -m 30 -X POST "$endpoint$2" -d "$3" >"$FOLDER/pipe" &
    pid=$!
    while [ "$seen" -lt "$count" ] && IFS= read -r line; do
        printf '%s\n' "$line"
        seen=$((seen + 1))
    done <"$FOLDER/pipe"
    kill "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
    [ "$seen" -eq "$count" ] || echo "ended after $seen lines"
}

a=$(b64 a) b=$(b64 b) one=$(b64 1) two=$(b64 2)

echo "== keys"
post /v3/kv/put "{\"key\":\"$a\",\"value\":\"$one\"}"
post /v3/kv/put "{\"key\":\"$a\",\"value\":\"$two\",\"prev_kv\":true}"
post /v3/kv/put "{\"key\":\"$b\"}"
post /v3/kv/range "{\"key\":\"$a\"}"
post /v3/kv/range "{\"key\":\"$a\",\"revision\":\"2\"}"
post /v3/kv/range "{\"key\":\"$a\",\"revision\":2}"
post /v3/kv/range "{\"key\":\"AA==\",\"range_end\":\"AA==\",\"sort_order\":\"DESCEND\",\"sort_target\":\"KEY\",\"limit\":1}"
post /v3/kv/range "{\"key\":\"AA==\",\"range_end\":\"AA==\",\"count_only\":true,\"serializable\":true}"
post /v3/kv/range "{\"key\":\"$(b64 absent)\"}"
post /v3/kv/range '{}'
post /v3/kv/range "{\"key\":\"$a\",\"revision\":\"1000\"}"
post /v3/kv/put "{\"key\":\"$a\",\"lease\":\"12345\"}"
post /v3/kv/deleterange "{\"key\":\"$b\",\"prev_kv\":true}"
post /v3/kv/deleterange "{\"key\":\"$b\"}"

echo "== transactions"
txn='{"compare":[{"target":"VERSION","result":"EQUAL","key":"'$a'","version":"2"}],
"success":[{"request_put":{"key":"'$a'","value":"'$one'"}},{"request_range":{"key":"'$a'"}}],
"failure":[{"request_range":{"key":"'$a'"}},{"request_delete_range":{"key":"'$a'"}}]}'
txn=${txn//$'\n'/}
post /v3/kv/txn "$txn"
post /v3/kv/txn "$txn"
post /v3/kv/txn '{"success":[{"request_put":{"key":"'"$a"'"}},{"request_put":{"key":"'"$a"'"}}]}'
post /v3beta/kv/put "{\"key\":\"$a\",\"value\":\"$one\"}"

echo "== watch"
post /v3/kv/put "{\"key\":\"$(b64 watched)\",\"value\":\"$one\"}"
first=$(field revision)
post /v3/kv/put "{\"key\":\"$(b64 watched)\",\"value\":\"$two\"}"
post /v3/kv/deleterange "{\"key\":\"$(b64 watched)\"}"
stream 2 /v3/watch "{\"create_request\":{\"key\":\"$(b64 watched)\",\"start_revision\":\"$first\",\"prev_kv\":true}}"

echo "== leases"
post /v3/lease/grant '{"TTL":"60","ID":"777"}'
post /v3/lease/grant '{"TTL":60,"ID":777}'
post /v3/kv/put "{\"key\":\"$(b64 leased)\",\"value\":\"$one\",\"lease\":\"777\"}"
post /v3/kv/range "{\"key\":\"$(b64 leased)\"}"
stream 1 /v3/lease/keepalive '{"ID":"777"}'
post /v3/lease/timetolive '{"ID":"777","keys":true}'
post /v3/kv/lease/timetolive '{"ID":"777","keys":true}'
post /v3/lease/leases '{}'
post /v3/lease/revoke '{"ID":"777"}'
post /v3/kv/lease/revoke '{"ID":"777"}'
post /v3/lease/timetolive '{"ID":"777"}'
post /v3/kv/range "{\"key\":\"$(b64 leased)\"}"

echo "== lock and election"
post /v3/lease/grant '{"TTL":"60","ID":"778"}'
post /v3/lock/lock "{\"name\":\"$(b64 job)\",\"lease\":\"778\"}"
post /v3/lock/unlock "{\"key\":\"$(field key)\"}"
post /v3/election/leader "{\"name\":\"$(b64 president)\"}"
post /v3/election/campaign "{\"name\":\"$(b64 president)\",\"lease\":\"778\",\"value\":\"$one\"}"
leader='{"name":"'$(b64 president)'","key":"'$(field key)'","rev":"'$(field rev)'","lease":"778"}'
post /v3/election/proclaim "{\"leader\":$leader,\"value\":\"$two\"}"
post /v3/election/leader "{\"name\":\"$(b64 president)\"}"
stream 1 /v3/election/observe "{\"name\":\"$(b64 president)\"}"
post /v3/election/resign "{\"leader\":$leader}"
post /v3/election/proclaim '{"value":"AA=="}'
post /v3/lease/revoke '{"ID":"778"}'

echo "== compaction"
post /v3/kv/compaction "{\"revision\":\"$((first + 1))\",\"physical\":true}"
post /v3/kv/compaction "{\"revision\":\"$((first + 1))\"}"
post /v3/kv/range "{\"key\":\"$a\",\"revision\":\"$first\"}"
stream 2 /v3/watch "{\"create_request\":{\"key\":\"$a\",\"start_revision\":\"$first\"}}"

echo "== cluster and maintenance"
post /v3/cluster/member/list '{}'
post /v3/maintenance/status '{}'
# 3.4 leaves out the header of this one, so its body is not compared.
curl -sS -m 30 -o "$FOLDER/body" -w 'alarms: %{http_code}\n' -X POST "$endpoint/v3/maintenance/alarm" -d '{"action":"GET"}'
post /v3/maintenance/defragment '{}'

echo "== not a call"
post /v3/kv/nothing '{}'
post /v3/kv/range 'not JSON'
post /v3/kv/range '{"key":"%%%"}'
