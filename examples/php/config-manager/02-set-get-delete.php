<?php
// Step 2: set, get, delete. A write is durable when the call returns, and is read back at once.

$config = new Cfgstore\Client(prefix: '/config-manager/');
$config->put('database', ['host' => 'db1', 'port' => 5432]);
$config['theme'] = 'dark';                              // the same, as an array

echo $config->get('database')['host'], ' ', $config->getInt('database.port'), ' ', $config->get('language', 'en'), "\n";

unset($config['theme']);
exit(isset($config['theme']) ? 1 : 0);
