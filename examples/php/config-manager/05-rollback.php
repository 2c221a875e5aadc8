<?php
// Step 5: the previous version, and back to it.

$config = new Cfgstore\Client(prefix: '/config-manager/');
$config->put('database', ['host' => 'db1', 'port' => 5432], comment: 'first set-up');
$config->put('database', ['host' => 'db2', 'port' => 5432], comment: 'move');

[$newest, $before] = $config->history('database', limit: 2);
echo "{$before->value['host']} (revision $before->revision), then {$newest->value['host']}: $newest->comment\n";

$config->rollback('database', revision: $before->revision, comment: 'db2 is slow');     // with `prefix: true`, all keys below
echo 'now ', $config['database.host'], "\n";
exit($config['database.host'] === 'db1' ? 0 : 1);
