<?php
// What a read and a request cost, beside PHP's own ways to keep a value and an etcd: nanoseconds of one call, net of the loop
// around it. In each round every candidate has a turn, and a ratio is the median of the rounds' ratios.
// Values are immutable and a request sees one revision, as under php-fpm; the rows "newest" look for a newer one at each read,
// as a script does.
// usage: bench.sh [ROUNDS]
require __DIR__ . '/targets.inc';

const BUDGET_NS = 40_000_000;           // of one candidate in one round
$rounds = (int) ($argv[1] ?? 9);
$folder = getenv('BENCH_FOLDER');

$document = document(100);
$word = 'a short string';
$config = new Cfgstore\Client();
$config->put('one', document(1));
$config->put('document', $document);
$config->put('large', document(10_000));
$config->put('word', $word);
$config->put('number', 5432);
// The same document, sealed: opened in the step that decodes, and then a value like any other.
$keyring = "$folder/keyring.json";
touch($keyring);
chmod($keyring, 0600);
file_put_contents($keyring, json_encode(['primary' => 'a', 'keys' => ['a' => base64_encode(random_bytes(32))], 'patterns' => ['/sealed/*']]));
$sealed = new Cfgstore\Client(prefix: '/sealed/', keyring: $keyring);
$sealed->put('document', $document);
if ($sealed->get('document') !== $document || !isset((new Cfgstore\Client(prefix: '/sealed/'))->get('document')['$sealed'])) {
    fail('the sealed document did not come back');
}
// The same document under a schema: judged by the servers when it is put, and then a value like any other.
$bound = new Cfgstore\Client(prefix: '/bound/');
$bound->bindSchema('*', ['type' => 'object', 'additionalProperties' => ['type' => ['string', 'integer', 'boolean']]]);
$bound->put('document', $document);
if ($bound->get('document') !== $document || $bound->checkValue('document', [[]]) === []) {
    fail('the document under a schema did not come back, or is not under it');
}
if ($config->get('document') !== $document || count($config->get('large')) !== 10_000) {
    fail('the documents did not come back');
}
file_put_contents("$folder/document.php", '<?php return ' . var_export($document, true) . ';');
if (!function_exists('opcache_get_status') || !opcache_get_status()) {
    fail('opcache is missing or off: install php8.2-opcache');
}
if (!function_exists('apcu_enabled') || !apcu_enabled()) {
    fail('apcu is missing or off: install php8.2-apcu');
}
if (!function_exists('curl_init')) {
    fail('curl is missing: install php8.2-curl');
}
apcu_store(['document' => $document, 'word' => $word]);

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

