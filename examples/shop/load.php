<?php
// Loads a folder of JSON files into the store, all of them or none: each file becomes the key of its path without ".json".
// Only what differs is written, so running it again changes nothing.
// usage: php load.php FOLDER

$folder = rtrim($argv[1] ?? __DIR__ . '/config', '/');
$config = new Cfgstore\Client();                // the first process on the host starts the embedded store
$stored = $config->all();
$change = $config->transaction();
$changed = [];

$files = new RecursiveIteratorIterator(new RecursiveDirectoryIterator($folder, FilesystemIterator::SKIP_DOTS));
foreach ($files as $file) {
    $key = substr($file->getPathname(), strlen($folder) + 1, -strlen('.json'));
    $document = json_decode(file_get_contents($file->getPathname()), true, flags: JSON_THROW_ON_ERROR);
    if (($stored[$key] ?? null) !== $document) {
        $change->put($key, $document);
        $changed[] = $key;
    }
}
if ($changed === []) {
    echo "nothing to load: the store holds this configuration at revision {$config->revision()}\n";
} else {
    sort($changed);
    $revision = $change->commit();
    echo 'loaded ' . implode(', ', $changed) . " at revision $revision\n";
}
