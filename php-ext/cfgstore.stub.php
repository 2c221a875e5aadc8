<?php

/**
 * What the extension cfgstore adds to PHP. For editors and static analysis; the extension does not read it, and
 * tests/stub.phpt compares it with what Reflection says of the extension.
 *
 * `UNKNOWN` stands for "no default: leaving the argument out means something else than any value".
 */

namespace {

    /**
     * The value of a key: the same as `(new Cfgstore\Client())->get(...)`, without an object.
     *
     * @param string $key     Below the prefix of `cfgstore.prefix`.
     * @param mixed  $default Returned if the key does not exist. Without it, that is an exception.
     *
     * @throws Cfgstore\Exception\KeyNotFoundException  The key does not exist and there is no default.
     * @throws Cfgstore\Exception\ExceptionInterface    See Cfgstore\Client::get().
     */
    function cfgstore_get(string $key, mixed $default = UNKNOWN): mixed {}
}

namespace Cfgstore {

    /**
     * The configuration.
     *
     * Reads come from this host's shared memory: no network, no lock, no copy. Under a web server a request sees one
     * revision, that of its first read; in a script each read sees the newest (`cfgstore.consistency` chooses otherwise).
     * Own writes are the exception: after put(), delete(), commit() and refresh(), the reads of this request move, all
     * together, to a revision that holds them. All clients with the same endpoints share one view.
     *
     * Writes, locks and watches go over the host agent's unix socket; with default settings the first call starts the store.
     *
     * `$client['key']` reads, `isset()` asks (false for null, as with arrays), assigning puts, `unset()` deletes. Stored
     * values are not changed in place: `$client['a']['b'] = 1` is an Error.
     *
     * While the store is away or restarts, reads go on with what is known; a write that was under way says whether it may have
     * happened, watches go on by themselves without a gap, and locks are lost with the agent that kept them. A forked child
     * may use what its parent opened: it reads the same memory and connects anew; locks stay with the parent.
     *
     * Keys are bytes, UTF-8 or not: 1 to 65,536 of them, the prefix included.
     *
     * Where a value is read (get() and its like, has(), `[]`), a name with dots that is no key is a path:
     * `database.replicas.0` is item 0 of the list `replicas` in the value of `database`. Of several keys that the name begins
     * with, the longest counts, looked for before the last 16 dots. `\.` is a dot of a member's name, `\\` a backslash.
     *
     * Values are JSON: arrays, strings, integers, floats, booleans and null come back as they were put, objects as arrays.
     * Stored bytes that are not JSON come back as a string.
     */
    final class Client implements \ArrayAccess
    {
        /**
         * Connects to nothing yet.
         *
         * @param string|null                $prefix    Put before every key, for example `/shop/prod/`. Default: `cfgstore.prefix`.
         * @param string|array<string>|null  $endpoints `unix:///path` of an agent, or `http://host:port` of members, of cfgstore or of
         *                                              etcd, through an agent that is started on this host. Default:
         *                                              `cfgstore.endpoints`, and if that is empty the embedded store of this host.
         * @param float|null                 $timeout   Bound of one call in seconds. Default: `cfgstore.timeout`.
         * @param string|null                $keyring   Seals values under its patterns and opens sealed ones: an absolute path, `env:NAME`,
         *                                              or an empty string for none. Default: `cfgstore.keyring`, which may name a
         *                                              program too.
         *
         * @throws Exception\InvalidArgumentException  An endpoint can't be understood.
         * @throws Exception\UnsupportedException      An endpoint asks for what this version can't do.
         * @throws Exception\AccessDeniedException     The keyring is outside of `open_basedir`, or a program.
         */
        public function __construct(?string $prefix = null, array|string|null $endpoints = null, ?float $timeout = null, ?string $keyring = null) {}

        /**
         * The value of a key, or at a path into the value of one.
         *
         * @param mixed $default Returned if the key or path does not exist. Without it, that is an exception. `null` is a default.
         *
         * @throws Exception\KeyNotFoundException      The key does not exist and there is no default.
         * @throws Exception\InvalidArgumentException  The key is empty.
         * @throws Exception\NotSyncedException        This host has no copy of the configuration yet.
         * @throws Exception\UnavailableException      The store could not be reached or started, or the agent has been silent for
         *                                             `cfgstore.stale_after` seconds and `cfgstore.on_stale` is `throw`.
         * @throws Exception\AccessDeniedException     This process may not read the mirror.
         * @throws Exception\CorruptException          The mirror is damaged.
         * @throws Exception\TimeoutException          The mirror does not show this request's own write in time.
         * @throws Exception\SealedException           The value is sealed and can't be opened. Reads of other keys go on.
         */
        public function get(string $key, mixed $default = UNKNOWN): mixed {}

