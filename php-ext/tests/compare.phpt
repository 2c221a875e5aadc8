--TEST--
What differs between revisions, which change a value comes from, and what a rollback would change
--FILE--
<?php
require __DIR__ . '/setup.inc';
use Cfgstore\DifferenceType;
$client = client();
function told(array $differences): array
{
    return array_map(fn ($d) => [$d->type->value, $d->key, $d->path, $d->before, $d->after], $differences);
}

$first = $client->put('db', ['host' => 'db1', 'port' => 5432], comment: 'begin');
$client->put('old', true);
$second = $client->put('db', ['host' => 'db2', 'port' => 5432, 'a.b' => [8, 9]], comment: 'move');
$client->put('new', null);
$third = $client->delete('old', comment: 'tidy up');
$client->putBytes('db', '{ "host": "db2", "port": 5432, "a.b": [8, 9] }');

check('a prefix, between a revision and now', told($client->diff('', from: $second, prefix: true)) === [
    ['added', 'new', '', null, null], ['deleted', 'old', '', true, null]]);
check('place by place, between two', told($client->diff('db', $first, $second)) === [
    ['changed', 'db', 'host', 'db1', 'db2'], ['added', 'db', 'a\.b', null, [8, 9]]]);
check('and back', told($client->diff('db', $second, $first)) === [
    ['changed', 'db', 'host', 'db2', 'db1'], ['deleted', 'db', 'a\.b', [8, 9], null]]);
check('the path is one that get() takes', $client->get('db.a\.b') === [8, 9]);
check('nothing differs', $client->diff('db', $second) === [] && $client->diff('never', 1) === []);
check('a type', $client->diff('db', $first, $second)[0]->type === DifferenceType::Changed);
$client->putBytes('raw', "\xff");
$raw = $client->putBytes('raw', "\xfe");
check('bytes', told($client->diff('raw', $raw - 1)) === [['changed', 'raw', '', "\xff", "\xfe"]]);

$before = [$client->all(), count($client->history('', prefix: true))];
$would = told($client->previewRollback('', $first, prefix: true));
check('what a rollback would change', $would === [['changed', 'db', 'host', 'db2', 'db1'], ['deleted', 'db', 'a\.b', [8, 9], null],
    ['deleted', 'new', '', null, null], ['deleted', 'raw', '', "\xfe", null]]);
$client->refresh();
check('nothing has changed', [$client->all(), count($client->history('', prefix: true))] === $before);
check('another way to write a document is told', told($client->previewRollback('db', $third)) === [
    ['changed', 'db', '', $client['db'], $client['db']]]);
check('nothing to do', $client->previewRollback('old', $third) === []);
$client->bindSchema('db', ['required' => ['a.b']]);
try {
    $client->previewRollback('', $first, prefix: true);
    check('refused', false);
} catch (Cfgstore\Exception\SchemaException $e) {
    echo json_encode($e->violations(), JSON_UNESCAPED_SLASHES), "\n";
}
check('as it would be', failure(fn () => $client->rollback('', $first, prefix: true)) === failure(fn () => $client->previewRollback('', $first, prefix: true)));
$client->unbindSchema('db');

$blamed = $client->blame('db');
check('a value for each leaf', array_column($blamed, 'value', 'path') === ['host' => 'db2', 'port' => 5432, 'a\.b.0' => 8, 'a\.b.1' => 9]);
check('and its change', array_map(fn ($b) => $b->change->comment, $blamed) === ['move', 'begin', 'move', 'move']);
check('one object for each', $blamed[0]->change === $blamed[2]->change && $blamed[0]->change->revision === $second);
check('of what is no array', [$client->blame('new')[0]->path, $client->blame('new')[0]->value] === ['', null]);

require __DIR__ . '/keyring.inc';
$open = new Cfgstore\Client(prefix: test_prefix(), keyring: write_keyring(getenv('CFGSTORE_TEST_DIR') . '/compare.json', ['one' => random_bytes(32)]));
$sealed = $open->put('secret', ['user' => 'me', 'password' => 'first']);
$open->put('secret', ['user' => 'me', 'password' => 'second'], comment: 'new password');
check('sealed values are opened', told($open->diff('secret', $sealed)) === [['changed', 'secret', 'password', 'first', 'second']]);
check('in a preview too', told($open->previewRollback('secret', $sealed)) === [['changed', 'secret', 'password', 'second', 'first']]);
check('and where they come from', array_map(fn ($b) => $b->change->comment, $open->blame('secret')) === ['', 'new password']);
$other = new Cfgstore\Client(prefix: test_prefix(), keyring: write_keyring(getenv('CFGSTORE_TEST_DIR') . '/compare2.json', ['two' => random_bytes(32)]));
[$difference] = $other->diff('secret', $sealed);
check('what is not, says so', $difference->error instanceof Cfgstore\Exception\SealedException && $difference->path === '');
echo failure(fn () => $difference->after), "\n";
echo failure(fn () => $other->blame('secret')), "\n";

echo failure(fn () => $client->diff('', 1)), "\n";
echo failure(fn () => $client->diff('db', 0)), "\n";
echo failure(fn () => $client->diff('db', 1, 0)), "\n";
echo failure(fn () => $client->diff('db', 1, PHP_INT_MAX)), "\n";
echo failure(fn () => $client->previewRollback('db', -1)), "\n";
echo failure(fn () => $client->blame('old')), "\n";
echo failure(fn () => $client->blame('')), "\n";
echo failure(fn () => $client->blame('raw')), "\n";
?>
--EXPECTF--
ok - a prefix, between a revision and now
ok - place by place, between two
ok - and back
ok - the path is one that get() takes
ok - nothing differs
ok - a type
ok - bytes
ok - what a rollback would change
ok - nothing has changed
ok - another way to write a document is told
ok - nothing to do
[{"key":"/compare/db","path":"/a.b","message":"is required"}]
ok - as it would be
ok - a value for each leaf
ok - and its change
ok - one object for each
ok - of what is no array
ok - sealed values are opened
ok - in a preview too
ok - and where they come from
ok - what is not, says so
Error: Typed property Cfgstore\Difference::$after must not be accessed before initialization
SealedException: %s
InvalidArgumentException: the key is empty; name at least one byte
InvalidArgumentException: revision 0 is no revision; they begin at 1
InvalidArgumentException: to is 0; expected a revision, or null for now
InvalidArgumentException: read of an old revision of "/compare/db" failed at %s: etcdserver: mvcc: required revision is a future revision
InvalidArgumentException: revision -1 is no revision; they begin at 1
KeyNotFoundException: key "/compare/old" does not exist
InvalidArgumentException: the key is empty; name at least one byte
InvalidArgumentException: the value of "/compare/raw" is no document: %s; see its history instead
