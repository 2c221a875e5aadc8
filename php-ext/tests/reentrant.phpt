--TEST--
Code of the program that runs inside a call: destructors, conversions and serializers that use the same client
--FILE--
<?php
require __DIR__ . '/setup.inc';
$client = client();
$other = new Cfgstore\Client(prefix: test_prefix());

/** Leaves the collector's buffer full but for some entries, so that it runs when the next arrays are let go of. */
function fill_roots(int $left): void
{
    global $kept;
    $roots = gc_status()['threshold'] - 1 - $left;
    $kept = array_map(fn ($i) => [$i, new stdClass], range(0, $roots));
    for ($i = 0; gc_status()['roots'] < $roots; $i++) {
        $x = $kept[$i];
        $x = null;
    }
}

/** Garbage that only the collector finds, whose destructor calls. */
class Garbage
{
    public $self;

    public function __construct(private Closure $call)
    {
        $this->self = $this;
    }

    public function __destruct()
    {
        ($this->call)();
    }
}

/** Runs the first so that the collector runs the second in its midst, wherever that lets go of an array. */
function collected_during(Closure $prepare, Closure $call, Closure $by): void
{
    for ($left = 0; $left < 10; $left++) {
        $prepare();
        gc_collect_cycles();
        // So many that the collector does not raise its threshold.
        $garbage = array_map(fn () => new Garbage(fn () => null), range(1, 150));
        $garbage[] = new Garbage($by);
        unset($garbage);
        fill_roots($left);
        $call();
    }
}

// Values that a variable shares with the store, and that a change replaces.
$document = fn (int $n) => ['n' => $n, 'list' => range($n, $n + 20), 'text' => str_repeat("$n", 100)];
$put_all = function (Cfgstore\Client $client, int $n) use ($document) {
    $transaction = $client->transaction();
    foreach (range(0, 39) as $i) {
        $transaction->put("k$i", $document($n));
    }
    $transaction->commit();
};
$held = $new = null;
$fine = true;
$prepare = function () use ($client, $other, $put_all, &$held, &$new) {
    $held = $new = null;
    $put_all($client, 1);
    $held = $client->all();
    $put_all($other, 2);
};
collected_during($prepare, function () use ($client, $document, &$held, &$fine) {
    $new = $client->get('k0');
    $fine = $fine && $new === $document(2) && $held['k0'] === $document(1) && $client->get('k0') === $document(2);
}, fn () => $client->get('k0'));
check('get', $fine);
collected_during($prepare, function () use ($client, $document, &$held, &$fine) {
    $new = $client->all();
    $fine = $fine && in_array(array_unique(array_column($new, 'n')), [[2], [3]], true) && count($new) === 40
        && array_unique(array_column($held, 'n')) === [1] && $held['k39'] === $document(1);
}, function () use ($client, $put_all) {
    $put_all($client, 3);
    $client->all();
});
check('all', $fine);

// The collector, while the scope that is read has no client.
collected_during(function () use ($document, &$held) {
    $held = null;
    ini_set('cfgstore.prefix', test_prefix());
    (new Cfgstore\Client())->put('k', $document(1));
    $held = cfgstore_get('k');
    (new Cfgstore\Client())->put('k', $document(2));
}, function () use ($document, &$held, &$fine) {
    $new = cfgstore_get('k', null);
    $fine = $fine && in_array($new, [$document(2), null], true) && $held === $document(1);
}, function () {
    ini_set('cfgstore.prefix', '/elsewhere/');
    for ($i = 0; $i < 200; $i++) {
        new Cfgstore\Client(prefix: "/y$i/");
    }
});
check('cfgstore_get', $fine);
ini_restore('cfgstore.prefix');

// A watch that moves on while it lets go of its change.
$from = $client->put('w0', [0]);
foreach (range(1, 9) as $i) {
    $client->put("w$i", [$i]);
}
$watch = null;
collected_during(function () use ($client, $from, &$watch, &$held) {
    $held = null;
    $watch = $client->watch('w', timeout: 20.0, fromRevision: $from);
    $watch->rewind();
    $watch->next();
    $held = $watch->current();
}, function () use (&$watch, &$held, &$fine) {
    $watch->next();
    $fine = $fine && $held->key === 'w1' && $held->value === [1] && in_array($watch->current()->key, ['w2', 'w3'], true);
}, function () use (&$watch) {
    $watch->next();
});
check('a watch', $fine);

// The engine converts the right side when it has read the left one.
class Text
{
    public function __construct(private Closure $call)
    {
    }

    public function __toString(): string
    {
        ($this->call)();
        return '!';
    }
}
$text = str_repeat('some text ', 3);
$client['text'] = $text;
$client['text'] .= new Text(function () use ($client) {
    $client['text'] = [1, 2];
    $client->get('text');
});
check('what is replaced during .=', $client['text'] === "$text!");
$client['text'] = $text;
$client['text'] .= new Text(function () use ($client) {
    unset($client['text']);
    for ($i = 0; $i < 3000; $i++) {
        $client->get("absent/$i", null);
    }
});
check('what is swept during .=', $client['text'] === "$text!");
$read = $client['text'];
check('offsetGet', $client->offsetGet('text') === $read && $client['text'][0] === 's' && ($client['none'] ?? 5) === 5);

// A client that becomes another while it is asked.
class Rebuilds implements JsonSerializable
{
    public function __construct(private Cfgstore\Client $client)
    {
    }

    public function jsonSerialize(): mixed
    {
        $this->client->__construct(prefix: '/other/');
        for ($i = 0; $i < 200; $i++) {
            new Cfgstore\Client(prefix: "/x$i/");
        }
        return ['type' => 'webhook', 'url' => 'ftp://nowhere'];
    }
}
foreach ([fn ($c) => $c->checkValue('k', new Rebuilds($c)), fn ($c) => $c->checkSchema('*', ['title' => new Rebuilds($c)]),
        fn ($c) => $c->setNotification('n', ['x' => new Rebuilds($c)])] as $i => $call) {
    $rebuilt = new Cfgstore\Client(prefix: "/rebuilt$i/");
    try {
        $call($rebuilt);
    } catch (Cfgstore\Exception\ExceptionInterface) {
    }
    $rebuilt->put('n', $i);
    check('rebuilt', (new Cfgstore\Client(prefix: '/other/'))->get('n') === $i);
}

// What is thrown when the value is encoded already.
class Throws
{
    public function __destruct()
    {
        throw new Exception('no!');
    }
}
class Returns implements JsonSerializable
{
    public function __construct(private string $class)
    {
    }

    public function jsonSerialize(): mixed
    {
        return new $this->class;
    }
}
echo failure(fn () => $client->put('refused', new Returns('Throws'))), "\n";
echo failure(fn () => $client->transaction()->put('refused', new Returns('Throws'))->commit()), "\n";
check('nothing is written', !$client->has('refused'));

check('no two are equal', $client != $other && !in_array($other, [$client], false) && $watch != $client->watch('w', timeout: 0.0)
    && $client == $client && $client->transaction() != $client->transaction());

class Exits
{
    public function __destruct()
    {
        exit("exit in a destructor\n");
    }
}
$unreachable = new Cfgstore\Client(endpoints: 'unix:///nonexistent/x.sock');
$unreachable->put('k', new Returns('Exits'));
?>
--EXPECT--
ok - get
ok - all
ok - cfgstore_get
ok - a watch
ok - what is replaced during .=
ok - what is swept during .=
ok - offsetGet
ok - rebuilt
ok - rebuilt
ok - rebuilt
Exception: no!
Exception: no!
ok - nothing is written
ok - no two are equal
exit in a destructor