        /**
         * The value of a key, or at a path, which must be an int. Nothing is converted.
         *
         * @throws Exception\TypeException             The value is of another type. The message names the key, the path and both
         *                                             types, and never the value.
         * @throws Exception\KeyNotFoundException      There is no such key or path and no default.
         * @throws Exception\ExceptionInterface        As get().
         */
        public function getInt(string $key, int $default = UNKNOWN): int {}

        /**
         * The value of a key, or at a path, which must be a float. An int is converted, as for an argument under
         * strict types; nothing else is.
         *
         * @throws Exception\TypeException             The value is of another type. The message names the key, the path and both
         *                                             types, and never the value.
         * @throws Exception\KeyNotFoundException      There is no such key or path and no default.
         * @throws Exception\ExceptionInterface        As get().
         */
        public function getFloat(string $key, float $default = UNKNOWN): float {}

        /**
         * The value of a key, or at a path, which must be a bool. Nothing is converted.
         *
         * @throws Exception\TypeException             The value is of another type. The message names the key, the path and both
         *                                             types, and never the value.
         * @throws Exception\KeyNotFoundException      There is no such key or path and no default.
         * @throws Exception\ExceptionInterface        As get().
         */
        public function getBool(string $key, bool $default = UNKNOWN): bool {}

        /**
         * The value of a key, or at a path, which must be a string. Nothing is converted.
         *
         * @throws Exception\TypeException             The value is of another type. The message names the key, the path and both
         *                                             types, and never the value.
         * @throws Exception\KeyNotFoundException      There is no such key or path and no default.
         * @throws Exception\ExceptionInterface        As get().
         */
        public function getString(string $key, string $default = UNKNOWN): string {}

        /**
         * The value of a key, or at a path, which must be an array.
         *
         * @throws Exception\TypeException             The value is of another type. The message names the key, the path and both
         *                                             types, and never the value.
         * @throws Exception\KeyNotFoundException      There is no such key or path and no default.
         * @throws Exception\ExceptionInterface        As get().
         */
        public function getArray(string $key, array $default = UNKNOWN): array {}

        /**
         * Whether a key or a path exists; its value may be null. Of a sealed value that can't be opened, get() and has() throw
         * alike.
         *
         * @throws Exception\ExceptionInterface  As get(), except that absence is no failure.
         */
        public function has(string $key): bool {}

        /**
         * Every key that begins with $prefix, with its value, in byte order of the keys.
         *
         * One sealed value that can't be opened fails the whole, since an array without it would say that there is none.
         *
         * @return array<string, mixed> Keys without the client's own prefix. Numeric keys are integers, as in any array.
         *
         * @throws Exception\ExceptionInterface  As get(), except that absence is no failure.
         */
        public function all(string $prefix = ''): array {}

        /**
         * A key with its value and revisions. Who wrote it, when and why is not on this host: `history($key, limit: 1)` asks.
         *
         * @throws Exception\ExceptionInterface  As get().
         */
        public function entry(string $key): Entry {}

        /**
         * The stored bytes of a key, undecoded; of a sealed value, those that were put.
         *
         * @throws Exception\ExceptionInterface  As get().
         */
        public function getBytes(string $key, ?string $default = UNKNOWN): ?string {}

        /**
         * A client of the keys below a longer prefix: this one's, with $prefix added. It shares all else with this one.
         *
         * @param string $prefix For example `payment/`.
         */
        public function withPrefix(string $prefix): Client {}

        /**
         * Writes a value, as JSON. Returns once a majority of the members has it on disk.
         *
         * @param mixed    $value      Arrays, scalars, null, and objects: JsonSerializable ones by their own account, others by
         *                             their public properties. At most 512 levels deep.
         * @param int|null $ifRevision Only if the key's last change was in this revision; 0: only if the key does not exist.
         * @param string   $comment    Why, for the history: one line of UTF-8, at most 1,024 bytes. An etcd ignores it.
         *
         * @return int The revision of the write.
         *
         * @throws Exception\EncodingException          The value has no JSON form; the message names the place in it.
         * @throws Exception\ConflictException          The key is not at $ifRevision.
         * @throws Exception\SchemaException            The value violates a schema that is bound to the key.
         * @throws Exception\TooLargeException          The key, with its prefix, has more than 65,536 bytes, or the request (key and
         *                                              value) more than 1.5 MiB, unless the members' --max-request-bytes is another.
         * @throws Exception\InvalidArgumentException   The key is empty.
         * @throws Exception\UnavailableException       Nobody could be reached, or started. mayHaveHappened() says whether the write may
         *                                              have happened, here and below.
         * @throws Exception\TimeoutException           No answer in time.
         * @throws Exception\AccessDeniedException      This process may not use the socket.
         * @throws Exception\ExhaustedException         The store's quota (2 GiB, history included) or the disk is full.
         */
        public function put(string $key, mixed $value, ?int $ifRevision = null, string $comment = ''): int {}

