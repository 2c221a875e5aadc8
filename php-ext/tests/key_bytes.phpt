--TEST--
A key is bytes: UTF-8 or not, with any byte in it, it is another key than every other
--FILE--
<?php
require __DIR__ . '/setup.inc';
$client = client();
$keys = ["\xff", "\xff\xff", "caf\xe9", "café", "a\0", "a\0b", "\0", "\xc3", "\xed\xa0\x80", "\u{feff}", "/", " ", str_repeat("\xfe", 65_536 - strlen(test_prefix()))];
foreach ($keys as $i => $key) {
    $revision = $client->put($key, $i);
    $entry = $client->entry($key);
    check("key $i", $client->get($key) === $i && $client[$key] === $i && $client->has($key) && $entry->key === $key && $entry->revision === $revision);
}
$all = $client->all();
$sorted = $keys; sort($sorted, SORT_STRING);
check('all, in byte order', array_map('strval', array_keys($all)) === $sorted);
check('below a prefix that is half a character', array_keys($client->all("caf\xc3")) === ['café'] && array_keys($client->all("\xff")) === ["\xff", "\xff\xff"]);
$watch = $client->watch("\xff", 20.0);
$client->transaction()->ifExists("\xff")->put("\xff", 'changed')->delete("\xff\xff")->commit();
$seen = [];
foreach ($watch as $change) { $seen[] = [$change->type->value, $change->key]; if (count($seen) === 2) break; }
check('watched', $seen === [['put', "\xff"], ['delete', "\xff\xff"]]);
echo preg_replace('/:.*/s', '', failure(fn () => $client->get("no\xff"))), "\n";
// What a server or the core says is text, whatever the key.
foreach (['put' => fn () => $client->put("\xff", 1, ifRevision: 1), 'commit' => fn () => $client->transaction()->ifAbsent("\xff")->put("\xff", 1)->commit(),
        'too long' => fn () => $client->put(str_repeat("\xff", 65_537), 1)] as $name => $call) {
    $message = failure($call);
    echo "$name: ", preg_replace('/:.*/s', '', $message), preg_match('//u', $message) ? '' : ' in a message that is not UTF-8', "\n";
}
$lock = $client->lock("l\xff");
check('a lock', $lock->isHeld() && str_contains($lock->key, "l\xff"));
$lock->release();
$client->delete("caf\xe9");
check('deleted, and no other', !$client->has("caf\xe9") && $client->has('café'));
?>
--EXPECT--
ok - key 0
ok - key 1
ok - key 2
ok - key 3
ok - key 4
ok - key 5
ok - key 6
ok - key 7
ok - key 8
ok - key 9
ok - key 10
ok - key 11
ok - key 12
ok - all, in byte order
ok - below a prefix that is half a character
ok - watched
KeyNotFoundException
put: ConflictException
commit: ConflictException
too long: TooLargeException
ok - a lock
ok - deleted, and no other
