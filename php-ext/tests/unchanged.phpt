--TEST--
After a change, only the document that changed is decoded again
--FILE--
<?php
require __DIR__ . '/setup.inc';
putenv('USE_ZEND_ALLOC=1'); // under valgrind it is off, and with it what memory is used
// In stores of their own: a large store makes it slow for others to copy a mirror that changes.
$code = <<<'PHP'
$client = new Cfgstore\Client();
$text = str_repeat('a long text. ', 8_000);
for ($i = 0; $i < 20; $i++) {
    $client->put("document/$i", ['1' => $text, 'n' => $i]);
}
$read = function (int ...$numbers) use ($client): int {
    memory_reset_peak_usage();
    $before = memory_get_usage();
    foreach ($numbers as $i) {
        $client->get("document/$i");
    }
    return memory_get_peak_usage() - $before;
};
// To decode a document with a key like an integer takes a copy of the bytes in the request's memory.
echo json_encode($read(...range(0, 19)) > strlen($text)), ' ';
$client->put('document/7', ['1' => $text, 'n' => 'changed']);
$client->revision();
echo json_encode($read(...array_diff(range(0, 19), [7])) < strlen($text) / 10), ' ';
echo json_encode($read(7) > strlen($text)), ' ', $client->get('document/7')['n'], "\n";
PHP;
foreach (['immutable', 'refcounted'] as $mode) {
    echo "$mode: ", php($code, ['cfgstore.value_mode' => $mode, 'cfgstore.data_dir' => getenv('CFGSTORE_TEST_DIR') . "/unchanged-$mode"], true, ['-q']);
}
?>
--EXPECT--
immutable: true true true changed
refcounted: true true true changed
