<?php
// Watching in a script or a worker: every change, in order, without a gap, also while the store restarts.

$config = new Cfgstore\Client(prefix: '/examples/');
$from = $config->revision() + 1;
$config->put('job/interval', 60);                       // stands for what others do meanwhile
$config->put('job/interval', 30);
$config->delete('job/interval');

foreach ($config->watch('job/', timeout: 10.0, fromRevision: $from) as $revision => $change) {
    echo "$revision: {$change->type->value} {$change->key}: ",
        json_encode($change->previous), ' -> ', json_encode($change->value), "\n";
    if ($change->type === Cfgstore\ChangeType::Delete) {
        break;
    }
}
