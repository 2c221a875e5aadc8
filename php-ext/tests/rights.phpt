--TEST--
No right to the mirror, to the socket, or to the data folder: an error that says so
--INI--
cfgstore.data_dir=${CFGSTORE_TEST_DIR}/rights
--FILE--
<?php
require __DIR__ . '/setup.inc';
$client = client();
$client->put('a', 1);
$folder = getenv('CFGSTORE_TEST_DIR');
mkdir("$folder/closed", 0555);
if (posix_getuid() === 0) {
    $become = "posix_setgid(65534); posix_initgroups('nobody', 65534); posix_setuid(65534);";
} else {
    $become = ''; // take the rights from this user's own files instead
    chmod($client->status()->mirrorDir, 0);
    chmod("$folder/rights/cfgstore.sock", 0);
}
$try = fn (string $body, array $settings = []) => preg_replace('/Cfgstore.Exception.|\/\S+/', '', php("$become
    try { $body } catch (Throwable \$e) { echo get_class(\$e), ': ', \$e->getMessage(), \"\\n\"; }", $settings));
echo $try('var_dump((new Cfgstore\Client)->get("a"));');
echo $try('(new Cfgstore\Client)->put("a", 1);');
echo $try('(new Cfgstore\Client)->put("a", 1);', ['cfgstore.data_dir' => "$folder/closed/store"]);
@chmod($client->status()->mirrorDir, 0750);
check('who has the rights goes on', $client->get('a') === 1);
?>
--EXPECTF--
AccessDeniedException: %s
AccessDeniedException: %s
AccessDeniedException: %s
ok - who has the rights goes on
