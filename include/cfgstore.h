/*
 * cfgstore.h: the C interface of cfgstore 0.1.0.
 *
 * This file is the specification: what is not here is no part of the interface. It is generated from the crate
 * cfgstore-ffi, so change it there.
 *
 * CONCEPT
 *
 * cfgstore keeps the configuration of applications consistent across machines. It maps keys to values; both are
 * bytes, values by convention JSON. Every change, of whatever key, takes the next revision, one number that counts
 * the changes of the whole store: a key is at the revision of its last change, and a reader who knows a revision can
 * watch every later change, in order, without a gap.
 *
 * A program opens a store (cfgstore_t), which is one client: of the embedded store of this host, of a cluster, or of
 * a member that runs inside the program itself (see cfgstore_options_t.address). With it, it reads and writes keys,
 * watches them (cfgstore_watch_t), and takes locks (cfgstore_lock_t).
 *
 *     cfgstore_error_t error;
 *     cfgstore_t *store;
 *     cfgstore_result_t *result;
 *     if (cfgstore_open(NULL, &store, &error) != CFGSTORE_OK)
 *         return fail(error.message);
 *     if (cfgstore_get(store, CFGSTORE_TEXT("database"), &result, &error) == CFGSTORE_OK) {
 *         const cfgstore_item_t *item = cfgstore_result_item(result, 0);
 *         printf("%.*s\n", (int)item->value_length, item->value);
 *         cfgstore_result_free(result);
 *     }
 *     cfgstore_close(store);
 *
 * RULES, which hold for every function unless it says otherwise
 *
 * Status.    A function that can fail returns a cfgstore_status_t; CFGSTORE_OK, which is 0, means that all was done.
 *            A function that returns something else, or nothing, cannot fail.
 * Message.   The last parameter of a function that can fail is a cfgstore_error_t of the caller's, or NULL. It is
 *            written only on failure, with a message that says what happened, to what, and what to do next.
 * Writes.    A write is never sent twice behind the caller's back. When its fate is unknown (the connection broke
 *            under it), the status says so: cfgstore_status_maybe_committed(). Read, then decide.
 * Strings.   Every string is a pointer and a length in bytes; no NUL is needed, none is added, and any byte is
 *            allowed, except where UTF-8 is asked for. NULL is allowed with length 0. What is passed in is copied
 *            before the function returns. CFGSTORE_TEXT("literal") writes both arguments for a literal.
 * Ownership. What a function hands out through a `T **` belongs to the caller, until it is given to the function
 *            that frees it, which its type names. On failure the pointer is set to NULL. Functions that free accept
 *            NULL and do nothing. A handle that was freed must not be used again; that is not detected.
 * Nesting.   Watches, locks and transactions may outlive the store they were made from; it lives on inside them.
 *            Results need neither.
 * Threads.   Any thread may use any handle. A store, a lock, a result and a server's information may be used by
 *            many threads at once. A watch and a transaction may be too, but calls on one of them take turns. Freeing
 *            a handle while another call on it runs is not allowed.
 * Time.      In milliseconds, as int64_t. A call is bounded by call_timeout_ms, a wait by its own bound.
 * Signals.   A call is not ended by a signal; signal handlers must not call these functions. The background threads
 *            block every signal. SIGPIPE is never raised.
 * Fork.      After fork(), the child may go on using a store: it makes its own connection, and the parent's is not
 *            touched. A watch goes on in both, each from where it was. Locks stay with the parent: in the child they
 *            are not held (CFGSTORE_LOCK_LOST), and releasing one there only frees the handle. A member inside the
 *            process (embedded:/dir) stays with the parent too: the child reaches it, as any other process may,
 *            while the parent lives, and cannot run one of its own (CFGSTORE_UNSUPPORTED). Do not fork while another
 *            thread is inside a function of this library; before exec(), nothing needs to be done, since every
 *            descriptor is close-on-exec.
 * Restarts.  A store outlives its server: the next call connects anew, and starts the embedded store again if it may. A
 *            call that was under way fails with CFGSTORE_UNAVAILABLE, a write that may have happened with that plus 100.
 *            A watch goes on by itself where it was, without a gap, or says that what it missed is no longer known
 *            (CFGSTORE_COMPACTED), as when another store has taken its place. A lock is lost with the agent or embedded
 *            store of this host that keeps it alive (CFGSTORE_LOCK_LOST); the restart of a member elsewhere it outlives,
 *            within its ttl.
 * Panics.    None crosses this interface: a fault inside becomes CFGSTORE_INTERNAL.
 * Versions.  Structs of options begin with their size, so that a program and a library of different versions
 *            understand each other: start from the _INIT macro. Structs that the library hands out may get more
 *            fields at their end. Values of enums are never changed.
 *
 * LINKING
 *
 * Shared: cc program.c -lcfgstore. The library stays loaded after a dlclose().
 * Static: cc program.c libcfgstore.a -lpthread -ldl -lm.
 */

