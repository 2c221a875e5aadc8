<?php
// Reads a document again and again, in code hot enough to be compiled, and changes what it got. Wrong values are an error.
function total(Cfgstore\Client $config): int
{
    $total = 0;
    foreach ($config->get('document')['list'] as $i => $x) {
        $total += $x + $i;
    }
    return $total;
}

function changed(Cfgstore\Client $config, int $by): array
{
    static $first;
    $first ??= $config->get('document');
    $document = $config->get('document');
    $document['n'] += $by;
    foreach ($document['list'] as &$x) {
        $x += $by;
    }
    $document['map']['a']['b'] .= '!';
    return $first === $config->get('document') ? $document : [];
}

if (isset($_GET['reset'])) {
    opcache_reset();
}
$config = new Cfgstore\Client();
$n = $config->get('document')['n'];
$fine = true;
for ($i = 1; $i <= 300; $i++) {
    $document = changed($config, $i);
    $fine = $fine && total($config) === 20 * $n + 190 + 190 && $document['n'] === $n + $i && $document['list'][19] === $n + 19 + $i
        && $document['map']['a']['b'] === "deep $n!" && $config->get('document')['map']['a']['b'] === "deep $n";
}
$status = function_exists('opcache_get_status') ? opcache_get_status(false) : [];
$compiles = (bool) ($status['jit']['on'] ?? false);
http_response_code($fine ? 200 : 500);
echo json_encode(['n' => $n, 'fine' => $fine, 'compiles' => $compiles, 'protects' => ini_get('opcache.protect_memory'), 'file_cache' => ini_get('opcache.file_cache_only')]);
