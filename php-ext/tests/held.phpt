--TEST--
What a request keeps of a value stays what it was when the value changes, and what was kept elsewhere when the old value is freed
--FILE--
<?php
require __DIR__ . '/setup.inc';
$client = client();
$requests = getenv('CFGSTORE_VALGRIND') ? 3 : 6;
$document = fn (int $n) => ['n' => $n, 'list' => range($n, $n + 20), 'map' => ['a' => ['b' => "deep $n"]], 'pattern' => "/^text number (\\d+) of $n\$/u",
    'timezone' => 'Europe/Berlin', 'class' => 'Kept', 'key' => "key of $n"];
$client->put('document', $document(0));
// php-cgi -T runs the script so many times in one process; request n finds document n.
$code = '$document = ' . <<<'PHP'
fn (int $n) => ['n' => $n, 'list' => range($n, $n + 20), 'map' => ['a' => ['b' => "deep $n"]], 'pattern' => "/^text number (\\d+) of $n\$/u",
    'timezone' => 'Europe/Berlin', 'class' => 'Kept', 'key' => "key of $n"];
$log = getenv('CFGSTORE_TEST_DIR') . '/held';
$n = (int) @filesize($log);
file_put_contents($log, 'x', FILE_APPEND);
$client = new Cfgstore\Client(prefix: '/held/');
$wrong = [];
$same = function (string $what, mixed $is, mixed $should) use (&$wrong) { if ($is !== $should) { $wrong[] = $what; } };

class Kept { public static $value; public static ?Generator $generator; public $client; const NAME = 'kept'; }
function kept($client) { static $kept; return $kept ??= $client->get('document'); }
function elements($client) { foreach ($client->get('document')['list'] as $i => $x) { yield $i => $x; } return $client->get('document')['n']; }
$same('a static variable is new', kept($client), $document($n));
$same('a static property is new', isset(Kept::$value), false);
Kept::$value = $client->get('document');
define('KEPT', $client->get('document'));
$reference = &Kept::$value['map']['a'];
Kept::$generator = elements($client);
// Only while there is room for old values, which there is when those of the request before are freed.
ob_start(); debug_zval_dump($client->get('document')); $same('freed', str_contains(ob_get_clean(), 'interned {'), $client->status()->valueMode === 'immutable');
$same('generator', [Kept::$generator->key(), Kept::$generator->current()], [0, $n]);
$closure = (fn ($held) => fn () => $held['map'])($client->get('document'));
$iterator = (new ArrayObject($client->get('document')))->getIterator();
$fiber = new Fiber(function () use ($client) { $held = $client->get('document'); Fiber::suspend($held['n']); return $held; });
$same('fiber', $fiber->start(), $n);
$sorted = $client->get('document')['list'];
usort($sorted, function ($x, $y) use ($client, &$changed) { $changed ??= $client->put('other', $x); return $y <=> $x; });
$GLOBALS['cycle'] = [$client->get('document')]; $GLOBALS['cycle'][] = &$GLOBALS['cycle'];

// What others keep for longer than a request.
$same('a regular expression', preg_match($client->get('document')['pattern'], "text number 7 of $n", $match) . $match[1], '17');
apcu_store($client->get('document')['key'], $client->get('document'));
apcu_add('name ' . $n, $client->get('document')['key']);
date_default_timezone_set($client->get('document')['timezone']);
ini_set('user_agent', $client->get('document')['key']);
setlocale(LC_ALL, [$client->get('document')['key'], 'C']);
putenv($client->get('document')['key'] . '=1');
stream_wrapper_register('kept', $client->get('document')['class']);
$same('a class', get_class(new ($client->get('document')['class'])), 'Kept');

foreach ($client->get('document')['list'] as $i => $x) {
    if ($i === 5) {
        $client->put('document', $document($n + 1));
        $same('the new value', $client->get('document'), $document($n + 1));
        // Some 70 MiB of old values: at its start, the next request frees what this one has replaced.
        for ($j = 0; $j < ($n > 0 && getenv('CFGSTORE_VALGRIND') ? 0 : 12); $j++) { $client->put('large', array_fill(0, 400_000, $j)); if ($client->get('large')[399_999] !== $j) { $wrong[] = 'large'; } }
        unset($j);
    }
    $same('foreach', $x, $n + $i);
}
$same('static variable', kept($client), $document($n));
$same('static property', Kept::$value, $document($n));
$reference['b'] .= '!';
$same('reference', Kept::$value['map']['a']['b'], "deep $n!");
$same('constant', KEPT, $document($n));
foreach (Kept::$generator as $i => $x) { if ($x !== $n + $i) { $wrong[] = 'generator'; } }
$same('its return', Kept::$generator->getReturn(), $n + 1);
$same('closure', $closure(), $document($n)['map']);
$same('iterator', iterator_to_array($iterator), $document($n));
$same('resumed fiber', [$fiber->resume(), $fiber->getReturn()], [null, $document($n)]);
$same('sorted', $sorted, array_reverse($document($n)['list']));
$same('encoded', json_decode(json_encode(KEPT), true), unserialize(serialize(KEPT)));
Kept::$generator = elements($client); Kept::$generator->current();  // held to the end

// What earlier requests left with others, after the values that they left it from are gone.
for ($i = 0; $i < $n; $i++) {
    $same('an earlier regular expression', preg_match("/^text number (\\d+) of $i\$/u", "text number 7 of $i", $match) . $match[1], '17');
    $same('an earlier stored value', apcu_fetch("key of $i"), $document($i));
    $same('an earlier stored key', apcu_fetch("name $i"), "key of $i");
    $same('an earlier environment', getenv("key of $i"), false);
}
$same('settings are restored', ini_get('user_agent'), "key of $n");
preg_match('/VmRSS:\s*(\d+)/', file_get_contents('/proc/self/status'), $match);
file_put_contents("$log.results", ($wrong ? implode(', ', array_unique($wrong)) : 'fine') . " $match[1]\n", FILE_APPEND);
PHP;
$folder = getenv('CFGSTORE_TEST_DIR');
$settings = ['zend_extension' => 'opcache', 'opcache.protect_memory' => 1, 'opcache.file_update_protection' => 0, 'apc.enabled' => 1, 'memory_limit' => '512M',
    'max_execution_time' => 0];
foreach (['immutable', 'refcounted'] as $mode) {
    @unlink("$folder/held");
    @unlink("$folder/held.results");
    $client->put('document', $document(0));
    echo preg_replace('/^\n?Elapsed.*\n/m', '', php($code, $settings + ['cfgstore.value_mode' => $mode], true, ['-q', '-T', (string) $requests, '-d', 'extension=apcu']));
    $lines = file("$folder/held.results", FILE_IGNORE_NEW_LINES);
    echo "$mode: ", implode('; ', array_unique(preg_replace('/ \d+$/', '', $lines))), "\n";
    check('all of them', count($lines) === $requests);
    // Each request leaves 70 MiB.
    check('and old values are freed', max(preg_replace('/.* /', '', $lines)) < 400 * 1024);
}
?>
--EXPECT--
immutable: fine
ok - all of them
ok - and old values are freed
refcounted: fine
ok - all of them
ok - and old values are freed
