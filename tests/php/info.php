<?php
// What "auto" comes to in this kind of PHP.
$status = (new Cfgstore\Client())->status();
echo PHP_SAPI, ": $status->valueMode values, reads see $status->consistency";
