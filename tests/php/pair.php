<?php
// Two keys that one transaction always changes together, read by one request; `at` is the clock just before the first read.
$config = new Cfgstore\Client();
$at = hrtime(true);
$a = $config->get('pair/a');
if (isset($_GET['slow'])) {
    usleep(2000);           // leaves the writer time to publish between the two reads
}
$b = $config->get('pair/b');
echo json_encode(['a' => $a, 'b' => $b, 'at' => $at, 'revision' => $config->revision(), 'pid' => getmypid()]);
