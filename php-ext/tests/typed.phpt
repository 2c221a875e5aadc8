--TEST--
Typed reads give a value of the type or an exception, which never shows the value
--FILE--
<?php
declare(strict_types=1);
require __DIR__ . '/setup.inc';
$client = client();
$values = ['int' => 42, 'float' => 0.5, 'bool' => false, 'string' => 'secret', 'array' => ['secret'], 'null' => null];
foreach ($values as $key => $value) {
    $client->put($key, $value);
}
$methods = ['int' => 'getInt', 'float' => 'getFloat', 'bool' => 'getBool', 'string' => 'getString', 'array' => 'getArray'];
foreach ($methods as $type => $method) {
    foreach ($values as $key => $value) {
        // Each twice: the first read loads the value, the second finds it.
        foreach ([1, 2] as $read) {
            $got = failure(fn () => $client->$method($key));
        }
        if ($key === $type || "$method $key" === 'getFloat int') {
            $wanted = $type === 'float' ? (float) $value : $value;
            check("$method of $key", $client->$method($key) === $wanted);
        } else {
            echo "$method: $got\n";
        }
    }
}
$defaults = ['getInt' => 7, 'getFloat' => 7.5, 'getBool' => true, 'getString' => 'x', 'getArray' => [7]];
foreach ($defaults as $method => $default) {
    check("the default of $method", $client->$method('absent', $default) === $default && $client->$method(default: $default, key: 'absent') === $default
        && $client->$method('absent.path', $default) === $default);
    check("no default of $method where there is a value", $client->$method(strtolower(substr($method, 3)), $default) !== $default);
    echo failure(fn () => $client->$method('absent')), "\n";
}
check('an int is a default of a float', $client->getFloat('absent', 7) === 7.0);
echo failure(fn () => $client->getInt('null', 1)), "\n";
echo failure(fn () => $client->getInt('absent', 'x')), "\n";
echo failure(fn () => $client->getString('absent', null)), "\n";
echo failure(fn () => $client->getInt('')), "\n";
echo failure(fn () => $client->getInt()), "\n";
echo failure(fn () => $client->getInt([])), "\n";
$client->putBytes('bytes', 'not JSON');
check('what is not JSON is a string', $client->getString('bytes') === 'not JSON');
$client->put('document', ['port' => 'secret', 'hosts' => [['name' => 'db1']]]);
check('at a path', $client->getString('document.hosts.0.name') === 'db1' && $client->getArray('document.hosts.0') === ['name' => 'db1']);
echo failure(fn () => $client->getInt('document.port')), "\n";
echo failure(fn () => $client->getString('document.hosts.0')), "\n";
echo failure(fn () => $client->getString('document.hosts.1')), "\n";
echo failure(fn () => (new Cfgstore\Client(prefix: ''))->getInt(test_prefix() . 'string')), "\n";
try { $client->getInt('string'); } catch (Cfgstore\Exception\ExceptionInterface $e) { var_dump($e->isRetryable(), $e->mayHaveHappened()); }

$below = $client->withPrefix('app/');
check('a client below another', $below->put('a', 1) > 0 && $client->get('app/a') === 1 && $below->getInt('a') === 1 && !$below->has('int')
    && $below->withPrefix('')->get('a') === 1);
