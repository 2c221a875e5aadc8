<?php
// Ten million reads of a document that changes every 10 ms, in both value modes: memory is flat.
//
// Immutable values in a process that serves request after request (php-cgi -T), refcounted ones in a script that runs on. A reader
// reads in bursts, and after each waits for the next change. Replaced immutable values wait for a minute, or until they
// are more than 64 MiB; so the document is large, for the memory to be full of them early in the run.
// usage: bench.sh ROUNDS memory
require __DIR__ . '/targets.inc';

const READS = 10_000_000;
const CHANGES = 2_000;
const CHANGE_EVERY_US = 10_000;
$folder = getenv('BENCH_FOLDER');

$reader = <<<'PHP'
$config = new Cfgstore\Client();
$config->refresh();
$from = $config->get('document')['number'];
for ($i = 0; $i < BURST; $i++) {
    $document = $config->get('document');
}
while ($config->get('document')['number'] === $from) {
    usleep(500);
    $config->refresh();
}
preg_match('/VmRSS:\s*(\d+)/', file_get_contents('/proc/self/status'), $found);
fwrite($log, "$found[1]\n");
PHP;
$head = '<?php const BURST = ' . intdiv(READS, CHANGES) . '; $log = fopen(' . var_export("$folder/rss", true) . ', "a");';
file_put_contents("$folder/request.php", "$head\n$reader");
file_put_contents("$folder/script.php", "$head\nfor (\$round = 0; \$round < " . CHANGES . "; \$round++) {\n$reader\n}");
file_put_contents("$folder/writer.php", '<?php $config = new Cfgstore\Client(); $document = json_decode(file_get_contents(' . var_export("$folder/document.json", true) . '), true);
for ($n = 1, $next = hrtime(true); !file_exists(' . var_export("$folder/stop", true) . '); $n++) {
    $config->put("document", ["number" => $n] + $document);
    $next += ' . CHANGE_EVERY_US . ' * 1000;
    usleep((int) max(0, ($next - hrtime(true)) / 1000));
}');
file_put_contents("$folder/document.json", json_encode(document(1_500)));

$command = function (string $binary, array $settings, string ...$arguments): array {
    $settings += ['extension' => getenv('BENCH_BUILD') . '/cfgstore.so', 'cfgstore.cfgstored' => getenv('BENCH_BUILD') . '/cfgstored',
        'cfgstore.data_dir' => ini_get('cfgstore.data_dir'), 'max_execution_time' => 0];
    $command = [$binary, '-n'];
    foreach ($settings as $name => $value) {
        array_push($command, '-d', "$name=$value");
    }
    return [...$command, ...$arguments];
};
(new Cfgstore\Client())->put('document', ['number' => 0] + document(1_500));
$cgi = 'php-cgi' . PHP_MAJOR_VERSION . '.' . PHP_MINOR_VERSION;
printf("\n%s reads of a document of 1,500 keys that changes every %d ms:\n", number_format(READS), CHANGE_EVERY_US / 1000);
foreach (['immutable' => [$cgi, ['-q', '-T', (string) CHANGES, "$folder/request.php"]], 'refcounted' => [PHP_BINARY, ["$folder/script.php"]]] as $mode => [$binary, $arguments]) {
    file_put_contents("$folder/rss", '');
    @unlink("$folder/stop");
    $writer = proc_open($command(PHP_BINARY, [], "$folder/writer.php"), [], $pipes);
    $begin = hrtime(true);
    $reader = proc_open($command($binary, ['cfgstore.value_mode' => $mode, 'cfgstore.consistency' => 'request'], ...$arguments), [1 => ['file', '/dev/null', 'w'], 2 => ['file', "$folder/reader.log", 'w']], $pipes);
    proc_close($reader);
    $seconds = (hrtime(true) - $begin) / 1e9;
    touch("$folder/stop");
    proc_close($writer);
    $rss = array_map('intval', file("$folder/rss"));
    count($rss) === CHANGES || fail("$mode: " . count($rss) . ' rounds of ' . CHANGES . ': ' . file_get_contents("$folder/reader.log"));
    // By then, more than 64 MiB have been replaced.
    $half = intdiv(CHANGES, 2);
    $middle = median(array_slice($rss, $half, 100));
    $end = median(array_slice($rss, -100));
    target(sprintf('%s: memory at the end (%.1f MB) over that at half-time (%.1f MB), %.0f s', $mode, $end / 1024, $middle / 1024, $seconds), $end / $middle, 1.02);
}
