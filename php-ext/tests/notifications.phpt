--TEST--
Notifications: rules set, listed and removed, what they tell, and what could not be delivered
--FILE--
<?php
require __DIR__ . '/setup.inc';
use Cfgstore\ChangeType;

/** Takes one request after another in another process, and prints the body of each. */
function receiver(string $address): object
{
    $receiver = php_start('
        $server = stream_socket_server("tcp://' . $address . '");
        echo stream_socket_get_name($server, false), "\n";
        while ($connection = stream_socket_accept($server, 60)) {
            for ($length = 0; ($line = trim(fgets($connection))) !== "";) {
                sscanf(strtolower($line), "content-length: %d", $length);
            }
            $body = stream_get_contents($connection, $length);
            fwrite($connection, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
            fclose($connection);
            echo $body, "\n";
        }
    ');
    $receiver->address = trim(fgets($receiver->output));
    return $receiver;
}

$folder = getenv('CFGSTORE_TEST_DIR') . '/notifications';
$store = proc_open([getenv('CFGSTORED'), '--data-dir', $folder, '--notify-give-up-after', '0'], [1 => ['file', '/dev/null', 'w'], ['redirect', 1]], $pipes);
register_shutdown_function(fn () => proc_terminate($store, 9));
await('the store', fn () => file_exists("$folder/cfgstore.sock"));
$endpoint = "unix://$folder/cfgstore.sock";
$client = new Cfgstore\Client(prefix: '/n/', endpoints: $endpoint);
check('there is none', $client->notifications() === [] && $client->deadLetters() === []);

$receiver = receiver('127.0.0.1:0');
$url = "http://$receiver->address/";
$client->setNotification('site', ['webhook' => ['url' => "$url?token=hunter2"]], prefix: 'app/', kinds: [ChangeType::Put], values: true);
$mail = ['server' => 'smtps://mail.example.com', 'from' => 'a@example.com', 'to' => ['b@example.com', 'c@example.com'], 'user' => 'me', 'password' => 'file:smtp'];
$client->setNotification('mail', ['email' => $mail], 'other/');
(new Cfgstore\Client(prefix: '', endpoints: $endpoint))->setNotification('chat', ['slack' => ['url' => 'env:CFGSTORE_SECRET_CHAT']], kinds: [ChangeType::Delete, ChangeType::Put]);
[$chat, $mails, $site] = $client->notifications();
check('by name', [$chat->name, $mails->name, $site->name] === ['chat', 'mail', 'site']);
check('targets', $chat->target === ['slack' => ['url' => 'env:CFGSTORE_SECRET_CHAT', 'channel' => '']] && $mails->target === ['email' => $mail]);
check('no query of a URL', $site->target === ['webhook' => ['url' => "$url?…", 'secret' => '']]);
check('prefixes are whole', [$chat->prefix, $mails->prefix, $site->prefix] === ['', '/n/other/', '/n/app/']);
check('kinds', [$chat->kinds, $mails->kinds, $site->kinds] === [[ChangeType::Put, ChangeType::Delete], [], [ChangeType::Put]]);
check('the rest', $site->values && !$mails->values && $site->deadLetters === 0 && $site->trouble === null);

// Only the webhook can be reached.
$client->removeNotification('chat');
$client->removeNotification('mail');
$client->put('other', 1);
$client->put('app/a', 'x');
$client->delete('app/a');
$revision = $client->put('app/a', 'y', comment: 'why');
$first = json_decode(fgets($receiver->output), true);
$second = json_decode(fgets($receiver->output), true);
check('told of puts below the prefix', $first['changes'][0]['key'] === '/n/app/a' && $first['changes'][0]['value'] === 'x');
check('in order', $second['revision'] === $revision && $second['comment'] === 'why');
await('the progress', fn () => $client->notifications()[0]->doneThroughRevision >= $revision);
proc_terminate($receiver->handle);
proc_close($receiver->handle);

// Nobody listens there any more, and this store gives up at once.
[$lost, $also] = [$client->put('app/b', 1), $client->put('app/c', 1)];
await('two dead letters', fn () => count($client->deadLetters('site')) === 2);
[$letter, $next] = $client->deadLetters();
check('a dead letter', $letter->name === 'site' && $letter->fromRevision === $lost && $letter->toRevision === $lost);
check('says why and when', str_contains($letter->reason, '127.0.0.1') && !str_contains($letter->reason, 'hunter2') && abs($letter->time - time()) < 600);
check('counted', $client->notifications()[0]->deadLetters === 2 && $next->id !== $letter->id && $next->fromRevision === $also);
check('none is delivered', $client->retryDeadLetters('site') === 0 && count($client->deadLetters()) === 2);
$receiver = receiver($receiver->address);
check('one is', $client->retryDeadLetters('site', [$next->id]) === 1 && json_decode(fgets($receiver->output), true)['revision'] === $also);
check('and no more there', array_column($client->deadLetters('site'), 'id') === [$letter->id]);
check('the other is forgotten', $client->retryDeadLetters('site', forget: true) === 0 && $client->deadLetters() === []);
proc_terminate($receiver->handle);

$client->setNotification('site', ['webhook' => ['url' => $url, 'secret' => 'file:hook']]);
$site = $client->notifications()[0];
check('replaced', $site->prefix === '/n/' && $site->kinds === [] && !$site->values && $site->doneThroughRevision >= $revision);
$client->removeNotification('site');
check('removed', $client->notifications() === []);

$set = fn (array $target, ...$more) => failure(fn () => $client->setNotification('x', $target, ...$more));
echo $set([]), "\n";
echo $set(['webhook' => ['url' => $url], 'slack' => ['url' => $url]]), "\n";
echo $set(['pager' => ['url' => $url]]), "\n";
echo $set(['webhook' => $url]), "\n";
echo $set(['webhook' => ['secret' => 'env:X']]), "\n";
echo $set(['webhook' => ['url' => $url, 'sekret' => 'hunter2']]), "\n";
echo $set(['slack' => ['url' => 1]]), "\n";
echo $set(['email' => ['to' => 'b@example.com'] + $mail]), "\n";
echo $set(['email' => ['to' => ['b@example.com', 7]] + $mail]), "\n";
echo $set(['webhook' => ['url' => "\xff"]]), "\n";
echo $set(['webhook' => ['url' => 'gopher://x']]), "\n";
echo $set(['webhook' => ['url' => $url, 'secret' => 'hunter2']]), "\n";
echo $set(['webhook' => ['url' => $url]], kinds: ['put']), "\n";
echo failure(fn () => $client->setNotification('a b', ['webhook' => ['url' => $url]])), "\n";
echo failure(fn () => $client->setNotification("\xff", ['webhook' => ['url' => $url]])), "\n";
echo failure(fn () => $client->removeNotification('site')), "\n";
echo failure(fn () => $client->deadLetters('site')), "\n";
echo failure(fn () => $client->retryDeadLetters('site')), "\n";
echo failure(fn () => $client->retryDeadLetters('site', ['1'])), "\n";
echo failure(fn () => $client->retryDeadLetters('site', [-1])), "\n";
check('nothing was set', $client->notifications() === []);
?>
--EXPECTF--
ok - there is none
ok - by name
ok - targets
ok - no query of a URL
ok - prefixes are whole
ok - kinds
ok - the rest
ok - told of puts below the prefix
ok - in order
ok - a dead letter
ok - says why and when
ok - counted
ok - none is delivered
ok - one is
ok - and no more there
ok - the other is forgotten
ok - replaced
ok - removed
InvalidArgumentException: the target of the notification: give one of webhook, slack and email
InvalidArgumentException: the target of the notification: give one of webhook, slack and email
InvalidArgumentException: the target of the notification: "pager" is none of webhook, slack and email
InvalidArgumentException: the target of the notification: webhook is not an object
InvalidArgumentException: the target of the notification: webhook.url is missing
InvalidArgumentException: the target of the notification: webhook has no "sekret", but url, secret
InvalidArgumentException: the target of the notification: slack.url is not a string
InvalidArgumentException: the target of the notification: email.to is not a list of strings
InvalidArgumentException: the target of the notification: email.to is not a list of strings
EncodingException: $value["webhook"]["url"] cannot be stored: it is not valid UTF-8; use putBytes() for binary data
InvalidArgumentException: %sthe URL of the notification: it must begin with http:// or https://
InvalidArgumentException: %sthe secret of the notification: a secret is not written into a rule: say where members find it, as env:NAME or file:PATH
InvalidArgumentException: kinds has a value of type string; expected cases of Cfgstore\ChangeType
InvalidArgumentException: %sthe name of the notification: 1 to 64 letters, digits, '-', '_' and '.' are allowed
InvalidArgumentException: the name of the notification: letters, digits, '-', '_' and '.' are allowed
KeyNotFoundException: %sthere is no notification rule "site"
KeyNotFoundException: %sthere is no notification rule "site"
KeyNotFoundException: %sthere is no notification rule "site"
InvalidArgumentException: ids has something else than the ids of dead letters, which are integers
InvalidArgumentException: ids has something else than the ids of dead letters, which are integers
ok - nothing was set
