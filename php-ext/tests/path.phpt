--TEST--
A name with dots that is no key is a path into the document of one
--FILE--
<?php
require __DIR__ . '/setup.inc';

/** What get(), [], has() and isset() say of a name, which must agree. */
function read(Cfgstore\Client $client, string $name): string
{
    $got = [$client->get($name, 'absent'), $client->has($name) ? $client[$name] : 'absent'];
    // Again, from what the first reads have left.
    $got[] = $client->get($name, 'absent');
    $known = $client->has($name);
    $agree = $got[0] === $got[1] && $got[0] === $got[2] && $known === ($got[0] !== 'absent') && isset($client[$name]) === ($known && $got[0] !== null);
    return $agree ? json_encode($got[0]) : 'DISAGREE ' . json_encode($got);
}

foreach (['request', 'latest'] as $consistency) {
    foreach (['immutable', 'refcounted'] as $mode) {
        ini_set('cfgstore.consistency', $consistency);
        ini_set('cfgstore.value_mode', $mode);
        $client = client();
        $client->put('database', ['host' => 'db1', 'none' => null, 'off' => false, 'replicas' => [['host' => 'db2'], ['host' => 'db3']], '' => ['' => 'nameless'],
            'a.b' => ['c.d' => 1], 'a' => ['b' => 2], '\\' => 'backslash', 'x\\' => ['y' => 3], '7' => 'seven', 'deep' => ['er' => ['and' => 'deeper']]]);
        $client->put('scalar', 'text');
        $client->put('null', null);
        $client->put('database.port', ['key' => 5432]);
        $client->put('page.html', ['title' => 'Home']);
        $client->put('page', ['html' => ['title' => 'not reached']]);
        $said = [];
        foreach (['database.host', 'database.none', 'database.off', 'database.replicas.1.host', 'database.replicas.2', 'database.replicas.x', 'database.replicas.-1',
            'database.port', 'database.port.key', 'database.port.host', 'database.7', 'database.07', 'database.deep.er.and', 'database.host.more', 'database.hos',
            'database.', 'database..', 'database...', '.database', '.', '..', 'scalar.text', 'scalar.0', 'null.x', 'absent.x', 'page.html.title', 'page.html',
            'database.a.b', 'database.a\\.b', 'database.a\\.b.c\\.d', 'database.\\\\', 'database.x\\\\.y', 'database\\.host', 'database.a\\b'] as $name) {
            $said[] = "$name => " . read($client, $name);
        }
        echo !isset($first) ? implode("\n", $said) : ($said === $first ? "the same" : implode("\n", array_diff($said, $first))) . ": $consistency, $mode", "\n";
        $first ??= $said;
        $big = $client->get('database.replicas');
        check('changes are followed', $client->put('database', ['host' => ['db4']]) > 0 && $client->get('database.host') === ['db4'] && $client->get('database.host.0') === 'db4'
            && !$client->has('database.replicas') && $big[1]['host'] === 'db3');
        check('a new key of the name wins', $client->put('database.host', 'mine') > 0 && $client->get('database.host') === 'mine' && $client['database.host'] === 'mine');
        check('and ends', $client->delete('database.host') > 0 && $client->get('database.host') === ['db4']);
        check('so does the document', $client->delete('database') > 0 && $client->get('database.host', 'gone') === 'gone' && !isset($client['database.host']));
    }
}
check('cfgstore_get', $client->put('function', ['a' => 1]) > 0 && cfgstore_get(test_prefix() . 'function.a') === 1 && cfgstore_get(test_prefix() . 'function.b', 2) === 2);
check('empty()', empty($client['function.b']) && !empty($client['function.a']));
echo failure(fn () => $client->get('function.b')), "\n";
echo failure(fn () => $client['function.a.b']), "\n";
echo failure(fn () => $client->get('absent.b')), "\n";
echo failure(fn () => $client->entry('function.a')), "\n";
echo failure(fn () => $client['function.a']['x'] = 1), "\n";
$client['function.a'] = 'a key of its own';
check('writes are by key', $client->get('function') === ['a' => 1] && $client->get('function.a') === 'a key of its own');
$many = implode('.', range(1, 16));
check('sixteen dots are looked at', $client->put('many', ['1' => 'x']) > 0 && $client->put('cut', ['1' => array_reduce(range(16, 2), fn ($in, $n) => [$n => $in], 'end')]) > 0
    && $client->get("cut.$many") === 'end' && $client->get("cut.$many.17", 'absent') === 'absent');
?>
--EXPECTF--
database.host => "db1"
database.none => null
database.off => false
database.replicas.1.host => "db3"
database.replicas.2 => "absent"
database.replicas.x => "absent"
database.replicas.-1 => "absent"
database.port => {"key":5432}
database.port.key => 5432
database.port.host => "absent"
database.7 => "seven"
database.07 => "absent"
database.deep.er.and => "deeper"
database.host.more => "absent"
database.hos => "absent"
database. => {"":"nameless"}
database.. => "nameless"
database... => "absent"
.database => "absent"
. => "absent"
.. => "absent"
scalar.text => "absent"
scalar.0 => "absent"
null.x => "absent"
absent.x => "absent"
page.html.title => "Home"
page.html => {"title":"Home"}
database.a.b => 2
database.a\.b => {"c.d":1}
database.a\.b.c\.d => 1
database.\\ => "backslash"
database.x\\.y => 3
database\.host => "absent"
database.a\b => "absent"
ok - changes are followed
ok - a new key of the name wins
ok - and ends
ok - so does the document
the same: request, refcounted
ok - changes are followed
ok - a new key of the name wins
ok - and ends
ok - so does the document
the same: latest, immutable
ok - changes are followed
ok - a new key of the name wins
ok - and ends
ok - so does the document
the same: latest, refcounted
ok - changes are followed
ok - a new key of the name wins
ok - and ends
ok - so does the document
ok - cfgstore_get
ok - empty()
KeyNotFoundException: key "function.b" does not exist below "/path/" at revision %d, nor that path in the value of "function"; put it, or give get() a default
KeyNotFoundException: key "function.a.b" does not exist below "/path/" at revision %d, nor that path in the value of "function"; put it, or give get() a default
KeyNotFoundException: key "absent.b" does not exist below "/path/" at revision %d; put it, or give get() a default
KeyNotFoundException: key "function.a" does not exist below "/path/" at revision %d; put it, or give get() a default
Error: A stored value cannot be changed in place: read it into a variable, change that, and put() it back
ok - writes are by key
ok - sixteen dots are looked at
