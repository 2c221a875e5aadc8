#!/usr/bin/env bash
# Runs Go in the version that the go.mod of the current folder asks for.
# usage: go.sh ARGUMENT…
set -euo pipefail

# Go before 1.21 cannot fetch the version that go.mod asks for by itself; as a module of the proxy it can.
go=go
toolchain=go1.26.8
minor=$(go env GOVERSION | sed -E 's/^go1\.([0-9]+).*/\1/')
if [ "$minor" -lt 21 ]; then
    case $(uname -m) in x86_64) arch=amd64 ;; aarch64) arch=arm64 ;; *) echo "go.sh: install $toolchain" >&2; exit 1 ;; esac
    folder=$(cd "$(mktemp -d)" && go mod download -json "golang.org/toolchain@v0.0.1-$toolchain.linux-$arch" |
        sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
    chmod -R u+w "$folder"
    chmod +x "$folder"/bin/* "$folder"/pkg/tool/*/*
    go=$folder/bin/go
fi
exec "$go" "$@"
