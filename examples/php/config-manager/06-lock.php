<?php
// Step 6: a lock around a change. Of two processes that add to one number, no addition is lost.

(new Cfgstore\Client(prefix: '/config-manager/'))->put('counter', 0);

$children = [];
for ($process = 0; $process < 2; $process++) {
    if (($children[] = pcntl_fork()) === 0) {
        $config = new Cfgstore\Client(prefix: '/config-manager/');
        for ($i = 0; $i < 10; $i++) {
            $lock = $config->lock('counter', wait: 20.0);
            $config->refresh();                         // see what the other one wrote
            $config->transaction()->ifHeld($lock)->put('counter', $config['counter'] + 1)->commit();
            $lock->release();
        }
        exit(0);
    }
}
array_map(fn (int $child) => pcntl_waitpid($child, $status), $children);

$count = (new Cfgstore\Client(prefix: '/config-manager/'))->get('counter');
echo "counter: $count\n";
exit($count === 20 ? 0 : 1);
