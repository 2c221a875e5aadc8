--TEST--
Values that a change has replaced are freed: memory is flat over many changes, in both value modes
--FILE--
<?php
require __DIR__ . '/setup.inc';
// In stores of its own: others copy the mirror while it changes, and this one changes it as fast as it can.
// Replaced immutable values rest in memory until they are more than 64 MiB: 60 of these lists of 1.2 MiB are more.
$times = getenv('CFGSTORE_VALGRIND') ? 10 : 120;
$code = <<<'PHP'
$client = new Cfgstore\Client();
$n = $client->get('document', ['number' => 0])['number'];
$client->put('document', ['number' => $n + 1, 'list' => array_fill(0, 80_000, $n % 10)]);
$fine = $client->get('document')['number'] === $n + 1 && cfgstore_get('document')['list'][79_999] === $n % 10;
preg_match('/VmRSS:\s*(\d+)/', file_get_contents('/proc/self/status'), $match);
file_put_contents(getenv('CFGSTORE_TEST_DIR') . '/memory', ($fine ? 'fine' : 'WRONG') . " $match[1]\n", FILE_APPEND);
PHP;
foreach (['immutable', 'refcounted'] as $mode) {
    @unlink(getenv('CFGSTORE_TEST_DIR') . '/memory');
    php($code, ['cfgstore.value_mode' => $mode, 'cfgstore.data_dir' => getenv('CFGSTORE_TEST_DIR') . "/memory-$mode"], true, ['-q', '-T', (string) $times]);
    $lines = array_map(fn ($line) => explode(' ', trim($line)), file(getenv('CFGSTORE_TEST_DIR') . '/memory'));
    check("$mode: every request", count($lines) === $times && array_unique(array_column($lines, 0)) === ['fine']);
    [$half, $end] = [$lines[intdiv($times, 2)][1], end($lines)[1]];
    check("$mode: memory", getenv('CFGSTORE_VALGRIND') || $end - $half < 8 * 1024 ?: var_dump("$half KiB, then $end KiB"));
}
?>
--EXPECT--
ok - immutable: every request
ok - immutable: memory
ok - refcounted: every request
ok - refcounted: memory
