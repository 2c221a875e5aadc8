--TEST--
A subscription in Amp's event loop: no change is missed, and a loop that waits does not run
--FILE--
<?php
require __DIR__ . '/setup.inc';
// Debian's loader does not load the functions that the loop itself needs.
require '/usr/share/php/Amp/Internal/functions.php';
require '/usr/share/php/Amp/autoload.php';
use Amp\Loop;

const CHANGES = 1500;
$client = client();
$subscription = $client->subscribe('n/');
while ($subscription->next(0.05) !== null) {
}
$writer = php_start(<<<'CODE'
$client = new Cfgstore\Client(prefix: '/amp/');
fgets(STDIN);
for ($n = 0; $n < 1500; $n += 3) {
    $client->transaction()->put("n/$n", $n)->put('n/' . $n + 1, $n + 1)->put('n/' . $n + 2, $n + 2)->commit();
}
CODE);

/** What this process has used: seconds of CPU time, and how often it went to sleep. */
function usage(): array {
    $usage = getrusage();
    return [$usage['ru_utime.tv_sec'] + $usage['ru_stime.tv_sec'] + ($usage['ru_utime.tv_usec'] + $usage['ru_stime.tv_usec']) / 1e6,
        $usage['ru_nvcsw']];
}
$calls = $seen = $idle = 0;
Loop::run(function () use ($subscription, $writer, &$calls, &$seen, &$idle) {
    $readable = Loop::onReadable($subscription->stream(), function (string $watcher) use ($subscription, &$calls, &$seen) {
        $calls++;
        // One at a time: what is left makes it readable again.
        if (($change = $subscription->next(0.0)) !== null && $change->value !== $seen++) {
            exit("change {$change->value} came as number $seen\n");
        }
        if ($seen === CHANGES) {
            Loop::cancel($watcher);
        }
    });
    // First it waits for a while, with nothing to see.
    $before = [$calls, ...usage()];
    Loop::delay(1000, function () use ($before, $writer, &$calls, &$idle) {
        $after = [$calls, ...usage()];
        $idle = array_map(fn ($a, $b) => $b - $a, $before, $after);
        fwrite($writer->input, "\n");
    });
    Loop::unreference(Loop::delay(60000, function () use (&$seen) { exit("only $seen changes in a minute\n"); }));
});
[$calls_idle, $seconds, $sleeps] = $idle;
// A loop that polls, even each millisecond, would be called, or wake up, a thousand times.
check('it waits without running', $calls_idle <= 5 && $sleeps <= 100 && (getenv('CFGSTORE_VALGRIND') || $seconds < 0.3)) ;
if ($calls_idle > 5 || $sleeps > 100) echo "$calls_idle calls, $seconds s, $sleeps sleeps\n";
check('all came, in order', $seen === CHANGES);
check('nothing is left', $subscription->next() === null);
?>
--EXPECT--
ok - it waits without running
ok - all came, in order
ok - nothing is left