#ifndef CFGSTORE_H
#define CFGSTORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Version of this file, and as one number: major * 10000 + minor * 100 + patch. That of the library is told by
 * cfgstore_version() and cfgstore_version_number(). */
#define CFGSTORE_VERSION "0.1.0"
#define CFGSTORE_VERSION_NUMBER 100

/** The two arguments for a string literal: pointer and length. */
#define CFGSTORE_TEXT(literal) ("" literal), (sizeof(literal) - 1)

/** Options that ask for every default. */
#define CFGSTORE_OPTIONS_INIT                                                                                 \
  { sizeof(cfgstore_options_t), NULL, 0, NULL, 0, NULL, 0, NULL, 0, NULL, 0, 0, 0, 0, CFGSTORE_AUTOSTART_DEFAULT, 0, \
    NULL, 0 }


/**
 * Room for a message and the NUL after it.
 */
#define CFGSTORE_MESSAGE_BYTES 992

/**
 * For `if_revision`: whatever is there.
 */
#define CFGSTORE_ANY_REVISION -2

/**
 * For `if_revision`: only if the key exists.
 */
#define CFGSTORE_PRESENT -1

/**
 * For `if_revision`: only if the key does not exist.
 */
#define CFGSTORE_ABSENT 0

/**
 * Longest value that the library passes on. A server takes less: 1.5 MiB for a whole request, unless its
 * operator set another limit. Keys, with the prefix, may have 65536 bytes.
 */
#define CFGSTORE_VALUE_BYTES_MAX 268435456

/**
 * What a function came to. Values never change their meaning; later versions may add some, so treat one that
 * you do not know as a failure.
 *
 * A write whose fate is unknown has a status of its own, whose value is that of the plain status plus 100: the
 * write may have happened, or may still happen. Read what is there before you send it again.
 */
