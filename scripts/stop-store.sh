#!/usr/bin/env bash
# Ends the cfgstored of each data folder, if one serves it, and waits until it is gone.
# usage: stop-store.sh DATA_DIR…
for data_dir; do
    [ -e "$data_dir/lock" ] || continue
    pid=$(tr -cd 0-9 <"$data_dir/lock")
    [ -n "$pid" ] && kill "$pid" 2>/dev/null && timeout 20 tail --pid="$pid" -f /dev/null
done
exit 0
