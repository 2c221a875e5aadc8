<?php
// What php-fpm preloads: reads, writes, and says in a file beside cfgstored what came of it. No value outlives it.
try {
    $config = new Cfgstore\Client();
    $config->put('preload', ['list' => [1, 2, 3], 'text' => 'some longer text']);
    define('PRELOADED', $config->get('preload'));
    class Preloaded
    {
        const VALUE = PRELOADED;
        public static $static = PRELOADED;
        public $property = PRELOADED;

        public static function read(): array
        {
            static $times = 0;
            $times++;
            return [$times, (new Cfgstore\Client())->get('preload')];
        }
    }
    $said = [posix_getuid(), Preloaded::VALUE, Preloaded::$static, (new Preloaded())->property, Preloaded::read()];
    $said = 'read ' . json_encode($said);
} catch (Cfgstore\Exception\ExceptionInterface $e) {
    $said = get_class($e) . ': ' . $e->getMessage();
}
file_put_contents(dirname(ini_get('cfgstore.cfgstored')) . '/preload.said', $said);
