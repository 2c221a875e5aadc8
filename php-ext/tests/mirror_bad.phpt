--TEST--
A mirror that is foreign, truncated, damaged, of another version or not there: a typed error each, and no crash
--INI--
cfgstore.data_dir=${CFGSTORE_TEST_DIR}/mirror_bad
--FILE--
<?php
require __DIR__ . '/setup.inc';
// In a store of its own: every byte of it is turned round below.
$client = client();
$client->put('a', 'value');
$good = $client->status()->mirrorDir;
$folder = getenv('CFGSTORE_TEST_DIR') . '/mirror_bad_copy';
// One reader for all of it. Other endpoints are another store to the extension, so each read opens the mirror anew.
$reader = php_start(<<<'PHP'
for ($n = 0; fgets(STDIN) !== false; $n++) {
    try { $read = (new Cfgstore\Client(prefix: '/mirror_bad/', endpoints: "unix:///none/$n.sock", timeout: 1.0))->get('a'); }
    catch (Throwable $e) { $read = preg_replace('/.*Exception.(\w+)/', '$1', get_class($e)); }
    echo json_encode($read), "\n";
}
PHP, ['cfgstore.mirror_dir' => $folder, 'cfgstore.autostart' => 0]);
function read(): mixed { global $reader; fwrite($reader->input, "\n"); return json_decode(fgets($reader->output)); }
// The publisher goes on meanwhile: take a set of files that belong together. Without the copies of files, which would do instead.
@mkdir($folder); chmod($folder, 0750);
$files = await('a copy', function () use ($good, $folder) {
    array_map('unlink', glob("$folder/*"));
    foreach (scandir($good) as $name) { if (is_file("$good/$name") && $name !== 'lock' && !str_starts_with($name, 'recent.')) { @copy("$good/$name", "$folder/$name"); @chmod("$folder/$name", 0640); } }
    return read() === 'value' ? array_map('file_get_contents', array_combine(glob("$folder/*"), glob("$folder/*"))) : null;
});
function restore(): void {
    global $folder, $files;
    array_map('unlink', glob("$folder/*"));
    foreach ($files as $file => $bytes) { file_put_contents($file, $bytes); chmod($file, 0640); }
}
function each_file(string $folder, callable $change): void { foreach (glob("$folder/*.snap") as $file) { file_put_contents($file, $change(file_get_contents($file))); } }
echo read(), "\n";
$cases = [
    'foreign control page' => fn ($f) => file_put_contents("$f/control", str_repeat('x', 4096)),
    'short control page' => fn ($f) => file_put_contents("$f/control", substr(file_get_contents("$f/control"), 0, 100)),
    'empty control page' => fn ($f) => file_put_contents("$f/control", ''),
    'no control page' => fn ($f) => unlink("$f/control"),
    'no snapshot' => fn ($f) => array_map('unlink', glob("$f/*.snap")),
    'foreign snapshot' => fn ($f) => each_file($f, fn ($b) => str_repeat('y', strlen($b))),
    'empty snapshot' => fn ($f) => each_file($f, fn ($b) => ''),
    'truncated snapshot' => fn ($f) => each_file($f, fn ($b) => substr($b, 0, intdiv(strlen($b), 2))),
    'snapshot cut by a byte' => fn ($f) => each_file($f, fn ($b) => substr($b, 0, -1)),
    'a flipped value' => fn ($f) => each_file($f, fn ($b) => str_replace('value', 'Value', $b)),
    'another version' => fn ($f) => each_file($f, function ($b) { $b[8] = chr(ord($b[8]) + 1); return $b; }),
    'no folder' => function ($f) { array_map('unlink', glob("$f/*")); rmdir($f); },
];
foreach ($cases as $name => $change) {
    restore();
    $change($folder);
    echo "$name: ", read(), "\n";
}
mkdir($folder, 0750);
// Every byte that is turned round is an error or changes nothing that is read: never a crash, never another value.
$step = getenv('CFGSTORE_VALGRIND') ? 17 : 7;
restore();
$code = <<<'PHP'
$tried = 0; $wrong = [];
foreach (json_decode($_SERVER['argv'][1] ?? getenv('FILES')) as $file) {
    $bytes = file_get_contents($file);
    for ($i = 0; $i < strlen($bytes); $i += STEP) {
        $broken = $bytes; $broken[$i] = chr(ord($broken[$i]) ^ 0xff);
        unlink($file); file_put_contents($file, $broken); chmod($file, 0640);
        try { $got = (new Cfgstore\Client(prefix: '/mirror_bad/', endpoints: "unix:///none/$tried.sock", timeout: 0.05))->get('a'); if ($got !== 'value') { $wrong[] = "$i: " . json_encode($got); } } catch (Cfgstore\Exception\ExceptionInterface $e) { $got = null; }
        $tried++;
    }
    unlink($file); file_put_contents($file, $bytes); chmod($file, 0640);
}
echo $tried > 5 ? 'tried' : $tried, ', ', count($wrong), ' wrong ', implode(' ', $wrong), "\n";
PHP;
putenv('FILES=' . json_encode(glob("$folder/*.snap")));
echo php(str_replace('STEP', (string) $step, $code), ['cfgstore.mirror_dir' => $folder, 'cfgstore.autostart' => 0]);
?>
--EXPECT--
value
foreign control page: CorruptException
short control page: CorruptException
empty control page: CorruptException
no control page: UnavailableException
no snapshot: NotSyncedException
foreign snapshot: CorruptException
empty snapshot: CorruptException
truncated snapshot: CorruptException
snapshot cut by a byte: CorruptException
a flipped value: CorruptException
another version: UnsupportedException
no folder: UnavailableException
tried, 0 wrong
