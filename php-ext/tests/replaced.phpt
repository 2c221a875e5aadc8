--TEST--
A long-running script whose store is replaced by a new one reads the new one, and at once what it wrote to it
--INI--
cfgstore.data_dir=${CFGSTORE_TEST_DIR}/replaced
cfgstore.timeout=20
--FILE--
<?php
require __DIR__ . '/setup.inc';
$folder = getenv('CFGSTORE_TEST_DIR') . '/replaced';
// Revisions of this store are higher than any of the one that comes after it.
$old = new Cfgstore\Client(prefix: test_prefix(), timeout: 19.0); // each timeout has a connection of its own
for ($n = 1; $n <= 20; $n++) { $old->put('n', $n); }
$revision = $old->revision();
check('reads what it wrote', $old->get('n') === 20);

// As a server that hangs, whose folder somebody moves away. It still has its mirror, and the script reads that.
$pid = agent_pid($folder);
posix_kill($pid, SIGSTOP);
register_shutdown_function(fn () => posix_kill($pid, SIGKILL));
rename($folder, "$folder-old");
echo php('(new Cfgstore\Client(prefix: "/replaced/"))->put("other", "of the new store");');
$client = new Cfgstore\Client(prefix: test_prefix());
$client->put('n', 'of the new store');
check('reads what it wrote to the new store', $client->get('n') === 'of the new store');
check('reads what another wrote to it', $client->get('other') === 'of the new store');
check('its revisions are lower', $client->revision() < $revision);
?>
--EXPECT--
ok - reads what it wrote
ok - reads what it wrote to the new store
ok - reads what another wrote to it
ok - its revisions are lower
