#!/usr/bin/env bash
# Speed of the parts, each by its own benchmark program. Figures are of this machine in this minute: compare ratios.
set -euo pipefail
cd "$(dirname "$0")/.."
for part in store replica mirror; do
    echo "== core/$part"
    cargo bench --locked --quiet -p "cfgstore-$part" --benches
done
