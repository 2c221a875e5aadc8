<?php
// What differs between two revisions, where each value comes from, and what a rollback would change.

$config = new Cfgstore\Client(prefix: '/example/compare/');

$first = $config->put('database', ['host' => 'db1', 'port' => 5432], comment: 'first set-up');
$second = $config->put('database', ['host' => 'db2', 'port' => 5432, 'pool' => ['max' => 8]], comment: 'move to the new rack');
$config->put('theme', 'dark');

foreach ($config->diff('', from: $first, prefix: true) as $difference) {        // between any two revisions; now, if `to` is left out
    printf("%s %s %s: %s -> %s\n", $difference->type->value, $difference->key, $difference->path,
        json_encode($difference->before), json_encode($difference->after));
}

foreach ($config->blame('database') as $blamed) {
    printf("%-10s %-6s %s\n", $blamed->path, json_encode($blamed->value), $blamed->change?->comment ?? 'no longer kept');
}

$would = $config->previewRollback('', revision: $first, prefix: true);           // refused where the rollback would be
echo count($would), " places would change; the host is still ", $config['database.host'], "\n";
exit(count($would) === 3 && $config['database.host'] === 'db2' ? 0 : 1);