// bench_nothing() is an empty internal function; see probe.c. The optimizer would take away a result that nobody returns.
$candidates = [
    'empty loop' => function (int $n) { for ($i = 0; $i < $n; $i++) { } },
    'an internal function that does nothing' => function (int $n) { for ($i = 0; $i < $n; $i++) { $x = bench_nothing('document'); } return $x; },
    '$config[\'document\'], 100 keys' => function (int $n) use ($config) { for ($i = 0; $i < $n; $i++) { $x = $config['document']; } return $x; },
    '$config->get(\'one\'), 1 key' => function (int $n) use ($config) { for ($i = 0; $i < $n; $i++) { $x = $config->get('one'); } return $x; },
    '$config->get(\'document\'), 100 keys' => function (int $n) use ($config) { for ($i = 0; $i < $n; $i++) { $x = $config->get('document'); } return $x; },
    'sealed: $sealed->get(\'document\')' => function (int $n) use ($sealed) { for ($i = 0; $i < $n; $i++) { $x = $sealed->get('document'); } return $x; },
    'under a schema: $bound->get(\'document\')' => function (int $n) use ($bound) { for ($i = 0; $i < $n; $i++) { $x = $bound->get('document'); } return $x; },
    '$config->get(\'large\'), 10,000 keys' => function (int $n) use ($config) { for ($i = 0; $i < $n; $i++) { $x = $config->get('large'); } return $x; },
    'cfgstore_get(\'one\')' => function (int $n) { for ($i = 0; $i < $n; $i++) { $x = cfgstore_get('one'); } return $x; },
    'cfgstore_get(\'document\')' => function (int $n) { for ($i = 0; $i < $n; $i++) { $x = cfgstore_get('document'); } return $x; },
    'cfgstore_get(\'large\')' => function (int $n) { for ($i = 0; $i < $n; $i++) { $x = cfgstore_get('large'); } return $x; },
    '$config->getArray(\'document\')' => function (int $n) use ($config) { for ($i = 0; $i < $n; $i++) { $x = $config->getArray('document'); } return $x; },
    '$config->get(\'word\')' => function (int $n) use ($config) { for ($i = 0; $i < $n; $i++) { $x = $config->get('word'); } return $x; },
    '$config->getString(\'word\')' => function (int $n) use ($config) { for ($i = 0; $i < $n; $i++) { $x = $config->getString('word'); } return $x; },
    '$config->getInt(\'number\')' => function (int $n) use ($config) { for ($i = 0; $i < $n; $i++) { $x = $config->getInt('number'); } return $x; },
    'a path: get(\'document.setting_1\')' => function (int $n) use ($config) { for ($i = 0; $i < $n; $i++) { $x = $config->get('document.setting_1'); } return $x; },
    'a miss of a path: get(\'document.none\', null)' => function (int $n) use ($config) { for ($i = 0; $i < $n; $i++) { $x = $config->get('document.none', null); } return $x; },
    'a hit with a default: get(\'word\', null)' => function (int $n) use ($config) { for ($i = 0; $i < $n; $i++) { $x = $config->get('word', null); } return $x; },
    'a miss: get(\'none\', null)' => function (int $n) use ($config) { for ($i = 0; $i < $n; $i++) { $x = $config->get('none', null); } return $x; },
    'newest: $config->get(\'document\')' => function (int $n) use ($config) { for ($i = 0; $i < $n; $i++) { $x = $config->get('document'); } return $x; },
    'newest: $config[\'document\']' => function (int $n) use ($config) { for ($i = 0; $i < $n; $i++) { $x = $config['document']; } return $x; },
    'include of the same array (opcache)' => function (int $n) use ($folder) { for ($i = 0; $i < $n; $i++) { $x = include "$folder/document.php"; } return $x; },
    'apcu_fetch(\'word\')' => function (int $n) { for ($i = 0; $i < $n; $i++) { $x = apcu_fetch('word'); } return $x; },
    'apcu_fetch(\'document\')' => function (int $n) { for ($i = 0; $i < $n; $i++) { $x = apcu_fetch('document'); } return $x; },
    'etcd over HTTP, one connection kept' => function (int $n) use ($read) { for ($i = 0; $i < $n; $i++) { $x = $read(); } return $x; },
];

function measure(callable $candidate, int $n): float
{
    $begin = hrtime(true);
    $candidate($n);
    return (hrtime(true) - $begin) / $n;
}

$net = $counts = $requests = [];
for ($round = 0; $round <= $rounds; $round++) {
    foreach ($candidates as $name => $candidate) {
        ini_set('cfgstore.consistency', str_starts_with($name, 'newest') ? 'latest' : 'request');
        $config->refresh();
        $sealed->refresh();
        $bound->refresh();
        // The first round warms up and finds how many calls fill the budget.
        $ns = measure($candidate, $counts[$name] ?? 100);
        if ($round === 0) {
            $counts[$name] = (int) max(50, min(5_000_000, BUDGET_NS / measure($candidate, 100)));
            continue;
        }
        $loop = $name === 'empty loop' ? 0 : end($net['empty loop']);
        $net[$name][] = max(0.1, $ns - $loop);
    }
    ini_set('cfgstore.consistency', 'request');
    $config->refresh();
    $requests[] = bench_requests('document', 1_000_000);
}

// The first read after a change of one document among a thousand: what the look at the changed mirror costs, the read, and the reads of
// all the others.
const OTHERS = 1000;
const REST_S = 61;                      // a replaced value's memory is used again after REST_MS of value.c, by a request that begins then
ini_set('cfgstore.consistency', 'request');
for ($i = 0; $i < OTHERS; $i += 100) {
    $transaction = $config->transaction();
    for ($j = $i; $j < $i + 100; $j++) {
        $transaction->put("other/$j", ['number' => $j] + $document);
    }
    $transaction->commit();
}
$keys = array_map(fn (int $i) => "other/$i", range(0, OTHERS - 1));
$all = function () use ($config, $keys): float {
    $begin = hrtime(true);
    foreach ($keys as $key) {
        $x = $config->get($key);
    }
    return (hrtime(true) - $begin) / OTHERS;
};
$decode = $all();
/** Medians of 300 changes, in nanoseconds. Between two of them a request ends and another begins, as far as the extension can tell. */
$changes = function () use ($config, $document, $all): array {
    $spent = [];
    for ($i = 0; $i < 300; $i++) {
        bench_requests('one', 1);
        $config->put('document', ['setting_0' => "changed $i"] + $document);
        // The process has slept for the answer: busy it for a moment, as one that serves requests is.
        for ($n = 0; $n < 20_000; $n++) {
            bench_nothing('document');
        }
        $at = [hrtime(true)];
        $config->revision();
        $at[] = hrtime(true);
        $x = $config->get('document');
        $at[] = hrtime(true);
        if ($x['setting_0'] !== "changed $i") {
            fail('the change was not seen');
        }
        $spent['look'][] = $at[1] - $at[0];
        $spent['read'][] = $at[2] - $at[1];
        $spent['both'][] = $at[2] - $at[0];
        $spent['unchanged'][] = $all();
        $spent['again'][] = $all();
    }
    return array_map(median(...), $spent);
};
$young = $changes();
sleep(REST_S);
$changed = $changes();