        /**
         * Writes bytes as they are.
         *
         * @return int The revision of the write.
         *
         * @throws Exception\ExceptionInterface  As put().
         */
        public function putBytes(string $key, string $bytes, ?int $ifRevision = null, string $comment = ''): int {}

        /**
         * Deletes a key. That it does not exist is no failure, unless $ifRevision says otherwise.
         *
         * @param int|null $ifRevision As in put().
         * @param string   $comment    As in put().
         *
         * @return int A revision at which the key is gone.
         *
         * @throws Exception\ExceptionInterface  As put().
         */
        public function delete(string $key, ?int $ifRevision = null, string $comment = ''): int {}

        /**
         * Binds a JSON Schema (2020-12) to keys: from then on every put of a value that violates it is refused, whoever sends
         * it. It replaces the schema bound to the same pattern before.
         *
         * @param string $pattern A key, or a prefix followed by "*", below the client's prefix.
         * @param array  $schema  Write an object without members as (object) [], since [] is a list.
         *
         * @throws Exception\SchemaException           Existing values violate it, and nothing was bound; violations() names them.
         * @throws Exception\InvalidArgumentException  It is no schema, or could take too long; the message says where.
         * @throws Exception\ExceptionInterface        As put().
         */
        public function bindSchema(string $pattern, array $schema): void {}

        /**
         * Lets only sealed values be put at the keys of a pattern, in place of a schema: what a client without a keyring would store
         * in clear is refused.
         *
         * @param string $pattern  As bindSchema().
         *
         * @throws Exception\SchemaException       Existing values are not sealed, and nothing was bound; violations() names them.
         * @throws Exception\ExceptionInterface    As bindSchema().
         */
        public function bindSealed(string $pattern): void {}

        /**
         * Unbinds the schema of a pattern, or what bindSealed() has bound to it.
         *
         * @throws Exception\KeyNotFoundException  None is bound to it.
         * @throws Exception\ExceptionInterface    As put().
         */
        public function unbindSchema(string $pattern): void {}

        /**
         * The schemas that are bound to patterns below the client's prefix, in order of the patterns. Those of wider patterns hold
         * as well.
         *
         * @return list<Schema>
         *
         * @throws Exception\UnsupportedException  The members are an etcd's.
         * @throws Exception\UnavailableException  Nobody could be reached, or started.
         * @throws Exception\TimeoutException      No answer in time.
         */
        public function schemas(): array {}

        /**
         * Which existing values bindSchema() would be refused for. Binds nothing.
         *
         * @return list<array{key: string, path: string, message: string}> As SchemaException::violations(); empty: it can be bound.
         *
         * @throws Exception\InvalidArgumentException  It is no schema, or could take too long; the message says where.
         * @throws Exception\EncodingException         The schema has no JSON form.
         * @throws Exception\ExceptionInterface        As schemas().
         */
        public function checkSchema(string $pattern, array $schema): array {}

        /**
         * What put() of the value would be refused for. Writes nothing.
         *
         * @return list<array{key: string, path: string, message: string}> As SchemaException::violations(), the first hundred; empty: the
         *                                                                 value is good.
         *
         * @throws Exception\InvalidArgumentException  The key is empty.
         * @throws Exception\EncodingException         The value has no JSON form.
         * @throws Exception\ExceptionInterface        As schemas().
         */
        public function checkValue(string $key, mixed $value): array {}

        /**
         * The changes of a key that are kept, the newest first. By default those are its last 100, as far as the changes of all
         * keys fit into 64 MiB; see docs/history.md. Asks the store; one without a history of its own, as an etcd, has none.
         *
         * The change log of all keys is `history('', prefix: true)`; all conditions together select.
         *
         * @param string     $key      Also one that does not exist any more.
         * @param int        $limit    At most so many; 0: all.
         * @param bool       $prefix   Of all keys that begin with $key, which may then be empty.
         * @param float|null $fromTime Made then or later, in seconds since 1970, as HistoryEntry::$time; null: no bound.
         * @param float|null $toTime   Made then or earlier.
         * @param string     $author   By this user, or by a client that calls itself so and has not authenticated; empty: by anybody.
         *
         * @return list<HistoryEntry> Empty if the key never was, or nothing of it is kept.
         *
         * @throws Exception\UnsupportedException       The members are an etcd's.
         * @throws Exception\InvalidArgumentException   The key is empty, the limit negative, or a time not finite.
         * @throws Exception\UnavailableException       Nobody could be reached, or started.
         * @throws Exception\TimeoutException           No answer in time.
         */
        public function history(string $key, int $limit = 0, bool $prefix = false, ?float $fromTime = null, ?float $toTime = null, string $author = ''): array {}

