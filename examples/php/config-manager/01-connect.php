<?php
// Step 1: connect. With no settings that is the store of this host, which the first call starts.

$config = new Cfgstore\Client(prefix: '/config-manager/');
$status = [$config->revision(), $config->status()->agentAlive];
echo "connected, at revision $status[0]\n";
exit($status[1] ? 0 : 1);
