<?php
// Who is told when keys change. config-manager/08-notification.php receives what is told, webhook/ checks its signature.

use Cfgstore\ChangeType;

$config = new Cfgstore\Client(prefix: '/example/notifications/');

// Messages of a webhook are signed with a secret, which each member finds in its own environment.
$hook = ['url' => 'https://ops.example.com/hook', 'secret' => 'env:CFGSTORE_SECRET_HOOK'];
$config->setNotification('example-site', ['webhook' => $hook], prefix: 'app/', kinds: [ChangeType::Put], values: true);

$mail = ['server' => 'smtp+starttls://mail.example.com', 'from' => 'cfgstore@example.com', 'to' => ['ops@example.com']];
$config->setNotification('example-mail', ['email' => $mail + ['user' => 'cfgstore', 'password' => 'file:smtp']], prefix: 'database');

foreach ($config->notifications() as $rule) {
    printf("%s: by %s of %s, done through revision %d%s\n", $rule->name, key($rule->target), $rule->prefix,
        $rule->doneThroughRevision, $rule->trouble === null ? '' : ", in trouble: $rule->trouble");
}

// What could not be delivered, and is sent once more when its target is up again.
foreach ($config->deadLetters('example-site') as $letter) {
    echo "$letter->id: revisions $letter->fromRevision to $letter->toRevision: $letter->reason\n";
}
while ($config->retryDeadLetters('example-site') > 0) {         // with `ids: […]` only these; with `forget: true` they are dropped
}

$config->removeNotification('example-site');
$config->removeNotification('example-mail');
