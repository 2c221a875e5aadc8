--TEST--
A value that violates its schema is refused, and says where
--FILE--
<?php
require __DIR__ . '/setup.inc';
$client = client();
$client->put('db/old', ['host' => 'db1']);
$schema = ['type' => 'object', 'required' => ['password'], 'properties' => ['port' => ['type' => 'integer']]];
echo failure(fn () => $client->bindSchema('db/*', $schema)), "\n";
check('what is in the way', $client->checkSchema('db/*', $schema) === [['key' => '/schema/db/old', 'path' => '/password', 'message' => 'is required']]);
$client->delete('db/old');
check('nothing is', $client->checkSchema('db/*', $schema) === [] && $client->schemas() === []);
$client->bindSchema('db/*', $schema);
[$bound] = $client->schemas();
check('it is listed', [$bound->pattern, $bound->schema, $bound->sealed] === ['db/*', $schema, false]);
check('below its prefix', array_column($client->withPrefix('db/')->schemas(), 'pattern') === ['*'] && $client->withPrefix('x/')->schemas() === []);
check('a value can be asked about', $client->checkValue('db/main', ['port' => 'SECRET']) === [
    ['key' => '/schema/db/main', 'path' => '/password', 'message' => 'is required'],
    ['key' => '/schema/db/main', 'path' => '/port', 'message' => 'must be an integer, but is a string']]);
check('also a good one', $client->checkValue('db/main', ['password' => 'x']) === [] && $client->checkValue('free', 1) === []);
try {
    $client->put('db/main', ['port' => 'SECRET']);
} catch (Cfgstore\Exception\SchemaException $e) {
    echo json_encode($e->violations(), JSON_UNESCAPED_SLASHES), "\n";
    check('it is certain, not retryable and quotes nothing', !$e->isRetryable() && !$e->mayHaveHappened()
        && !str_contains($e->getMessage(), 'SECRET'));
}
echo failure(fn () => $client->transaction()->put('free', 1)->put('db/main', [])->commit()), "\n";
check('nothing was written', $client->all() === []);
$client->put('db/main', ['password' => 'x']);
echo failure(fn () => $client->bindSchema('db/*', ['type' => 'strng'])), "\n";
echo failure(fn () => $client->bindSchema('', [])), "\n";
echo failure(fn () => $client->checkSchema('db/*', ['type' => 'strng'])), "\n";
echo failure(fn () => $client->checkValue('', 1)), "\n";
echo failure(fn () => $client->checkValue('a', NAN)), "\n";
$client->unbindSchema('db/*');
$client->put('db/main', 1);
echo failure(fn () => $client->unbindSchema('db/*')), "\n";
$client->put('secret/a', 1);
echo failure(fn () => $client->bindSealed('secret/*')), "\n";
$client->delete('secret/a');
$client->bindSealed('secret/*');
[$bound] = $client->schemas();
check('only sealed values are allowed', [$bound->pattern, $bound->schema, $bound->sealed] === ['secret/*', null, true]);
echo failure(fn () => $client->put('secret/a', 1)), "\n";
$client->unbindSchema('secret/*');
check('everything again', $client->put('secret/a', 1) > 0 && $client->schemas() === []);
check('a new exception has no violations', (new Cfgstore\Exception\SchemaException)->violations() === []);
?>
--EXPECTF--
SchemaException: bind schema of "/schema/db/*" failed at %s: cfgstore: /schema/db/old: /password is required (schema of /schema/db/*); nothing was written: correct the value, or change the schema first
ok - what is in the way
ok - nothing is
ok - it is listed
ok - below its prefix
ok - a value can be asked about
ok - also a good one
[{"key":"/schema/db/main","path":"/password","message":"is required"},{"key":"/schema/db/main","path":"/port","message":"must be an integer, but is a string"}]
ok - it is certain, not retryable and quotes nothing
SchemaException: transaction failed at %s: cfgstore: /schema/db/main: the value must be an object, but is an array (schema of /schema/db/*); nothing was written: correct the value, or change the schema first
ok - nothing was written
InvalidArgumentException: %sat "/type": this must be "null", "boolean",%s
InvalidArgumentException: the key is empty; name at least one byte
InvalidArgumentException: %sat "/type": this must be "null", "boolean",%s
InvalidArgumentException: the key is empty; name at least one byte
EncodingException: %s
KeyNotFoundException: %sthere is no schema%s
SchemaException: bind schema of "/schema/secret/*" failed at %s: cfgstore: /schema/secret/a:%ssealed%s
ok - only sealed values are allowed
SchemaException: put of "/schema/secret/a" failed at %s: cfgstore: /schema/secret/a:%ssealed%s
ok - everything again
ok - a new exception has no violations
