--TEST--
Both sides of a fork go on, before and after first use
--EXTENSIONS--
pcntl
--FILE--
<?php
require __DIR__ . '/setup.inc';
function in_child(callable $body): string {
    $file = tempnam(getenv('CFGSTORE_TEST_DIR'), 'child');
    $pid = pcntl_fork();
    if ($pid === 0) {
        try { file_put_contents($file, $body()); } catch (Throwable $e) { file_put_contents($file, get_class($e) . ': ' . $e->getMessage()); }
        exit(0);
    }
    pcntl_waitpid($pid, $status);
    return file_get_contents($file) . ($status === 0 ? '' : " (status $status)");
}
echo 'before first use: ', in_child(function () { $c = client(); $c->put('a', 'child'); return $c->get('a') . ', ' . count($c->all()); }), "\n";
$client = new Cfgstore\Client(prefix: test_prefix());
check('the parent sees it', $client->get('a') === 'child');
$value = $client->get('a');
$client->put('b', [1, 2, 3]);
$subscription = $client->subscribe();
$subscription->next(0.1);
$stream = $subscription->stream();
$lock = $client->lock('l');
echo 'after first use: ', in_child(function () use ($client, $subscription) {
    $read = json_encode($client->get('b'));
    $client->put('c', 'from the child');
    $change = null;
    while (($change = $subscription->next(20.0))->key !== 'c');
    return "$read, {$client->get('c')}, {$change->value}, " . failure(fn () => $client->lock('l'));
}), "\n";
check('the parent reads what the child wrote', $client->get('c') === 'from the child');
check('the parent writes', $client->put('d', 1) > 0 && $client->get('d') === 1);
$seen = [];
while (end($seen) !== 'd') { $seen[] = $subscription->next(20.0)?->key; }
check('its subscription missed nothing', $seen === ['c', 'd']);
// Of two changes one is left to take, which a child takes too.
$client->transaction()->put('e', 1)->put('f', 2)->commit();
$seen = $subscription->next(20.0)->key;
$of_child = in_child(fn () => $subscription->next(20.0)->key);
$readable = [$stream];
$none = null;
check('its stream still tells of a change that a child has taken for itself', stream_select($readable, $none, $none, 0) === 1);
check('which it takes', [$seen, $of_child, $subscription->next(0.0)->key] === ['e', 'f', 'f']);
check('and its lock is held', $lock->isHeld());
$lock->release();
// In the middle of a loop over changes, as a worker that forks for each of them.
$watch = $client->watch('jobs/', timeout: 30.0, fromRevision: $client->transaction()->put('jobs/1', 1)->put('jobs/2', 2)->put('jobs/3', 3)->commit());
$done = [];
foreach ($watch as $change) {
    $done[] = in_child(function () use ($client, $watch, $change) {
        $client->put("done/$change->key", $change->value);
        // Its own loop goes on where the parent's is.
        foreach ($watch as $next) { return "$change->key then $next->key"; }
    });
    if ($change->key === 'jobs/2') { $client->put('jobs/4', 4); }
    if ($change->key === 'jobs/3') { break; }
}
echo implode(', ', $done), "\n";
foreach ($watch as $change) { echo "and the parent then $change->key\n"; break; }
check('what they did', array_values($client->all('done/')) === [1, 2, 3]);
$children = [];
for ($i = 0; $i < 8; $i++) {
    if (($children[] = pcntl_fork()) === 0) {
        $client->put("many/$i", $i);
        exit($client->get("many/$i") === $i && $client->get('b') === [1, 2, 3] ? 0 : 1);
    }
}
$failed = 0;
foreach ($children as $pid) { pcntl_waitpid($pid, $status); $failed += $status !== 0; }
check('many children', $failed === 0 && array_sum($client->all('many/')) === 28);
?>
--EXPECT--
before first use: child, 1
ok - the parent sees it
after first use: [1,2,3], from the child, from the child, TimeoutException: lock "/fork/l" is held by another; did not wait
ok - the parent reads what the child wrote
ok - the parent writes
ok - its subscription missed nothing
ok - its stream still tells of a change that a child has taken for itself
ok - which it takes
ok - and its lock is held
jobs/1 then jobs/2, jobs/2 then jobs/3, jobs/3 then jobs/4
and the parent then jobs/4
ok - what they did
ok - many children
