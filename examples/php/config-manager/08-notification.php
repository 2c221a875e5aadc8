<?php
// Step 8: notification. The store tells others of a change: here a webhook and a mailbox, both received on this host.

$config = new Cfgstore\Client(prefix: '/config-manager/');
$receive = function (string $script): array {                   // it prints its address, then a line for each message
    $process = proc_open([PHP_BINARY, '-n', __DIR__ . "/receivers/$script"], [1 => ['pipe', 'w']], $pipes);
    return [$process, $pipes[1]];
};
[$webhook, $posted] = $receive('webhook.php');
[$mailbox, $mailed] = $receive('smtp.php');
try {
    $config->setNotification('config-manager-web', ['webhook' => ['url' => trim(fgets($posted))]], prefix: 'database', values: true);
    $mail = ['server' => trim(fgets($mailed)), 'from' => 'cfgstore@example.com', 'to' => ['ops@example.com']];
    $config->setNotification('config-manager-mail', ['email' => $mail], prefix: 'database');

    $revision = $config->put('database', ['host' => 'db3', 'port' => 5432], comment: 'move to db3');

    $message = json_decode(fgets($posted), true);               // waits for it
    $text = json_decode(fgets($mailed));
    echo "webhook: {$message['changes'][0]['key']} is now on {$message['changes'][0]['value']['host']}: $message[comment]\n$text";
    $told = $message['revision'] === $revision && str_contains($text, 'reason: move to db3');
} finally {
    array_map(proc_terminate(...), [$webhook, $mailbox]);
    $config->removeNotification('config-manager-web');
    $config->removeNotification('config-manager-mail');
}
exit($told ? 0 : 1);
