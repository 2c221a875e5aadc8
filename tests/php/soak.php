<?php
// One request of an application: it reads, misses, asks and lists; one in so many writes, locks, watches, or fails on purpose.
$n = (int) $_GET['n'];
$config = new Cfgstore\Client(prefix: '/soak/');
$document = 'document/' . $n % 20;
$config->get($document, null);
$config[$document] ?? null;
$config->all('document/');
$config->get("absent/$n", null);
isset($config['absent']);
cfgstore_get('soak', null);
$config->status();
try {
    $config->get('absent');
} catch (Cfgstore\Exception\KeyNotFoundException) {
}
if ($n % 50 === 0) {
    $config->put($document, ['n' => $n, 'text' => "change $n", 'list' => [1, 2, [3, 4.5]]]);
    $config->entry($document);
}
if ($n % 100 === 10) {
    $lock = $config->lock("lock/$n");
    if ($n % 200 === 10) {
        $lock->release();               // else the request's end frees it
    }
}
if ($n % 100 === 20) {
    $config->subscribe('document/')->next(0.0);
    foreach ($config->watch('document/', timeout: 0.0) as $change) {
    }
}
if ($n % 100 === 30) {
    try {
        $config->transaction()->ifRevision($document, 1)->put($document, 'never')->commit();
    } catch (Cfgstore\Exception\ConflictException) {
    }
    $config->getBytes($document, null);
    $config->pin();
    $config->refresh();
}
if ($n % 100 === 40) {
    exit('ok');                         // in the middle, with variables alive
}
echo 'ok';
