--TEST--
Members behind http addresses: an agent is started for them, and everything works as with the embedded store
--INI--
cfgstore.timeout=20
--FILE--
<?php
require __DIR__ . '/setup.inc';
$folder = getenv('CFGSTORE_TEST_DIR') . '/endpoints';
$etcd = start_etcd("$folder-etcd");
$settings = ['cfgstore.data_dir' => $folder, 'cfgstore.endpoints' => $etcd->url];

// The first use starts the agent, once however many race for it.
$racers = [];
for ($i = 0; $i < 4; $i++) {
    $racers[] = php_start("\$c = new Cfgstore\\Client(prefix: '/race/'); echo \$c->get('none', 'absent'), ' ', \$c->put('$i', $i) > 0 ? 'put' : '', ' ', \$c->status()->agentPid;", $settings);
}
$pids = [];
foreach ($racers as $racer) {
    [$absent, $put, $pid] = explode(' ', stream_get_contents($racer->output)) + ['', '', ''];
    $pids[$pid] = true;
    proc_close($racer->handle);
    if ("$absent $put" !== 'absent put') echo "racer failed: $absent $put $pid\n";
}
check('one agent', count($pids) === 1);
echo str_replace($folder, '…', preg_replace('/[0-9a-f]{16}/', 'hash', php('echo (new Cfgstore\Client)->status()->dataDir;', $settings))), "\n";

echo php(<<<'CODE'
$c = new Cfgstore\Client(prefix: '/all/');
$r = $c->put('database', ['host' => 'db1']);
echo json_encode([$c->get('database'), $c['database']['host'], isset($c['database']), $c->has('none'), $c->revision() >= $r]), "\n";
$c['b'] = 2;
echo json_encode($c->all()), "\n";
$c->transaction()->ifRevision('b', $c->entry('b')->revision)->put('b', 3)->put('c', 4)->commit();
try { $c->put('b', 5, ifRevision: 1); } catch (Cfgstore\Exception\ConflictException $e) { echo "conflict\n"; }
$watch = $c->watch('', timeout: 20.0, fromRevision: $r);
$seen = [];
foreach ($watch as $change) { $seen[] = $change->key; if (count($seen) === 4) break; }
echo implode(' ', $seen), "\n";
$lock = $c->lock('deploy');
try { (new Cfgstore\Client(prefix: '/all/'))->lock('deploy'); } catch (Cfgstore\Exception\TimeoutException $e) { echo "locked\n"; }
$lock->release();
echo $c->lock('deploy')->token > 0 ? "locked again\n" : '';
unset($c['b']);
echo json_encode($c->all()), "\n";
CODE, $settings);

// The members go away: what is known is read, a write says what could not be reached and that it has not happened.
proc_terminate($etcd->process, 9);
proc_close($etcd->process);
echo str_replace($etcd->url, 'URL', php(<<<'CODE'
$c = new Cfgstore\Client(prefix: '/all/', timeout: 1.0);
echo json_encode($c->get('c')), "\n";
try { $c->put('c', 5); } catch (Cfgstore\Exception\UnavailableException $e) { echo $e->mayHaveHappened() ? 'may have happened' : 'has not happened', ': ', $e->getMessage(), "\n"; }
CODE, $settings));
$etcd = start_etcd("$folder-etcd", $etcd);
check('they come back', await('a write', fn () => trim(php('try { $c = new Cfgstore\Client(prefix: "/all/"); $c->put("c", 6); echo $c->get("c"); } catch (Exception $e) {}', $settings)) === '6'));
proc_terminate($etcd->process, 9);
proc_close($etcd->process);

// Nobody has ever been reached.
$nobody = ['cfgstore.endpoints' => 'http://127.0.0.1:1', 'cfgstore.timeout' => '5'] + $settings;
$try = 'try { (new Cfgstore\Client)->get("a"); } catch (Exception $e) { echo get_class($e), ": ", $e->getMessage(), "\n"; }';
echo php($try, $nobody);
echo php($try, ['cfgstore.data_dir' => "$folder-off", 'cfgstore.autostart' => 0] + $nobody);
?>
--EXPECTF--
ok - one agent
…/agents/hash
[{"host":"db1"},"db1",true,false,true]
{"b":2,"database":{"host":"db1"}}
conflict
database b b c
locked
locked again
{"c":4,"database":{"host":"db1"}}
4
has not happened: %s nothing was sent: %sURL%s
ok - they come back
Cfgstore\Exception\NotSyncedException: %s its agent says: %shttp://127.0.0.1:1%s
Cfgstore\Exception\UnavailableException: %s start cfgstored --endpoints http://127.0.0.1:1 %s
