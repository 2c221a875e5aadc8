--TEST--
Reads after the extension's own end of the request: session handlers, and preloading before any request
--FILE--
<?php
require __DIR__ . '/setup.inc';
$client = client();
$client->put('a', ['n' => range(1, 50)]);
$code = <<<'PHP'
class Handler implements SessionHandlerInterface {
    public function __construct(private $client) {}
    public function open(string $p, string $n): bool { return true; }
    public function close(): bool { return count($this->client->get('a')['n']) === 50; }
    public function read(string $id): string|false { return ''; }
    public function write(string $id, string $data): bool {
        file_put_contents(getenv('CFGSTORE_TEST_DIR') . '/late', count($this->client->get('a')['n']) . ' ' . $this->client->get('late', 'none') . "\n", FILE_APPEND);
        return true;
    }
    public function destroy(string $id): bool { return true; }
    public function gc(int $max): int|false { return 0; }
}
$client = new Cfgstore\Client(prefix: '/late/');
session_set_save_handler(new Handler($client), false);
session_id('x');
session_start(['use_cookies' => false, 'cache_limiter' => '']);
$_SESSION['a'] = 1;
PHP;
foreach (['immutable', 'refcounted'] as $mode) {
    @unlink(getenv('CFGSTORE_TEST_DIR') . '/late');
    // Without -q, for which the session's headers are too late.
    echo implode(preg_grep('/Warning|Error/', explode("\n", php($code, ['cfgstore.value_mode' => $mode], true, ['-T', '5']))));
    echo "$mode: ", str_replace("\n", ', ', file_get_contents(getenv('CFGSTORE_TEST_DIR') . '/late')), "\n";
}
$preload = tempnam(getenv('CFGSTORE_TEST_DIR'), 'preload');
file_put_contents($preload, '<?php class Preloaded { public static $n; } Preloaded::$n = count((new Cfgstore\Client(prefix: "/late/"))->get("a")["n"]); echo "preloading reads ", Preloaded::$n, "\n";');
$opcache = ['zend_extension' => 'opcache', 'opcache.enable_cli' => 1, 'opcache.preload' => $preload, 'opcache.preload_user' => 'root'];
echo php('var_dump(Preloaded::$n, count((new Cfgstore\Client(prefix: "/late/"))->get("a")["n"]));', $opcache);
echo php('foreach ([1, 2] as $i) { $a = (new Cfgstore\Client(prefix: "/late/"))->get("a"); $a["n"][] = $i; echo count($a["n"]), "\n"; }',
    ['zend_extension' => 'opcache', 'opcache.enable_cli' => 1, 'opcache.jit' => 'tracing', 'opcache.jit_buffer_size' => '16M', 'opcache.protect_memory' => 1, 'cfgstore.value_mode' => 'immutable']);
?>
--EXPECT--
immutable: 50 none, 50 none, 50 none, 50 none, 50 none, 
refcounted: 50 none, 50 none, 50 none, 50 none, 50 none, 
preloading reads 50
NULL
int(50)
51
51
