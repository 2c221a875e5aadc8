<?php
// From an acknowledged put to the new value in all of 16 php-fpm workers of a host, beside 16 watchers of etcd's Go client.
//
// A member, and beside it the host's agent, as on every host of a cluster. One Go program writes a counter to the member, whose answer
// waits for nothing on this host. Each worker is in a request, in which it waits with subscribe()->next(), then reads the newest revision,
// which holds the change; the time at which it has the new value counts. The same program writes to an etcd, with 16 watchers of its own,
// each on a connection of its own, and once more with 16 processes of one watcher each. A figure is from the answer of a put to the last of the 16.
// usage: bench.sh ROUNDS visible
require __DIR__ . '/targets.inc';

const WORKERS = 16;
const PUTS = 300;
const ROUNDS = 3;
$folder = getenv('BENCH_FOLDER');
$build = getenv('BENCH_BUILD');

function start(array $command, string $log): mixed
{
    $process = proc_open($command, [['file', '/dev/null', 'r'], ['file', $log, 'w'], ['redirect', 1]], $pipes);
    register_shutdown_function(function () use ($process): void { proc_terminate($process); proc_close($process); });
    return $process;
}

function await(string $what, callable $condition): void
{
    for ($end = microtime(true) + 60; !$condition(); usleep(5_000)) {
        if (microtime(true) > $end) {
            fail("waited in vain for $what");
        }
    }
}

/** Sends a request to php-fpm, whose answer comes on the connection. */
function request(string $socket, string $script, string $query): mixed
{
    $connection = stream_socket_client("unix://$socket") ?: fail("no php-fpm at $socket");
    $record = fn (int $type, string $content): string => pack('CCnnCx', 1, $type, 1, strlen($content), 0) . $content;
    $parameters = '';
    foreach (['SCRIPT_FILENAME' => $script, 'REQUEST_METHOD' => 'GET', 'SCRIPT_NAME' => '/', 'QUERY_STRING' => $query] as $name => $value) {
        $parameters .= pack('NN', strlen($name) | 1 << 31, strlen($value) | 1 << 31) . $name . $value;
    }
    fwrite($connection, $record(1, pack('nCx5', 1, 0)) . $record(4, $parameters) . $record(4, '') . $record(5, ''));
    return $connection;
}

/** From each put to the last of all that saw it, in milliseconds; what shows a later value shows the earlier ones too. */
function delays(string $lines): array
{
    $put = $seen = [];
    foreach (explode("\n", trim($lines)) as $line) {
        [$what, $n, $ns] = explode(' ', $line);
        $what === 'put' ? $put[$n] = (int) $ns : $seen[$n][] = (int) $ns;
    }
    count($put) === PUTS || fail('not every put was acknowledged');
    return array_map(function (int $n, int $ns) use ($seen): float {
        count($seen[$n]) === WORKERS || fail('not everybody saw ' . $n);
        return max(0, max($seen[$n]) - $ns) / 1e6;
    }, array_keys($put), $put);
}

$free = function (): string {
    $socket = stream_socket_server('tcp://127.0.0.1:0');
    return 'http://' . stream_socket_get_name($socket, false);
};
[$member, $peer] = [$free(), $free()];
start(["$build/cfgstored", '--data-dir', "$folder/store-member", '--listen-client-urls', $member, '--advertise-client-urls', $member, '--name', 'a',
    '--listen-peer-urls', $peer, '--initial-advertise-peer-urls', $peer, '--initial-cluster', "a=$peer"], "$folder/member.log");
start(["$build/cfgstored", '--data-dir', "$folder/store-agent", '--endpoints', $member], "$folder/agent.log");
$agent = "$folder/store-agent/cfgstore.sock";
await('the agent', function () use ($agent): bool {
    try {
        return file_exists($agent) && (new Cfgstore\Client(endpoints: "unix://$agent"))->revision() > 0;
    } catch (Cfgstore\Exception\ExceptionInterface) {
        return false;
    }
});

