#!/usr/bin/env bash
# Members, endpoints, maintenance and what is refused, by etcdctl against all members of a fresh cluster.
. "$(dirname "$0")/lib.sh"

# The addresses of a member are its own.
members() { ctl "$@" | sed -E 's#http://[0-9.]+:[0-9]+#<url>#g' | sort; }

# Newer members add the revision of the hash, and newer versions of etcdctl print it.
hashes() { ctl "$@" | sed -E 's/^(<endpoint[0-9]>, [0-9]+).*/\1/' | sort; }

leader() { status Leader | sort -u; }
hex() { printf '%x' "$1"; }
one_leader() { [ "$(leader | wc -l)" -eq 1 ] && [ "$(leader)" != 0 ]; }
endpoint_of() { # the endpoint whose member has this id
    paste <(status MemberID) <(status Endpoint) | awk -v id="$1" '$1 == id { print $2 }'
}
at() { # at ENDPOINT COMMAND…: asks this member alone
    local ENDPOINTS=$1
    shift
    ctl "$@"
}

echo "== members"
until_true one_leader
members member list
ctl member list -w json | sed -E 's/.*"members":(.*)/\1/; s#"(peerURLs|clientURLs)":\[[^]]*\]#"\1":[]#g' | grep -o '"[A-Za-z]*":' | sort | uniq -c

echo "== endpoints"
ctl put key value
ctl put key another
until_true all_applied
ctl endpoint health | sort
ctl endpoint health --cluster 2>&1 | sort
echo "members that say who leads: $(leader | wc -l)"
echo "learners: $(status IsLearner | sort | uniq -c)"
# The same history has the same hash, whoever keeps it: members can be compared, and one kind of store with the other.
hashes endpoint hashkv
hashes endpoint hashkv --rev=2

echo "== alarms"
ctl alarm list
ctl alarm disarm

echo "== defragmentation"
ctl defrag | sort

echo "== snapshot"
# (Members older than 3.6 don't say their version with it.)
at "${endpoint[0]}" snapshot save "$FOLDER/snapshot" | sed "s#$FOLDER#<folder>#; /^Server version/d"
echo "a hash follows the pages: $(($(stat -c %s "$FOLDER/snapshot") % 512))"

echo "== leadership"
old=$(leader)
new=$(status MemberID | grep -vx "$old" | head -n 1)
at "$(endpoint_of "$old")" move-leader "$(hex 12345)"
at "$(endpoint_of "$new")" move-leader "$(hex "$new")" | sed 's/<endpoint[0-9]>/<a follower>/'
at "$(endpoint_of "$old")" move-leader "$(hex "$new")"
moved() { [ "$(leader)" = "$new" ]; }
until_true moved
ctl get key

echo "== changes of the membership"
peer=http://127.0.0.1:1
members member add
# Members that have been connected for less than five seconds count as unhealthy, and nothing may change meanwhile.
added() { quiet member add learner --learner "--peer-urls=$peer" >"$FOLDER/added"; }
until_true added
sed -E 's/ID +: [0-9]+//; s/ +[0-9a-f]{12,16}\b/ <id>/g; /^ETCD_INITIAL_CLUSTER=/d' "$FOLDER/added"
learner=$(quiet member list | awk -F', ' -v url="$peer" '$4 == url { print $1 }')
members member list
# 3.4 says one or the other, by the time of day its ids are made of.
members member add another "--peer-urls=$peer" | sed -E 's/(member ID already exist|Peer URLs already exists)/it is there already/'
members member promote "$learner"
members member promote "$(hex "$new")"
members member update "$learner" --peer-urls=http://127.0.0.1:2
# (3.4 forgets on an update that the member is a learner.)
members member list | sed -E 's/(true|false)$/<any>/'
members member remove "$learner"
members member remove "$learner"
members member update "$learner" "--peer-urls=$peer"
members member list
ctl get key

echo "== users and roles, of which there are none"
ctl auth disable
ctl user list
ctl user get somebody
ctl user delete somebody
ctl role list
ctl role get something
