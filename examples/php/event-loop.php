<?php
// Watching in an event loop: a stream to wait on, beside everything else the loop waits for.
// With Revolt: EventLoop::onReadable($changes->stream(), …); with ReactPHP: $loop->addReadStream($changes->stream(), …).

$config = new Cfgstore\Client(prefix: '/examples/');
$changes = $config->subscribe('theme', fromRevision: $config->revision() + 1);
$config->put('theme', 'dark');                          // stands for what others do meanwhile

$stream = $changes->stream();
for ($seen = 0; $seen === 0;) {
    $read = [$stream];
    $write = $except = null;
    if (stream_select($read, $write, $except, 10) === 0) {
        exit("nothing changed within 10 seconds\n");
    }
    while ($change = $changes->next(0.0)) {             // take all that has arrived
        echo "{$change->key} is now ", json_encode($change->value), "\n";
        $seen++;
    }
}
echo "another subscription would go on at revision {$changes->position()}\n";
