<?php
// Reads one key without end, and prints a line for each change of what it sees; a failed read ends it with its message.
$config = new Cfgstore\Client();
$last = null;
echo "ready\n";
$reads = 0;
while (!file_exists($argv[1])) {
    try {
        $value = $config->get('counter');
    } catch (Throwable $e) {
        echo 'failed: ', get_class($e), ': ', $e->getMessage(), "\n";
        exit(1);
    }
    $reads++;
    if ($value !== $last) {
        $last = $value;
    }
    if ($reads % 100 === 0) {
        usleep(500);
    }
}
echo "reads: $reads\n";
