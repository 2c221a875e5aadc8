<?php
// Step 3: live update. A program that runs learns of each change, in order and without asking.

$config = new Cfgstore\Client(prefix: '/config-manager/');
$config->put('limits/per-minute', 60);
$watch = $config->watch('limits/', timeout: 10.0);      // goes on from what was read last

if (pcntl_fork() === 0) {                               // another process
    (new Cfgstore\Client(prefix: '/config-manager/'))->put('limits/per-minute', 30);
    exit(0);
}
foreach ($watch as $change) {
    echo "$change->key: $change->previous -> $change->value\n";
    if ($change->value === 30) {
        exit($config['limits/per-minute'] === 30 ? 0 : 1);      // reads see it too
    }
}
exit(1);
