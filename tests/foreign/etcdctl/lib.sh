# What the scenarios of etcdctl share. Each prints a transcript: every command, what it printed, how it ended. A transcript
# holds nothing that may differ between two stores that behave the same, so it can be compared byte for byte.
#
# Taken from the environment: ETCDCTL (the program), ENDPOINTS (addresses, separated by commas), FOLDER (an empty one).
set -uo pipefail
: "${ETCDCTL:?}" "${ENDPOINTS:?}" "${FOLDER:?}"
IFS=, read -ra endpoint <<<"$ENDPOINTS"

# What differs from run to run: ids, addresses, times, sizes, the consensus log's position.
normalize() {
    local i script=""
    for i in "${!endpoint[@]}"; do
        script+="s#${endpoint[i]}#<endpoint$i>#g;s#${endpoint[i]#http://}#<endpoint$i>#g;"
    done
    sed -E "$script"'
        /^\{"level":/d
        /^(NAME|USAGE):/,/^(Error|GLOBAL OPTIONS):/d
        s/,"clock":[0-9]+//; s/"(cluster_id|member_id|raft_term|ID|lease)":[0-9]+/"\1":<n>/g
        s/"(ClusterID|MemberID|RaftTerm|Lease|ID)" : [0-9]+/"\1" : <n>/g
        s/\b[0-9a-f]{12,16}\b/<id>/g; s/ +<id>/ <id>/g
        s/([0-9.]+(ns|µs|us|ms|s|m)){1,3}\b$/<time>/; s/took [0-9.]+(µs|ms|s)/took <time>/; s/took = [0-9.]+(µs|ms|s)/took = <time>/'
}

# The transcript line of a command, and the command itself, its two streams merged in a fixed order.
ctl() {
    printf '$ etcdctl %s\n' "$*" | normalize
    local status=0
    timeout -k 1 30 "$ETCDCTL" --endpoints "$ENDPOINTS" "$@" >"$FOLDER/out" 2>"$FOLDER/err" || status=$?
    normalize <"$FOLDER/out"
    # 3.4 prints an error of the server as a structured line and as text; both versions end with the text.
    normalize <"$FOLDER/err" | grep -E '^Error:|etcdserver:|is (un)?healthy' | sed -E 's/.*(etcdserver: [^")]*).*/error: \1/'
    [ "$status" -eq 0 ] || echo "exit $status"
}

# Prepares or looks without a line in the transcript.
quiet() {
    timeout -k 1 30 "$ETCDCTL" --endpoints "$ENDPOINTS" "$@" 2>/dev/null
}

# first N COMMAND…: the first N lines of a command that does not end by itself. It is sent SIGTERM after them.
first() {
    local count=$1 line seen=0 pid
    shift
    printf '$ etcdctl %s\n' "$*" | normalize
    rm -f "$FOLDER/pipe" && mkfifo "$FOLDER/pipe"
    timeout -k 1 30 "$ETCDCTL" --endpoints "$ENDPOINTS" "$@" >"$FOLDER/pipe" 2>/dev/null </dev/null &
    pid=$!
    while [ "$seen" -lt "$count" ] && IFS= read -r line; do
        printf '%s\n' "$line" | normalize
        seen=$((seen + 1))
    done <"$FOLDER/pipe"
    kill "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
    [ "$seen" -eq "$count" ] || echo "ended after $seen lines"
}

# until_true COMMAND…: waits, up to 30 seconds, for a command to succeed
until_true() {
    local tries
    for tries in $(seq 300); do
        "$@" && return 0
        sleep 0.1
    done
    echo "never true: $*"
    return 1
}

# One field of each member's status: as etcdctl prints them in `-w fields`.
status() { quiet endpoint status -w fields | sed -n 's/^"'"$1"'" : "\{0,1\}\([^"]*\)"\{0,1\}$/\1/p'; }

# Whether all members have come to the same revision.
all_applied() { [ "$(status Revision | sort -u | wc -l)" -eq 1 ]; }
