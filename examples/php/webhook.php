<?php
// A webhook that is told of changes. webhook/receiver.php is the part for your site: it checks the signature, and does the work
// of each message once. Here, a store of its own sends, and PHP's own web server receives.
declare(strict_types=1);

use Cfgstore\Client;

require __DIR__ . '/webhook/verify.php';

// A signature that is known: printf '1795698000.{"a":1}' | openssl dgst -sha256 -hmac s3cret
$known = 't=1795698000,v1=62b30f4b734604650694f65155ffcba5e8313e91d49fb0c59ed06ffb5033faae';
$judged = [
    verify('s3cret', $known, '{"a":1}', 1795698060),
    verify('s3cret', $known, '{"a":2}', 1795698060),       // changed on the way
    verify('other', $known, '{"a":1}', 1795698060),        // not our secret
    verify('s3cret', $known, '{"a":1}', 1795698000 + 301), // recorded, and sent again later
    verify('s3cret', '', '{"a":1}', 1795698060),
];
$judged === [true, false, false, false, false] || throw new LogicException('a signature was judged wrongly');

/** Waits for something to be so. */
function until(callable $so, string $what): void
{
    for ($end = microtime(true) + 30; !$so();) {
        microtime(true) < $end || throw new RuntimeException("$what did not happen within 30 s");
        usleep(20_000);
    }
}

// A free port, and a folder of our own with the secret, as a member finds it.
$socket = stream_socket_server('tcp://127.0.0.1:0');
$address = stream_socket_get_name($socket, false);
fclose($socket);
$folder = sys_get_temp_dir() . '/webhook-' . getmypid();
mkdir("$folder/seen", recursive: true);
mkdir("$folder/secrets");
file_put_contents("$folder/secrets/hook", 's3cret');

$start = fn (array $command, array $environment = []) => proc_open(
    $command,
    [1 => ['file', "$folder/log", 'a'], 2 => ['file', "$folder/log", 'a']],
    $pipes,
    null,
    $environment + getenv(),
);
$store = $start(['cfgstored', '--data-dir', "$folder/store", '--notify-secrets-dir', "$folder/secrets"]);
$receiver = $start(
    [PHP_BINARY, '-n', '-S', $address, __DIR__ . '/webhook/receiver.php'],
    ['CFGSTORE_SECRET_HOOK' => 's3cret', 'WEBHOOK_FOLDER' => "$folder/seen"],
);
try {
    $endpoint = "unix://$folder/store/cfgstore.sock";
    until(fn () => file_exists("$folder/store/cfgstore.sock"), 'the start of the store');
    until(fn () => @fsockopen("tcp://$address") !== false, 'the start of the receiver');

    $set = ['cfgctl', '--endpoints', $endpoint, 'notify', 'set', 'site', '--webhook', "http://$address/",
        '--secret', 'file:hook', '--prefix', 'app/', '--values'];
    proc_close($start($set)) === 0 || throw new RuntimeException(file_get_contents("$folder/log"));

    $revision = (new Client(endpoints: [$endpoint]))->put('app/theme', 'dark');
    $done = fn () => str_contains(file_get_contents("$folder/log"), "put app/theme at revision $revision");
    until($done, 'the notification');

    // Nobody else can send one, and the same one again does nothing.
    $body = file_get_contents(glob("$folder/seen/*")[0]);
    $id = json_decode($body, true)['delivery'];
    $send = function (string $secret) use ($address, $body, $id): int {
        $time = time();
        $signature = "t=$time,v1=" . hash_hmac('sha256', "$time.$body", $secret);
        $headers = ['Content-Type: application/json', "Cfgstore-Delivery: $id", "Cfgstore-Signature: $signature"];
        $options = ['method' => 'POST', 'header' => $headers, 'content' => $body, 'ignore_errors' => true];
        file_get_contents("http://$address/", false, stream_context_create(['http' => $options]));
        return (int) explode(' ', $http_response_header[0])[1];
    };
    $send('guessed') === 403 || throw new LogicException('a wrong signature was taken');
    $send('s3cret') === 204 || throw new LogicException('a repetition was refused');
    substr_count(file_get_contents("$folder/log"), 'put app/theme at') === 1
        || throw new LogicException('the work was not done once');
    echo "told of revision $revision\n";
} finally {
    foreach ([$receiver, $store] as $process) {
        proc_terminate($process);
        proc_close($process);
    }
    exec('rm -rf ' . escapeshellarg($folder));
}
