#!/usr/bin/env bash
# Fetches and builds the clients of other projects that the tests run, unpatched, in pinned versions: etcdctl and etcdutl, a
# program over etcd's Go client, jetcd, python-etcd3. Downloads are kept in the folder; a second run takes seconds.
# usage: foreign.sh FOLDER
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
mkdir -p "${1:?usage: foreign.sh FOLDER}"
out=$(cd "$1" && pwd)

go=$root/scripts/go.sh
(cd tests/foreign/go && "$go" build -o "$out/bin/" go.etcd.io/etcd/etcdctl/v3 go.etcd.io/etcd/etcdutl/v3)
(cd tests/foreign/go && "$go" vet ./... && "$go" build -o "$out/bin/kubernetes" ./kubernetes)
(cd examples/go && "$go" vet ./... && "$go" build -o "$out/bin/clientv3" .)

# fresh FOLDER FILE…: whether the folder was made from these very files
fresh() {
    local folder=$1
    shift
    [ "$(cat "$folder/made-from" 2>/dev/null)" = "$(sha256sum "$@")" ]
}

cd "$root/tests/foreign/jetcd"
if ! fresh "$out/jetcd" pom.xml; then
    rm -rf "$out/jetcd"
    mvn -q -B "-Dmaven.repo.local=$out/m2" dependency:copy-dependencies "-DoutputDirectory=$out/jetcd/lib"
    sha256sum pom.xml >"$out/jetcd/made-from"
fi
if ! fresh "$out/jetcd/classes" src/main/java/*.java; then
    javac -Xlint:all,-try -Werror -d "$out/jetcd/classes" -cp "$out/jetcd/lib/*" src/main/java/*.java
    sha256sum src/main/java/*.java >"$out/jetcd/classes/made-from"
fi

cd "$root/tests/foreign/python"
if ! fresh "$out/python" requirements.txt; then
    rm -rf "$out/python"
    python3 -m venv "$out/python"
    "$out/python/bin/pip" install -q --disable-pip-version-check -r requirements.txt
    sha256sum requirements.txt >"$out/python/made-from"
fi
