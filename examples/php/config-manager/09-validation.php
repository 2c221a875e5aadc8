<?php
// Step 9: validation. The servers refuse a database entry without a password, whoever sends it.

$config = new Cfgstore\Client(prefix: '/config-manager/');
$config->bindSchema('databases/*', ['type' => 'object', 'required' => ['host', 'password']]);
$config->put('databases/main', ['host' => 'db1', 'password' => 'correct horse']);
try {
    $config->put('databases/main', ['host' => 'db2']);
    $refused = false;
} catch (Cfgstore\Exception\SchemaException $e) {
    echo $e->getMessage(), "\n";
    $refused = true;
}
$config->unbindSchema('databases/*');
exit($refused && $config['databases/main.host'] === 'db1' ? 0 : 1);
