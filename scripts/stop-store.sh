#!/usr/bin/env bash
# Ends the cfgstored of each data folder, if one serves it, and the agents below it, and waits until they are gone.
# usage: stop-store.sh DATA_DIR…
for data_dir; do
    for folder in "$data_dir" "$data_dir"/agents/*; do
        [ -e "$folder/lock" ] || continue
        pid=$(tr -cd 0-9 <"$folder/lock")
        [ -n "$pid" ] && kill "$pid" 2>/dev/null && timeout 20 tail --pid="$pid" -f /dev/null
    done
done
exit 0