typedef enum {
  /**
   * It was done.
   */
  CFGSTORE_OK = 0,
  /**
   * The key does not exist.
   */
  CFGSTORE_NOT_FOUND = 1,
  /**
   * A key is not at the revision that was asked for. Read it and decide again.
   */
  CFGSTORE_CONFLICT = 2,
  /**
   * The call makes no sense; the message says which argument and why. Making it again will not help.
   */
  CFGSTORE_INVALID_ARGUMENT = 3,
  /**
   * A key, value or request is over a limit.
   */
  CFGSTORE_TOO_LARGE = 4,
  /**
   * No server could be reached, or it cannot serve now.
   */
  CFGSTORE_UNAVAILABLE = 5,
  /**
   * The time allowed for the call, or the wait that was asked for, passed first.
   */
  CFGSTORE_TIMEOUT = 6,
  /**
   * The caller may not do this.
   */
  CFGSTORE_DENIED = 7,
  /**
   * The history asked for is gone. Read the current state and go on from there.
   */
  CFGSTORE_COMPACTED = 8,
  /**
   * The lock is no longer held.
   */
  CFGSTORE_LOCK_LOST = 9,
  /**
   * A quota, memory or disk is full.
   */
  CFGSTORE_EXHAUSTED = 10,
  /**
   * Data is damaged; the message says where.
   */
  CFGSTORE_CORRUPT = 11,
  /**
   * The host has no copy of the configuration yet.
   */
  CFGSTORE_NOT_SYNCED = 12,
  /**
   * The other side, or this kind of address, cannot do this.
   */
  CFGSTORE_UNSUPPORTED = 13,
  /**
   * The call was ended from outside before it was done.
   */
  CFGSTORE_CANCELED = 14,
  /**
   * A fault in cfgstore. Please report it with the message.
   */
  CFGSTORE_INTERNAL = 15,
  /**
   * A sealed value cannot be opened, or one that is to be sealed cannot be; the message says why.
   */
  CFGSTORE_SEALED = 16,
  /**
   * A value violates its schema; the message says where and what. Nothing was written.
   */
  CFGSTORE_SCHEMA_VIOLATION = 17,
  /**
   * As CFGSTORE_UNAVAILABLE, and the write may have happened.
   */
  CFGSTORE_UNAVAILABLE_MAYBE_COMMITTED = 105,
  /**
   * As CFGSTORE_TIMEOUT, and the write may have happened.
   */
  CFGSTORE_TIMEOUT_MAYBE_COMMITTED = 106,
  /**
   * As CFGSTORE_CORRUPT, and the write may have happened.
   */
  CFGSTORE_CORRUPT_MAYBE_COMMITTED = 111,
  /**
   * As CFGSTORE_CANCELED, and the write may have happened.
   */
  CFGSTORE_CANCELED_MAYBE_COMMITTED = 114,
  /**
   * As CFGSTORE_INTERNAL, and the write may have happened.
   */
  CFGSTORE_INTERNAL_MAYBE_COMMITTED = 115,
} cfgstore_status_t;

/**
 * What happened to a key.
 */
typedef enum {
  /**
   * The key has this value; in a watch: was given it.
   */
  CFGSTORE_ITEM_PUT = 1,
  /**
   * Only in a watch: the key was deleted. It has no value; mod_revision is that of the deletion.
   */
  CFGSTORE_ITEM_DELETE = 2,
} cfgstore_item_kind_t;

/**
 * Whether to start cfgstored when the address is the embedded store, or an agent, and nothing answers.
 */
typedef enum {
  /**
   * As CFGSTORE_AUTOSTART_ON.
   */
  CFGSTORE_AUTOSTART_DEFAULT = 0,
  /**
   * Start it, once, however many processes race for it; it outlives them.
   */
  CFGSTORE_AUTOSTART_ON = 1,
  /**
   * Fail with CFGSTORE_UNAVAILABLE.
   */
  CFGSTORE_AUTOSTART_OFF = 2,
} cfgstore_autostart_t;

/**
 * What a watch is of.
 */
typedef enum {
  /**
   * One key.
   */
  CFGSTORE_WATCH_KEY = 1,
  /**
   * Every key that begins with what is given; empty: every key of the store.
   */
  CFGSTORE_WATCH_PREFIX = 2,
} cfgstore_watch_scope_t;

/**
 * Not for the caller.
 */
typedef struct cfgstore_info_strings_t cfgstore_info_strings_t;

/**
 * A lock that was taken: a name that one holder has at a time. The background thread of the store keeps it
 * alive. It ends with cfgstore_lock_release(), which frees this handle, and with the process: at once where an agent of
 * the host holds it (the embedded store, a unix socket), after its time to live elsewhere.
 */
typedef struct cfgstore_lock_t cfgstore_lock_t;

/**
 * What a read or a watch found: items, all read at one revision. Never changes. Free it with
 * cfgstore_result_free().
 */
typedef struct cfgstore_result_t cfgstore_result_t;

/**
 * An open store: one client, with a background thread that keeps its connection and its locks alive.
 * Open one for the life of the program. Free it with cfgstore_close().
 */
typedef struct cfgstore_t cfgstore_t;

/**
 * A transaction under construction: conditions and writes, all of which happen in one revision, or none does.
 * Nothing is sent before cfgstore_txn_commit(). Free it with cfgstore_txn_free().
 */
typedef struct cfgstore_txn_t cfgstore_txn_t;