echo failure(fn () => $below->get('b')), "\n";
unset($client);
check('it outlives the other', $below->getInt('a') === 1);
?>
--EXPECTF--
ok - getInt of int
getInt: TypeException: key "float" below "/typed/" holds a float, not an int; put the other type there, or read it with get()
getInt: TypeException: key "bool" below "/typed/" holds a bool, not an int; put the other type there, or read it with get()
getInt: TypeException: key "string" below "/typed/" holds a string, not an int; put the other type there, or read it with get()
getInt: TypeException: key "array" below "/typed/" holds an array, not an int; put the other type there, or read it with get()
getInt: TypeException: key "null" below "/typed/" holds null, not an int; put the other type there, or read it with get()
ok - getFloat of int
ok - getFloat of float
getFloat: TypeException: key "bool" below "/typed/" holds a bool, not a float; put the other type there, or read it with get()
getFloat: TypeException: key "string" below "/typed/" holds a string, not a float; put the other type there, or read it with get()
getFloat: TypeException: key "array" below "/typed/" holds an array, not a float; put the other type there, or read it with get()
getFloat: TypeException: key "null" below "/typed/" holds null, not a float; put the other type there, or read it with get()
getBool: TypeException: key "int" below "/typed/" holds an int, not a bool; put the other type there, or read it with get()
getBool: TypeException: key "float" below "/typed/" holds a float, not a bool; put the other type there, or read it with get()
ok - getBool of bool
getBool: TypeException: key "string" below "/typed/" holds a string, not a bool; put the other type there, or read it with get()
getBool: TypeException: key "array" below "/typed/" holds an array, not a bool; put the other type there, or read it with get()
getBool: TypeException: key "null" below "/typed/" holds null, not a bool; put the other type there, or read it with get()
getString: TypeException: key "int" below "/typed/" holds an int, not a string; put the other type there, or read it with get()
getString: TypeException: key "float" below "/typed/" holds a float, not a string; put the other type there, or read it with get()
getString: TypeException: key "bool" below "/typed/" holds a bool, not a string; put the other type there, or read it with get()
ok - getString of string
getString: TypeException: key "array" below "/typed/" holds an array, not a string; put the other type there, or read it with get()
getString: TypeException: key "null" below "/typed/" holds null, not a string; put the other type there, or read it with get()
getArray: TypeException: key "int" below "/typed/" holds an int, not an array; put the other type there, or read it with get()
getArray: TypeException: key "float" below "/typed/" holds a float, not an array; put the other type there, or read it with get()
getArray: TypeException: key "bool" below "/typed/" holds a bool, not an array; put the other type there, or read it with get()
getArray: TypeException: key "string" below "/typed/" holds a string, not an array; put the other type there, or read it with get()
ok - getArray of array
getArray: TypeException: key "null" below "/typed/" holds null, not an array; put the other type there, or read it with get()
ok - the default of getInt
ok - no default of getInt where there is a value
KeyNotFoundException: key "absent" does not exist below "/typed/" at revision %d; put it, or give get() a default
ok - the default of getFloat
ok - no default of getFloat where there is a value
KeyNotFoundException: key "absent" does not exist below "/typed/" at revision %d; put it, or give get() a default
ok - the default of getBool
ok - no default of getBool where there is a value
KeyNotFoundException: key "absent" does not exist below "/typed/" at revision %d; put it, or give get() a default
ok - the default of getString
ok - no default of getString where there is a value
KeyNotFoundException: key "absent" does not exist below "/typed/" at revision %d; put it, or give get() a default
ok - the default of getArray
ok - no default of getArray where there is a value
KeyNotFoundException: key "absent" does not exist below "/typed/" at revision %d; put it, or give get() a default
ok - an int is a default of a float
TypeException: key "null" below "/typed/" holds null, not an int; put the other type there, or read it with get()
TypeError: Cfgstore\Client::getInt(): Argument #2 ($default) must be of type int, string given
TypeError: Cfgstore\Client::getString(): Argument #2 ($default) must be of type string, null given
InvalidArgumentException: the key is empty; name at least one byte
ArgumentCountError: Cfgstore\Client::getInt() expects at least 1 argument, 0 given
TypeError: Cfgstore\Client::getInt(): Argument #1 ($key) must be of type string, array given
ok - what is not JSON is a string
ok - at a path
TypeException: key "document" below "/typed/" holds a string at "port", not an int; put the other type there, or read it with get()
TypeException: key "document" below "/typed/" holds an array at "hosts.0", not a string; put the other type there, or read it with get()
KeyNotFoundException: key "document.hosts.1" does not exist below "/typed/" at revision %d, nor that path in the value of "document"; put it, or give get() a default
TypeException: key "/typed/string" holds a string, not an int; put the other type there, or read it with get()
bool(false)
bool(false)
ok - a client below another
KeyNotFoundException: key "b" does not exist below "/typed/app/" at revision %d; put it, or give get() a default
ok - it outlives the other
