#!/usr/bin/env bash
# valgrind for PHP's runner, which gives one log for a test and all the PHPs that it starts: each process begins that file anew,
# and only the last one's errors stay. Here each has a log of its own, and they are joined when the test has ended.
for argument; do
    case $argument in
        --log-file=*) log=${argument#--log-file=} && set -- "$@" "$argument.%p" ;;
        *) set -- "$@" "$argument" ;;
    esac
    shift
done
[ -n "${log:-}" ] || exec "$CFGSTORE_REAL_VALGRIND" "$@"
"$CFGSTORE_REAL_VALGRIND" "$@"
status=$?
cat "$log".[0-9]* >"$log"
rm -f "$log".[0-9]*
exit "$status"
