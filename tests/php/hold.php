<?php
// Reads, says in a file of `folder` that it has come, and goes on when the file `go` is there: reads once more, writes, and reads that.
$folder = $_GET['folder'];
$config = new Cfgstore\Client();
$at = hrtime(true);
$a = $config->get('pair/a');
touch("$folder/" . getmypid());
while (!file_exists("$folder/go")) {
    usleep(500);
}
$b = $config->get('pair/b');
$key = 'held/' . getmypid();
$config->put($key, $a);
if ($config->get($key) !== $a) {
    http_response_code(500);
}
echo json_encode(['a' => $a, 'b' => $b, 'at' => $at, 'pid' => getmypid()]);
