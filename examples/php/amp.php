<?php
// Watching in Amp's event loop, version 2 (Debian: php-amphp-amp): the loop waits on the stream beside everything else.

require '/usr/share/php/Amp/Internal/functions.php';    // or vendor/autoload.php
require '/usr/share/php/Amp/autoload.php';
use Amp\Loop;

Loop::run(function () {
    $config = new Cfgstore\Client(prefix: '/examples/');
    $changes = $config->subscribe('colour');

    Loop::onReadable($changes->stream(), function (string $watcher) use ($changes) {
        while ($change = $changes->next(0.0)) {         // take all that has arrived
            echo "{$change->key} is now ", json_encode($change->value), "\n";
            Loop::cancel($watcher);                     // this loop has seen what it was for, and ends
        }
    });
    Loop::delay(10, fn () => $config->put('colour', 'blue'));   // stands for what others do meanwhile
    Loop::unreference(Loop::delay(10_000, fn () => exit("nothing changed within 10 seconds\n")));
});
