--TEST--
A watch runs signal handlers at once, and a handler can end it
--FILE--
<?php
require __DIR__ . '/setup.inc';
client()->put('x', 1);
$code = <<<'PHP'
pcntl_async_signals(true);
pcntl_signal(SIGUSR1, function () { echo "handled\n"; });
pcntl_signal(SIGTERM, function () { throw new Exception('told to end'); });
$client = new Cfgstore\Client(prefix: '/watch_signal/');
$changes = $client->watch('none/');
echo "ready\n";
try {
    foreach ($changes as $change) { echo "unexpected\n"; }
} catch (Exception $e) {
    echo $e->getMessage(), "\n";
}
try { $client->subscribe('none/')->next(0.05); echo "and goes on\n"; } catch (Exception $e) { echo "unexpected\n"; }
PHP;
$process = php_start($code);
echo fgets($process->output);
$pid = proc_get_status($process->handle)['pid'];
await('it to wait', fn () => str_contains(file_get_contents("/proc/$pid/stat"), ') S '));
posix_kill($pid, SIGUSR1);
echo fgets($process->output);
$sent = now();
posix_kill($pid, SIGTERM);
echo fgets($process->output), fgets($process->output);
check('promptly', getenv('CFGSTORE_VALGRIND') || now() - $sent < 5);
echo 'status ', proc_close($process->handle), "\n";
// A worker that says nothing about signals ends by one, as any program does.
$process = php_start('$changes = (new Cfgstore\Client(prefix: "/watch_signal/"))->watch("none/"); echo "ready\n"; foreach ($changes as $change) {}');
echo fgets($process->output);
$pid = proc_get_status($process->handle)['pid'];
await('it to wait', fn () => str_contains(file_get_contents("/proc/$pid/stat"), ') S '));
posix_kill($pid, SIGTERM);
await('its end', function () use ($process, &$ended) { $ended = proc_get_status($process->handle); return !$ended['running']; });
check('ended by SIGTERM', $ended['signaled'] && $ended['termsig'] === SIGTERM);
?>
--EXPECT--
ready
handled
told to end
and goes on
ok - promptly
status 0
ready
ok - ended by SIGTERM
