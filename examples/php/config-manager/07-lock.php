<?php
// Step 7: a lock around a change. Of two processes that add to one number, never both are at it, and no addition is lost.

(new Cfgstore\Client(prefix: '/config-manager/'))->put('counter', 0);
$inside = sys_get_temp_dir() . '/config-manager-' . getmypid();         // only to see that nobody else is inside

$children = [];
for ($process = 0; $process < 2; $process++) {
    if (($children[] = pcntl_fork()) === 0) {
        $config = new Cfgstore\Client(prefix: '/config-manager/');
        for ($i = 0; $i < 10; $i++) {
            $lock = $config->lock('counter', wait: 20.0);
            mkdir($inside) || exit(1);
            $config->refresh();                         // see what the other one wrote
            $config->transaction()->ifHeld($lock)->put('counter', $config['counter'] + 1)->commit();
            rmdir($inside);
            $lock->release();
        }
        exit(0);
    }
}
$failed = 0;
foreach ($children as $child) {
    pcntl_waitpid($child, $status);
    $failed += $status === 0 ? 0 : 1;
}

$count = (new Cfgstore\Client(prefix: '/config-manager/'))->get('counter');
echo "counter: $count\n";
exit($failed === 0 && $count === 20 ? 0 : 1);