file_put_contents("$folder/worker.php", '<?php require ' . var_export(__DIR__ . '/visible-worker.inc', true) . ';');
file_put_contents("$folder/fpm.conf", "[global]\ndaemonize = no\nerror_log = $folder/fpm.log\n[app]\nlisten = $folder/fpm.sock\npm = static\n"
    . 'pm.max_children = ' . WORKERS . "\ncatch_workers_output = yes\nenv[BENCH_FOLDER] = $folder\n"
    . (posix_geteuid() === 0 ? "user = root\ngroup = root\n" : ''));
putenv('PATH=' . getenv('PATH') . ':/usr/sbin:/sbin');
start(['php-fpm' . PHP_MAJOR_VERSION . '.' . PHP_MINOR_VERSION, '-R', '-n', '--fpm-config', "$folder/fpm.conf", '-d', "extension=$build/cfgstore.so",
    '-d', "cfgstore.endpoints=unix://$agent", '-d', 'max_execution_time=120', '-d', 'html_errors=0'], "$folder/fpm.out");
await('php-fpm', fn () => @stream_socket_client("unix://$folder/fpm.sock") !== false);

$write = function (string $endpoint, string $key, int $watchers) use ($folder): string {
    $output = shell_exec(escapeshellarg("$folder/watchers") . " -endpoint $endpoint -key $key -puts " . PUTS . " -watchers $watchers");
    return is_string($output) ? $output : fail('the writer failed');
};
/** The same with watchers in processes of their own, as php-fpm's workers are. */
$writeToProcesses = function (string $endpoint, string $key) use ($folder, $write): string {
    $processes = $outputs = [];
    for ($i = 0; $i < WORKERS; $i++) {
        $command = ["$folder/watchers", '-endpoint', $endpoint, '-key', $key, '-puts', (string) PUTS, '-watchers', '1', '-only-watch'];
        $processes[] = proc_open($command, [['file', '/dev/null', 'r'], ['pipe', 'w'], STDERR], $pipes) ?: fail('no watcher');
        $outputs[] = $pipes[1];
    }
    foreach ($outputs as $output) {
        fgets($output) === "ready\n" || fail('a watcher did not start');
    }
    $lines = $write($endpoint, $key, 0);
    foreach ($outputs as $i => $output) {
        $lines .= stream_get_contents($output);
        proc_close($processes[$i]) === 0 || fail('a watcher failed');
    }
    return $lines;
};
$ours = $theirs = $theirProcesses = [];
for ($round = 0; $round < ROUNDS; $round++) {
    array_map('unlink', glob("$folder/ready.*"));
    $requests = [];
    for ($i = 0; $i < WORKERS; $i++) {
        $requests[] = request("$folder/fpm.sock", "$folder/worker.php", "key=round$round");
    }
    await('all workers', fn () => count(glob("$folder/ready.*")) === WORKERS);
    $lines = $write($member, "round$round", 0);
    foreach ($requests as $request) {
        preg_match_all('/^seen \d+ \d+$/m', stream_get_contents($request), $found);
        $lines .= implode("\n", $found[0]) . "\n";
        fclose($request); // for which the worker waits
    }
    array_push($ours, ...delays($lines));
    array_push($theirs, ...delays($write(getenv('BENCH_ETCD'), "round$round", WORKERS)));
    array_push($theirProcesses, ...delays($writeToProcesses(getenv('BENCH_ETCD'), "processes$round")));
}
printf("\nFrom an acknowledged put to visible in all of %d php-fpm workers that wait in subscribe()->next() and then read, %d puts:\n", WORKERS, count($ours));
target('p50', percentile($ours, 0.5), 1, 'ms');
target('p99', percentile($ours, 0.99), 5, 'ms');
foreach (['in one process' => $theirs, 'in a process each' => $theirProcesses] as $where => $delays) {
    printf("  an etcd, and %d watchers of its Go client %s: p50 %.3f ms, p99 %.3f ms\n", WORKERS, $where, percentile($delays, 0.5), percentile($delays, 0.99));
}
