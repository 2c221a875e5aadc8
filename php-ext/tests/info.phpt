--TEST--
php --ri shows settings, value mode and the state of the mirror, and starts nothing
--FILE--
<?php
require __DIR__ . '/setup.inc';
client()->put('a', 1);
$ri = fn (string $data_dir, string $extra = '') => shell_exec(escapeshellarg(getenv('TEST_PHP_EXECUTABLE')) . ' -n -d extension=' . getenv('CFGSTORE_SO')
    . " -d cfgstore.data_dir=$data_dir -d cfgstore.cfgstored=" . getenv('CFGSTORED') . " $extra --ri cfgstore");
echo $ri(getenv('CFGSTORE_DATA_DIR'), '-d cfgstore.value_mode=immutable');
$absent = getenv('CFGSTORE_TEST_DIR') . '/absent';
echo implode("\n", array_slice(explode("\n", $ri($absent)), 3, 10)), "\n";
var_dump(file_exists($absent));
echo implode("\n", array_slice(explode("\n", $ri('', '-d cfgstore.endpoints=ftp://x')), 3, 6)), "\n";
?>
--EXPECTF--
cfgstore

cfgstore support => enabled
Version => %d.%d.%d
Value mode => immutable
Reads see => the newest revision
Data folder => %s/store
Socket => %s/store/cfgstore.sock
Mirror => %s
Mirror state => revision %d, %d keys, generation %d
Agent => alive, last heard %f s ago, process %d
Keyring => none
Trouble => none

Directive => Local Value => Master Value
cfgstore.endpoints => no value => no value
cfgstore.prefix => no value => no value
cfgstore.data_dir => %s/store => %s/store
cfgstore.mirror_dir => no value => no value
cfgstore.cfgstored => %scfgstored => %scfgstored
cfgstore.seed => no value => no value
cfgstore.keyring => no value => no value
cfgstore.client_name => no value => no value
cfgstore.autostart => 1 => 1
cfgstore.timeout => 5 => 5
cfgstore.value_mode => immutable => immutable
cfgstore.consistency => auto => auto
cfgstore.stale_after => 30 => 30
cfgstore.on_stale => serve => serve
cfgstore support => enabled
Version => %d.%d.%d
Value mode => refcounted
Reads see => the newest revision
Data folder => %s/absent
Socket => %s/absent/cfgstore.sock
Mirror => not found
Mirror state => nothing to read yet
Keyring => none
Trouble => no mirror at %s/absent/mirror: start the host agent, or check the path
bool(false)
cfgstore support => enabled
Version => %d.%d.%d
Value mode => refcounted
Reads see => the newest revision
Trouble => address "ftp://x" has an unknown scheme; %s
