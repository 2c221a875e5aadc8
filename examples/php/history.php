<?php
// Who changed what, when and why; and back to what was there.

$config = new Cfgstore\Client(prefix: '/example/history/');

$good = $config->put('database', ['host' => 'db1'], comment: 'first set-up');
$config->put('database', ['host' => 'db2'], comment: 'move to the new rack');
$config->transaction()->comment('the same, with its replica')->put('database', ['host' => 'db3'])->put('replica', 'db4')->commit();

foreach ($config->history('database', limit: 10) as $change) {     // the newest first
    printf("%s  revision %d  %s  %s -> %s  by %s%s: %s\n", date('Y-m-d H:i:s', (int) $change->time), $change->revision, $change->key,
        json_encode($change->previous), json_encode($change->value), $change->author, $change->verified ? '' : ' (unverified)',
        $change->comment);
}

// The change log: what this client has changed in the last hour, whichever key.
$lately = $config->history('', prefix: true, fromTime: time() - 3600, author: 'php-cli');
echo count($lately), " changes by php-cli, the last one of ", $lately[0]->key, "\n";

$config->rollback('database', revision: $good, comment: 'db3 is slow');         // one key
echo 'host: ', $config['database.host'], "\n";
$config->rollback('', revision: $good, prefix: true, comment: 'all of it');     // every key below, as one new revision
var_dump($config->has('replica'));

$config->setRetention('', count: 1000, maxAge: 365 * 86400);        // how much is kept, below this client's prefix
foreach ($config->retention() as $rule) {
    echo "'$rule->prefix': $rule->count changes of a key, for $rule->maxAge s\n";
}
$config->removeRetention('');
