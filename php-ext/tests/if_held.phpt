--TEST--
A transaction that only the holder of a lock can commit; a lock whose agent is silent is not held for certain
--INI--
cfgstore.data_dir=${CFGSTORE_TEST_DIR}/if_held
cfgstore.timeout=20
--FILE--
<?php
require __DIR__ . '/setup.inc';
$client = client();
$lock = $client->lock('job', ttl: 60.0);
$revision = $client->transaction()->ifHeld($lock)->put('a', 1)->commit();
check('held', $client->get('a') === 1 && $client->revision() === $revision);
echo failure(fn () => $client->transaction()->ifHeld($lock)->ifAbsent('a')->put('a', 2)->commit()), "\n";
check('it counts as a condition alone', $client->transaction()->ifHeld($lock)->commit() >= $revision);
$lock->release();
echo failure(fn () => $client->transaction()->ifHeld($lock)->put('a', 3)->commit()), "\n";
$next = $client->lock('job', ttl: 60.0);
echo failure(fn () => $client->transaction()->ifHeld($lock)->put('a', 3)->commit()), "\n";
// Another client, another prefix: it is the same lock.
(new Cfgstore\Client(prefix: '/other/'))->transaction()->ifHeld($next)->put('b', 1)->commit();
$transaction = $client->transaction()->ifHeld($next)->put('a', 4);
$transaction->commit();
echo failure(fn () => $transaction->ifHeld($next)), "\n";
check('what was refused is not written', $client->get('a') === 4);

// The agent hangs: nobody says that the lock is lost, and so nobody knows that it is held.
$short = $client->lock('short', ttl: 3.0);
$long = $client->lock('long', ttl: 600.0);
check('both are held', $short->isHeld() && $long->isHeld());
posix_kill(agent_pid(getenv('CFGSTORE_TEST_DIR') . '/if_held'), SIGSTOP);
await('the silence to last', fn () => !$short->isHeld());
check('one of which the agent lives long enough', $long->isHeld());
echo preg_replace('/[0-9.]+ s|token [0-9]+/', 'N', failure(fn () => $short->release())), "\n";
posix_kill(agent_pid(getenv('CFGSTORE_TEST_DIR') . '/if_held'), SIGCONT);
await('the agent', fn () => $client->lock('short', ttl: 3.0, wait: 20.0)->isHeld());
?>
--EXPECTF--
ok - held
ConflictException: %s"/if_held/a"%s
ok - it counts as a condition alone
LockLostException: lock "/_cfgstore/lock/%s is no longer held: its key is gone; stop what it protects, and take it again
LockLostException: lock "/_cfgstore/lock/%s is no longer held: its key is gone; stop what it protects, and take it again
InvalidArgumentException: the transaction was committed before; begin another
ok - what was refused is not written
ok - both are held
ok - one of which the agent lives long enough
LockLostException: the lock with N is no longer held for certain: the agent that keeps it has been silent for N; stop what it protects, and take it again
