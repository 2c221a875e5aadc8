--TEST--
The same for immutable values
--CGI--
--FILE--
<?php
require __DIR__ . '/json.inc';
?>
--EXPECTF--
57 cases, 0 different
ok - documents by chance: some are JSON
KeyNotFoundException: key "absent" does not exist below "/json_immutable/" at revision %d; put it, or give get() a default
NULL
string(1) "x"
