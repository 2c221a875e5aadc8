--TEST--
memory_limit reached while a value is decoded ends the request, and the next one reads it
--FILE--
<?php
require __DIR__ . '/setup.inc';
$client = client();
// A key like an integer, so that the engine's decoder has to do it, in the request's memory.
$client->put('large', array_fill(1, 100_000, 12));
$client->put('small', [1, 2]);
putenv('USE_ZEND_ALLOC=1'); // under valgrind it is off, and with it memory_limit
$code = <<<'PHP'
$log = getenv('CFGSTORE_TEST_DIR') . '/memory_limit';
$turn = (int) @filesize($log);
file_put_contents($log, 'x', FILE_APPEND);
$client = new Cfgstore\Client(prefix: '/memory_limit/');
if ($turn % 2 === 0) {
    register_shutdown_function(fn () => print('in shutdown: ' . json_encode($client->get('small')) . "\n"));
    ini_set('memory_limit', '2M');
}
echo count($client->get('large')), "\n";
PHP;
foreach (['immutable', 'refcounted'] as $mode) {
    @unlink(getenv('CFGSTORE_TEST_DIR') . '/memory_limit');
    echo "$mode\n", preg_replace('/^Elapsed.*\n/m', '', php($code, ['cfgstore.value_mode' => $mode], true, ['-q', '-T', '4']));
}
?>
--EXPECTF--
immutable

Fatal error: Allowed memory size of 2097152 bytes exhausted%S (tried to allocate %d bytes) in %s on line %d
in shutdown: [1,2]
100000
100000
in shutdown: [1,2]
100000

refcounted

Fatal error: Allowed memory size of 2097152 bytes exhausted%S (tried to allocate %d bytes) in %s on line %d
in shutdown: [1,2]
100000

Fatal error: Allowed memory size of 2097152 bytes exhausted%S (tried to allocate %d bytes) in %s on line %d
in shutdown: [1,2]
100000
