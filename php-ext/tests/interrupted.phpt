--TEST--
A request that ends in the middle of a loop, a callback or a decode, by exit, exception or fatal error, harms neither itself nor the next
--FILE--
<?php
require __DIR__ . '/setup.inc';
$client = client();
$document = ['list' => range(1, 20), 'map' => ['a' => ['b' => 'deep']], 'text' => 'some longer text'];
$client->transaction()->put('document', $document)->put('x/1', [1])->put('x/2', [2])->put('x/3', [3])->commit();
// A key like an integer, so that the engine's decoder has to do it, in the request's memory.
$client->put('large', array_fill(1, 20_000, 'some longer text'));
putenv('USE_ZEND_ALLOC=1'); // under valgrind it is off, and with it memory_limit
// php-cgi -T runs all of them in one process; each case is followed by a request that checks what is read.
$code = <<<'PHP'
$client = new Cfgstore\Client(prefix: '/interrupted/');
$start = $client->revision() - 1;
$cases = [
    'exit in a foreach over a value' => function () use ($client) { foreach ($client->get('document')['list'] as $x) { if ($x === 3) exit("left at $x\n"); } },
    'exit in a foreach by reference' => function () use ($client) { $a = $client->get('document'); foreach ($a['list'] as &$x) { $x = [$x, $client->get('document')]; if (isset($a['list'][3][0])) exit("left\n"); } },
    'exit in a foreach over all()' => function () use ($client) { foreach ($client->all('x/') as $key => $x) { if ($key === 'x/2') exit("left at $key\n"); } },
    'exit in a watch' => function () use ($client, $start) { foreach ($client->watch(fromRevision: $start) as $change) { $client->get('document'); exit("left at $change->key\n"); } },
    'exit in a generator' => function () use ($client) { $g = (function () use ($client) { try { foreach ($client->get('document') as $k => $v) yield $k => $v; } finally { echo count($client->get('x/1')), " in finally\n"; } })(); foreach ($g as $k => $v) exit("left at $k\n"); },
    'exit in a callback' => fn () => array_map(fn ($x) => $x === 3 ? exit("left at $x\n") : $client->get('document'), $client->get('document')['list']),
    'fatal error in a watch' => function () use ($client, $start) { foreach ($client->watch(fromRevision: $start) as $change) { $client->lock('l'); undefined_function(); } },
    'fatal error in a foreach' => function () use ($client) { foreach ($client->all('x/') as $x) { foreach ($client->get('document') as $y) { eval('class Twice {} class Twice {}'); } } },
    'memory_limit in a watch' => function () use ($client, $start) { ini_set('memory_limit', '2M'); foreach ($client->watch(fromRevision: $start) as $change) { exit("unexpected\n"); } },
    'memory_limit in all()' => function () use ($client) { ini_set('memory_limit', '2M'); $client->all(); exit("unexpected\n"); },
    'memory_limit in a transaction' => function () use ($client) { $t = $client->transaction()->put('y', 1); ini_set('memory_limit', '2M'); $t->put('z', $client->get('large')); exit("unexpected\n"); },
    'exception in a watch' => function () use ($client, $start) { foreach ($client->watch(fromRevision: $start) as $change) { $held = $client->get('document'); throw new DomainException('out of the watch'); } },
    'exception in a comparison' => function () use ($client) { $a = $client->get('document')['list']; usort($a, fn ($x, $y) => $client->get('x/1') && $x > 5 ? throw new DomainException('out of usort') : $x <=> $y); },
    'exception in array_walk' => function () use ($client) { $a = $client->get('document'); array_walk_recursive($a, function (&$v) { $v = 'w'; throw new DomainException('out of array_walk'); }); },
    'exception in an error handler' => function () use ($client) { set_error_handler(fn () => throw new DomainException('out of a handler for ' . count($client->get('x/2')))); foreach ($client->get('document') as $v) { echo $undefined; } },
    'exception in a destructor' => function () use ($client) { $d = new class($client) { function __construct(public $c) {} function __destruct() { throw new DomainException('out of a destructor: ' . $this->c->get('x/3')[0]); } }; foreach ($client->get('document') as $v) { unset($d); } },
    'exception in an iterator of put()' => fn () => $client->put('z', new class($client) implements JsonSerializable { function __construct(public $c) {} function jsonSerialize(): mixed { $this->c->get('document'); throw new DomainException('out of jsonSerialize'); } }),
    'timeout in a loop' => function () use ($client) { set_time_limit(1); for (;;) { foreach ($client->get('document')['list'] as $x) { $held[$x] = $client->get('x/1'); } } },
];
$log = getenv('CFGSTORE_TEST_DIR') . '/interrupted';
$turn = intdiv((int) @filesize($log), 2);
$checks = (int) @filesize($log) % 2;
file_put_contents($log, 'x', FILE_APPEND);
if ($checks) {
    $client->put('changed', $turn);     // the values before are outdated for their process
    $fine = md5(serialize($client->get('document'))) === getenv('DOCUMENT') && $client->get('x/2') === [2] && $client->get('changed') === $turn
        && count($client->get('large')) === 20_000 && !$client->has('z') && count($client->all('x/')) === 3 && $client->lock('l', wait: 20.0)->isHeld();
    echo $fine ? "" : "AND HARMS THE NEXT REQUEST\n";
    $client->put('large', array_fill(1, 20_000, "text number $turn"));  // so that the next request has to decode it
    return;
}
class Late { static $all; function __construct(public $client, public $held) {} function __destruct() { echo $this->client->get('document') === $this->held ? "" : "WRONG IN A DESTRUCTOR\n"; } }
$late = new Late($client, $client->get('document'));
Late::$all = [$client->get('document'), new Late($client, $client->get('document'))];
register_shutdown_function(fn () => print($client->get('document')['map']['a']['b'] === 'deep' ? "" : "WRONG AT SHUTDOWN\n"));
$name = array_keys($cases)[$turn];
echo "$name: ";
try { $cases[$name](); echo "came to its end\n"; } catch (DomainException $e) { echo $e->getMessage(), "\n"; }
PHP;
putenv('DOCUMENT=' . md5(serialize($document)));
foreach (['immutable', 'refcounted'] as $mode) {
    @unlink(getenv('CFGSTORE_TEST_DIR') . '/interrupted');
    $output = php($code, ['cfgstore.value_mode' => $mode], true, ['-q', '-T', '36']);
    echo "$mode\n", preg_replace('/^Elapsed.*\n|^\n|^(Stack trace|#\d| *thrown).*\n| in \/.*| of \d+ bytes.*/m', '', $output);
}
?>
--EXPECT--
immutable
exit in a foreach over a value: left at 3
exit in a foreach by reference: left
exit in a foreach over all(): left at x/2
exit in a watch: left at large
exit in a generator: left at list
1 in finally
exit in a callback: left at 3
fatal error in a watch: 
Fatal error: Uncaught Error: Call to undefined function undefined_function()
fatal error in a foreach: 
Fatal error: Cannot declare class Twice, because the name is already in use
memory_limit in a watch: 
Fatal error: Allowed memory size
memory_limit in all(): 
Fatal error: Allowed memory size
memory_limit in a transaction: 
Fatal error: Allowed memory size
exception in a watch: out of the watch
exception in a comparison: out of usort
exception in array_walk: out of array_walk
exception in an error handler: out of a handler for 1
exception in a destructor: out of a destructor: 3
exception in an iterator of put(): out of jsonSerialize
timeout in a loop: 
Fatal error: Maximum execution time of 1 second exceeded
refcounted
exit in a foreach over a value: left at 3
exit in a foreach by reference: left
exit in a foreach over all(): left at x/2
exit in a watch: left at large
exit in a generator: left at list
1 in finally
exit in a callback: left at 3
fatal error in a watch: 
Fatal error: Uncaught Error: Call to undefined function undefined_function()
fatal error in a foreach: 
Fatal error: Cannot declare class Twice, because the name is already in use
memory_limit in a watch: 
Fatal error: Allowed memory size
memory_limit in all(): 
Fatal error: Allowed memory size
memory_limit in a transaction: 
Fatal error: Allowed memory size
exception in a watch: out of the watch
exception in a comparison: out of usort
exception in array_walk: out of array_walk
exception in an error handler: out of a handler for 1
exception in a destructor: out of a destructor: 3
exception in an iterator of put(): out of jsonSerialize
timeout in a loop: 
Fatal error: Maximum execution time of 1 second exceeded