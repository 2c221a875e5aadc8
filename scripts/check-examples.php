<?php
// Every public method of the extension occurs in an example. Examples name their objects alike: $config, $watch, $changes (a
// subscription), $lock, $e; a transaction is a chain of calls.
// usage: php -d extension=cfgstore.so check-examples.php EXAMPLE…

$examples = implode("\n", array_map('php_strip_whitespace', array_slice($argv, 1)));
$of = ['Client' => '\$config->%s\(', 'Watch' => '\$watch->%s\(', 'Subscription' => '\$changes->%s\(', 'Lock' => '\$lock->%s\(',
    'Transaction' => 'transaction\(\)[^;]*->%s\(', 'ExceptionInterface' => '\$e->%s\('];
// What is called by the language.
$by_syntax = [
    'Client::__construct' => 'new Cfgstore\\\\Client\(', 'Client::offsetGet' => '\$config\[[^]]*\](?! =)', 'Client::offsetExists' => 'isset\(\$config\[',
    'Client::offsetSet' => '\$config\[[^]]*\] = ', 'Client::offsetUnset' => 'unset\(\$config\[',
] + array_fill_keys(['Watch::rewind', 'Watch::valid', 'Watch::current', 'Watch::key', 'Watch::next'], 'foreach \(\$watch as \$\w+ => \$\w+\)');
$checked = $missing = 0;
$extension = new ReflectionExtension('cfgstore');
$wanted = array_map(fn ($function) => [$function->name, $function->name . '\('], array_values($extension->getFunctions()));
foreach ($extension->getClasses() as $class) {
    foreach ($class->getMethods(ReflectionMethod::IS_PUBLIC) as $method) {
        // Methods of enums and of exceptions are PHP's, but for those of the interface.
        if ($method->class !== $class->name || $class->isEnum() || $class->isSubclassOf(Throwable::class) && !$class->isInterface()) {
            continue;
        }
        $name = "{$class->getShortName()}::$method->name";
        $wanted[] = [$name, $by_syntax[$name] ?? sprintf($of[$class->getShortName()] ?? exit("check-examples: how is $class->name used?\n"), $method->name)];
    }
}
foreach ($wanted as [$name, $pattern]) {
    $checked++;
    if (!preg_match("/$pattern/", $examples)) {
        echo "FAIL no example uses $name\n";
        $missing++;
    }
}
exit($missing > 0 || $checked < 40 ? 1 : 0);
