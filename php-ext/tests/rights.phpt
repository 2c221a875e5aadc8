--TEST--
No right to the mirror, to the socket, or to the data folder: an error that says so
--SKIPIF--
<?php if (posix_getuid() !== 0) echo 'skip only root can become somebody else'; ?>
--FILE--
<?php
require __DIR__ . '/setup.inc';
client()->put('a', 1);
$as_nobody = fn (string $body, array $settings = []) => preg_replace('/Cfgstore.Exception.|\/\S+/', '', php("posix_setgid(65534); posix_initgroups('nobody', 65534); posix_setuid(65534);
    try { $body } catch (Throwable \$e) { echo get_class(\$e), ': ', \$e->getMessage(), \"\\n\"; }", $settings));
echo $as_nobody('var_dump((new Cfgstore\Client)->get("a"));');
echo $as_nobody('(new Cfgstore\Client)->put("a", 1);');
$closed = getenv('CFGSTORE_TEST_DIR') . '/closed';
mkdir($closed, 0755);
echo $as_nobody('(new Cfgstore\Client)->put("a", 1);', ['cfgstore.data_dir' => "$closed/store"]);
?>
--EXPECTF--
AccessDeniedException: %s
AccessDeniedException: %s
AccessDeniedException: %s
