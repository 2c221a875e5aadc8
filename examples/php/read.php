<?php
// Reading: like an array, from this host's shared memory.

$config = new Cfgstore\Client(prefix: '/examples/');
$config->put('database', ['host' => 'db1', 'port' => 5432]);
$config->put('feature/search', true);
$config->put('feature/gift-cards', false);

echo $config->get('database')['host'], "\n";            // a value
echo $config['database']['port'], "\n";                 // the same, as an array
echo $config->get('theme', 'light'), "\n";              // a default where the key may be missing
var_dump($config->has('theme'), isset($config['database']));
print_r($config->all('feature/'));                      // everything below a prefix
echo cfgstore_get('/examples/database')['host'], "\n";  // the same read as a function, with the prefix of php.ini

try {
    $config->get('theme');                              // without a default, a missing key is an exception
} catch (Cfgstore\Exception\KeyNotFoundException $e) {
    echo $e->getMessage(), "\n";
}

$entry = $config->entry('database');                    // with its revisions
echo "{$entry->key} was written {$entry->version} times, last at revision {$entry->revision}\n";
$config->put('logo', 'not JSON: a string');
echo $config->getBytes('logo'), "\n";                   // what is stored, undecoded
