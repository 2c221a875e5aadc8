<?php
// Forks, as pcntl_fork() does, which Debian's php-fpm lacks, with a lock held and a watch open. Both sides go on reading and writing, and the
// child ends as C programs do (`how`: exit, with what is registered for that, or _exit).
$c = FFI::cdef('int fork(void); int waitpid(int pid, int *status, int options); void exit(int status); void _exit(int status);', 'libc.so.6');
$how = $_GET['how'];
$config = new Cfgstore\Client();
$own = 'fork/' . getmypid();
$config->put("$own/parent", 1);
$value = $config->get('pair/a');
$lock = $config->lock($own);
$changes = $config->subscribe("$own/");
$changes->next(0.0);
$child = $c->fork();
if ($child === 0) {
    $fine = !$lock->isHeld() && $config->get('pair/a') === $value && $config->get("$own/parent") === 1 && $config->put("$own/child", 2) > 0
        && $config->get("$own/child") === 2 && $changes->next(20.0)?->key === "$own/child";
    $c->$how($fine ? 0 : 1);
}
$status = FFI::new('int');
$c->waitpid($child, FFI::addr($status), 0);
$seen = $changes->next(20.0)?->key;
$config->put("$own/parent", 3);
$fine = $status->cdata === 0 && $seen === "$own/child" && $lock->isHeld() && $config->get("$own/child") === 2 && $config->get("$own/parent") === 3;
$lock->release();
if (!$fine) {
    http_response_code(500);
    var_dump($status->cdata, $seen, $config->get("$own/child"), $config->get("$own/parent"));
}
