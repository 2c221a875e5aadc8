--TEST--
Stored bytes are decoded exactly as json_decode() does, and anything else is a string
--FILE--
<?php
require __DIR__ . '/json.inc';
?>
--EXPECTF--
57 cases, 0 different
ok - documents by chance: some are JSON
KeyNotFoundException: key "absent" does not exist below "/json/" at revision %d; put it, or give get() a default
NULL
string(1) "x"
