--TEST--
Values come back as they were put
--FILE--
<?php
require __DIR__ . '/setup.inc';
$client = client();
$values = [
    'null' => null, 'true' => true, 'false' => false, 'int' => 42, 'min' => PHP_INT_MIN, 'max' => PHP_INT_MAX,
    'float' => 0.1, 'whole' => 1.0, 'small' => 5e-324, 'zero' => -0.0, 'empty' => '', 'text' => "h\u{e9}\u{2028}\"\\/\0",
    'list' => [1, [2, [3]]], 'none' => [], 'map' => ['a' => 1, '' => 2, 'b c' => ['d' => null]],
    'numeric' => ['7' => 'seven', '08' => 'eight', -3 => 'minus'], 'sparse' => [5 => 'a', 9 => 'b'],
];
foreach ($values as $key => $value) {
    $client->put($key, $value);
}
foreach ($values as $key => $value) {
    check($key, $client->get($key) === $value && $client[$key] === $value && $client->has($key));
}
check('the sign of zero', fdiv(1, $client->get('zero')) === -INF);
check('objects come back as arrays', $client->put('object', (object) ['a' => (object) []]) > 0
    && $client->get('object') === ['a' => []]);
check('all', $client->all('nu') === ['null' => null, 'numeric' => $values['numeric']]);
check('all in order', array_keys($client->all()) === (function ($keys) { sort($keys, SORT_STRING); return $keys; })([...array_keys($values), 'object']));
check('function', cfgstore_get(ltrim(test_prefix()) . 'int') === 42);
check('default', $client->get('absent', 'x') === 'x' && $client->get('absent', null) === null
    && $client->get(default: 3, key: 'absent') === 3 && cfgstore_get('absent', 4) === 4);
check('default is not used for null', $client->get('null', 'x') === null);
check('an absent key stays absent until it is put', !$client->has('later') && $client->put('later', 1) && $client->has('later'));
echo failure(fn () => $client->get('absent')), "\n";
echo failure(fn () => cfgstore_get('absent')), "\n";
echo failure(fn () => $client->get('')), "\n";
echo failure(fn () => $client->has('')), "\n";
echo failure(fn () => $client->get([])), "\n";
echo failure(fn () => $client->get()), "\n";
$entry = $client->entry('int');
check('entry', $entry->key === 'int' && $entry->value === 42 && $entry->version >= 1 && $entry->createRevision <= $entry->revision);
echo failure(fn () => $client->entry('absent')), "\n";
echo failure(fn () => $entry->value = 1), "\n";
echo failure(fn () => new Cfgstore\Entry), "\n";
echo failure(fn () => clone $client), "\n";
echo failure(fn () => serialize($client)), "\n";
echo failure(fn () => $client->x = 1), "\n";
?>
--EXPECTF--
ok - null
ok - true
ok - false
ok - int
ok - min
ok - max
ok - float
ok - whole
ok - small
ok - zero
ok - empty
ok - text
ok - list
ok - none
ok - map
ok - numeric
ok - sparse
ok - the sign of zero
ok - objects come back as arrays
ok - all
ok - all in order
ok - function
ok - default
ok - default is not used for null
ok - an absent key stays absent until it is put
KeyNotFoundException: key "absent" does not exist below "/read/" at revision %d; put it, or give get() a default
KeyNotFoundException: key "absent" does not exist at revision %d; put it, or give get() a default
InvalidArgumentException: the key is empty; name at least one byte
InvalidArgumentException: the key is empty; name at least one byte
TypeError: Cfgstore\Client::get(): Argument #1 ($key) must be of type string, array given
ArgumentCountError: Cfgstore\Client::get() expects at least 1 argument, 0 given
ok - entry
KeyNotFoundException: key "absent" does not exist below "/read/" at revision %d; put it, or give get() a default
Error: Cannot modify readonly property Cfgstore\Entry::$value
Error: Call to private Cfgstore\Entry::__construct() from global scope
Error: Trying to clone an uncloneable object of class Cfgstore\Client
Exception: Serialization of 'Cfgstore\Client' is not allowed
Error: Cannot create dynamic property Cfgstore\Client::$x