        /**
         * Makes a key what it was at a revision, as a new change: a key that was not there is deleted. Nothing is written if it
         * is so already. Reads of this request that follow see it.
         *
         * @param int    $revision Any revision of the store, not only one that changed the key.
         * @param string $comment  As in put().
         * @param bool   $prefix   All keys that begin with $key, which may then be empty, together and in one revision; those that
         *                         came since are deleted.
         *
         * @return int The revision made, or the present one if there was nothing to do.
         *
         * @throws Exception\CompactedException    What was there is no longer kept; the message says from which revision on it is.
         * @throws Exception\UnsupportedException  The members are an etcd's.
         * @throws Exception\ExceptionInterface    As put().
         */
        public function rollback(string $key, int $revision, string $comment = '', bool $prefix = false): int {}

        /**
         * What rollback() would change, without changing it: a dry run.
         *
         * @return list<Difference> From now to what the rollback would make; empty: there is nothing to do.
         *
         * @throws Exception\SchemaException     The rollback would be refused: a value that it brings back violates a schema of today.
         * @throws Exception\ExceptionInterface  As rollback().
         */
        public function previewRollback(string $key, int $revision, bool $prefix = false): array {}

        /**
         * What differs between two revisions: a key that came or went as a whole, the documents of one that was changed place by
         * place. Another way to write the same document is no difference. Keys that a lease held are left out.
         *
         * @param int      $from   A revision of the store, as in rollback().
         * @param int|null $to     Another one, also an earlier; null: now.
         * @param bool     $prefix All keys that begin with $key, which may then be empty.
         *
         * @return list<Difference> In order of the keys, and of the places in them; empty: nothing differs.
         *
         * @throws Exception\CompactedException        What was there is no longer kept; the message says from which revision on it is.
         * @throws Exception\UnsupportedException      The members are an etcd's.
         * @throws Exception\InvalidArgumentException  The key is empty, or there is no such revision.
         * @throws Exception\UnavailableException      Nobody could be reached, or started.
         * @throws Exception\TimeoutException          No answer in time.
         */
        public function diff(string $key, int $from, ?int $to = null, bool $prefix = false): array {}

        /**
         * Which change each value in a key's document comes from. Items of lists are told apart by their number.
         *
         * @return list<BlamedValue> In the document's order: each value that is no array with something in it.
         *
         * @throws Exception\KeyNotFoundException      The key does not exist.
         * @throws Exception\CompactedException        No history of the key is kept.
         * @throws Exception\InvalidArgumentException  The key is empty, or its value neither JSON nor text.
         * @throws Exception\SealedException           The value is sealed and can't be opened.
         * @throws Exception\UnsupportedException      The members are an etcd's.
         * @throws Exception\UnavailableException      Nobody could be reached, or started.
         * @throws Exception\TimeoutException          No answer in time.
         */
        public function blame(string $key): array {}

        /**
         * Says how much history the keys of a prefix keep; what is beyond that is forgotten at once. Without a rule, that is the last
         * 100 changes of a key.
         *
         * @param string $prefix Keys that begin with this, below the client's prefix. Of several rules, that of the longest prefix counts.
         * @param int    $count  Most changes kept of a key; 0: no history.
         * @param int    $maxAge Longest time that a change is kept, in seconds; 0: no bound.
         *
         * @throws Exception\InvalidArgumentException  A number is out of range.
         * @throws Exception\ExhaustedException        There are too many rules.
         * @throws Exception\UnsupportedException      The members are an etcd's.
         * @throws Exception\ExceptionInterface        As put().
         */
        public function setRetention(string $prefix, int $count, int $maxAge = 0): void {}

        /**
         * Removes the rule of a prefix: that of the next shorter one holds again.
         *
         * @throws Exception\KeyNotFoundException   There is none.
         * @throws Exception\UnsupportedException   The members are an etcd's.
         * @throws Exception\ExceptionInterface     As put().
         */
        public function removeRetention(string $prefix): void {}

        /**
         * The rules of how much history is kept, as far as their prefixes are below the client's, in order of the prefixes.
         *
         * @return list<Retention>
         *
         * @throws Exception\UnsupportedException   The members are an etcd's.
         * @throws Exception\UnavailableException   Nobody could be reached, or started.
         * @throws Exception\TimeoutException       No answer in time.
         */
        public function retention(): array {}

        /**
         * Sets a rule of who is told when keys change, or replaces the one of this name. The cluster tells: at least once, and in
         * order. A new rule begins with the next change; a replaced one goes on where it was. See docs/notifications.md.
         *
         * @param string $name   Letters, digits, `-`, `_` and `.`, at most 64; of the whole cluster, whatever the client's prefix.
         * @param array  $target One of `['webhook' => ['url', 'secret']]`, `['slack' => ['url', 'channel']]` and
         *                       `['email' => ['server', 'from', 'to', 'user', 'password']]`, where `to` is a list of addresses and
         *                       the others are strings; `secret`, `channel`, `user` and `password` may be left out. `secret`,
         *                       `password` and Slack's `url` are where each member finds it: `env:NAME` or `file:PATH`.
         * @param string $prefix Keys that begin with this, below the client's prefix.
         * @param list<ChangeType> $kinds Kinds of change; empty: all.
         * @param bool   $values Whether the old and the new value go along. Sealed values never do.
         *
         * @throws Exception\InvalidArgumentException  The rule can't be; the message names the part, and quotes no secret.
         * @throws Exception\EncodingException         A string of the target is not UTF-8.
         * @throws Exception\ExhaustedException        There are 100 rules.
         * @throws Exception\UnsupportedException      The members are an etcd's.
         * @throws Exception\ExceptionInterface        As put().
         */
        public function setNotification(string $name, array $target, string $prefix = '', array $kinds = [], bool $values = false): void {}

