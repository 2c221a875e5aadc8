<?php
// Step 6: rollback. A key is made what it was, as a new change: the history stays.

$config = new Cfgstore\Client(prefix: '/config-manager/');
$good = $config->put('database', ['host' => 'db1', 'port' => 5432]);
$config->put('database', ['host' => 'db2', 'port' => 5432]);

$config->rollback('database', revision: $good, comment: 'db2 is slow');         // with `prefix: true`, all keys below it
echo 'now ', $config['database.host'], "\n";
exit($config['database.host'] === 'db1' ? 0 : 1);
