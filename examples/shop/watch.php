<?php
// Prints every change of the configuration as it happens, until it is stopped.

$config = new Cfgstore\Client();
echo "watching from revision {$config->revision()}\n";
foreach ($config->watch('') as $change) {
    $value = $change->value === null ? '' : ' = ' . json_encode($change->value, JSON_UNESCAPED_SLASHES);
    echo "revision {$change->revision}: {$change->type->value} {$change->key}{$value}\n";
}
