<?php
// Typed reads and paths: what a program relies on is checked where it is read.

$config = new Cfgstore\Client(prefix: '/examples/typed/');
$config->put('database', ['host' => 'db1', 'port' => 5432, 'timeout' => 2, 'tls' => true, 'replicas' => [['host' => 'db2'], ['host' => 'db3']]]);

echo $config->getString('database.host'), ':', $config->getInt('database.port'), "\n";   // a path: the member of a document
echo $config->getFloat('database.timeout'), "\n";       // an int is a float too; nothing else is converted
var_dump($config->getBool('database.tls'));
print_r($config->getArray('database.replicas'));        // as it is in shared memory: no copy
echo $config->get('database.replicas.1.host'), "\n";    // an item of a list; get(), has() and [] know paths as well
echo $config->getInt('database.pool', 10), "\n";        // a default, for what is absent

try {
    $config->getInt('database.host');
} catch (Cfgstore\Exception\TypeException $e) {
    echo $e->getMessage(), "\n";                        // key, path and both types, never the value
}

$config->put('page.html', ['title' => 'Home']);         // names of keys may have dots
echo $config->getString('page.html.title'), "\n";       // the longest key counts
$config->put('hosts', ['db1.example' => ['weight' => 3]]);
echo $config->getInt('hosts.db1\.example.weight'), "\n"; // \. is a dot of a member's name

$payment = $config->withPrefix('payment/');             // a part of the program, with keys of its own
$payment->put('limits', ['max' => 2000]);
echo $payment->getInt('limits.max'), ' ', $config->getInt('payment/limits.max'), "\n";
