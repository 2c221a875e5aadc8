--TEST--
The mirror's file system is full: reads go on with the last copy and the status says so; when there is room, all recovers by itself
--INI--
cfgstore.data_dir=${CFGSTORE_TEST_DIR}/mirror_full
cfgstore.mirror_dir=${CFGSTORE_TEST_DIR}/mirror_full_memory/mirror
cfgstore.timeout=20
--FILE--
<?php
require __DIR__ . '/setup.inc';
$memory = getenv('CFGSTORE_TEST_DIR') . '/mirror_full_memory';
mkdir($memory);
exec('mount -t tmpfs -o size=500k tmpfs ' . escapeshellarg($memory), $output, $failed);
if ($failed) {
    die("cannot mount a small file system: run the tests as root\n");
}
register_shutdown_function(fn () => exec('umount -l ' . escapeshellarg($memory)));
$client = client();
$client->put('a', ['text' => str_repeat('1', 100_000)]);
$first = fn ($client) => $client->get('a')['text'][0];
check('there is room', $first($client) === '1' && $client->status()->trouble === null);
$filler = fopen("$memory/filler", 'w');
stream_set_write_buffer($filler, 0);
while (@fwrite($filler, str_repeat('x', 4096)) === 4096);
$refused = $client->status()->revision;
$other = ['cfgstore.mirror_dir' => "$memory/mirror"];
// A write is a write; but who wants to read it here is told why that can't be.
$writer = <<<'PHP'
$client = new Cfgstore\Client(prefix: '/mirror_full/');
echo $client->put('a', ['text' => str_repeat('2', 100_000)]) > 0 ? "written\n" : '';
try { $client->get('a'); } catch (Cfgstore\Exception\TimeoutException $e) { echo preg_replace('/revision \d+/', 'revision N', $e->getMessage()), "\n"; }
PHP;
echo php($writer, $other + ['cfgstore.timeout' => 2]);
check('reads go on', $first($client) === '1' && $client->refresh() === $refused && $first($client) === '1');
$reader = '$client = new Cfgstore\Client(prefix: "/mirror_full/"); var_dump($client->get("a")["text"][0], $client->status()->agentAlive, $client->status()->trouble);';
echo php($reader, $other);
ftruncate($filler, 0);
check('there is room again', await('the new value', fn () => $first($client) === '2'));
check('and no trouble', await('its end', fn () => $client->status()->trouble === null));
echo php($reader, $other);
?>
--EXPECT--
ok - there is room
written
the write is committed at revision N, but this host's mirror is still at revision N after 2 s: read again later, or look at the agent's log; its agent says: the mirror could not be published, and readers keep the last copy; it is tried again, and the agent's log says why
ok - reads go on
string(1) "1"
bool(true)
string(114) "the mirror could not be published, and readers keep the last copy; it is tried again, and the agent's log says why"
ok - there is room again
ok - and no trouble
string(1) "2"
bool(true)
NULL
