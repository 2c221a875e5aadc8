--TEST--
watch() sees every change in order, from any revision on
--INI--
cfgstore.data_dir=${CFGSTORE_TEST_DIR}/watch
--FILE--
<?php
require __DIR__ . '/setup.inc';
$client = client();
$other = new Cfgstore\Client(prefix: '');
$start = $client->revision();
$client->put('a', ['n' => 1]);
$other->put('/elsewhere', 1);
$client->put('a', 2);
$client->transaction()->put('b', 'x')->put('c', null)->commit();
$client->delete('a');
function show(iterable $changes, int $most = PHP_INT_MAX): void {
    global $start;
    foreach ($changes as $revision => $c) {
        echo $revision - $start, $revision === $c->revision ? '' : '!', " {$c->type->value} {$c->key} ", json_encode($c->value), ' was ', json_encode($c->previous), "\n";
        if (--$most === 0) break;
    }
}
$watch = $client->watch(fromRevision: $start + 1);
show($watch, 2);
check('it goes on from its position', $watch->position() === $start + 4);
show($watch, 3);
check('a second loop went on', $watch->position() === $start + 6);
show($client->watch('b', timeout: 20.0, fromRevision: $start + 1), 1);
check('a value is of its type', (function () use ($client, $start) { foreach ($client->watch(fromRevision: $start + 1) as $c) { return $c->type === Cfgstore\ChangeType::Put && $c->value === ['n' => 1]; } })());

// Without fromRevision it goes on after the last read: what comes between is not lost.
$client->refresh();
$client->pin();
$other->put('/watch/between', 1);
$client->unpin();
foreach ($client->watch('between', timeout: 20.0) as $change) { echo "{$change->key} is not lost\n"; break; }
$begin = now();
foreach ($client->watch('never', timeout: 0.25) as $change) { echo "unexpected\n"; }
check('it ends in time', now() - $begin >= 0.25);
foreach ($client->watch('never', timeout: 0.0) as $change) { echo "unexpected\n"; }

$watch = $client->watch('never');
var_dump($watch->valid(), $watch->current(), $watch->key());
echo failure(fn () => $client->watch(fromRevision: 0)), "\n";
echo failure(fn () => $client->watch(timeout: -1.0)), "\n";
echo failure(fn () => new Cfgstore\Watch), "\n";
echo failure(function () use ($client, $start) { foreach ($client->watch(fromRevision: $start + 1) as $change) { throw new DomainException('from the loop'); } }), "\n";
foreach ([1, 2, 3] as $i) { foreach ($client->watch(fromRevision: $start + 1) as $change) { echo $change->revision - $start, ' '; break; } }
echo "\n";
function nested() { global $client, $start; foreach ($client->watch(fromRevision: $start + 1) as $change) { yield $change->key => $change; } }
foreach (nested() as $key => $change) { echo "generator: $key\n"; break; }
foreach ($client->watch(fromRevision: $start + 1) as $change) { echo "exit in the loop\n"; exit; }
?>
--EXPECT--
1 put a {"n":1} was null
3 put a 2 was {"n":1}
ok - it goes on from its position
4 put b "x" was null
4 put c null was null
5 delete a null was 2
ok - a second loop went on
4 put b "x" was null
ok - a value is of its type
between is not lost
ok - it ends in time
bool(false)
NULL
NULL
InvalidArgumentException: fromRevision is 0; revisions begin at 1
InvalidArgumentException: timeout is negative; expected seconds, or null to watch without end
Error: Call to private Cfgstore\Watch::__construct() from global scope
DomainException: from the loop
1 1 1 
generator: a
exit in the loop
