--TEST--
The agent dies and comes back: reads go on, writes say what became of them, and all recovers by itself
--INI--
cfgstore.data_dir=${CFGSTORE_TEST_DIR}/agent
cfgstore.timeout=20
--FILE--
<?php
require __DIR__ . '/setup.inc';
$folder = getenv('CFGSTORE_TEST_DIR') . '/agent';
$client = client();
$client->put('a', 1);
$kill = function () use ($folder) {
    $pid = agent_pid($folder);
    posix_kill($pid, SIGKILL);
    await('its end', fn () => !posix_kill($pid, 0) || str_contains((string) @file_get_contents("/proc/$pid/stat"), ') Z '));
};
/** Writes until it is acknowledged: on a connection that has just died, a write can only say that it may have happened. */
function put_at_last(Cfgstore\Client $client, string $key, mixed $value): void {
    await('a write', function () use ($client, $key, $value) {
        try { return $client->put($key, $value); } catch (Cfgstore\Exception\UnavailableException) { return false; }
    });
}
// Killed: reads go on, and a write brings it back.
$watch = $client->watch('w/', timeout: 30.0);
$subscription = $client->subscribe('w/');
$subscription->next(0.1);
for ($round = 1; $round <= 3; $round++) {
    $first = agent_pid($folder);
    $kill();
    check("reads without an agent", $client->get('a') === $round);
    put_at_last($client, 'a', $round + 1);
    check("a write brings it back, and is read", $client->get('a') === $round + 1 && agent_pid($folder) !== $first);
    $client->put("w/$round", $round);
}
$seen = [];
foreach ($watch as $change) { $seen[] = $change->key; if (count($seen) === 3) break; }
echo 'watched: ', implode(' ', $seen), "\n";
$seen = [];
while (count($seen) < 3) { $seen[] = $subscription->next(30.0)?->key ?? die("the subscription missed a change\n"); }
echo 'subscribed: ', implode(' ', $seen), "\n";
$lock = $client->lock('l');
$kill();
check('a lock is lost with its agent', await('the lock to be lost', fn () => !$lock->isHeld()));
echo preg_replace('/:.*/', '', failure(fn () => $lock->release())), "\n";

// Its mirror's folder is replaced: a long-running reader moves over.
$client->put('a', 'old folder');
$old = $client->status()->mirrorDir;
$kill();
array_map('unlink', glob("$old/*")); rmdir($old);
check('reads without a mirror', $client->get('a') === 'old folder');
php('(new Cfgstore\Client(prefix: "/agent/"))->put("a", "new folder");');
check('the new one is found', await('the new folder', fn () => $client->get('a') === 'new folder', 30));
check('it is another', $client->status()->mirrorDir !== $old);

// Nobody brings it back: what is known is served, or refused, as told.
$silent = ['cfgstore.autostart' => 0, 'cfgstore.stale_after' => '0.5', 'cfgstore.timeout' => '1'];
posix_kill(agent_pid($folder), SIGSTOP);
$try = 'try { echo json_encode((new Cfgstore\Client(prefix: "/agent/"))->get("a")), "\n"; } catch (Cfgstore\Exception\ExceptionInterface $e) { echo get_class($e), $e->isRetryable() ? " retryable: " : ": ", preg_replace("/[0-9.]+ s/", "N s", $e->getMessage()), "\n"; }';
await('the silence to be noticed', fn () => str_contains(php($try, $silent + ['cfgstore.on_stale' => 'throw']), 'has been silent'));
echo php($try, $silent);
echo php($try, $silent + ['cfgstore.on_stale' => 'throw']);
$write = 'try { (new Cfgstore\Client)->put("b", 1); } catch (Cfgstore\Exception\ExceptionInterface $e) { echo get_class($e), $e->mayHaveHappened() ? ": it may have happened\n" : ": it has not happened\n"; }';
echo php($write, $silent);
await('more silence', fn () => php('$c = new Cfgstore\Client; $c->get("/agent/a"); echo json_encode($c->status()->silentSeconds > 3);', $silent) === 'true');
// Nor does a read wait that would bring an agent back: this one hangs. A wait would take the whole timeout.
$from = now();
echo php('$c = new Cfgstore\Client(prefix: "/agent/"); echo $c->get("a"), " ", json_encode($c->get("none", null)), "\n";', ['cfgstore.timeout' => 30]);
check('at once', now() - $from < 15);
posix_kill(agent_pid($folder), SIGCONT);
await('the heartbeat', fn () => php($try, $silent + ['cfgstore.on_stale' => 'throw']) === "\"new folder\"\n");
$kill();
echo php($write, $silent);
echo php('$c = new Cfgstore\Client; do { $c->refresh(); $s = $c->status(); time_nanosleep(0, 50_000_000); } while ($s->agentAlive); var_dump($s->synced, $s->agentAlive, $s->revision > 0);', $silent);
// The next process that reads brings it back, since autostart is on.
echo php('$c = new Cfgstore\Client; for ($n = 0; $n < 3000 && !$c->status()->agentAlive; $n++, time_nanosleep(0, 10_000_000)) { $c->get("/agent/a"); } var_dump($c->status()->agentAlive);');
?>
--EXPECT--
ok - reads without an agent
ok - a write brings it back, and is read
ok - reads without an agent
ok - a write brings it back, and is read
ok - reads without an agent
ok - a write brings it back, and is read
watched: w/1 w/2 w/3
subscribed: w/1 w/2 w/3
ok - a lock is lost with its agent
LockLostException
ok - reads without a mirror
ok - the new one is found
ok - it is another
"new folder"
Cfgstore\Exception\UnavailableException retryable: the host agent has been silent for N s, and cfgstore.on_stale is "throw" after N s: look after the agent, or set cfgstore.on_stale=serve to read the last known configuration
Cfgstore\Exception\TimeoutException: it may have happened
new folder null
ok - at once
Cfgstore\Exception\UnavailableException: it has not happened
bool(true)
bool(false)
bool(true)
bool(true)
