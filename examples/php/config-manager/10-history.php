<?php
// Step 10: who changed what. Each change with its time, key, old and new value.

$config = new Cfgstore\Client(prefix: '/config-manager/');
$config->put('theme', 'light', comment: 'as the customer wishes');
$config->put('theme', 'dark');
$config->delete('theme');

$changes = $config->history('', limit: 5, prefix: true);        // of every key below, the newest first
foreach (array_reverse($changes) as $change) {
    printf("%s  %-18s %s -> %s  by %s%s  %s\n", date('H:i:s', (int) $change->time), $change->key,
        json_encode($change->previous), json_encode($change->value),
        $change->author, $change->verified ? '' : ' (unverified)', $change->comment);
}
exit(array_column(array_slice($changes, 0, 3), 'value') === [null, 'dark', 'light'] ? 0 : 1);
