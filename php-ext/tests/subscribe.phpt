--TEST--
subscribe() is a stream that is readable while there are changes to take
--FILE--
<?php
require __DIR__ . '/setup.inc';
$client = client();
function readable($stream, float $seconds): bool {
    $read = [$stream]; $none = null;
    return stream_select($read, $none, $none, (int) $seconds, (int) (fmod($seconds, 1) * 1e6)) === 1;
}
$subscription = $client->subscribe('app/');
$stream = $subscription->stream();
check('a stream', is_resource($stream) && get_resource_type($stream) === 'stream' && stream_get_meta_data($stream)['stream_type'] === 'cfgstore');
check('not blocking is all it knows', stream_set_blocking($stream, false) && fread($stream, 10) === '' && !feof($stream));
await('the watch to begin', function () use ($subscription, $stream) { return $subscription->next(0.01) === null && !readable($stream, 0.05); });
check('nothing yet', $subscription->next() === null && $subscription->next(0.01) === null);
$revision = $client->transaction()->put('app/a', 1)->put('app/b', 2)->put('app/c', 3)->commit();
$client->put('other', 1);
$taken = [];
while (count($taken) < 3) {
    // One at a time, as an event loop does: it must become readable again for the rest.
    check('readable', readable($stream, 20));
    if ($change = $subscription->next()) {
        $taken[] = "$change->key=$change->value";
    }
}
echo implode(' ', $taken), "\n";
check('position', $subscription->position() > $revision);
await('silence', fn () => $subscription->next() === null && !readable($stream, 0.05));
$client->delete('app/a');
check('waits', ($change = $subscription->next(20.0)) !== null && $change->type === Cfgstore\ChangeType::Delete && $change->key === 'app/a' && $change->previous === 1);
$second = $subscription->stream();
unset($subscription, $client);
check('the stream outlives the subscription', is_resource($stream) && !feof($stream));
fclose($stream);
fclose($second);
$client = new Cfgstore\Client(prefix: test_prefix());
$subscription = $client->subscribe(fromRevision: $revision);
$stream = $subscription->stream(); fclose($stream);
check('the subscription outlives the stream', $subscription->next(20.0)?->revision === $revision);
echo failure(fn () => $subscription->next(-1.0)), "\n";
echo failure(fn () => $client->subscribe(fromRevision: -5)), "\n";
?>
--EXPECTF--
ok - a stream
ok - not blocking is all it knows
ok - nothing yet
ok - readable
%A
app/a=1 app/b=2 app/c=3
ok - position
ok - waits
ok - the stream outlives the subscription
ok - the subscription outlives the stream
InvalidArgumentException: timeout is negative; expected seconds, 0.0 to take only what has arrived
InvalidArgumentException: fromRevision is -5; revisions begin at 1
