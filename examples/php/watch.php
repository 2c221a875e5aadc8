<?php
// Watching in a script or a worker: every change, in order, without a gap, also while the store restarts.

$config = new Cfgstore\Client(prefix: '/examples/');
$from = $config->revision() + 1;
$config->put('job/interval', 60);                       // stands for what others do meanwhile
$config->put('job/interval', 30);
$config->delete('job/interval');

$watch = $config->watch('job/', timeout: 10.0, fromRevision: $from);
foreach ($watch as $revision => $change) {
    echo "$revision: {$change->type->value} {$change->key}: ",
        json_encode($change->previous), ' -> ', json_encode($change->value), "\n";
    if ($change->type === Cfgstore\ChangeType::Delete) {
        break;
    }
}
echo "another watch would go on at revision {$watch->position()}\n";
