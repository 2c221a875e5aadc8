--TEST--
Settings: a bad one is refused with the reason, an unknown one is named
--FILE--
<?php
require __DIR__ . '/setup.inc';
foreach (['value_mode' => 'sometimes', 'consistency' => 'eventual', 'on_stale' => 'maybe', 'timeout' => 'soon', 'stale_after' => '-1', 'autostart' => 'perhaps',
        'data_dir' => 'relative/path', 'cfgstored' => './cfgstored', 'timeuot' => '1'] as $name => $value) {
    echo trim(php('echo ini_get("cfgstore.' . $name . '");', ["cfgstore.$name" => $value])), "\n\n";
}
foreach (['cfgstore.consistency' => 'x', 'cfgstore.on_stale' => '', 'cfgstore.timeout' => '1e9', 'cfgstore.prefix' => "a\0b"] as $name => $value) {
    echo failure(fn () => ini_set($name, $value)), "\n";
}
var_dump(@ini_set('cfgstore.value_mode', 'immutable'), @ini_set('cfgstore.cfgstored', '/bin/true'), @ini_set('cfgstore.data_dir', '/tmp'));
ini_set('cfgstore.prefix', '/settings/');
client()->put('a', 1);
check('a prefix set at run time', cfgstore_get('a') === 1 && (new Cfgstore\Client)->get('a') === 1);
ini_set('cfgstore.prefix', '/nothing/');
check('and another', cfgstore_get('a', 'none') === 'none');
ini_restore('cfgstore.prefix');
foreach (['ftp://x', 'http://', 'unix://relative', 'https://a', 'http://a:b', ['http://a', 7]] as $endpoints) {
    echo failure(fn () => new Cfgstore\Client(endpoints: $endpoints)), "\n";
}
echo failure(fn () => new Cfgstore\Client(timeout: -1.0)), "\n";
echo failure(fn () => new Cfgstore\Client(timeout: NAN)), "\n";
echo php('try { (new Cfgstore\Client(endpoints: "http://127.0.0.1:1", timeout: 0.2))->get("a"); } catch (Exception $e) { echo get_class($e), ": ", $e->getMessage(); }',
    ['cfgstore.autostart' => 0]), "\n";
echo failure(fn () => (new Cfgstore\Client(endpoints: 'unix:///nowhere/cfgstore.sock', timeout: 0.2))->get('a')), "\n";
$client = (new ReflectionClass('Cfgstore\Client'));
echo failure(fn () => $client->newInstanceWithoutConstructor()), "\n";
$same = new Cfgstore\Client(prefix: '/settings/');
$same->__construct(prefix: '/other/');
check('constructed again', !$same->has('a'));
for ($i = 0; $i < 500; $i++) { (new Cfgstore\Client(prefix: "/many/$i/"))->has('x'); }
check('many prefixes', (new Cfgstore\Client(prefix: '/settings/'))->get('a') === 1);
?>
--EXPECTF--
Warning: cfgstore.value_mode cannot be "sometimes": expected "auto", "immutable" or "refcounted"; its former or default value stays in Unknown on line 0
auto

Warning: cfgstore.consistency cannot be "eventual": expected "auto", "request" or "latest"; its former or default value stays in Unknown on line 0
auto

Warning: cfgstore.on_stale cannot be "maybe": expected "serve" or "throw"; its former or default value stays in Unknown on line 0
serve

Warning: cfgstore.timeout cannot be "soon": expected a number of seconds from 0 to 86400; its former or default value stays in Unknown on line 0
5

Warning: cfgstore.stale_after cannot be "-1": expected a number of seconds from 0 to 86400; its former or default value stays in Unknown on line 0
30

Warning: cfgstore.autostart cannot be "perhaps": expected on or off; its former or default value stays in Unknown on line 0
1

Warning: cfgstore.data_dir cannot be "relative/path": expected an absolute path, or nothing; its former or default value stays in Unknown on line 0

Warning: cfgstore.cfgstored cannot be "./cfgstored": expected an absolute path, or nothing; its former or default value stays in Unknown on line 0

Warning: cfgstore.timeuot is no setting of the cfgstore extension; it is ignored in Unknown on line 0

InvalidArgumentException: cfgstore.consistency cannot be "x": expected "auto", "request" or "latest"
InvalidArgumentException: cfgstore.on_stale cannot be "": expected "serve" or "throw"
InvalidArgumentException: cfgstore.timeout cannot be "1e9": expected a number of seconds from 0 to 86400
InvalidArgumentException: cfgstore.prefix cannot be "a": expected text without NUL bytes
bool(false)
bool(false)
bool(false)
ok - a prefix set at run time
ok - and another
InvalidArgumentException: %s
InvalidArgumentException: %s
InvalidArgumentException: %s
UnsupportedException: %s
InvalidArgumentException: %s
TypeError: Cfgstore\Client::__construct(): Argument #2 ($endpoints) must contain strings only, int given
InvalidArgumentException: timeout is -1; expected a number of seconds from 0 to 86400
InvalidArgumentException: timeout is NAN; expected a number of seconds from 0 to 86400
Cfgstore\Exception\UnavailableException: %s/agents/%s; start cfgstored --endpoints http://127.0.0.1:1 --data-dir %s/agents/%s, or turn autostart on
UnavailableException: %s
ReflectionException: Class Cfgstore\Client is an internal class marked as final that cannot be instantiated without invoking its constructor
ok - constructed again
ok - many prefixes
