--TEST--
Nothing a program does to a value changes what is stored: immutable values under opcache with its JIT
--FILE--
<?php
require __DIR__ . '/setup.inc';
$opcache = ['zend_extension' => 'opcache', 'opcache.enable_cli' => 1, 'opcache.protect_memory' => 1, 'opcache.file_update_protection' => 0];
// Generated code is more than valgrind follows.
$jit = getenv('CFGSTORE_VALGRIND') ? [] : ['opcache.jit_buffer_size' => '32M', 'opcache.jit' => 'function'];
echo php('require ' . var_export(__DIR__ . '/hazards.inc', true) . '; check("value mode", $client->status()->valueMode === "immutable");',
    $opcache + $jit + ['cfgstore.value_mode' => 'immutable', 'cfgstore.consistency' => 'request']);
?>
--EXPECT--
ok - write to an element
ok - write further in
ok - references into it
ok - foreach by reference
ok - foreach by reference further in
ok - sort and shuffle
ok - ksort and asort
ok - stack functions
ok - array_walk_recursive
ok - merge
ok - spread and destructuring
ok - internal pointer
ok - extract
ok - write to a string
ok - string functions
ok - static variable
ok - properties
ok - globals
ok - constant
ok - constants
ok - generator
ok - serialize
ok - json_encode
ok - var_export
ok - print_r and var_dump
ok - count, in_array, array_keys
ok - comparison
ok - as class and function name
ok - cast to object
ok - ArrayObject
ok - iterators
ok - its keys as keys
ok - regular expressions
ok - settings
ok - cycles
ok - closures
ok - arguments
ok - many holders
ok - read in a destructor
Error: A stored value cannot be changed in place: read it into a variable, change that, and put() it back
Error: A stored value cannot be changed in place: read it into a variable, change that, and put() it back
Error: A stored value cannot be changed in place: read it into a variable, change that, and put() it back
Error: A stored value cannot be changed in place: read it into a variable, change that, and put() it back
Error: A stored value cannot be changed in place: read it into a variable, change that, and put() it back
Error: A stored value cannot be changed in place: read it into a variable, change that, and put() it back
Error: A stored value cannot be changed in place: read it into a variable, change that, and put() it back
Error: A key is needed: $config[] has none
TypeError: A key must be a string, float given
ok - refusals
ok - compound assignment
ok - isset and empty
ok - unset
ok - the end
ok - value mode
word of several letters in a shutdown function
word of several letters in a destructor
[word of several letters in an output handler]
