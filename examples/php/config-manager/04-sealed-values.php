<?php
// Step 4: sealed values. Encrypted before they leave the process; only who has the keyring reads them.

$keyring = tempnam(sys_get_temp_dir(), 'keys');         // usually made by `cfgctl keys new`, and named by cfgstore.keyring
file_put_contents($keyring, json_encode([
    'primary' => 'k1', 'keys' => ['k1' => base64_encode(random_bytes(32))], 'patterns' => ['/config-manager/secret/*'],
]));

$config = new Cfgstore\Client(prefix: '/config-manager/', keyring: $keyring);
$config->put('secret/api', 'hunter2');
echo $config->get('secret/api'), "\n";

$stored = (new Cfgstore\Client(prefix: '/config-manager/'))->getBytes('secret/api');
echo "stored: $stored\n";
$config->delete('secret/api');
unlink($keyring);
exit(str_contains($stored, 'hunter2') ? 1 : 0);
