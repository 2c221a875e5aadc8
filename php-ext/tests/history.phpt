--TEST--
The history of keys: who changed what and why, and keys made again what they were
--INI--
cfgstore.client_name=the test
--FILE--
<?php
require __DIR__ . '/setup.inc';
use Cfgstore\ChangeType;
$client = client();
check('of a key that never was', $client->history('a') === []);
$first = $client->put('a', ['host' => 'db1'], comment: 'begin: Größe 100%');
$second = $client->put('a', 2, ifRevision: $first);
$third = $client->transaction()->ifRevision('a', $second)->delete('a')->put('b', 'x')->comment('gone')->commit();
[$gone, $changed, $begun] = $history = $client->history('a');
check('the newest first', array_column($history, 'revision') === [$third, $second, $first] && $gone->key === 'a');
check('kinds', array_column($history, 'type') === [ChangeType::Delete, ChangeType::Put, ChangeType::Put]);
check('values as get() gives them', array_column($history, 'value') === [null, 2, ['host' => 'db1']]);
check('and those before', array_column($history, 'previous') === [2, ['host' => 'db1'], null]);
check('comments', array_column($history, 'comment') === ['gone', '', 'begin: Größe 100%']);
check('nobody has authenticated', $gone->author === 'the test' && $gone->client === 'the test' && !$gone->verified);
check('from this host', $gone->address === 'unix:uid=' . fileowner('/proc/self'));
check('just now', abs($begun->time - $_SERVER['REQUEST_TIME_FLOAT']) < 600 && $begun->time <= $gone->time);
check('a limit', array_column($client->history('a', limit: 1), 'revision') === [$third]);
check('of a prefix', array_column($client->history('', prefix: true, limit: 4), 'key') === ['b', 'a', 'a', 'a']);
$client->putBytes('a', "\xff", comment: 'bytes');
$now = $client->history('a', 1)[0]->time;
check('by author', $client->history('', prefix: true, author: 'nobody') === []
    && count($client->history('', prefix: true, author: 'the test', limit: 2)) === 2);
check('by time', count($client->history('a', fromTime: $begun->time, toTime: $now)) === 4 && $client->history('a', fromTime: $now + 1) === []
    && $client->history('a', toTime: $begun->time - 1) === [] && $client->history('a', toTime: 0) === []);
check('bytes', $client->history('a', 1)[0]->value === "\xff" && $client->history('a', 1)[0]->comment === 'bytes');

$client->put('c', 1);
$client->delete('c', comment: 'needless');
check('a reason for a delete', $client->history('c', 1)[0]->comment === 'needless');
$client->delete('c', ifRevision: 0, comment: 'nothing there');
check('and none where nothing is deleted', count($client->history('c')) === 2);

$again = $client->rollback('a', revision: $first, comment: 'back');
check('a key as it was, at once', $client->get('a') === ['host' => 'db1'] && $client->entry('a')->revision === $again);
check('with its reason', $client->history('a', limit: 1)[0]->comment === 'back');
check('nothing to change', $client->rollback('a', revision: $first) >= $again && $client->entry('a')->revision === $again);
check('to where it was not', $client->rollback('a', revision: $third) > $again && !$client->has('a'));
$both = $client->rollback('', revision: $second, prefix: true);
check('a prefix, as one revision', $client->all() === ['a' => 2] && $client->entry('a')->revision === $both);

