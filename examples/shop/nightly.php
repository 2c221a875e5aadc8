<?php
// A job that must run on one worker at a time: it takes a lock, works, and releases it.
// usage: php nightly.php NAME

$name = $argv[1] ?? 'worker';
$config = new Cfgstore\Client();
echo "$name: waits for the lock\n";
$lock = $config->lock('nightly-export', ttl: 10.0, wait: 30.0);
echo "$name: holds the lock, fencing token {$lock->token}\n";
fgets(STDIN);                                   // the work: the demo ends it by a line on standard input
echo "$name: releases the lock\n";
$lock->release();
