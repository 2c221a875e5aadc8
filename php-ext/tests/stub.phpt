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
// What is not compared above: there is none of it, or it is in the table of the README, which names each setting and its default.
$extension = new ReflectionExtension('cfgstore');
$elsewhere = fn (array $names) => preg_grep('/^cfgstore(\\\\|_)/i', $names, PREG_GREP_INVERT);
echo json_encode([$elsewhere($extension->getClassNames()), $elsewhere(array_keys($extension->getFunctions())), $extension->getConstants()]), "\n";
preg_match_all('/^\| `(cfgstore\.\w+)` \| (\S+) \|/m', file_get_contents(dirname(__DIR__) . '/README.md'), $documented);
$documented = str_replace(['empty', 'on'], ['', '1'], array_combine($documented[1], $documented[2]));
$settings = json_decode(implode($run('-d extension=' . escapeshellarg(getenv('CFGSTORE_SO')) . ' -r '
    . escapeshellarg('echo json_encode(array_map(strval(...), ini_get_all("cfgstore", false)));'))), true);
foreach (array_diff_assoc($settings, $documented) + array_diff_assoc($documented, $settings) as $name => $value) { echo "not as documented: $name = $value\n"; }
echo count($of_extension) > 100 ? "compared\n" : count($of_extension) . " lines only\n";
?>
--EXPECT--
[[],[],[]]
compared
