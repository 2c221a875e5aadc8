<?php
// Schemas: what values may be. The servers refuse what violates one, whoever sends it: PHP, etcdctl, any other client.

$config = new Cfgstore\Client(prefix: '/examples/');
$config->bindSchema('database/*', [
    'type' => 'object',
    'required' => ['host', 'password'],
    'properties' => [
        'host' => ['type' => 'string'],
        'port' => ['type' => 'integer', 'minimum' => 1, 'maximum' => 65535],
        'password' => ['type' => 'string', 'minLength' => 8],
    ],
]);
$config->put('database/main', ['host' => 'db1', 'port' => 5432, 'password' => 'correct horse']);

try {
    $config->put('database/main', ['host' => 'db2', 'port' => '5432']);
    exit("a database without a password was accepted\n");
} catch (Cfgstore\Exception\SchemaException $e) {
    foreach ($e->violations() as $violation) {
        echo "{$violation['key']}: {$violation['path']} {$violation['message']}\n";
    }
}
echo $config->get('database/main')['host'], " is still the host\n";

foreach ($config->checkValue('database/new', ['host' => 'db2']) as $violation) {     // asks, and writes nothing
    echo "would be refused: {$violation['path']} {$violation['message']}\n";
}
foreach ($config->schemas() as $bound) {
    echo "$bound->pattern: ", json_encode($bound->schema), "\n";
}
// Which existing values a stricter schema would not allow.
foreach ($config->checkSchema('database/*', ['required' => ['pool']]) as $violation) {
    echo "in the way: {$violation['key']} {$violation['path']} {$violation['message']}\n";
}

$config->unbindSchema('database/*');
$config->bindSealed('secret/*');                // from now on, only sealed values: see sealed.php
try {
    $config->put('secret/api', 'in clear');
    exit("a secret was stored in clear\n");
} catch (Cfgstore\Exception\SchemaException $e) {
    echo $e->violations()[0]['message'], "\n";
}
$config->unbindSchema('secret/*');
