<?php
// Sealed values: encrypted before they leave this process, and read at the price of any other value. The keyring is usually named
// in php.ini (cfgstore.keyring) and made by `cfgctl keys new`; here it is made by hand.

$place = sys_get_temp_dir() . '/cfgstore-example-keys-' . getmypid() . '.json';
touch($place);
chmod($place, 0600);                                    // a file that others may read is refused
file_put_contents($place, json_encode([
    'primary' => '2026-11',
    'keys' => ['2026-11' => base64_encode(random_bytes(32))],
    'patterns' => ['/examples/secret/*'],
]));

$config = new Cfgstore\Client(prefix: '/examples/', keyring: $place);
$config->put('secret/database', ['user' => 'shop', 'password' => 'hunter2']);
$config->put('theme', 'dark');                          // under no pattern: stored as it is
echo $config->get('secret/database')['password'], "\n";

$other = new Cfgstore\Client(prefix: '/examples/');     // what a process without the keyring sees, and every server
echo $other->getBytes('secret/database'), "\n", $other->get('theme'), "\n";

// A sealed value belongs to its key: moved to another one, it does not open.
$other->putBytes('secret/moved', $other->getBytes('secret/database'));
try {
    $config->get('secret/moved');
} catch (Cfgstore\Exception\SealedException $e) {
    echo $e->getMessage(), "\n";
}
unlink($place);