/**
 * A watch: every change of a key or of a prefix, in order, each once. It reconnects by itself, to another member if
 * there is one, and goes on where it was. What is not fetched waits at the server. Free it with
 * cfgstore_watch_close().
 */
typedef struct cfgstore_watch_t cfgstore_watch_t;

/**
 * Settings of cfgstore_open(). Begin with CFGSTORE_OPTIONS_INIT and set what differs; a field that is zero asks for
 * its default. Strings are copied by cfgstore_open().
 */
typedef struct {
  /**
   * sizeof(cfgstore_options_t).
   */
  size_t size;
  /**
   * Whom to talk to, UTF-8:
   * - empty, the default: the embedded store of this host, reached by its socket in the data folder, and started
   *   there when nothing answers;
   * - "unix:///run/cfgstore/cfgstore.sock": the agent or member behind that socket;
   * - "http://a:2379,http://b:2379": those members of a cluster, of cfgstore or of etcd. The scheme and the port
   *   2379 may be left out. A call that one of them does not answer is made to another, where that is safe. This
   *   process keeps its locks alive itself, so one that it leaves behind when it is killed is held until its time to
   *   live is over;
   * - "agent:http://a:2379,http://b:2379": the same members, through one agent for all processes of this host, which
   *   is cfgstored, in a folder of its own below the data folder. It is started there when nothing answers, as the
   *   embedded store is. It keeps locks alive, and frees one at once when the process that took it ends;
   * - "embedded:/dir": a member that runs inside this process, on threads of its own, with its files in that
   *   folder (an absolute path), which is created if need be. The stores that a process opens on one folder
   *   share one member, which ends when the last of them, with their watches and locks, is closed. Meanwhile other
   *   processes may reach it at "unix:///dir/cfgstore.sock". It ends the process (abort) if its log can no longer be
   *   written, since nobody knows then what is on disk. To delete such a store, delete the folder and, in shared memory,
   *   what its link "mirror" leads to.
   */
  const char *address;
  /**
   * Its length in bytes.
   */
  size_t address_length;
  /**
   * Put before every key, taken off the keys in results; for example "/shop/prod/". Default: empty.
   */
  const char *prefix;
  /**
   * Its length in bytes.
   */
  size_t prefix_length;
  /**
   * Data folder of the embedded store, and of agents that this program starts. Default: $CFGSTORE_DATA_DIR; else
   * /var/lib/cfgstore if it exists or the user is root; else $XDG_DATA_HOME/cfgstore; else $HOME/.local/share/cfgstore.
   */
  const char *data_dir;
  /**
   * Its length in bytes.
   */
  size_t data_dir_length;
  /**
   * The cfgstored binary to start. Default: $CFGSTORE_CFGSTORED; else the one beside this library or this
   * program, or in the folder above it, or in bin there; else the one in $PATH.
   */
  const char *cfgstored;
  /**
   * Its length in bytes.
   */
  size_t cfgstored_length;
  /**
   * Name that this program states to servers, unverified, for logs and history: at most 128 bytes of visible
   * ASCII; anything else is replaced. UTF-8. Default: empty.
   */
  const char *client_name;
  /**
   * Its length in bytes.
   */
  size_t client_name_length;
  /**
   * Bound of one whole call, connecting and retries included. Default: 5000.
   */
  int64_t call_timeout_ms;
  /**
   * Bound of one attempt to connect to one address. Default: 1000.
   */
  int64_t connect_timeout_ms;
  /**
   * Bound of waiting for a cfgstored that is being started; call_timeout_ms also holds. Default: 10000.
   */
  int64_t start_timeout_ms;
  /**
   * A cfgstore_autostart_t.
   */
  int32_t autostart;
  /**
   * Zero.
   */
  int32_t reserved;
  /**
   * Seals values under its patterns before they leave this process, and opens sealed ones: a file's path, "env:NAME" of an
   * environment variable that holds the keyring, or "command:PROGRAM ARGUMENT…" of a program that prints it, run without a
   * shell. A file must give no right to other users. It is read when it is first needed, and again when it has changed; while
   * it cannot be read, writes and reads of sealed values fail with CFGSTORE_SEALED. Default: none, which sees sealed values
   * as they are stored.
   */
  const char *keyring;
  /**
   * Its length in bytes.
   */
  size_t keyring_length;
} cfgstore_options_t;

