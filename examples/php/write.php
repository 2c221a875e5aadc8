<?php
// Writing: durable when the call returns, and read back by this request at once.

$config = new Cfgstore\Client(prefix: '/examples/');

$revision = $config->put('limits', ['per_order' => 2500.0, 'currency' => 'EUR']);
echo "written at revision $revision\n";
$config['theme'] = 'dark';                              // the same, as an array
unset($config['theme']);                                // and a delete
$config->putBytes('certificate', "\x30\x82\x01\x0a");   // bytes as they are, for what is not JSON
$config->delete('certificate');

// Only if nobody else has written since we read: read, decide, write.
$entry = $config->entry('limits');
$config->put('limits', ['per_order' => 3000.0] + $entry->value, ifRevision: $entry->revision);
try {
    $config->put('limits', ['per_order' => 1.0], ifRevision: $entry->revision);
} catch (Cfgstore\Exception\ConflictException $e) {
    echo 'refused: ', $e->getMessage(), "\n";
}
echo json_encode($config->get('limits')), "\n";

// A failure says whether the write may have happened, and whether to try again.
try {
    $config->put('handle', fopen('php://memory', 'r'));
} catch (Cfgstore\Exception\ExceptionInterface $e) {
    echo get_class($e), ': ', $e->getMessage(), "\n";
    var_dump($e->mayHaveHappened(), $e->isRetryable());
}
