<?php
// What is read, and whether it is a stored copy.
$config = new Cfgstore\Client(timeout: 20);
$a = $config->get('a');
$status = $config->status();
echo json_encode([$a, $status->restored, $status->agentAlive]);