        /**
         * Removes a rule, with its dead letters. What was not sent never will be.
         *
         * @throws Exception\KeyNotFoundException  There is none of this name.
         * @throws Exception\ExceptionInterface    As setNotification().
         */
        public function removeNotification(string $name): void {}

        /**
         * The rules of the whole cluster, and how far each has got, in order of their names. Asks the members.
         *
         * @return list<Notification>
         *
         * @throws Exception\UnsupportedException  The members are an etcd's.
         * @throws Exception\UnavailableException  Nobody could be reached, or started.
         * @throws Exception\TimeoutException      No answer in time.
         */
        public function notifications(): array {}

        /**
         * What could not be delivered: of each rule, the last 1,000. The oldest first. Asks the members.
         *
         * @param string $name Of this rule; empty: of all.
         *
         * @return list<DeadLetter>
         *
         * @throws Exception\KeyNotFoundException  There is no rule of this name.
         * @throws Exception\ExceptionInterface    As notifications().
         */
        public function deadLetters(string $name = ''): array {}

        /**
         * Sends dead letters of a rule once more, from the history, and forgets those that are taken. A call goes on for three
         * seconds at most, and ends at the first that is refused: call again for the rest.
         *
         * @param list<int> $ids    Of these; empty: of all.
         * @param bool      $forget Sends nothing, only forgets.
         *
         * @return int How many were delivered.
         *
         * @throws Exception\InvalidArgumentException  $ids holds something else than ids.
         * @throws Exception\KeyNotFoundException      There is no rule of this name.
         * @throws Exception\ExceptionInterface        As put(): mayHaveHappened() says that some may have been sent.
         */
        public function retryDeadLetters(string $name, array $ids = [], bool $forget = false): int {}

        /**
         * Every change of the keys that begin with $prefix, in order, without a gap or a duplicate, also while the agent
         * restarts. Where reads see the newest revision, those that follow a change see it or what came after it.
         *
         * @param float|null $timeout      Seconds after which a loop over it ends; null: never.
         * @param int|null   $fromRevision Begin with the changes of this revision. Default: after what this request, or script, read last, so
         *                                 that nothing falls between a read and the watch.
         *
         * @throws Exception\ExceptionInterface  As get() without $fromRevision. While looping: CompactedException (history before
         *                                       $fromRevision is gone, of which an embedded store keeps 10,000 revisions, or
         *                                       less of large values; or another store has taken its place: read again, then watch),
         *                                       UnavailableException (nobody was ever reached), and what else a server refuses.
         */
        public function watch(string $prefix = '', ?float $timeout = null, ?int $fromRevision = null): Watch {}

        /**
         * The same for event loops and select().
         *
         * @throws Exception\ExceptionInterface  As watch().
         */
        public function subscribe(string $prefix = '', ?int $fromRevision = null): Subscription {}

        /**
         * Takes a lock that one process at a time has.
         *
         * The host agent keeps it alive. It is free again after release(), when the object or the request ends, or when the
         * process dies, however it dies.
         *
         * @param string $name Below the client's prefix; locks are no keys of the configuration.
         * @param float  $ttl  Seconds for which the lock outlives a host that dies without a word; rounded up, to 2 at least.
         * @param float  $wait Seconds to wait while another has it; 0.0: not at all, INF: for ever.
         *
         * @throws Exception\TimeoutException          Another has it.
         * @throws Exception\InvalidArgumentException  The name is empty, or a time negative.
         * @throws Exception\UnsupportedException      The endpoints have no agent, which keeps locks alive.
         * @throws Exception\UnavailableException      Nobody could be reached, or started.
         */
        public function lock(string $name, float $ttl = 10.0, float $wait = 0.0): Lock {}

        /**
         * Several conditions and writes, all or nothing, in one revision.
         */
        public function transaction(): Transaction {}

        /**
         * The revision that reads see now.
         *
         * @throws Exception\ExceptionInterface  As get(), except that absence is no failure.
         */
        public function revision(): int {}

        /**
         * Moves the reads of this process to the newest revision on this host, and returns it.
         *
         * @throws Exception\ExceptionInterface  As revision().
         */
        public function refresh(): int {}

