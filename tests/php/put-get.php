<?php
// Writes a value of this worker's own, and reads it in the same request.
$config = new Cfgstore\Client();
$key = 'own/' . getmypid();
$value = ['n' => random_int(0, PHP_INT_MAX)];
$before = $config->get($key, null);
$revision = $config->put($key, $value);
$read = $config->get($key);
echo json_encode(['wrote' => $value, 'read' => $read, 'stale' => $before === $value,
    'moved' => $config->revision() >= $revision]);
