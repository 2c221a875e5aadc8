--TEST--
Keyrings: where they come from, how they change under a running program, and what is refused
--FILE--
<?php
require __DIR__ . '/setup.inc';
require __DIR__ . '/keyring.inc';
$prefix = test_prefix();
$folder = getenv('CFGSTORE_TEST_DIR');
$keys = ['old' => random_bytes(32)];
$place = write_keyring("$folder/keyring.json", $keys, ["{$prefix}*"]);
$raw = client();
$cfg = new Cfgstore\Client(prefix: $prefix, keyring: $place);
$cfg->put('a', 'secret one');

// From php.ini in its three forms; the environment is read before a worker's is emptied.
$show = 'var_dump((new Cfgstore\Client(prefix: "' . $prefix . '"))->get("a"));';
echo php($show, ['cfgstore.keyring' => $place]);
echo php($show, ['cfgstore.keyring' => "command:cat $place"]);
putenv('CFGSTORE_TEST_KEYRING=' . file_get_contents($place));
echo php("putenv('CFGSTORE_TEST_KEYRING'); $show", ['cfgstore.keyring' => 'env:CFGSTORE_TEST_KEYRING']);
foreach (['immutable', 'refcounted'] as $mode) {
    echo php($show, ['cfgstore.keyring' => $place, 'cfgstore.value_mode' => $mode], cgi: true, options: ['-q']);
}

// Rotated under a running program.
$keys['new'] = random_bytes(32);
$raw->putBytes('b', seal_by_hand('new', $keys['new'], "{$prefix}b", '"secret two"'));
echo failure(fn () => $cfg->get('b')), "\n";
write_keyring($place, $keys, ["{$prefix}*"]);
check('the new key is found', $cfg->get('b') === 'secret two');
check('the old one still reads', $cfg->refresh() && $cfg->get('a') === 'secret one');
$cfg->put('c', 3);
check('the new one seals', str_contains($raw->getBytes('c'), 'v1.new.'));

// A watch hands out what does not open too.
$from = $cfg->put('d', 'seen');
$raw->putBytes('e', substr($raw->getBytes('d'), 0, -4));
$cfg->put('f', 'seen after');
$changes = [];
foreach ($cfg->watch(timeout: 20.0, fromRevision: $from) as $change) {
    $changes[] = $change;
    if ($change->key === 'f') break;
}
check('changes', $changes[0]->value === 'seen' && $changes[0]->error === null && $changes[2]->value === 'seen after');
echo get_class($changes[1]->error), ': ', $changes[1]->error->getMessage(), "\n", failure(fn () => $changes[1]->value), "\n";

// What is refused.
write_keyring($place, $keys, ["{$prefix}*"], ['require_sealed' => true]);
$raw->putBytes('plain', '"planted"');
$strict = new Cfgstore\Client(prefix: $prefix, keyring: write_keyring("$folder/strict.json", $keys, ["{$prefix}*"], ['require_sealed' => true]));
echo failure(fn () => $strict->get('plain')), "\n";
chmod($place, 0644);
clearstatcache();
foreach ([$place, "$folder/missing.json", 'relative.json', 'env:', "a\0b", 'command:cat ' . $place, 'env:CFGSTORE_NO_SUCH'] as $bad) {
    echo str_replace($folder, 'FOLDER', failure(fn () => (new Cfgstore\Client(prefix: $prefix, keyring: $bad))->put('z', 1))), "\n";
}
check('nothing was stored', !$raw->has('z'));
check('what is not sealed is read', (new Cfgstore\Client(prefix: $prefix, keyring: "$folder/missing.json"))->get('plain') === 'planted');
echo str_replace($folder, 'FOLDER', php("echo get_class((function () { try { new Cfgstore\\Client(keyring: '/etc/passwd'); } catch (Exception \$e) { return \$e; } })());",
    ['open_basedir' => $folder])), "\n";
echo php('try { new Cfgstore\Client(); } catch (Exception $e) { echo $e->getMessage(), "\n"; }', ['cfgstore.keyring' => 'relative.json']);
check('php.ini alone decides', ini_set('cfgstore.keyring', '/x') === false);

// php --ri counts, and shows no secret.
chmod($place, 0600);
$ri = php('', ['cfgstore.keyring' => $place], options: ['--ri', 'cfgstore']);
preg_match('/^Keyring => .*/m', $ri, $line);
echo $line[0] ?? $ri, "\n";
$shown = $ri . print_r($cfg, true) . var_export((array) $cfg, true);
check('no secret is shown', !str_contains($shown, base64_encode($keys['new'])) && !str_contains($shown, base64_encode($keys['old'])));
?>
--EXPECTF--
string(10) "secret one"
string(10) "secret one"
string(10) "secret one"
string(10) "secret one"
string(10) "secret one"
SealedException: the value of "/keyring/b" is sealed with key "new", which this keyring does not have: %s
ok - the new key is found
ok - the old one still reads
ok - the new one seals
ok - changes
Cfgstore\Exception\SealedException: the sealed value of "/keyring/e" is cut short; put it again, or restore it from the history
Error: Typed property Cfgstore\Change::$value must not be accessed before initialization
SealedException: the value of "/keyring/plain" is not sealed, and the keyring requires that it is (require_sealed): %s
SealedException: the value of "/keyring/z" can be neither sealed nor opened: the keyring FOLDER/keyring.json has mode 0644, so that every user of this host may use it, and is refused: chmod 0600 it, %s
SealedException: the value of "/keyring/z" can be neither sealed nor opened: the keyring FOLDER/missing.json cannot be read: No such file or directory%s
InvalidArgumentException: the keyring's path is not absolute; %s
InvalidArgumentException: the keyring's place makes no sense: env: is followed by no variable's name; %s
InvalidArgumentException: keyring has a NUL byte
AccessDeniedException: only php.ini may name a program that gives a keyring (cfgstore.keyring)
SealedException: the value of "/keyring/z" can be neither sealed nor opened: the keyring in the environment variable CFGSTORE_NO_SUCH cannot be read: it is not set
ok - nothing was stored
ok - what is not sealed is read
Cfgstore\Exception\AccessDeniedException
the keyring's path is not absolute; %s
ok - php.ini alone decides
Keyring => keys: 2, patterns: 1, sealed values required
ok - no secret is shown