// A store of its own, which no other test adds changes to, and that forgets what is not history.
$folder = getenv('CFGSTORE_TEST_DIR') . '/history';
echo php('
    $client = new Cfgstore\Client;
    foreach (range(1, 300) as $i) { $revisions[$i] = $client->put("many", $i); }
    $http = stream_socket_client("unix://" . ini_get("cfgstore.data_dir") . "/cfgstore.sock");
    $body = json_encode(["revision" => (string) $revisions[300], "physical" => true]);
    fwrite($http, "POST /v3/kv/compaction HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: " . strlen($body) . "\r\n\r\n$body");
    echo strtok(stream_get_contents($http), "\r"), "\n";
    $kept = count($client->history("many"));
    echo $kept >= 100 && $kept < 300 ? "ok" : "NOT OK: $kept", " - the last ones are kept\n";
    try {
        $client->rollback("many", revision: $revisions[1]);
    } catch (Cfgstore\Exception\CompactedException $e) {
        echo $e->getMessage(), "\n";
        var_dump($e->isRetryable(), $e->mayHaveHappened(), $client["many"]);
    }
    echo $client->rollback("many", revision: $revisions[210]) > $revisions[300] && $client["many"] === 210 ? "ok" : "NOT OK", " - beyond compaction\n";
', ['cfgstore.data_dir' => $folder]);

require __DIR__ . '/keyring.inc';
$sealing = new Cfgstore\Client(prefix: test_prefix(), keyring: write_keyring(getenv('CFGSTORE_TEST_DIR') . '/history.json', ['one' => random_bytes(32)]));
$sealed = $sealing->put('secret', 'first');
$sealing->put('secret', 'second');
check('sealed ones are opened', $sealing->history('secret', 1)[0]->value === 'second' && $sealing->history('secret', 1)[0]->previous === 'first');
check('but not without a key', array_keys($client->history('secret', 1)[0]->previous) === ['$sealed']);
check('and rolled back', $sealing->rollback('secret', $sealed) > $sealed && $sealing['secret'] === 'first');
$other = new Cfgstore\Client(prefix: test_prefix(), keyring: write_keyring(getenv('CFGSTORE_TEST_DIR') . '/other.json', ['two' => random_bytes(32)]));
[$last] = $other->history('secret', 1);
check('one of an unknown key says so', $last->error instanceof Cfgstore\Exception\SealedException && $last->previous === null);
echo failure(fn () => $last->value), "\n";

echo failure(fn () => $client->history('')), "\n";
echo failure(fn () => $client->history('a', -1)), "\n";
echo failure(fn () => $client->history('a', toTime: INF)), "\n";
echo failure(fn () => $client->history('a', author: "\xff")), "\n";
echo failure(fn () => $client->delete('a', comment: "two\nlines")), "\n";
echo failure(fn () => $client->rollback('', 1)), "\n";
echo failure(fn () => $client->rollback('a', 0)), "\n";
echo failure(fn () => $client->rollback('a', PHP_INT_MAX)), "\n";
echo failure(fn () => $client->put('a', 1, comment: "two\nlines")), "\n";
echo failure(fn () => $client->put('a', 1, comment: "\xff")), "\n";
echo failure(fn () => $client->rollback('a', 1, str_repeat('c', 1025))), "\n";
echo failure(fn () => $client->transaction()->comment(str_repeat('c', 1025))), "\n";
check('nothing was written', $client->get('a') === 2);
$client->put('a', 1, comment: str_repeat('c', 1024));
check('the longest comment', strlen($client->history('a', 1)[0]->comment) === 1024);

$few = $client->withPrefix('few/');
check('no rules at first', $few->retention() === []);
for ($i = 1; $i <= 5; $i++) { $few->put('x', $i); $few->put('y', $i); }
$few->setRetention('x', 3, maxAge: 60);
$few->setRetention('', 2);
check('rules in order', array_map(fn ($rule) => (array) $rule, $few->retention())
    === [['prefix' => '', 'count' => 2, 'maxAge' => 0], ['prefix' => 'x', 'count' => 3, 'maxAge' => 60]]);
check('the longer prefix counts', [count($few->history('x')), count($few->history('y'))] === [3, 2]);
$few->removeRetention('x');
check('then the shorter', [count($few->history('x')), count($few->retention())] === [2, 1]);
$few->removeRetention('');
check('none is left', $few->retention() === []);
echo failure(fn () => $few->removeRetention('')), "\n";
echo failure(fn () => $few->setRetention('x', -1)), "\n";
echo failure(fn () => $few->setRetention('x', 1, -1)), "\n";
?>
--EXPECTF--
ok - of a key that never was
ok - the newest first
ok - kinds
ok - values as get() gives them
ok - and those before
ok - comments
ok - nobody has authenticated
ok - from this host
ok - just now
ok - a limit
ok - of a prefix
ok - by author
ok - by time
ok - bytes
ok - a reason for a delete
ok - and none where nothing is deleted
ok - a key as it was, at once
ok - with its reason
ok - nothing to change
ok - to where it was not
ok - a prefix, as one revision
HTTP/1.1 200 OK
ok - the last ones are kept
rollback of "many" failed at unix://%s: cfgstore: what was there at revision %d is no longer kept; the history is whole from revision %d on; that history is gone: read the current state and go on from there
bool(false)
bool(false)
int(300)
ok - beyond compaction
ok - sealed ones are opened
ok - but not without a key
ok - and rolled back
ok - one of an unknown key says so
Error: Typed property Cfgstore\HistoryEntry::$value must not be accessed before initialization
InvalidArgumentException: the key is empty; name at least one byte
InvalidArgumentException: limit is -1; expected a number of changes, or 0 for all
InvalidArgumentException: toTime is INF; expected seconds since 1970, or null for no bound
InvalidArgumentException: the author is not UTF-8
InvalidArgumentException: the comment is not one line of UTF-8 text
InvalidArgumentException: the key is empty; name at least one byte
InvalidArgumentException: revision 0 is no revision; they begin at 1
InvalidArgumentException: rollback of "/history/a" failed at unix://%s: etcdserver: mvcc: required revision is a future revision
InvalidArgumentException: the comment is not one line of UTF-8 text
InvalidArgumentException: the comment is not one line of UTF-8 text
InvalidArgumentException: the comment has 1025 bytes; at most 1024 are kept
InvalidArgumentException: the comment has 1025 bytes; at most 1024 are kept
ok - nothing was written
ok - the longest comment
ok - no rules at first
ok - rules in order
ok - the longer prefix counts
ok - then the shorter
ok - none is left
KeyNotFoundException: %s
InvalidArgumentException: count is -1; expected 0 to 4294967295 changes
InvalidArgumentException: maxAge is -1; expected seconds, or 0 for no bound
