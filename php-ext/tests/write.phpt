--TEST--
Writes, conditions on them, and reading what was just written
--FILE--
<?php
require __DIR__ . '/setup.inc';
$client = client();
$first = $client->put('a', 1);
check('a put returns its revision', $client->entry('a')->revision === $first && $client->revision() >= $first);
$second = $client->put('a', 2, ifRevision: $first);
check('a condition that holds', $second > $first && $client->get('a') === 2 && $client->entry('a')->version === 2);
echo failure(fn () => $client->put('a', 3, ifRevision: $first)), "\n";
echo failure(fn () => $client->put('a', 3, ifRevision: 0)), "\n";
echo failure(fn () => $client->put('absent', 3, ifRevision: $first)), "\n";
echo failure(fn () => $client->put('a', 3, ifRevision: -1)), "\n";
echo failure(fn () => $client->delete('a', ifRevision: $first)), "\n";
check('nothing was written', $client->get('a') === 2 && !$client->has('absent'));
check('only if absent', $client->put('new', 1, ifRevision: 0) > $second && $client->get('new') === 1);
check('delete', $client->delete('a', ifRevision: $second) > $second && !$client->has('a'));
check('delete again', $client->delete('a') >= $second);
$client->putBytes('bytes', "\x00\xff");
check('bytes', $client->getBytes('bytes') === "\x00\xff" && $client->get('bytes') === "\x00\xff");
foreach (range(1, 200) as $i) {
    $client->put('counter', $i);
    if ($client->get('counter') !== $i) {
        echo "read {$client->get('counter')} after writing $i\n";
    }
}
check('other clients of the process see it too', (new Cfgstore\Client(prefix: ''))->get('/write/counter') === 200);
echo failure(fn () => $client->put('', 1)), "\n";
echo failure(fn () => $client->putBytes('', '')), "\n";
echo failure(fn () => $client->delete('')), "\n";
echo failure(fn () => $client->put(str_repeat('k', 65537), 1)), "\n";
echo failure(fn () => $client->put('big', str_repeat('x', 2 << 20))), "\n";
try {
    $client->put('a', 1, ifRevision: 1);
} catch (Cfgstore\Exception\ConflictException $e) {
    check('a conflict is certain and not retryable', !$e->isRetryable() && !$e->mayHaveHappened());
}
?>
--EXPECTF--
ok - a put returns its revision
ok - a condition that holds
ConflictException: not written: key "/write/a" is at revision %d, not %d; read the current value and decide again
ConflictException: not written: key "/write/a" already exists (revision %d); read the current value and decide again
ConflictException: not written: key "/write/absent" does not exist; read the current value and decide again
InvalidArgumentException: argument #3 ($ifRevision) is -1; expected a revision, or 0 for "only if the key does not exist"
ConflictException: not written: key "/write/a" is at revision %d, not %d; read the current value and decide again
ok - nothing was written
ok - only if absent
ok - delete
ok - delete again
ok - bytes
ok - other clients of the process see it too
InvalidArgumentException: the key is empty; name at least one byte
InvalidArgumentException: the key is empty; name at least one byte
InvalidArgumentException: the key is empty; name at least one byte
TooLargeException: the key with its prefix is 65544 bytes; the limit is 65536
TooLargeException: %s
ok - a conflict is certain and not retryable
