--TEST--
Sealed values: stored sealed, read plain, each failure at its own key
--FILE--
<?php
require __DIR__ . '/setup.inc';
require __DIR__ . '/keyring.inc';
$prefix = test_prefix();
$keys = ['one' => random_bytes(32)];
$place = write_keyring(getenv('CFGSTORE_TEST_DIR') . '/sealed.json', $keys, ["{$prefix}secret/*"]);
$raw = client();
$cfg = new Cfgstore\Client(prefix: $prefix, keyring: $place);
$value = ['host' => 'db1', 'password' => 'correct horse', 'ports' => [1, 2.5, null, true], 'ä' => "\u{1F511}\0"];

$cfg->put('secret/a', $value);
$cfg->put('theme', 'dark');
$cfg->transaction()->put('secret/b', 'batch')->putBytes('secret/c', "\xff\0")->commit();
$cfg['secret/d'] = 4;
check('read back', $cfg->get('secret/a') === $value && $cfg['secret/a'] === $value && $cfg->get('theme') === 'dark');
check('read again', $cfg->get('secret/a') === $value && $cfg->has('secret/a') && isset($cfg['secret/b']) && $cfg['secret/d'] === 4);
check('bytes', $cfg->getBytes('secret/c') === "\xff\0" && $cfg->get('secret/c') === "\xff\0" && $cfg->getBytes('secret/b') === '"batch"');
check('entry', $cfg->entry('secret/a')->value === $value && $cfg->entry('secret/a')->revision === $raw->entry('secret/a')->revision);
check('all', array_keys($cfg->all('secret/')) === ['secret/a', 'secret/b', 'secret/c', 'secret/d'] && $cfg->all()['secret/a'] === $value);
check('others see an envelope', array_keys($raw->get('secret/a')) === ['$sealed'] && $raw->get('theme') === 'dark'
    && !str_contains($raw->getBytes('secret/a'), 'horse'));
check('no keyring at all', array_keys((new Cfgstore\Client(prefix: $prefix, keyring: ''))->get('secret/b')) === ['$sealed']);

// By PHP's own library, from the words of docs/sealed-values.md.
check('sealed here, opened elsewhere', json_decode(open_by_hand($keys, "{$prefix}secret/a", $raw->getBytes('secret/a')), true) === $value);
$raw->putBytes('secret/e', seal_by_hand('one', $keys['one'], "{$prefix}secret/e", '{"n":1}'));
check('sealed elsewhere, opened here', $cfg->get('secret/e') === ['n' => 1]);

// Each failure is its key's alone.
$raw->putBytes('secret/moved', $raw->getBytes('secret/a'));
$raw->putBytes('secret/cut', substr($raw->getBytes('secret/a'), 0, -9));
$raw->putBytes('secret/altered', strtr($raw->getBytes('secret/b'), ['v1.one.' => 'v1.one.A']));
$raw->putBytes('secret/unknown', seal_by_hand('two', $keys['one'], "{$prefix}secret/unknown", '1'));
$raw->putBytes('secret/wrong', seal_by_hand('one', random_bytes(32), "{$prefix}secret/wrong", '1'));
$raw->putBytes('secret/later', str_replace('v1.', 'v9.', $raw->getBytes('secret/b')));
$raw->putBytes('secret/plain', '"not yet"');
foreach (['moved', 'cut', 'altered', 'unknown', 'wrong', 'later', 'plain'] as $name) {
    echo failure(fn () => $cfg->get("secret/$name")), "\n";
}
foreach (['has' => fn () => $cfg->has('secret/cut'), '[]' => fn () => $cfg['secret/cut'], 'entry' => fn () => $cfg->entry('secret/cut'),
        'getBytes' => fn () => $cfg->getBytes('secret/cut'), 'default' => fn () => $cfg->get('secret/cut', 'x'), 'all' => fn () => $cfg->all('secret/')] as $how => $call) {
    check("$how throws", str_starts_with(failure($call), 'SealedException: '));
}
check('the others are there', $cfg->get('secret/a') === $value && $cfg->get('theme') === 'dark' && $cfg->all('secret/b') === ['secret/b' => 'batch']);
try { $cfg->get('secret/cut'); } catch (Cfgstore\Exception\SealedException $e) { check('not retryable', !$e->isRetryable() && !$e->mayHaveHappened()); }
check('put anew', $cfg->put('secret/cut', 7) > 0 && $cfg->get('secret/cut') === 7);
check('a value that is sealed already', $cfg->putBytes('secret/b', $raw->getBytes('secret/b')) > 0 && $cfg->get('secret/b') === 'batch');
check('but of another key', str_starts_with(failure(fn () => $cfg->putBytes('secret/x', $raw->getBytes('secret/b'))), 'SealedException') && !$raw->has('secret/x'));
?>
--EXPECTF--
ok - read back
ok - read again
ok - bytes
ok - entry
ok - all
ok - others see an envelope
ok - no keyring at all
ok - sealed here, opened elsewhere
ok - sealed elsewhere, opened here
SealedException: the value of "/sealed/secret/moved" does not open with key "one": it was altered, or moved here from another key, or the keyring's "one" is another key than the one that sealed it; put the value again, or restore it from the history
SealedException: the sealed value of "/sealed/secret/cut" is cut short; put it again, or restore it from the history
SealedException: the sealed value of "/sealed/secret/altered" is damaged: %s; put it again, or restore it from the history
SealedException: the value of "/sealed/secret/unknown" is sealed with key "two", which this keyring does not have: add that key to the keyring, or have the value sealed anew with one that it has (cfgctl keys reseal)
SealedException: the value of "/sealed/secret/wrong" does not open with key "one": %s
SealedException: the value of "/sealed/secret/later" is sealed in format "v9", which this version of cfgstore does not know; use a newer one
no failure: 'not yet'
ok - has throws
ok - [] throws
ok - entry throws
ok - getBytes throws
ok - default throws
ok - all throws
ok - the others are there
ok - not retryable
ok - put anew
ok - a value that is sealed already
ok - but of another key
