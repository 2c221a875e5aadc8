<?php
// Which revision reads see. Under a web server that is one per request; in a script like this, the newest.

$config = new Cfgstore\Client(prefix: '/example/revisions/');
$config->put('a', 1);

$pinned = $config->pin();                                          // from here on, one revision
$inside = $config['a'];
// …what others change now is not seen…
echo "at revision $pinned: a = $inside, still at it: ", var_export($config->revision() === $pinned, true), "\n";
echo 'moved on: ', var_export($config->refresh() >= $pinned, true), "\n";
$config->unpin();

$status = $config->status();
echo "value mode {$status->valueMode}, reads see: {$status->consistency}\n";
echo 'agent alive: ', var_export($status->agentAlive, true), ', trouble: ', $status->trouble ?? 'none', "\n";
