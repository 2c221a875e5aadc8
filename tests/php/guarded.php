<?php
// Reads, and for some requests takes a lock, while agents die. A read must not fail; a lock may not be had, or be lost.
$n = (int) $_GET['n'];
$config = new Cfgstore\Client(timeout: 20);
$value = $config->get('counter');
if ($config->get("absent/$n", null) !== null || $config->get('counter') !== $value) {
    http_response_code(500);
}
if ($n % 5 === 0) {
    try {
        $lock = $config->lock('job/' . $n % 7, ttl: 2.0);
        $lock->isHeld();
        if ($n % 2) {
            $lock->release();
        }
    } catch (Cfgstore\Exception\TimeoutException | Cfgstore\Exception\UnavailableException | Cfgstore\Exception\LockLostException) {
    }
}
echo $value;
