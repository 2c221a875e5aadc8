<?php
// Several writes that happen all together or not at all: no request ever sees one without the other.

$config = new Cfgstore\Client(prefix: '/examples/');
$config->delete('primary');

$revision = $config->transaction()
    ->ifAbsent('primary')
    ->put('primary', 'db1')
    ->put('replicas', ['db2', 'db3'])
    ->putBytes('certificate', "\x30\x82\x01\x0a")
    ->commit();
echo "all written at revision $revision\n";

try {
    $config->transaction()
        ->ifRevision('primary', $revision)
        ->ifExists('no such key')
        ->put('primary', 'db2')
        ->delete('replicas')
        ->commit();
} catch (Cfgstore\Exception\ConflictException $e) {
    echo 'nothing written: ', $e->getMessage(), "\n";
}
echo $config['primary'], ' ', implode(',', $config['replicas']), "\n";
