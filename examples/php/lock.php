<?php
// A lock that one process on any host has at a time. It is freed by release(), by the end of the request, or of the
// process, however it ends; meanwhile the host's agent keeps it alive.

$config = new Cfgstore\Client(prefix: '/examples/');
$lock = $config->lock('nightly-export', ttl: 10.0, wait: 5.0);
echo "fencing token {$lock->token}\n";                  // grows with each holder: what you write to can refuse older ones

try {
    $config->lock('nightly-export');                    // held, and we do not wait
} catch (Cfgstore\Exception\TimeoutException $e) {
    echo $e->getMessage(), "\n";
}
var_dump($lock->isHeld());
$config->transaction()->ifHeld($lock)->put('exported', time())->commit();   // the store itself refuses it if the lock is lost
$lock->release();
var_dump($lock->isHeld());
try {
    $config->transaction()->ifHeld($lock)->put('exported', time())->commit();
} catch (Cfgstore\Exception\LockLostException $e) {
    echo $e->getMessage(), "\n";
}
