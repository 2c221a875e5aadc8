--TEST--
What can't be stored is refused, and the message names the place
--FILE--
<?php
require __DIR__ . '/setup.inc';
$client = client();
enum Backed: string { case A = 'a'; }
enum Pure { case A; }
class Point implements JsonSerializable { function __construct(public mixed $x) {} function jsonSerialize(): mixed { return $this->x; } }
class Itself implements JsonSerializable { public $y = 1; private $z = 2; function jsonSerialize(): mixed { return $this; } }
class Endless implements JsonSerializable { function jsonSerialize(): mixed { return new self; } }
class Throws implements JsonSerializable { function jsonSerialize(): mixed { throw new LogicException('mine'); } }
class Plain { public $a = 1; protected $b = 2; private $c = 3; public ?int $unset; public $nested; }
$plain = new Plain; $plain->nested = ['k' => new Point(1.0)]; unset($plain->unset);
$nest = function (int $levels) { $v = 'x'; for ($i = 0; $i < $levels; $i++) { $v = [$v]; } return $v; };

foreach (['point' => new Point(['a' => Backed::A]), 'itself' => new Itself, 'plain' => $plain, 'enum' => Backed::A,
        'object' => new ArrayObject(['a' => 1]), 'class' => new stdClass, 'date' => new DateTime('2026-01-02 03:04:05 UTC'), 'deep' => $nest(512)] as $key => $value) {
    $client->put($key, $value);
    check($key, $client->getBytes($key) === json_encode($value, JSON_PRESERVE_ZERO_FRACTION | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE));
}
check('512 levels come back', $client->get('deep') === $nest(512));

$self = ['a' => []]; $self['a']['self'] = &$self;
$object = new stdClass; $object->list = [1, ['me' => $object]];
$file = fopen('php://memory', 'r'); $closed = fopen('php://memory', 'r'); fclose($closed);
$bad = [$file, $closed, fn () => 1, NAN, INF, -INF, "\xff", Pure::A, new Point(NAN), $self, $object, (function () { yield 1; })(), new Endless, new Throws, $nest(513),
    ["\xff" => 1], (object) ["\xff" => 1], new SplFileObject(__FILE__), new Cfgstore\Client];
foreach ($bad as $value) {
    echo failure(fn () => $client->put('bad', ['deep' => ['er' => [7, 'x' => $value]]])), "\n";
}
echo failure(fn () => $client->put('bad', NAN)), "\n";
$holder = new Plain; $holder->nested = new Plain; $holder->nested->a = [$file];
echo failure(fn () => $client->put('bad', $holder)), "\n";
echo failure(fn () => $client->transaction()->put('bad', ['a' => NAN])), "\n";
echo failure(function () use ($client) { $client['bad'] = ['b' => NAN]; }), "\n";
check('nothing was written', !$client->has('bad'));
json_decode('{'); $client->put('fine', 1); check('json_last_error() stays', json_last_error() === JSON_ERROR_SYNTAX);
$list = [1, 2]; $mutator = new class($list) implements JsonSerializable { function __construct(public array &$l) {} function jsonSerialize(): mixed { $this->l = []; return 1; } };
$list = [&$list2, $mutator, 3]; $client->put('mutated', $list);
check('jsonSerialize() that writes to the value', $list === [] && $client->get('mutated') === [null, 1, 3]);
?>
--EXPECT--
ok - point
ok - itself
ok - plain
ok - enum
ok - object
ok - class
ok - date
ok - deep
ok - 512 levels come back
EncodingException: $value["deep"]["er"]["x"] cannot be stored: a resource lives in this process only
EncodingException: $value["deep"]["er"]["x"] cannot be stored: a resource lives in this process only
EncodingException: $value["deep"]["er"]["x"] cannot be stored: an object of class Closure has no content to store
EncodingException: $value["deep"]["er"]["x"] cannot be stored: INF and NAN are no JSON numbers
EncodingException: $value["deep"]["er"]["x"] cannot be stored: INF and NAN are no JSON numbers
EncodingException: $value["deep"]["er"]["x"] cannot be stored: INF and NAN are no JSON numbers
EncodingException: $value["deep"]["er"]["x"] cannot be stored: it is not valid UTF-8; use putBytes() for binary data
EncodingException: $value["deep"]["er"]["x"] cannot be stored: an enum case without a value has no JSON form
EncodingException: $value["deep"]["er"]["x"] cannot be stored: INF and NAN are no JSON numbers
EncodingException: $value["deep"]["er"]["x"]["a"]["self"] cannot be stored: it contains itself
EncodingException: $value["deep"]["er"]["x"]->{"list"}[1]["me"] cannot be stored: it contains itself
EncodingException: $value["deep"]["er"]["x"] cannot be stored: an object of class Generator has no content to store
EncodingException: $value cannot be stored: it is nested deeper than 512 levels
LogicException: mine
EncodingException: $value cannot be stored: it is nested deeper than 512 levels
EncodingException: $value["deep"]["er"]["x"]["�"] cannot be stored: it is not valid UTF-8; use putBytes() for binary data
EncodingException: $value["deep"]["er"]["x"]->{"�"} cannot be stored: it is not valid UTF-8; use putBytes() for binary data
EncodingException: $value["deep"]["er"]["x"] cannot be stored: an object of class SplFileObject has no content to store
EncodingException: $value["deep"]["er"]["x"] cannot be stored: an object of class Cfgstore\Client has no content to store
EncodingException: $value cannot be stored: INF and NAN are no JSON numbers
EncodingException: $value->{"nested"}->{"a"}[0] cannot be stored: a resource lives in this process only
EncodingException: $value["a"] cannot be stored: INF and NAN are no JSON numbers
EncodingException: $value["b"] cannot be stored: INF and NAN are no JSON numbers
ok - nothing was written
ok - json_last_error() stays
ok - jsonSerialize() that writes to the value
