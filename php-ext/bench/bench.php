<?php
// Nanoseconds of one read, net of the loop around it: the median of several rounds, in each of which every candidate has a turn.
// Values are immutable and a request sees one revision, as under php-fpm; the rows "newest" look for a newer one at each read,
// as a script does.
// usage: bench.sh [ROUNDS]

/** Ends with what is missing. Without its peers there would be nothing to hold a read against, and the check at the end would vanish. */
function fail(string $why): never
{
    fwrite(STDERR, "bench: $why\n");
    exit(1);
}

const BUDGET_NS = 60_000_000;           // of one candidate in one round
$rounds = (int) ($argv[1] ?? 9);
$folder = getenv('BENCH_FOLDER');

$document = [];
for ($i = 0; $i < 100; $i++) {
    $document["setting_$i"] = "the value of setting number $i";
}
$word = 'a short string';
$config = new Cfgstore\Client();
$config->put('document', $document);
$config->put('word', $word);
if ($config->get('document') !== $document) {
    fail('the document did not come back');
}
file_put_contents("$folder/document.php", '<?php return ' . var_export($document, true) . ';');

$candidates = [
    'empty loop' => function (int $n): void { for ($i = 0; $i < $n; $i++) { } },
    'an internal function that does nothing' => function (int $n): void { for ($i = 0; $i < $n; $i++) { gc_enabled(); } },
    '$config[\'document\'], 100 keys' => function (int $n) use ($config): void { for ($i = 0; $i < $n; $i++) { $x = $config['document']; } },
    '$config->get(\'document\')' => function (int $n) use ($config): void { for ($i = 0; $i < $n; $i++) { $x = $config->get('document'); } },
    'cfgstore_get(\'document\')' => function (int $n): void { for ($i = 0; $i < $n; $i++) { $x = cfgstore_get('document'); } },
    '$config->get(\'word\')' => function (int $n) use ($config): void { for ($i = 0; $i < $n; $i++) { $x = $config->get('word'); } },
    'a miss: $config->get(\'none\', null)' => function (int $n) use ($config): void { for ($i = 0; $i < $n; $i++) { $x = $config->get('none', null); } },
    'newest: $config->get(\'document\')' => function (int $n) use ($config): void { for ($i = 0; $i < $n; $i++) { $x = $config->get('document'); } },
    'newest: $config[\'document\']' => function (int $n) use ($config): void { for ($i = 0; $i < $n; $i++) { $x = $config['document']; } },
    'include of the same array (opcache)' => function (int $n) use ($folder): void { for ($i = 0; $i < $n; $i++) { $x = include "$folder/document.php"; } },
];
if (!function_exists('opcache_get_status') || !opcache_get_status()) {
    fail('opcache is missing or off: install php8.2-opcache');
}
if (!function_exists('apcu_enabled') || !apcu_enabled()) {
    fail('apcu is missing or off: install php8.2-apcu');
}
apcu_store(['document' => $document, 'word' => $word]);
$candidates['apcu_fetch(\'word\')'] = function (int $n): void { for ($i = 0; $i < $n; $i++) { $x = apcu_fetch('word'); } };
$candidates['apcu_fetch(\'document\')'] = function (int $n): void { for ($i = 0; $i < $n; $i++) { $x = apcu_fetch('document'); } };

if (!function_exists('curl_init')) {
    fail('curl is missing: install php8.2-curl');
}
$etcd = getenv('BENCH_ETCD') ?: fail('there is no etcd: install etcd-server');
$handle = curl_init();
$call = function (string $path, array $body) use ($handle, $etcd): array {
    curl_setopt_array($handle, [CURLOPT_URL => "$etcd/v3/kv/$path", CURLOPT_POSTFIELDS => json_encode($body), CURLOPT_RETURNTRANSFER => true,
        CURLOPT_HTTPHEADER => ['Content-Type: application/json']]);
    return json_decode((string) curl_exec($handle), true) ?? [];
};
$key = base64_encode('document');
for ($try = 0; $try < 200 && !isset($call('put', ['key' => $key, 'value' => base64_encode(json_encode($document))])['header']); $try++) {
    usleep(50_000);
}
$read = fn () => json_decode(base64_decode($call('range', ['key' => $key])['kvs'][0]['value'] ?? ''), true);
if ($read() !== $document) {
    fail("etcd at $etcd does not answer");
}
$candidates['etcd over HTTP, one connection kept'] = function (int $n) use ($read): void { for ($i = 0; $i < $n; $i++) { $x = $read(); } };

function measure(callable $candidate, int $n): float
{
    $begin = hrtime(true);
    $candidate($n);
    return hrtime(true) - $begin;
}

$measured = $counts = [];
for ($round = 0; $round <= $rounds; $round++) {
    foreach ($candidates as $name => $candidate) {
        ini_set('cfgstore.consistency', str_starts_with($name, 'newest') ? 'latest' : 'request');
        $config->refresh();
        // The first round warms up and finds how many calls fill the budget.
        $n = $counts[$name] ?? 100;
        $took = measure($candidate, $n);
        if ($round === 0) {
            $took = measure($candidate, $n);
            $counts[$name] = (int) max(100, min(5_000_000, $n * BUDGET_NS / $took));
        } else {
            $measured[$name][] = $took / $n;
        }
    }
}
$median = function (array $values): float { sort($values); return $values[intdiv(count($values), 2)]; };
$medians = array_map($median, $measured);
$loop = $medians['empty loop'];
$net = array_map(fn (float $ns) => max(0.0, $ns - $loop), $medians);
$empty = $net['an internal function that does nothing'];
$array = $net['$config->get(\'document\')'];

printf("PHP %s, %s, %d rounds, loop of %.1f ns taken off\n\n", PHP_VERSION, php_uname('m'), $rounds, $loop);
printf("%-42s %12s %14s %16s\n", '', 'ns per call', 'empty call = 1', 'get array = 1');
foreach ($net as $name => $ns) {
    if ($name !== 'empty loop') {
        printf("%-42s %12.1f %14.2f %16.2f\n", $name, $ns, $ns / $empty, $ns / $array);
    }
}
if ($array > $net['apcu_fetch(\'word\')']) {
    fail('get of the array is slower than apcu_fetch of a string: that must not be');
}