        /**
         * Keeps reads at the present revision until unpin() or the end of the request, or until an own write or refresh() moves them.
         * Returns it.
         *
         * @throws Exception\ExceptionInterface  As revision().
         */
        public function pin(): int {}

        /**
         * Ends pin(). Reads see the newest revision again.
         */
        public function unpin(): void {}

        /**
         * How the copy on this host is: what reads saw last, and whether the agent that renews it lives. Asks nobody but
         * that agent, for half a second at most, and starts nothing.
         */
        public function status(): Status {}

        /**
         * As get() without a default. Use `$client['key']`.
         *
         * @param string|int $offset
         */
        public function offsetGet(mixed $offset): mixed {}

        /**
         * Whether the key exists and its value is not null. Use `isset($client['key'])`.
         *
         * @param string|int $offset
         */
        public function offsetExists(mixed $offset): bool {}

        /**
         * As put(). Use `$client['key'] = $value`.
         *
         * @param string|int $offset
         */
        public function offsetSet(mixed $offset, mixed $value): void {}

        /**
         * As delete(). Use `unset($client['key'])`.
         *
         * @param string|int $offset
         */
        public function offsetUnset(mixed $offset): void {}
    }

    /**
     * A key as it was when it was read.
     */
    final class Entry
    {
        /** Without the client's prefix. */
        public readonly string $key;
        public readonly mixed $value;
        /** Revision of the last change: what put(..., ifRevision:) compares. */
        public readonly int $revision;
        /** Revision in which the key came into being. */
        public readonly int $createRevision;
        /** Number of writes since then, from 1. */
        public readonly int $version;

        private function __construct() {}
    }

    enum ChangeType: string
    {
        case Put = 'put';
        case Delete = 'delete';
    }

    /**
     * One change of one key.
     */
    final class Change
    {
        public readonly ChangeType $type;
        /** Without the client's prefix. */
        public readonly string $key;
        /** The new value; null for a delete. Not initialised if $error is set. */
        public readonly mixed $value;
        /** The value before; null if there was none, or if it is no longer known, or sealed with a key that is not. */
        public readonly mixed $previous;
        public readonly int $revision;
        /** Why the new value, which is sealed, can't be opened; null: nothing is wrong. */
        public readonly ?Exception\SealedException $error;

        private function __construct() {}
    }

    /**
     * One change of one key, as the store remembers it.
     */
    final class HistoryEntry
    {
        public readonly ChangeType $type;
        /** Without the client's prefix. */
        public readonly string $key;
        /** The value put; null for a delete. Not initialised if $error is set. */
        public readonly mixed $value;
        /** The value before; null if there was none, or if it is no longer kept, or sealed with a key that is not known. */
        public readonly mixed $previous;
        public readonly int $revision;
        /** Why the value, which is sealed, can't be opened; null: nothing is wrong. */
        public readonly ?Exception\SealedException $error;
        /** When, in seconds since 1970, to the millisecond; never less than that of an earlier revision. */
        public readonly float $time;
        /** The authenticated user, or else what the client called itself; may be empty. */
        public readonly string $author;
        /** Whether $author is an authenticated user; if not, nobody has checked the name. */
        public readonly bool $verified;
        /** What the client called itself: `cfgstore.client_name` of a PHP process. May be empty. */
        public readonly string $client;
        /** Where the call came from: an address, or `unix:uid=33` for a process of the member's host. May be empty. */
        public readonly string $address;
        /** Why, in the author's words; may be empty. */
        public readonly string $comment;

        private function __construct() {}
    }

    enum DifferenceType: string
    {
        case Added = 'added';
        case Changed = 'changed';
        case Deleted = 'deleted';
    }

    /**
     * One place at which two revisions differ.
     */
    final class Difference
    {
        public readonly DifferenceType $type;
        /** Without the client's prefix. */
        public readonly string $key;
        /** Where in the document, as get() takes it behind the key and a dot; empty: the value as a whole. */
        public readonly string $path;
        /** What was there; null if nothing was. Not initialised if $error is set. */
        public readonly mixed $before;
        /** What is there; null if nothing is. Not initialised if $error is set. Two arrays may differ in their order only. */
        public readonly mixed $after;
        /** Why a value, which is sealed, can't be opened; null: nothing is wrong. */
        public readonly ?Exception\SealedException $error;

        private function __construct() {}
    }

    /**
     * A value in a document and where it comes from.
     */
    final class BlamedValue
    {
        /** Where in the document, as get() takes it behind the key and a dot; empty: the value as a whole. */
        public readonly string $path;
        public readonly mixed $value;
        /** The change that made it so; null: that is no longer kept, or can't be opened. */
        public readonly ?HistoryEntry $change;

        private function __construct() {}
    }

    /**
     * How much history the keys of a prefix keep.
     */
    final class Retention
    {
        /** Without the client's prefix; empty: every key. Of several rules, that of the longest prefix counts. */
        public readonly string $prefix;
        /** Most changes kept of a key; 0: no history. */
        public readonly int $count;
        /** Longest time that a change is kept, in seconds; 0: no bound. */
        public readonly int $maxAge;

