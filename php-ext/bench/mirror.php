<?php
// A mirror of 100,000 keys and 100 MB: what publishing one changed key costs the server, and what a worker keeps in memory.
//
// CPU time is that of all threads of cfgstored, from /proc, over some hundreds of puts by one writer, less that of the same puts to a
// store of 100 keys. A worker's memory is its private memory, and apart from it the pages of the shared mapping that it has touched,
// which all workers and the server share.
// usage: bench.sh ROUNDS mirror
require __DIR__ . '/targets.inc';

const KEYS = 100_000;
const BYTES = 1_000;                    // of a value
$folder = getenv('BENCH_FOLDER');

function fill(Cfgstore\Client $config, int $keys): void
{
    for ($i = 0; $i < $keys; $i += 100) {
        $transaction = $config->transaction();
        for ($j = $i; $j < $i + 100; $j++) {
            $transaction->put("key/$j", value($j));
        }
        $transaction->commit();
    }
}

function value(int $n): string
{
    return str_pad("value $n ", BYTES - 2, 'x');
}

/** CPU time of the server of a store, in milliseconds. */
function cpu_ms(string $data_dir): float
{
    $pid = (int) preg_replace('/\D/', '', (string) file_get_contents("$data_dir/lock"));
    $ns = 0;
    foreach (glob("/proc/$pid/task/*/schedstat") as $file) {
        $ns += (int) file_get_contents($file);
    }
    return $ns / 1e6;
}

/** CPU time of one put, in milliseconds, the writer's not included. */
function cost(Cfgstore\Client $config, string $data_dir, int $puts, int $keys): float
{
    $begin = cpu_ms($data_dir);
    for ($i = 0; $i < $puts; $i++) {
        $config->put('key/' . $i * 7 % $keys, value($i));
    }
    return (cpu_ms($data_dir) - $begin) / $puts;
}

/** Starts another PHP with a store, which runs one function of this file. */
if (isset($argv[1])) {
    $config = new Cfgstore\Client();
    $data_dir = ini_get('cfgstore.data_dir');
    if ($argv[1] === 'puts') {
        fill($config, (int) $argv[2]);
        $all = min((int) $argv[2], 2_000);
        cost($config, $data_dir, 50, 1);
        echo json_encode([cost($config, $data_dir, 300, 1), cost($config, $data_dir, 2_000, $all)]);
    } else {
        echo json_encode(memory($config));
    }
    exit;
}

/** Private and mapped memory in KiB: [before the mirror is opened, with one key read, with 1,000, with 10,000]. */
function memory(Cfgstore\Client $config): array
{
    $now = function (): array {
        $private = $mapped = 0;
        $is_mirror = false;
        foreach (file('/proc/self/smaps') as $line) {
            if (preg_match('/^[0-9a-f]+-[0-9a-f]+ /', $line)) {
                $is_mirror = str_contains($line, '.snap') || str_contains($line, '/recent.');
            } elseif ($is_mirror && preg_match('/^Rss:\s*(\d+)/', $line, $found)) {
                $mapped += $found[1];
            } elseif (!$is_mirror && preg_match('/^Private_\w+:\s*(\d+)/', $line, $found)) {
                $private += $found[1];
            }
        }
        return [$private, $mapped];
    };
    $now();
    $measured = [$now()];
    foreach ([1, 1_000, 10_000] as $keys) {
        for ($i = 0; $i < $keys; $i++) {
            strlen($config->get("key/$i")) === BYTES - 2 || fail("key/$i is not what was stored");
        }
        $measured[] = $now();
    }
    return $measured;
}

$run = function (string $data_dir, string ...$arguments): array {
    $settings = ['extension' => getenv('BENCH_BUILD') . '/cfgstore.so', 'cfgstore.cfgstored' => getenv('BENCH_BUILD') . '/cfgstored', 'cfgstore.data_dir' => $data_dir,
        'cfgstore.value_mode' => 'immutable', 'cfgstore.consistency' => 'request', 'cfgstore.timeout' => 60];
    $command = [PHP_BINARY, '-n'];
    foreach ($settings as $name => $value) {
        array_push($command, '-d', "$name=$value");
    }
    $output = shell_exec(implode(' ', array_map('escapeshellarg', [...$command, __FILE__, ...$arguments])));
    return json_decode((string) $output, true) ?? fail("no figures: $output");
};
$small = $run("$folder/store-small", 'puts', '100');
$large = $run("$folder/store-large", 'puts', (string) KEYS);
[$before, $one, $thousand, $many] = $run("$folder/store-large", 'memory');

printf("\nA mirror of %d keys and %d MB; CPU time of cfgstored for a put, over that of a put to a store of 100 keys (%.2f ms):\n", KEYS, KEYS * BYTES / 1_000_000, $small[0]);
target('one key, changed again and again', $large[0] - $small[0], 3, 'ms');
target('2,000 keys, one after the other', $large[1] - $small[1], 3, 'ms');
printf("Memory of a worker:\n");
target('private memory, when it has read 10,000 keys, over the bytes it has read', ($many[0] - $before[0]) * 1024 / (10_000 * BYTES), 2);
printf("  private memory for its first key %.1f MB, for 1,000 %.1f MB, for 10,000 %.1f MB\n", ...array_map(fn (array $m) => ($m[0] - $before[0]) / 1024, [$one, $thousand, $many]));
printf("  pages it has touched of the mapping that all share: %.1f MB, %.1f MB, %.1f MB\n", ...array_map(fn (array $m) => $m[1] / 1024, [$one, $thousand, $many]));