/**
 * What a failed function says beside its status. It belongs to the caller, on the stack as a rule: declare one,
 * pass its address, read it when the function did not return CFGSTORE_OK. It need not be set up, is written only
 * by a function that fails, and holds nothing to free. Its size never changes.
 */
typedef struct {
  /**
   * What the function returned.
   */
  cfgstore_status_t status;
  /**
   * Length of the message in bytes, without the NUL after it.
   */
  uint32_t message_length;
  /**
   * For CFGSTORE_CONFLICT: the revision of the last change of the key that conflicted; 0: it does not exist.
   * Of a transaction: of the first such key. Otherwise 0.
   */
  int64_t current_revision;
  /**
   * Zero.
   */
  int64_t reserved[2];
  /**
   * What happened, to what, and what to do next: English, UTF-8, complete, for a log or a screen, with a NUL
   * after it. Never holds a value. A message that does not fit is cut between two characters.
   */
  char message[CFGSTORE_MESSAGE_BYTES];
} cfgstore_error_t;

/**
 * A key with its value, or a change of one. Belongs to the result it is from.
 */
typedef struct {
  /**
   * The key, below the store's prefix. Never NULL, not NUL-terminated.
   */
  const char *key;
  /**
   * Its length in bytes.
   */
  size_t key_length;
  /**
   * The value. Never NULL, not NUL-terminated.
   */
  const char *value;
  /**
   * Its length in bytes.
   */
  size_t value_length;
  /**
   * Revision in which the key was created; 0 for a deletion.
   */
  int64_t create_revision;
  /**
   * Revision of its last change, and in a watch of this one.
   */
  int64_t mod_revision;
  /**
   * Number of changes since it was created, 1 for a new key; 0 for a deletion.
   */
  int64_t version;
  /**
   * The etcd lease it dies with; 0: none.
   */
  int64_t lease;
  /**
   * What happened.
   */
  cfgstore_item_kind_t kind;
  /**
   * Why the value, which is sealed, could not be opened, UTF-8, not NUL-terminated; then value is what is stored. NULL: nothing is
   * wrong. Only in results of cfgstore_range() and cfgstore_watch_next(): cfgstore_get() fails instead.
   */
  const char *unopened;
  /**
   * Its length in bytes.
   */
  size_t unopened_length;
} cfgstore_item_t;

/**
 * What the server behind a store says of itself. Its strings are never NULL, not NUL-terminated, and live as long
 * as it does. Free it with cfgstore_info_free().
 */
typedef struct {
  /**
   * Where it was reached.
   */
  const char *endpoint;
  /**
   * Its length in bytes.
   */
  size_t endpoint_length;
  /**
   * The version of etcd's interface that it reports.
   */
  const char *version;
  /**
   * Its length in bytes.
   */
  size_t version_length;
  /**
   * Its member id.
   */
  uint64_t member_id;
  /**
   * The leader's member id; 0: none is known.
   */
  uint64_t leader_id;
  /**
   * Revision of its store.
   */
  int64_t revision;
  /**
   * Raft term.
   */
  uint64_t term;
  /**
   * Size of its stored data.
   */
  int64_t db_size_bytes;
  /**
   * Whether it is the agent of this host; what follows is empty or 0 if not.
   */
  bool is_agent;
  /**
   * The agent's process id.
   */
  uint32_t agent_pid;
  /**
   * Version of cfgstore.
   */
  const char *agent_version;
  /**
   * Its length in bytes.
   */
  size_t agent_version_length;
  /**
   * The agent's data folder.
   */
  const char *data_dir;
  /**
   * Its length in bytes.
   */
  size_t data_dir_length;
  /**
   * Folder of the shared-memory mirror.
   */
  const char *mirror_dir;
  /**
   * Its length in bytes.
   */
  size_t mirror_dir_length;
  /**
   * Revision that the mirror holds; 0: none yet.
   */
  int64_t mirror_revision;
  /**
   * What the strings point into; not for the caller.
   */
  cfgstore_info_strings_t *owned;
} cfgstore_info_t;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Version of the library, for example "0.1.0". NUL-terminated; lives as long as the library.
 */
