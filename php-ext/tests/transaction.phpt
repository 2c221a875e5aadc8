--TEST--
Transactions: all or nothing, in one revision
--FILE--
<?php
require __DIR__ . '/setup.inc';
$client = client();
$revision = $client->transaction()->ifAbsent('a')->put('a', ['x' => 1])->putBytes('b', 'raw')->commit();
check('both at one revision', $client->entry('a')->revision === $revision && $client->entry('b')->revision === $revision);
$next = $client->transaction()->ifRevision('a', $revision)->ifExists('b')->put('a', 2)->delete('b')->commit();
check('conditions hold', $next > $revision && $client->get('a') === 2 && !$client->has('b'));
echo failure(fn () => $client->transaction()->ifRevision('a', $revision)->put('a', 3)->put('c', 1)->commit()), "\n";
echo failure(fn () => $client->transaction()->ifAbsent('a')->ifExists('zz')->put('a', 3)->commit()), "\n";
check('nothing was written', $client->get('a') === 2 && !$client->has('c'));
$transaction = $client->transaction()->put('d', 1);
$transaction->commit();
echo failure(fn () => $transaction->commit()), "\n";
echo failure(fn () => $transaction->put('d', 2)), "\n";
echo failure(fn () => $client->transaction()->put('', 1)), "\n";
echo failure(fn () => $client->transaction()->ifRevision('a', 0)), "\n";
echo failure(fn () => $client->transaction()->put('e', 1)->put('e', 2)->commit()), "\n";
check('an empty one', $client->transaction()->commit() >= $next);
$kept = (new Cfgstore\Client(prefix: test_prefix()))->transaction();
gc_collect_cycles();
check('it keeps its client', $kept->put('kept', 1)->commit() > $next && $client->get('kept') === 1);
?>
--EXPECTF--
ok - both at one revision
ok - conditions hold
ConflictException: not written: key "/transaction/a" is at revision %d, not %d; read the current value and decide again
ConflictException: not written: key "/transaction/a" already exists (revision %d); key "/transaction/zz" does not exist; read the current value and decide again
ok - nothing was written
InvalidArgumentException: the transaction was committed before; begin another
InvalidArgumentException: the transaction was committed before; begin another
InvalidArgumentException: the key is empty; name at least one byte
InvalidArgumentException: revision 0 is no revision of a key; they begin at 1 (ifAbsent() asks for none)
InvalidArgumentException: %s
ok - an empty one
ok - it keeps its client