$ratio = fn (string $a, string $b): float => median(array_map(fn (float $a, float $b) => $a / $b, $net[$a], $net[$b]));
$empty = 'an internal function that does nothing';
$array = '$config->get(\'document\'), 100 keys';
printf("PHP %s, %s, %d rounds, loop of %.1f ns taken off\n\n", PHP_VERSION, php_uname('m'), $rounds, median($net['empty loop']));
printf("%-42s %12s %14s %16s\n", '', 'ns per call', 'empty call = 1', 'get array = 1');
foreach (array_slice(array_keys($candidates), 1) as $name) {
    printf("%-42s %12.1f %14.2f %16.2f\n", $name, median($net[$name]), $ratio($name, $empty), $ratio($name, $array));
}

echo "\nA read against an empty internal function of the same arguments, and against APCu:\n";
foreach (['$config->get(\'one\'), 1 key', $array, '$config->get(\'large\'), 10,000 keys', 'cfgstore_get(\'one\')', 'cfgstore_get(\'document\')',
    'cfgstore_get(\'large\')'] as $name) {
    target("$name / empty function", $ratio($name, $empty), 3);
    target("$name / apcu_fetch of a short string", $ratio($name, 'apcu_fetch(\'word\')'), 0.5);
    target("$name / apcu_fetch of the array of 100 keys", $ratio($name, 'apcu_fetch(\'document\')'), 0.02);
}
target('$config[\'document\'] / $config->get(\'document\')', $ratio('$config[\'document\'], 100 keys', $array), 1);
printf("  %-92s %9.3f x\n", '$config[\'document\'] / cfgstore_get(\'document\'): the engine counts the object up and down for []',
    $ratio('$config[\'document\'], 100 keys', 'cfgstore_get(\'document\')'));
target('getString() / get() of the same string', $ratio('$config->getString(\'word\')', '$config->get(\'word\')'), 1.15);
target('getArray() / get() of the array of 100 keys', $ratio('$config->getArray(\'document\')', $array), 1.15);
target('a sealed document of 100 keys / the same in clear', $ratio('sealed: $sealed->get(\'document\')', $array), 1.1);
target('a document of 100 keys under a schema / the same without', $ratio('under a schema: $bound->get(\'document\')', $array), 1.1);
target('a miss / a hit, both with a default', $ratio('a miss: get(\'none\', null)', 'a hit with a default: get(\'word\', null)'), 1.15);

echo "\nA request, in the process (RINIT, RSHUTDOWN and post_deactivate, called in a loop; a read without the engine's call around it):\n";
target('start and end of a request that reads nothing', median(array_column($requests, 'request')), 100, 'ns');
target('the first read of a request over a later one (' . round(median(array_column($requests, 'read'))) . ' ns), when nothing has changed: a load and the clock',
    median(array_map(fn (array $r) => $r['first'] - $r['read'], $requests)), 50, 'ns');

printf("\nOne document of 100 keys (%d bytes) changes, among %d:\n", strlen(json_encode($document)), OTHERS);
target('its first read, net of the look', $changed['read'] / 1000, 20, 'µs');
target('its first read with the look that finds the change', $changed['both'] / 1000, 20, 'µs');
printf("  the same in a process that has replaced nothing for a minute yet, so that each value takes new pages from the kernel: %.1f µs, with the look %.1f µs\n",
    $young['read'] / 1000, $young['both'] / 1000);
target('first read of a document that did not change / a first read that decodes', $changed['unchanged'] / $decode, 0.1);
$opened = $in_clear = [];
for ($i = 0; $i < 300; $i++) {
    foreach ([[$sealed, &$opened], [$config, &$in_clear]] as [$client, &$spent]) {
        $client->put('document', ['setting_0' => "again $i"] + $document);
        $client->revision();
        $begin = hrtime(true);
        $x = $client->get('document');
        $spent[] = hrtime(true) - $begin;
    }
    unset($spent);
}
printf("  its first read, sealed: %.1f µs, in clear: %.1f µs, median of %d each in turn\n", median($opened) / 1000, median($in_clear) / 1000, count($opened));
printf("  a read of a document that did not change: first %.0f ns, later %.0f ns\n", $changed['unchanged'], $changed['again']);
