<?php
// Step 5: the previous version. The store keeps each change of a key, with who made it, when and why.

$config = new Cfgstore\Client(prefix: '/config-manager/');
$config->put('database', ['host' => 'db1', 'port' => 5432], comment: 'first set-up');
$config->put('database', ['host' => 'db2', 'port' => 5432], comment: 'move');

[$newest, $before] = $config->history('database', limit: 2);
echo "{$before->value['host']} (revision $before->revision), then {$newest->value['host']}: $newest->comment\n";
exit([$before->value['host'], $newest->value['host']] === ['db1', 'db2'] ? 0 : 1);