const char *cfgstore_version(void);

/**
 * The same as one number: major * 10000 + minor * 100 + patch.
 */
int32_t cfgstore_version_number(void);

/**
 * The status as it is written in this file, for example "CFGSTORE_TIMEOUT"; "CFGSTORE_UNKNOWN" for a value that
 * is none. The text is NUL-terminated and lives as long as the library.
 */
const char *cfgstore_status_name(int32_t status);

/**
 * The status without its _MAYBE_COMMITTED: what went wrong, to be used in a switch. CFGSTORE_INTERNAL for a
 * value that is no status.
 */
cfgstore_status_t cfgstore_status_kind(int32_t status);

/**
 * Whether the same call may succeed later with nothing changed. False for every status for which
 * cfgstore_status_maybe_committed() is true, since sending such a write again could apply it twice.
 */
bool cfgstore_status_retryable(int32_t status);

/**
 * Whether the call was a write that may have happened, or may still happen, though it failed.
 */
bool cfgstore_status_maybe_committed(int32_t status);

/**
 * Opens a store. `options` may be NULL: the embedded store of this host, with every default.
 *
 * Connects to nothing, so it does not wait, and does not fail because a server is away; the first call on the store
 * connects. Only with an "embedded:" address does it wait, until the member serves, which is a fraction of a second as
 * a rule, and longer after an unclean end of a large store.
 *
 * Fails with CFGSTORE_INVALID_ARGUMENT if the options make no sense, CFGSTORE_UNSUPPORTED if they ask for what
 * this version cannot do; with an "embedded:" address also with what keeps the member from starting, such as
 * CFGSTORE_UNAVAILABLE when another process uses the folder.
 */
cfgstore_status_t cfgstore_open(const cfgstore_options_t *options,
                                cfgstore_t **store,
                                cfgstore_error_t *error);

/**
 * Closes a store and frees it. NULL is allowed. Waits for nothing but, if it was the last user of a member in this
 * process, the end of that member, which writes down what it has to.
 */
void cfgstore_close(cfgstore_t *store);

/**
 * Reads the value of a key as of now: a result of one item.
 *
 * Fails with CFGSTORE_NOT_FOUND if the key does not exist. Sent again, to another member if there is one, as long as
 * call_timeout_ms allows.
 */
cfgstore_status_t cfgstore_get(const cfgstore_t *store,
                               const char *key,
                               size_t key_length,
                               cfgstore_result_t **result,
                               cfgstore_error_t *error);

/**
 * Reads every key that begins with `prefix`, all at one revision, in ascending order; an empty prefix: every key of
 * the store. No key at all is a result with no item.
 *
 * `limit`: at most so many items; 0: no limit. `revision`: as it was then; 0: now.
 *
 * Fails with CFGSTORE_COMPACTED if the history of that revision is gone, with CFGSTORE_INVALID_ARGUMENT if
 * it is yet to come.
 */
cfgstore_status_t cfgstore_range(const cfgstore_t *store,
                                 const char *prefix,
                                 size_t prefix_length,
                                 uint32_t limit,
                                 int64_t revision,
                                 cfgstore_result_t **result,
                                 cfgstore_error_t *error);

/**
 * Writes a value. When it returns CFGSTORE_OK, the value is durable.
 *
 * `if_revision`: write only if the key's last change was in this revision; or CFGSTORE_ANY_REVISION,
 * CFGSTORE_PRESENT, CFGSTORE_ABSENT. `revision`, which may be NULL, receives the revision of the write.
 *
 * Fails with CFGSTORE_CONFLICT if the key is at another revision, which error->current_revision tells; with
 * CFGSTORE_TOO_LARGE if the server's limit is lower; with a status that is cfgstore_status_maybe_committed() if the
 * connection broke before the answer. `revision` is written only on success.
 */
