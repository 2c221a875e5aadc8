<?php
// Receives cfgstore's notifications: `php -S 127.0.0.1:8080 receiver.php`, or a file of your site.
// It takes a message only if it is ours, fresh, and as it was sent; and does each one's work once.
declare(strict_types=1);

require __DIR__ . '/verify.php';

// The secret that the rule's --secret names on the members.
$secret = (string) getenv('CFGSTORE_SECRET_HOOK');
$body = (string) file_get_contents('php://input');

if (!verify($secret, $_SERVER['HTTP_CFGSTORE_SIGNATURE'] ?? '', $body, time())) {
    // 4xx: cfgstore gives up after a few attempts, and keeps a dead letter.
    http_response_code(403);
    exit;
}

// A message may arrive more than once, with the same id. A table with a unique column does what this file does.
$seen = (string) (getenv('WEBHOOK_FOLDER') ?: sys_get_temp_dir()) . '/' . sha1($_SERVER['HTTP_CFGSTORE_DELIVERY']);
if (!file_exists($seen)) {
    $message = json_decode($body, true, flags: JSON_THROW_ON_ERROR);
    foreach ($message['changes'] as $change) {
        error_log("$change[kind] $change[key] at revision $message[revision]");
    }
    // Last: if the work fails, the message comes again.
    file_put_contents($seen, $body);
}
http_response_code(204);
