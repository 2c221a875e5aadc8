<?php
// Watches one counter from its first change on, and prints each value, until SIGTERM.
pcntl_async_signals(true);
pcntl_signal(SIGTERM, fn () => exit("told to end\n"));
$changes = (new Cfgstore\Client())->watch('counter', fromRevision: (int) $argv[1]);
echo "ready\n";
foreach ($changes as $change) {
    echo "sees {$change->value}\n";
}
