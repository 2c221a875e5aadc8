<?php
// Writes a counter as fast as it can, below two keys: `written/N` once for each N, and `counter` again and again. Says what became of
// each put, one line each:
//   acknowledged KEY | refused KEY CLASS (certainly not written) | unknown KEY CLASS (may have been written)
$config = new Cfgstore\Client();
$put = function (string $key, int $value) use ($config): void {
    try {
        $config->put($key, $value);
        echo "acknowledged $key\n";
    } catch (Cfgstore\Exception\ExceptionInterface $e) {
        echo $e->mayHaveHappened() ? 'unknown' : 'refused', " $key ", get_class($e), "\n";
    }
};
echo "ready\n";
for ($n = 1; !file_exists($argv[1]); $n++) {
    $put("written/$n", $n);
    $put('counter', $n);
}
echo "done\n";
