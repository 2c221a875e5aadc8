--TEST--
The first use starts the store, once however many race for it; a clear error when it can't
--FILE--
<?php
require __DIR__ . '/setup.inc';
$folder = getenv('CFGSTORE_TEST_DIR');
$racers = [];
for ($i = 0; $i < 6; $i++) {
    $racers[] = php_start("\$c = new Cfgstore\\Client(prefix: '/race/'); echo \$i = $i, ' ', \$c->get('none', 'absent'), ' ', \$c->put('$i', $i) > 0 ? 'put' : '', ' ', \$c->status()->agentPid, \"\\n\";",
        ['cfgstore.data_dir' => "$folder/race"]);
}
$pids = [];
foreach ($racers as $racer) {
    [, $absent, $put, $pid] = explode(' ', trim(stream_get_contents($racer->output)));
    $pids[$pid] = true;
    proc_close($racer->handle);
    if ("$absent $put" !== 'absent put') echo "racer failed: $absent $put\n";
}
check('one store', count($pids) === 1 && agent_pid("$folder/race") === key($pids));
check('it outlives them', posix_kill(key($pids), 0));
echo php('echo count((new Cfgstore\Client(prefix: "/race/"))->all()), " keys\n";', ['cfgstore.data_dir' => "$folder/race"]);

$try = 'try { (new Cfgstore\Client)->get("a"); } catch (Cfgstore\Exception\ExceptionInterface $e) { echo get_class($e), ": ", $e->getMessage(), "\n"; }';
echo php($try, ['cfgstore.data_dir' => "$folder/none", 'cfgstore.autostart' => 0]);
echo php($try, ['cfgstore.data_dir' => "$folder/none", 'cfgstore.cfgstored' => "$folder/missing"]);
file_put_contents("$folder/broken", "#!/bin/sh\necho 'it breaks for this reason' >&2\nexit 3\n"); chmod("$folder/broken", 0755);
echo php($try, ['cfgstore.data_dir' => "$folder/none", 'cfgstore.cfgstored' => "$folder/broken"]);
file_put_contents("$folder/plain", '');
echo php($try, ['cfgstore.data_dir' => "$folder/plain/store"]);
?>
--EXPECTF--
ok - one store
ok - it outlives them
6 keys
Cfgstore\Exception\UnavailableException: %s
Cfgstore\Exception\UnavailableException: %smissing%s
Cfgstore\Exception\UnavailableException: %Ait breaks for this reason%A
Cfgstore\Exception\%s: %splain%s