        private function __construct() {}
    }

    /**
     * A schema that is bound to a pattern.
     */
    final class Schema
    {
        /** A key, or a prefix followed by "*", without the client's prefix. */
        public readonly string $pattern;
        /** The schema, decoded as a value is, so an object without members is `[]`; null if $sealed. */
        public readonly array|bool|null $schema;
        /** Whether there is no schema, but only sealed values may be put. */
        public readonly bool $sealed;

        private function __construct() {}
    }

    /**
     * A rule of who is told when keys change, and how far it has got.
     */
    final class Notification
    {
        public readonly string $name;
        /**
         * As Client::setNotification() takes it; of a Slack URL and of a webhook's query nothing is shown. null: the rule was set
         * by a newer version and can't be read; then the next three say nothing.
         */
        public readonly ?array $target;
        /** The client's prefix included; empty: every key. */
        public readonly string $prefix;
        /** @var list<ChangeType> Empty: all. */
        public readonly array $kinds;
        public readonly bool $values;
        /** Every change up to this revision has been delivered, or has become a dead letter. */
        public readonly int $doneThroughRevision;
        /** How many dead letters are kept. */
        public readonly int $deadLetters;
        /** Why the last attempt failed; null: it did not, or the member that answers does not lead, and so does not know. */
        public readonly ?string $trouble;

        private function __construct() {}
    }

    /**
     * What could not be delivered.
     */
    final class DeadLetter
    {
        /** Names it among those of its rule. */
        public readonly int $id;
        /** The rule. */
        public readonly string $name;
        /** The first revision that it would have told of. */
        public readonly int $fromRevision;
        /** And the last. */
        public readonly int $toRevision;
        /** Why it could not be delivered. */
        public readonly string $reason;
        /** When it was given up, in seconds since 1970, to the millisecond. */
        public readonly float $time;

        private function __construct() {}
    }

    /**
     * Changes as a loop sees them: `foreach ($client->watch('app/') as $revision => $change)`.
     *
     * Each loop goes on where the last one ended, and runs for at most the watch's timeout. Signal handlers set with
     * pcntl_async_signals(true) run while it waits.
     */
    final class Watch implements \Iterator
    {
        private function __construct() {}

        public function rewind(): void {}

        public function next(): void {}

        public function valid(): bool {}

        public function current(): ?Change {}

        /** Revision of the current change. */
        public function key(): ?int {}

        /**
         * The revision to give another watch as fromRevision, so that it goes on here: nothing is skipped, and only changes
         * already seen of that very revision come again.
         */
        public function position(): int {}
    }

    /**
     * Changes for event loops.
     */
    final class Subscription
    {
        private function __construct() {}

        /**
         * The next change; null: none came in time.
         *
         * @param float $timeout Seconds to wait; 0.0: take only what has arrived.
         *
         * @throws Exception\ExceptionInterface  As a loop over Client::watch().
         */
        public function next(float $timeout = 0.0): ?Change {}

        /**
         * A stream to wait on with stream_select(), Revolt, ReactPHP or Swoole: readable when next() should be called, until it
         * gives null. There is nothing to read from it. After a fork, the child calls this again.
         *
         * @return resource
         *
         * @throws Exception\UnavailableException  No descriptor is left.
         */
        public function stream() {}

        /** As Watch::position(). */
        public function position(): int {}
    }

    /**
     * A lock that is held until release(), the end of this object, of the request, or of the process. In a forked child
     * it is not held, and nothing there frees the parent's.
     */
    final class Lock
    {
        /** Greater than that of every earlier holder: pass it to what the lock protects, which refuses smaller ones. */
        public readonly int $token;
        /** The whole key that exists while the lock is held. */
        public readonly string $key;

        private function __construct() {}

        /**
         * Whether it is still held, as far as this process can know now: no after its agent has ended, or has been silent for
         * so long that the lock may have been lost.
         */
        public function isHeld(): bool {}

        /**
         * Frees the lock and waits until it is free. A second time does nothing.
         *
         * @throws Exception\LockLostException  It was lost before, or may have been: what it protects may have been touched by
         *                                      another. Transaction::ifHeld() finds out in time.
         */
        public function release(): void {}
    }

    /**
     * Conditions and writes that happen all together, or not at all: at most 128 of either, in a request of 1.5 MiB, unless the
     * members' --max-txn-ops and --max-request-bytes are others. A key is written once at most.
     */
    final class Transaction
    {
        private function __construct() {}

        /** Only if the key's last change was in this revision. */
        public function ifRevision(string $key, int $revision): static {}

        /** Only if the key exists. */
        public function ifExists(string $key): static {}

        /** Only if the key does not exist. */
        public function ifAbsent(string $key): static {}

