--TEST--
Locks: one holder, a growing token, freed by whatever ends first
--FILE--
<?php
require __DIR__ . '/setup.inc';
$client = client();
$lock = $client->lock('job', ttl: 20.0);
check('held', $lock->isHeld() && $lock->token > 0 && str_contains($lock->key, '/lock/job'));
echo failure(fn () => $client->lock('job')), "\n";
echo failure(fn () => $client->lock('job', wait: 0.2)), "\n";
check('locks are no keys', !$client->has('job') && (new Cfgstore\Client(prefix: ''))->all('/_cfgstore/') === []);
check('another name, another prefix', $client->lock('other')->isHeld() && (new Cfgstore\Client(prefix: '/lock2/'))->lock('job')->isHeld());
$lock->release();
check('released', !$lock->isHeld());
$lock->release();
$second = $client->lock('job', wait: 20.0);
check('the token grows', $second->token > $lock->token);
unset($second);
$third = $client->lock('job', wait: 20.0);
check('freed with its object', $third->isHeld());
$first_token = $third->token;
unset($third);

// Freed at the end of a request, even when something keeps the object alive; and when its process is killed.
$settings = ['cfgstore.prefix' => test_prefix()];
echo php('class Kept { static $lock; } Kept::$lock = (new Cfgstore\Client)->lock("job", ttl: 60, wait: 20); register_shutdown_function(fn () => print(Kept::$lock->isHeld() ? "held to the end\n" : "lost\n"));', $settings);
check('freed with its process', $client->lock('job', ttl: 60.0, wait: 20.0)->isHeld());
$holder = php_start('$l = (new Cfgstore\Client)->lock("job", ttl: 60, wait: 20); echo "held\n"; fgets(STDIN);', $settings);
echo fgets($holder->output);
proc_terminate($holder->handle, SIGKILL);
$lock = $client->lock('job', ttl: 60.0, wait: 20.0);
check('freed when its process is killed', $lock->token > $first_token);

// A forked child does not hold it, and frees nothing.
$pid = pcntl_fork();
if ($pid === 0) {
    $held = $lock->isHeld();
    $failure = failure(fn () => $lock->release());
    unset($lock);
    file_put_contents(getenv('CFGSTORE_TEST_DIR') . '/lock-child', ($held ? 'held' : 'not held') . ", $failure");
    exit(0);
}
pcntl_waitpid($pid, $status);
echo 'in the child: ', file_get_contents(getenv('CFGSTORE_TEST_DIR') . '/lock-child'), "\n";
check('the parent still holds it', $lock->isHeld());
echo failure(fn () => $client->lock('job')), "\n";
echo failure(fn () => $client->lock('')), "\n";
echo failure(fn () => $client->lock('x', ttl: 0.0)), "\n";
echo failure(fn () => $client->lock('x', ttl: -1.0)), "\n";
echo failure(fn () => $client->lock('x', wait: NAN)), "\n";
echo failure(fn () => $lock->token = 1), "\n";
check('waiting for ever', $client->lock('free', wait: INF)->isHeld());
?>
--EXPECTF--
ok - held
TimeoutException: lock "/lock/job" is held by another; did not wait
TimeoutException: lock "/lock/job" is held by another; waited 0.2 s
ok - locks are no keys
ok - another name, another prefix
ok - released
ok - the token grows
ok - freed with its object
held to the end
ok - freed with its process
held
ok - freed when its process is killed
in the child: not held, LockLostException: lock "/lock/job" belongs to the process that took it, not to its forked child
ok - the parent still holds it
TimeoutException: lock "/lock/job" is held by another; did not wait
InvalidArgumentException: the lock has no name; name at least one byte
InvalidArgumentException: a lock needs a time to live of more than zero
InvalidArgumentException: ttl is -1; expected seconds, not negative
InvalidArgumentException: wait is NaN; expected seconds, not negative
Error: Cannot modify readonly property Cfgstore\Lock::$token
ok - waiting for ever
