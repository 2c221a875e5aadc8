<?php
// Takes a lock that outlives everybody but its holder, and ends as it is told to.
$lock = (new Cfgstore\Client(timeout: 20))->lock('job', ttl: 60.0, wait: 20.0);
class Kept
{
    public static $lock;
}
Kept::$lock = $lock;                            // no end of a function frees it
if (!$lock->isHeld()) {
    http_response_code(500);
}
echo $lock->token, "\n";
while (ob_get_level() > 0) {
    ob_end_flush();                             // what is buffered when memory runs out is lost
}
switch ($_GET['end']) {
    case 'release':
        $lock->release();
        echo $lock->isHeld() ? 'held' : 'free';
        break;
    case 'exit':
        exit('exit');
    case 'exception':
        throw new Exception('uncaught');
    case 'fatal':
        ini_set('memory_limit', '16M');
        str_repeat('x', 1 << 30);
        break;
    case 'wait':                                // to be killed
        file_put_contents($_GET['file'], getmypid() . " $lock->token\n");
        for (;;) {
            sleep(1);
        }
    default:
        echo 'end';
}
