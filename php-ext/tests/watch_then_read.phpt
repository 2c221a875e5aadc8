--TEST--
A script that is told of a change reads it, or what came after it, never what was before
--FILE--
<?php
require __DIR__ . '/setup.inc';
$client = client();
$changes = getenv('CFGSTORE_VALGRIND') ? 50 : 1000;
$subscription = $client->subscribe('counter');
$writer = php_start("\$c = new Cfgstore\\Client(prefix: '/watch_then_read/'); for (\$i = 1; \$i <= $changes; \$i++) { \$c->put('counter', \$i); }");
$stale = 0;
do {
    $change = $subscription->next(20.0);
    $stale += $client->get('counter') < $change->value;
} while ($change->value < $changes);
check('subscribe()', $stale === 0);
proc_close($writer->handle);

$writer = php_start("\$c = new Cfgstore\\Client(prefix: '/watch_then_read/'); for (\$i = 1; \$i <= $changes; \$i++) { \$c->put('other', \$i); }");
$stale = 0;
foreach ($client->watch('other') as $change) {
    $stale += $client['other'] < $change->value;
    if ($change->value === $changes) { break; }
}
check('watch()', $stale === 0);
proc_close($writer->handle);

// One that is pinned stays, whatever it is told of.
$pinned = $client->pin();
$value = $client->get('counter');
php("(new Cfgstore\\Client(prefix: '/watch_then_read/'))->put('counter', 'new');");
check('pinned', $subscription->next(20.0)?->value === 'new' && $client->get('counter') === $value && $client->revision() === $pinned);
$client->unpin();
check('unpinned', $client->get('counter') === 'new');
?>
--EXPECT--
ok - subscribe()
ok - watch()
ok - pinned
ok - unpinned
