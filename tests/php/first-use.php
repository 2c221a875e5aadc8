<?php
// One of `workers` requests that use the store for the first time at one moment: each says in a file of `folder` that it has come,
// and goes on when all have.
$folder = $_GET['folder'];
touch("$folder/" . getmypid());
while (count(glob("$folder/*")) < (int) $_GET['workers']) {
    usleep(500);
}
$config = new Cfgstore\Client();
$config->put('first/' . getmypid(), true);
echo getmypid();
