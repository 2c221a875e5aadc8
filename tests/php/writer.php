<?php
// Writes a counter as fast as it can, and says of each write what became of it, one line each:
//   acknowledged N | refused N CLASS (certainly not written) | unknown N CLASS (may have been written)
$config = new Cfgstore\Client();
$n = (int) ($argv[2] ?? 0);
echo "ready\n";
while (!file_exists($argv[1])) {
    $n++;
    try {
        $config->put("written/$n", $n);
        $config->put('counter', $n);
        echo "acknowledged $n\n";
    } catch (Cfgstore\Exception\ExceptionInterface $e) {
        echo $e->mayHaveHappened() ? 'unknown' : 'refused', " $n ", get_class($e), "\n";
    }
}
echo "done\n";