cfgstore_status_t cfgstore_put(const cfgstore_t *store,
                               const char *key,
                               size_t key_length,
                               const void *value,
                               size_t value_length,
                               int64_t if_revision,
                               int64_t *revision,
                               cfgstore_error_t *error);

/**
 * Deletes a key. Deleting one that does not exist is no failure.
 *
 * `if_revision` is as in cfgstore_put(). `revision` receives the revision of the store afterwards, `deleted`
 * whether the key existed; both may be NULL, and are written only on success. Fails as cfgstore_put() does.
 */
cfgstore_status_t cfgstore_delete(const cfgstore_t *store,
                                  const char *key,
                                  size_t key_length,
                                  int64_t if_revision,
                                  int64_t *revision,
                                  bool *deleted,
                                  cfgstore_error_t *error);

/**
 * The revision of the store now. A later change has a greater one.
 */
cfgstore_status_t cfgstore_revision(const cfgstore_t *store, int64_t *revision, cfgstore_error_t *error);

/**
 * Number of items; 0 for NULL.
 */
size_t cfgstore_result_count(const cfgstore_result_t *result);

/**
 * The item at an index from 0, in ascending order of keys, or of a watch in the order of the changes. NULL if there
 * is none. It lives until the result is freed.
 */
const cfgstore_item_t *cfgstore_result_item(const cfgstore_result_t *result,
                                            size_t index);

/**
 * Of cfgstore_range(): revision of the store when it was read, so that a watch from the next one misses nothing. Of
 * cfgstore_get(): revision of the key's last change. Of a watch: revision of the changes. 0 for NULL.
 */
int64_t cfgstore_result_revision(const cfgstore_result_t *result);

/**
 * Whether the limit of a cfgstore_range() cut the result short.
 */
bool cfgstore_result_more(const cfgstore_result_t *result);

/**
 * Frees a result with its items. NULL is allowed.
 */
void cfgstore_result_free(cfgstore_result_t *result);

/**
 * An empty transaction. Does not wait.
 */
cfgstore_status_t cfgstore_txn_new(const cfgstore_t *store, cfgstore_txn_t **txn, cfgstore_error_t *error);

/**
 * Adds a condition: the key's last change was in this revision; or CFGSTORE_PRESENT, CFGSTORE_ABSENT;
 * CFGSTORE_ANY_REVISION is no condition. Does not wait.
 */
cfgstore_status_t cfgstore_txn_if_revision(const cfgstore_txn_t *txn,
                                           const char *key,
                                           size_t key_length,
                                           int64_t revision,
                                           cfgstore_error_t *error);

/**
 * Adds a write of a value. Does not wait. A key may be written once in a transaction.
 */
cfgstore_status_t cfgstore_txn_put(const cfgstore_txn_t *txn,
                                   const char *key,
                                   size_t key_length,
                                   const void *value,
                                   size_t value_length,
                                   cfgstore_error_t *error);

/**
 * Adds the deletion of a key, which need not exist. Does not wait.
 */
cfgstore_status_t cfgstore_txn_delete(const cfgstore_txn_t *txn,
                                      const char *key,
                                      size_t key_length,
                                      cfgstore_error_t *error);

/**
 * Commits a transaction. It stays as it is, so that it can be committed again, and must be freed.
 *
 * `revision`, which may be NULL, receives that of its writes. Fails with CFGSTORE_CONFLICT if a condition does not
 * hold: nothing was written then. Fails with CFGSTORE_TOO_LARGE above the server's limit, 128 conditions or writes
 * unless its operator set another. Otherwise fails as cfgstore_put() does.
 */
cfgstore_status_t cfgstore_txn_commit(const cfgstore_txn_t *txn,
                                      int64_t *revision,
                                      cfgstore_error_t *error);

/**
 * Frees a transaction. NULL is allowed. One that was not committed does nothing.
 */
void cfgstore_txn_free(cfgstore_txn_t *txn);

/**
 * Begins to watch.
 *
 * `scope` is a cfgstore_watch_scope_t. `from_revision`: begin with the changes of this revision, even if it is past;
 * after a cfgstore_range(), one more than cfgstore_result_revision() misses nothing. 0: begin with the first change
 * after this call, which then asks the server for its revision, and fails if no server answers.
 *
 * Otherwise nothing is sent before the first cfgstore_watch_next() or cfgstore_watch_fd().
 */
