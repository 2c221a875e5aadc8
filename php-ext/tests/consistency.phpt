--TEST--
A web request sees one revision until it writes or refreshes; a script sees the newest, unless it pins one
--FILE--
<?php
require __DIR__ . '/setup.inc';
$client = client();
$client->put('a', 1);
$client->put('b', 1);
// Each line of standard input is a change that another process made between two reads.
$code = <<<'PHP'
$stdin = fopen('php://stdin', 'r');
$client = new Cfgstore\Client(prefix: '/consistency/');
$other = new Cfgstore\Client(prefix: '');
function step(string $what) { global $client, $stdin; echo $what, ': ', json_encode([$client->get('a'), $client->get('b')]), "\n"; flush(); fgets($stdin); }
step('first');
step('later');
if ($client->status()->consistency === 'request') {
    $client->put('own', 1);
    step('after an own write');
    step('later');
    $client->refresh();
    step('after refresh()');
    ini_set('cfgstore.consistency', 'latest'); $client->refresh();
    step('latest');
    step('later');
} else {
    $client->pin();
    step('pinned');
    step('pinned');
    $client->refresh();
    step('refreshed');
    step('and still pinned');
    $client->unpin();
    step('unpinned');
}
echo 'clients agree: ', json_encode($client->get('a') === $other->get('/consistency/a') && $client->revision() === $other->revision()), "\n";
PHP;
foreach (['cgi' => [true, []], 'script' => [false, []], 'script by requests' => [false, ['cfgstore.consistency' => 'request']], 'cgi by the newest' => [true, ['cfgstore.consistency' => 'latest']]] as $name => [$cgi, $settings]) {
    $client->transaction()->put('a', 1)->put('b', 1)->commit();
    $process = php_start($code, $settings, $cgi, $cgi ? ['-q'] : []);
    echo "$name\n";
    $n = 1;
    while (($line = fgets($process->output)) !== false) {
        echo "  $line";
        $n++;
        $client->transaction()->put('a', $n)->put('b', $n)->commit();
        await('the mirror', fn () => $client->get('b') === $n);
        @fwrite($process->input, "\n"); // the last line is read by nobody
    }
    proc_close($process->handle);
}
?>
--EXPECT--
cgi
  first: [1,1]
  later: [1,1]
  after an own write: [3,3]
  later: [3,3]
  after refresh(): [5,5]
  latest: [6,6]
  later: [7,7]
  clients agree: true
script
  first: [1,1]
  later: [2,2]
  pinned: [3,3]
  pinned: [3,3]
  refreshed: [5,5]
  and still pinned: [5,5]
  unpinned: [7,7]
  clients agree: true
script by requests
  first: [1,1]
  later: [1,1]
  after an own write: [3,3]
  later: [3,3]
  after refresh(): [5,5]
  latest: [6,6]
  later: [7,7]
  clients agree: true
cgi by the newest
  first: [1,1]
  later: [2,2]
  pinned: [3,3]
  pinned: [3,3]
  refreshed: [5,5]
  and still pinned: [5,5]
  unpinned: [7,7]
  clients agree: true
