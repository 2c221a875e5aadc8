--TEST--
The stub says what Reflection says of the extension, and nothing else
--FILE--
<?php
$describe = var_export(__DIR__ . '/describe.inc', true);
$stub = var_export(dirname(__DIR__) . '/cfgstore.stub.php', true);
$run = fn (string $code) => explode("\n", trim(shell_exec(escapeshellarg(getenv('TEST_PHP_EXECUTABLE')) . ' -n -d pcre.jit=0 -d html_errors=0 ' . $code)));
$of_stub = $run('-r ' . escapeshellarg("define('UNKNOWN', null); require $stub; require $describe;"));
$of_extension = $run('-d extension=' . escapeshellarg(getenv('CFGSTORE_SO')) . ' -r ' . escapeshellarg("require $describe;"));
// Reflection gives null for a default it can't evaluate; the stub's UNKNOWN has to be a constant to be loaded at all.
foreach (array_diff($of_stub, $of_extension) as $line) { echo "only in the stub: $line\n"; }
foreach (array_diff($of_extension, $of_stub) as $line) { echo "only in the extension: $line\n"; }
echo count($of_extension) > 100 ? "compared\n" : count($of_extension) . " lines only\n";
?>
--EXPECT--
compared
