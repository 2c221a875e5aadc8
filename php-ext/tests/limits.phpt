--TEST--
What can grow has a limit: absent keys asked for, old values in one long request, prefixes, timeouts
--INI--
cfgstore.value_mode=immutable
cfgstore.data_dir=${CFGSTORE_TEST_DIR}/limits
--FILE--
<?php
require __DIR__ . '/setup.inc';
$client = client();
function resident_kib(): int { preg_match('/VmRSS:\s*(\d+)/', file_get_contents('/proc/self/status'), $m); return (int) $m[1]; }
function grown(callable $body): int { $before = resident_kib(); $body(); gc_collect_cycles(); return getenv('CFGSTORE_VALGRIND') ? 0 : resident_kib() - $before; }
$few = getenv('CFGSTORE_VALGRIND') ? 20 : 1;
$client->put('a', 1);
grown(fn () => $client->has('warm'));
// 200,000 kept misses would be some 25 MiB.
check('misses', grown(function () use ($client, $few) { for ($i = 0; $i < 200_000 / $few; $i++) { if ($client->has("absent/$i")) echo "what?\n"; } }) < 4096);
check('prefixes', grown(function () use ($few) { for ($i = 0; $i < 5000 / $few; $i++) { (new Cfgstore\Client(prefix: "/many/$i/"))->has('x'); } }) < 4096);
check('timeouts', grown(function () use ($few) { for ($i = 1; $i <= 40 / $few; $i++) { (new Cfgstore\Client(prefix: test_prefix(), timeout: 20 + $i))->put('a', $i); } }) < 8192);
// This "request" never ends, so old immutable values pile up to the limit of 64 MiB; then values are counted ones.
$held = null;
$size = grown(function () use ($client, $few, &$held) {
    for ($i = 0; $i < 150 / $few; $i++) {
        $client->put('large', array_fill(0, 32_000, $i)); // 1 MiB as a value
        $value = $client->get('large');
        if ($value[31_999] !== $i) { echo "wrong value $value[31999] at $i\n"; }
        $held ??= $value;
    }
});
check("old values", $size < 90 * 1024);
check('an early one is still whole', $held === array_fill(0, 32_000, 0) && $client->get('a') >= 1);
?>
--EXPECT--
ok - misses
ok - prefixes
ok - timeouts
ok - old values
ok - an early one is still whole
