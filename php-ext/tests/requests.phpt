--TEST--
One process, many requests: values live on over requests, old ones are freed, and nothing piles up
--FILE--
<?php
require __DIR__ . '/setup.inc';
$client = client();
$client->put('document', ['n' => 0, 'list' => range(1, 200)]);
$client->put('stays', ['list' => range(1, 50)]);
// php-cgi -T runs the script so many times in one process. Each request reads, writes, and holds old and new values to its end.
$code = <<<'PHP'
class Keep { public static $before, $after; }
$client = new Cfgstore\Client(prefix: '/requests/');
Keep::$before = $client->get('document');
$n = Keep::$before['n'] + 1;
$client->put('document', ['n' => $n, 'list' => range($n, $n + 199)]);
Keep::$after = $client->get('document');
$fine = Keep::$before['n'] === $n - 1 && Keep::$after['n'] === $n && Keep::$after['list'][199] === $n + 199 && count($client['stays']['list']) === 50
    && Keep::$before['list'][0] === max(1, $n - 1) && !$client->has("absent/$n") && cfgstore_get("absent/$n", 'd') === 'd';
Keep::$after['list'][] = 'changed';
preg_match('/VmRSS:\s*(\d+)/', file_get_contents('/proc/self/status'), $match);
file_put_contents(getenv('CFGSTORE_TEST_DIR') . '/requests', ($fine ? 'fine' : 'WRONG') . " $match[1] " . count(scandir('/proc/self/fd')) . ' '
    . substr_count(file_get_contents('/proc/self/maps'), '.snap') . "\n", FILE_APPEND);
PHP;
$times = getenv('CFGSTORE_VALGRIND') ? 20 : 400;
foreach (['immutable', 'refcounted'] as $mode) {
    @unlink(getenv('CFGSTORE_TEST_DIR') . '/requests');
    php($code, ['cfgstore.value_mode' => $mode], true, ['-q', '-T', (string) $times]);
    $lines = array_map(fn ($line) => explode(' ', trim($line)), file(getenv('CFGSTORE_TEST_DIR') . '/requests'));
    check("$mode: every request", count($lines) === $times && array_unique(array_column($lines, 0)) === ['fine']);
    [, $memory_early, $files_early, $maps_early] = $lines[intdiv($times, 4)];
    [, $memory, $files, $maps] = end($lines);
    // An old document of 200 integers is about 4 KiB; some hundred of them rest in the graveyard.
    check("$mode: memory", getenv('CFGSTORE_VALGRIND') || $memory - $memory_early < $times * 6 + 500);
    check("$mode: descriptors and mappings", $files <= $files_early && $maps <= $maps_early + 1);
}
?>
--EXPECT--
ok - immutable: every request
ok - immutable: memory
ok - immutable: descriptors and mappings
ok - refcounted: every request
ok - refcounted: memory
ok - refcounted: descriptors and mappings
