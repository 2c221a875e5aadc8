--TEST--
What a request held ends with it: a pinned revision, and where a watch begins
--FILE--
<?php
require __DIR__ . '/setup.inc';
$client = client();
$client->put('n', 0);
// php-cgi -T runs the script so many times in one process. Another process changes the value between the requests.
$told = getenv('CFGSTORE_TEST_DIR') . '/request_end';
$begin = <<<'PHP'
$told = getenv('CFGSTORE_TEST_DIR') . '/request_end';
$turn = substr_count((string) @file_get_contents($told), "\n");
$client = new Cfgstore\Client(prefix: '/request_end/');
PHP;
$end = <<<'PHP'
file_put_contents($told, "$line\n", FILE_APPEND);
proc_close(proc_open(json_decode(getenv('CFGSTORE_WRITE')), [], $pipes));
exit;
PHP;
file_put_contents("$told.php", '<?php $client = new Cfgstore\Client(prefix: "/request_end/"); $client->put("n", $client->get("n") + 1);');
putenv('CFGSTORE_WRITE=' . json_encode(php_command("$told.php")));
foreach ([
    'pins' => '$revision = $turn === 0 ? $client->pin() : 0; $line = "request $turn reads " . $client->get("n");',
    'watches' => 'if ($turn === 0) { $line = "request 0 reads " . $client->get("n"); } else { $line = "request $turn is told of";
        foreach ($client->watch("n", timeout: 0.0) as $change) { $line .= " $change->value"; } }',
] as $name => $code) {
    @unlink($told);
    $client->put('n', 0);
    php("$begin\n$code\n$end", [], true, ['-q', '-T', '3']);
    echo "$name:\n", file_get_contents($told);
}
?>
--EXPECT--
pins:
request 0 reads 0
request 1 reads 1
request 2 reads 2
watches:
request 0 reads 0
request 1 is told of
request 2 is told of