        /**
         * Only if the lock is still held, which the store itself sees to. If it is not, commit() throws a LockLostException.
         */
        public function ifHeld(Lock $lock): static {}

        /**
         * Writes a value; see Client::put().
         *
         * @throws Exception\EncodingException  The value has no JSON form.
         */
        public function put(string $key, mixed $value): static {}

        /** Writes bytes as they are. */
        public function putBytes(string $key, string $bytes): static {}

        /** Deletes a key, if it exists. */
        public function delete(string $key): static {}

        /**
         * Says why, for the history; the last one counts. As in Client::put().
         *
         * @throws Exception\InvalidArgumentException  It is longer than 1,024 bytes, or not one line of UTF-8.
         */
        public function comment(string $text): static {}

        /**
         * Sends it, once.
         *
         * @return int The revision of its writes.
         *
         * @throws Exception\ConflictException   A condition does not hold: nothing was written.
         * @throws Exception\LockLostException   The lock of ifHeld() is lost: nothing was written.
         * @throws Exception\ExceptionInterface  As Client::put().
         */
        public function commit(): int {}
    }

    /**
     * How this host's copy of the configuration is.
     */
    final class Status
    {
        /** Whether there is a copy; without one, the numbers below are 0. */
        public readonly bool $synced;
        /** Revision that reads see. */
        public readonly int $revision;
        /** Number of the copy; grows with every publish on this host. */
        public readonly int $generation;
        /** Number of keys in it, of every prefix. */
        public readonly int $keys;
        /** Whether it is the last copy from disk, or a seed, which no member has confirmed yet. */
        public readonly bool $restored;
        /** Whether the agent was heard within the last three seconds. */
        public readonly bool $agentAlive;
        /** The agent's process id as it states it; 0: unknown. */
        public readonly int $agentPid;
        /** Seconds since the agent was last heard; null: never. */
        public readonly ?float $silentSeconds;
        public readonly string $dataDir;
        public readonly ?string $mirrorDir;
        /** `immutable` or `refcounted`. */
        public readonly string $valueMode;
        /** `request` or `latest`. */
        public readonly string $consistency;
        /** Why reads don't see the newest copy, as where its memory is full, or why the agent could not be brought back; null when all is well. */
        public readonly ?string $trouble;

        private function __construct() {}
    }
}

namespace Cfgstore\Exception {

    /**
     * Every failure of the extension.
     */
    interface ExceptionInterface extends \Throwable
    {
        /** Whether the same call may succeed later with nothing changed. */
        public function isRetryable(): bool;

        /** Whether a write may have happened although it failed: read before you write again. */
        public function mayHaveHappened(): bool;
    }

    abstract class StoreException extends \RuntimeException implements ExceptionInterface
    {
        protected bool $retryable = false;
        protected bool $mayHaveHappened = false;

        final public function isRetryable(): bool {}

        final public function mayHaveHappened(): bool {}
    }

    /** The key does not exist. */
    class KeyNotFoundException extends StoreException {}

    /** A key is not at the revision that was asked for: read it and decide again. */
    class ConflictException extends StoreException {}

    /** The call makes no sense; repeating it will not help. */
    class InvalidArgumentException extends StoreException {}

    /** A key, value or request is over a limit. */
    class TooLargeException extends StoreException {}

    /** No server could be reached or started, or it cannot serve now. */
    class UnavailableException extends StoreException {}

    /** The time was up first. */
    class TimeoutException extends StoreException {}

    /** This process may not do this. */
    class AccessDeniedException extends StoreException {}

    /** The history asked for is gone: read the current state and go on from there. */
    class CompactedException extends StoreException {}

    /** The lock is no longer held. */
    class LockLostException extends StoreException {}

    /** A quota, memory or disk is full. */
    class ExhaustedException extends StoreException {}

    /** Data is damaged. */
    class CorruptException extends StoreException {}

    /** This host has no copy of the configuration yet. */
    class NotSyncedException extends StoreException {}

    /** The other side, or this version, cannot do this. */
    class UnsupportedException extends StoreException {}

    /** The call was ended from this side. */
    class CanceledException extends StoreException {}

    /** A fault in cfgstore. */
    class InternalException extends StoreException {}

    /** A sealed value can't be opened, or one that is to be sealed can't be. */
    class SealedException extends StoreException {}
    /** A value violates its schema: nothing was written. */
    class SchemaException extends StoreException
    {
        protected array $violations = [];

        /**
         * What is wrong: the first ones, each with the "key" (its prefix included), the "path" in the value (a JSON Pointer; of a
         * member that is missing, where it should be) and a "message", which never quotes the value.
         *
         * @return list<array{key: string, path: string, message: string}>
         */
        final public function violations(): array {}
    }

    /** A PHP value has no JSON form. */
    class EncodingException extends StoreException {}

    /** A value is of another type than the one asked for. */
    class TypeException extends StoreException {}
}
