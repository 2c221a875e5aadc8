<?php
// Reads keys that always change together, each time at one revision, until it has seen so many values of them.
$config = new Cfgstore\Client();
$seen = $values = 0;
$pins = $config->status()->consistency === 'latest';
while ($values < (int) $argv[1]) {
    $pins ? $config->pin() : null;
    $revision = $config->refresh();
    $a = $config->get('a');
    $document = $config['document'];
    $all = $config->all();
    $b = $config->get('b');
    $pins ? $config->unpin() : null;
    if ($a !== $b || $a !== $revision || $a < $seen || $document['n'] !== $a || $document['list'] !== range($a, $a + 49) || $document['text'] !== "number $a"
            || count($all) !== 103 || $all['document'] !== $document || $all['padding/99'] !== 'some text') {
        exit("inconsistent at $revision after $seen: " . json_encode([$a, $b, $document, count($all)]) . "\n");
    }
    $values += $a > $seen ? 1 : 0;
    $seen = $a;
}
echo "consistent\n";
