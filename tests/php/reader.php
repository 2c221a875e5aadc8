<?php
// Reads one counter without end, and prints each new value it sees. A failed read, or a value that goes back, ends it with a message.
$config = new Cfgstore\Client();
echo "ready\n";
$seen = -1;
$reads = $values = 0;
while (!file_exists($argv[1])) {
    try {
        $value = $config->get('counter');
    } catch (Throwable $e) {
        exit('failed: ' . get_class($e) . ': ' . $e->getMessage() . "\n");
    }
    if ($value < $seen) {
        exit("went back: from $seen to $value\n");
    }
    if ($value > $seen) {
        echo "sees $value\n";
        $seen = $value;
        $values++;
    }
    if (++$reads % 100 === 0) {
        usleep(500);            // leaves the processor to the others
    }
}
echo "reads: $reads, values: $values\n";