cfgstore_status_t cfgstore_watch_open(const cfgstore_t *store,
                                      int32_t scope,
                                      const char *key,
                                      size_t key_length,
                                      int64_t from_revision,
                                      cfgstore_watch_t **watch,
                                      cfgstore_error_t *error);

/**
 * Fetches the next changes: those of one revision, in the order in which they were made, at least one.
 *
 * `timeout_ms`: how long to wait for them; 0: not at all; below 0: for ever. To be able to end a wait from elsewhere,
 * wait in poll() on cfgstore_watch_fd() and a descriptor of your own.
 *
 * Fails with CFGSTORE_TIMEOUT if there are none in time, after which the watch is as good as before; with
 * CFGSTORE_UNAVAILABLE if no server was ever reached, after which the next call tries again; with CFGSTORE_COMPACTED if
 * changes were missed because their history is gone: read the current state with cfgstore_range(), and open a
 * new watch from there. After that and any other failure the watch is over, and further calls say the same.
 */
cfgstore_status_t cfgstore_watch_next(const cfgstore_watch_t *watch,
                                      int64_t timeout_ms,
                                      cfgstore_result_t **result,
                                      cfgstore_error_t *error);

/**
 * A descriptor for poll(), select() or an event loop: when it is readable, call cfgstore_watch_next() with timeout 0
 * until it returns CFGSTORE_TIMEOUT. It may be readable without a change. It belongs to the watch: do not read, write
 * or close it, and ask again in a forked child.
 */
cfgstore_status_t cfgstore_watch_fd(const cfgstore_watch_t *watch,
                                    int *fd,
                                    cfgstore_error_t *error);

/**
 * Ends a watch and frees it. NULL is allowed. Does not wait.
 */
void cfgstore_watch_close(cfgstore_watch_t *watch);

/**
 * Takes the lock `name`. Names are below the store's prefix, and apart from keys.
 *
 * `ttl_ms`: how long the lock outlives a holder that dies without a word, more than 0; servers round up to whole
 * seconds and to a minimum of their own. `wait_ms`: how long to wait while another has it; 0: not at all.
 *
 * Fails with CFGSTORE_TIMEOUT if another has it when the wait ends. A failure takes no lock.
 */
cfgstore_status_t cfgstore_lock_acquire(const cfgstore_t *store,
                                        const char *name,
                                        size_t name_length,
                                        int64_t ttl_ms,
                                        int64_t wait_ms,
                                        cfgstore_lock_t **lock,
                                        cfgstore_error_t *error);

/**
 * The fencing token, greater than that of every earlier holder: pass it to what the lock protects, which refuses
 * smaller ones. 0 for NULL.
 */
int64_t cfgstore_lock_token(const cfgstore_lock_t *lock);

/**
 * CFGSTORE_OK if the lock is still held, as far as this side can know without asking the server;
 * CFGSTORE_LOCK_LOST, with the reason, if it is not: stop what it protects. Does not wait.
 */
cfgstore_status_t cfgstore_lock_is_held(const cfgstore_lock_t *lock, cfgstore_error_t *error);

/**
 * Gives the lock up and frees the handle, whatever it returns. NULL is allowed. Waits until the lock is free.
 *
 * Fails with CFGSTORE_LOCK_LOST if it was lost before, so that another may have had it meanwhile; with another
 * status if the server could not be asked, in which case the lock ends with its time to live.
 */
cfgstore_status_t cfgstore_lock_release(cfgstore_lock_t *lock,
                                        cfgstore_error_t *error);

/**
 * Asks the server behind a store what it is, and whether it answers.
 */
cfgstore_status_t cfgstore_server_info(const cfgstore_t *store,
                                       cfgstore_info_t **info,
                                       cfgstore_error_t *error);

/**
 * Frees what cfgstore_server_info() handed out. NULL is allowed.
 */
void cfgstore_info_free(cfgstore_info_t *info);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* CFGSTORE_H */
