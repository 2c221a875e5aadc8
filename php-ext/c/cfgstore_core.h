#ifndef CFGSTORE_CORE_H
#define CFGSTORE_CORE_H

/* Generated from src/abi/ by tests/core_header.rs: change it there. */

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

/**
 * Longest message of a [`CoreError`], in bytes; longer ones are cut at a character.
 */
#define CORE_MESSAGE_BYTES 2000

/**
 * Room for the violations in a [`CoreError`], in bytes.
 */
#define CORE_VIOLATIONS_BYTES 4096

/**
 * An agent not heard for so many milliseconds is taken for dead; it says that it lives each second.
 */
#define CORE_SILENT_MS 3000

/**
 * What a step of a transaction asks or does.
 */
typedef enum {
  /**
   * Only if the key's last change was in the given revision.
   */
  CORE_STEP_IF_REVISION,
  /**
   * Only if the key exists.
   */
  CORE_STEP_IF_EXISTS,
  /**
   * Only if the key does not exist.
   */
  CORE_STEP_IF_ABSENT,
  /**
   * Only if the lock with this key and, as revision, this token is held.
   */
  CORE_STEP_IF_HELD,
  /**
   * Writes the value.
   */
  CORE_STEP_PUT,
  /**
   * Deletes the key.
   */
  CORE_STEP_DELETE,
} CoreStep;

/**
 * What went wrong, in the words that C, PHP and Python share. The numbers are part of the C ABI.
 */
enum ErrorKind
#if __STDC_VERSION__ >= 202311L
  : uint8_t
#endif // __STDC_VERSION__ >= 202311L
 {
  /**
   * The key does not exist.
   */
  ERROR_KIND_NOT_FOUND = 1,
  /**
   * A key is not at the revision that was asked for.
   */
  ERROR_KIND_CONFLICT = 2,
  /**
   * The request makes no sense; sending it again will not help.
   */
  ERROR_KIND_INVALID_ARGUMENT = 3,
  /**
   * A key, value or request is over a limit.
   */
  ERROR_KIND_TOO_LARGE = 4,
  /**
   * No server could be reached, or it cannot serve now.
   */
  ERROR_KIND_UNAVAILABLE = 5,
  /**
   * The deadline passed first.
   */
  ERROR_KIND_TIMEOUT = 6,
  /**
   * The caller may not do this.
   */
  ERROR_KIND_DENIED = 7,
  /**
   * The history asked for is gone.
   */
  ERROR_KIND_COMPACTED = 8,
  /**
   * The lock is no longer held.
   */
  ERROR_KIND_LOCK_LOST = 9,
  /**
   * A quota, memory or disk is full.
   */
  ERROR_KIND_EXHAUSTED = 10,
  /**
   * Data is damaged.
   */
  ERROR_KIND_CORRUPT = 11,
  /**
   * The host has no copy of the configuration yet.
   */
  ERROR_KIND_NOT_SYNCED = 12,
  /**
   * The other side, or this mode of the client, cannot do this.
   */
  ERROR_KIND_UNSUPPORTED = 13,
  /**
   * The caller ended the call.
   */
  ERROR_KIND_CANCELED = 14,
  /**
   * A fault in cfgstore.
   */
  ERROR_KIND_INTERNAL = 15,
  /**
   * A sealed value can't be opened, or one that is to be sealed can't be.
   */
  ERROR_KIND_SEALED = 16,
  /**
   * A value violates its schema.
   */
  ERROR_KIND_SCHEMA_VIOLATION = 17,
};
#if __STDC_VERSION__ >= 202311L
typedef enum ErrorKind ErrorKind;
#else
typedef uint8_t ErrorKind;
#endif // __STDC_VERSION__ >= 202311L

/**
 * A lock that is or was held.
 */
typedef struct CoreLock CoreLock;

/**
 * A store: the mirror and the connection. One thread at a time.
 */
typedef struct CoreSource CoreSource;

/**
 * A transaction under construction.
 */
typedef struct CoreTransaction CoreTransaction;

/**
 * A watch.
 */
typedef struct CoreWatch CoreWatch;

/**
 * Bytes that somebody else owns. `data` may be null when `len` is 0.
 */
typedef struct {
  /**
   * First byte.
   */
  const uint8_t *data;
  /**
   * Number of bytes.
   */
  uintptr_t len;
} CoreBytes;

/**
 * A value of a document. Pointers are valid as `cfgstore_core_history` says.
 */
typedef struct {
  /**
   * Where it is; empty: the document itself.
   */
  CoreBytes path;
  /**
   * The value, JSON.
   */
  CoreBytes value;
  /**
   * Whether the change that it comes from is kept, and could be opened.
   */
  bool has_change;
  /**
   * The number of that change among `changes`.
   */
  uintptr_t change;
} CoreBlamed;

/**
 * One change of one key. Pointers are valid until the next call with the same watch.
 */
typedef struct {
  /**
   * Deleted, not written.
   */
  bool deleted;
  /**
   * The whole key, prefix included.
   */
  CoreBytes key;
  /**
   * The new value; empty for a delete.
   */
  CoreBytes value;
  /**
   * Whether it is known what the key was before.
   */
  bool has_previous;
  /**
   * The value it had before.
   */
  CoreBytes previous;
  /**
   * Revision of the change.
   */
  int64_t revision;
  /**
   * Why the new value, which is sealed, could not be opened; empty: it could. Of a previous value, it is then not known.
   */
  CoreBytes unopened;
} CoreChange;

/**
 * A change that the history holds. Pointers are valid as `cfgstore_core_history` says.
 */
typedef struct {
  /**
   * What was changed. The value before is also unknown where it is sealed and could not be opened.
   */
  CoreChange change;
  /**
   * When, in milliseconds since 1970.
   */
  int64_t time_unix_ms;
  /**
   * The authenticated user; empty: none.
   */
  CoreBytes user;
  /**
   * What the client called itself; may be empty.
   */
  CoreBytes client;
  /**
   * Where the call came from; may be empty.
   */
  CoreBytes address;
  /**
   * Why; may be empty.
   */
  CoreBytes comment;
} CoreHistoryChange;

/**
 * Why a call failed. Lives on the C stack: nothing has to be freed, so nothing leaks when the engine unwinds.
 */
typedef struct {
  /**
   * The number of the client core's `ErrorKind`; 0 means no error.
   */
  uint8_t kind;
  /**
   * The same call may succeed later with nothing changed.
   */
  bool retryable;
  /**
   * The write may have happened.
   */
  bool maybe_committed;
  /**
   * Length of `message`.
   */
  uintptr_t message_len;
  /**
   * UTF-8, not terminated.
   */
  uint8_t message[CORE_MESSAGE_BYTES];
  /**
   * Length of `violations`.
   */
  uintptr_t violations_len;
  /**
   * What is wrong with a value that a schema refuses, as far as it fits: of each violation the key, the path and the message,
   * and of each of these two bytes of length, the machine's way round, and the bytes.
   */
  uint8_t violations[CORE_VIOLATIONS_BYTES];
} CoreError;

/**
 * One place that differs. Pointers are valid as `cfgstore_core_history` says.
 */
typedef struct {
  /**
   * The whole key.
   */
  CoreBytes key;
  /**
   * Where in its document; empty: the value as a whole.
   */
  CoreBytes path;
  /**
   * Whether there was something before.
   */
  bool has_before;
  /**
   * What.
   */
  CoreBytes before;
  /**
   * Whether there is something after.
   */
  bool has_after;
  /**
   * What.
   */
  CoreBytes after;
  /**
   * Why a sealed value could not be opened; empty: nothing is wrong. Else there are no values.
   */
  CoreBytes unopened;
} CoreDifference;

/**
 * Which changes are asked for: the newest first.
 */
typedef struct {
  /**
   * Of this key; below the prefix.
   */
  CoreBytes key;
  /**
   * Of all keys that begin with it.
   */
  bool is_prefix;
  /**
   * At most so many; 0: all.
   */
  uint64_t limit;
  /**
   * Made at this time or later, in milliseconds since 1970; 0: no bound.
   */
  int64_t from_time_unix_ms;
  /**
   * Made at this time or earlier; 0: no bound.
   */
  int64_t to_time_unix_ms;
  /**
   * By this user, or by a client of this name that had not authenticated; empty: by anybody.
   */
  CoreBytes author;
} CoreHistoryQuery;

/**
 * A rule, and how far it has got. Pointers are valid as `cfgstore_core_history` says.
 */
typedef struct {
  /**
   * Its name.
   */
  CoreBytes name;
  /**
   * The target as JSON; empty: the rule was set by a newer version, and all but `name` and what follows `values` is empty.
   */
  CoreBytes target;
  /**
   * The keys begin with this.
   */
  CoreBytes prefix;
  /**
   * Whether it was set to tell of puts. Of neither kind means: of all.
   */
  bool puts;
  /**
   * Whether it was set to tell of deletes.
   */
  bool deletes;
  /**
   * Whether values go along.
   */
  bool values;
  /**
   * Every change up to this revision has been delivered or has become a dead letter.
   */
  int64_t done_through_revision;
  /**
   * How many dead letters there are.
   */
  uint64_t dead_letters;
  /**
   * Why the last attempt failed; empty: it did not, or that is not known.
   */
  CoreBytes trouble;
} CoreNotification;

/**
 * What could not be delivered. Pointers are valid as `cfgstore_core_history` says.
 */
typedef struct {
  /**
   * Names it among those of its rule.
   */
  uint64_t id;
  /**
   * The rule.
   */
  CoreBytes name;
  /**
   * First revision that it would have told of.
   */
  int64_t from_revision;
  /**
   * Last revision that it would have told of.
   */
  int64_t to_revision;
  /**
   * Why it could not be delivered.
   */
  CoreBytes reason;
  /**
   * When it was given up, in milliseconds since 1970.
   */
  int64_t time_unix_ms;
} CoreDeadLetter;

/**
 * A rule of how much history the keys of a prefix keep. Pointers are valid as `cfgstore_core_history` says.
 */
typedef struct {
  /**
   * Without the client's prefix.
   */
  CoreBytes prefix;
  /**
   * Most changes kept of a key; 0: none.
   */
  uint32_t count;
  /**
   * Longest time that a change is kept, in seconds; 0: no bound.
   */
  uint64_t max_age_secs;
} CoreRetention;

/**
 * A schema and its pattern. Pointers are valid as `cfgstore_core_history` says.
 */
typedef struct {
  /**
   * The pattern, without the client's prefix.
   */
  CoreBytes pattern;
  /**
   * The schema, JSON; empty: there is none, but only sealed values may be put.
   */
  CoreBytes schema;
} CoreSchema;

/**
 * One thing that is wrong with a value. Pointers are valid as `cfgstore_core_history` says.
 */
typedef struct {
  /**
   * The whole key.
   */
  CoreBytes key;
  /**
   * Where in the value: a JSON Pointer.
   */
  CoreBytes path;
  /**
   * What is wrong there.
   */
  CoreBytes message;
} CoreViolation;

/**
 * What a store is opened with. Empty bytes mean: not set.
 */
typedef struct {
  /**
   * As in `cfgstore.endpoints`.
   */
  CoreBytes endpoints;
  /**
   * Data folder.
   */
  CoreBytes data_dir;
  /**
   * Mirror folder.
   */
  CoreBytes mirror_dir;
  /**
   * Path of the `cfgstored` binary.
   */
  CoreBytes cfgstored;
  /**
   * Path of the seed of an agent.
   */
  CoreBytes seed;
  /**
   * Where the keyring is, as in `cfgstore.keyring`.
   */
  CoreBytes keyring;
  /**
   * What history and logs of the store call this process.
   */
  CoreBytes client_name;
  /**
   * Start it when nothing answers.
   */
  bool autostart;
} CoreSettings;

/**
 * What a view must hold: a revision of a store. Another store's revisions say nothing about it.
 */
typedef struct {
  /**
   * The revision; 0: none.
   */
  int64_t revision;
  /**
   * Names the store that it is of; 0: whichever is shown.
   */
  uint64_t store_id;
  /**
   * Names the store that was shown when the revision was heard of, if it is another: one whose place is taken, and which the
   * mirror has yet to leave. 0: there is none.
   */
  uint64_t replaced_store_id;
} CoreAtLeast;

/**
 * The snapshot that reads see.
 */
typedef struct {
  /**
   * The mirror's generation word, to be loaded atomically; valid until the next view or close.
   */
  const uint64_t *word;
  /**
   * Its content when the view was taken: while it has not changed, the view is the newest.
   */
  uint64_t seen;
  /**
   * Counts views: equal numbers mean the same snapshot.
   */
  uint64_t number;
  /**
   * Revision of the snapshot.
   */
  int64_t revision;
  /**
   * Names the store that the snapshot is of.
   */
  uint64_t store_id;
  /**
   * Take a view again from this time on (milliseconds of the caller's clock), even if the word has not changed.
   */
  uint64_t check_at_ms;
  /**
   * Milliseconds for which the agent has been silent, as of the last look; UINT64_MAX: it was never heard.
   */
  uint64_t silent_ms;
} CoreView;

/**
 * One key as the snapshot holds it. Pointers are valid until the next view or close.
 */
typedef struct {
  /**
   * Whether the key exists; if not, all else is zero.
   */
  bool found;
  /**
   * The whole key, prefix included; only set by a scan.
   */
  CoreBytes key;
  /**
   * The value.
   */
  CoreBytes value;
  /**
   * Revision in which the key came into being.
   */
  int64_t create_revision;
  /**
   * Revision of its last change.
   */
  int64_t mod_revision;
  /**
   * Number of writes since it came into being.
   */
  int64_t version;
  /**
   * Names the store: revisions of different stores can't be compared.
   */
  uint64_t store_id;
} CoreRecord;

/**
 * How the mirror and its agent are.
 */
typedef struct {
  /**
   * Whether there is a snapshot; if not, the numbers are zero.
   */
  bool synced;
  /**
   * Revision that reads see.
   */
  int64_t revision;
  /**
   * Generation that reads see.
   */
  uint64_t generation;
  /**
   * Number of keys in it.
   */
  uint64_t keys;
  /**
   * Whether it is the last copy from disk, unconfirmed by a member.
   */
  bool restored;
  /**
   * Milliseconds since the agent was last heard; `UINT64_MAX`: never.
   */
  uint64_t silent_ms;
  /**
   * The agent's process id, as it states it.
   */
  uint32_t agent_pid;
  /**
   * Data folder. Valid until the store is closed.
   */
  CoreBytes data_dir;
  /**
   * The agent's socket. Valid until the store is closed.
   */
  CoreBytes socket;
  /**
   * The mirror's folder; empty when none was found. Valid until the next view.
   */
  CoreBytes mirror_dir;
  /**
   * Why reads don't see the newest generation; empty when they do. Valid until the next view.
   */
  CoreBytes trouble;
} CoreStatus;

/**
 * Every kind, in the order of its number.
 */
#define ErrorKind_ALL { ErrorKind_NotFound, ErrorKind_Conflict, ErrorKind_InvalidArgument, ErrorKind_TooLarge, ErrorKind_Unavailable, ErrorKind_Timeout, ErrorKind_Denied, ErrorKind_Compacted, ErrorKind_LockLost, ErrorKind_Exhausted, ErrorKind_Corrupt, ErrorKind_NotSynced, ErrorKind_Unsupported, ErrorKind_Canceled, ErrorKind_Internal, ErrorKind_Sealed, ErrorKind_SchemaViolation, }

/**
 * Says of each value of a key's document which change it comes from.
 *
 * `leaves` and `count` describe memory that is valid as `cfgstore_core_history` says, as do `changes`, of which there are as many
 * as the leaves name.
 *
 * # Safety
 * As the module says.
 */
bool cfgstore_core_blame(CoreSource *source,
                         double timeout_secs,
                         CoreBytes prefix,
                         CoreBytes key,
                         const CoreBlamed **leaves,
                         uintptr_t *count,
                         const CoreHistoryChange **changes,
                         CoreError *error);

/**
 * What differs in a key, or with `is_prefix` in all keys that begin with it, between two revisions; `to` 0: now.
 *
 * `list` and `count` describe memory that is valid as `cfgstore_core_history` says.
 *
 * # Safety
 * As the module says.
 */
bool cfgstore_core_diff(CoreSource *source,
                        double timeout_secs,
                        CoreBytes prefix,
                        CoreBytes key,
                        bool is_prefix,
                        int64_t from,
                        int64_t to,
                        const CoreDifference **list,
                        uintptr_t *count,
                        CoreError *error);

/**
 * What `cfgstore_core_rollback` would change, or why it would be refused. `list` and `count` as in `cfgstore_core_diff`.
 *
 * # Safety
 * As the module says.
 */
bool cfgstore_core_preview_rollback(CoreSource *source,
                                    double timeout_secs,
                                    CoreBytes prefix,
                                    CoreBytes key,
                                    bool is_prefix,
                                    int64_t to_revision,
                                    const CoreDifference **list,
                                    uintptr_t *count,
                                    CoreError *error);

/**
 * The kept changes that are asked for.
 *
 * `changes` and `count` describe memory of the store's, valid until `cfgstore_core_forget`, which is due when they have been looked
 * at, the next call that lends, or close.
 *
 * # Safety
 * As the module says.
 */
bool cfgstore_core_history(CoreSource *source,
                           double timeout_secs,
                           CoreBytes prefix,
                           const CoreHistoryQuery *query,
                           const CoreHistoryChange **changes,
                           uintptr_t *count,
                           CoreError *error);

/**
 * Makes a key, or with `is_prefix` all keys that begin with it, what they were at a revision, as one new revision.
 * `comment`: why, for the history; may be empty.
 *
 * # Safety
 * As the module says.
 */
bool cfgstore_core_rollback(CoreSource *source,
                            double timeout_secs,
                            CoreBytes prefix,
                            CoreBytes key,
                            bool is_prefix,
                            int64_t to_revision,
                            CoreBytes comment,
                            int64_t *revision,
                            CoreError *error);

/**
 * Remembers the environment for a keyring that lies in it: php-fpm empties it in its workers. For the master, once.
 *
 * # Safety
 * As the module says.
 */
void cfgstore_core_keyring_capture(CoreBytes place);

/**
 * Opens a value of `prefix` and `key` together, if it is sealed and the store has a keyring. `plain` is what was put; it is valid
 * until the next call that opens a value, or that closes the store.
 *
 * # Safety
 * As the module says.
 */
bool cfgstore_core_unseal(CoreSource *source,
                          CoreBytes prefix,
                          CoreBytes key,
                          CoreBytes value,
                          CoreBytes *plain,
                          CoreError *error);

/**
 * A line on the keyring, without a secret: how many keys and patterns, or why it can't be read. Empty: there is none. Valid
 * until the next call that opens a value, or that closes the store.
 *
 * # Safety
 * As the module says.
 */
CoreBytes cfgstore_core_keyring_describe(CoreSource *source);

/**
 * Takes a lock, waiting for it at most `wait_secs`. Null on failure.
 *
 * # Safety
 * As the module says. The lock may outlive the store; `key` is valid as long as the lock.
 */
CoreLock *cfgstore_core_lock_acquire(CoreSource *source,
                                     double timeout_secs,
                                     CoreBytes prefix,
                                     CoreBytes name,
                                     double ttl_secs,
                                     double wait_secs,
                                     int64_t *token,
                                     CoreBytes *key,
                                     CoreError *error);

/**
 * Whether it is still held, as far as this process can know now: as its agent says, and not after a silence of the agent in
 * which it may have been lost. `source` is what it was taken from.
 *
 * # Safety
 * As the module says.
 */
bool cfgstore_core_lock_is_held(CoreLock *lock,
                                CoreSource *source);

/**
 * Frees the lock and waits until it is free; that it was lost before is a failure. The handle stays. `source` is what it was
 * taken from.
 *
 * # Safety
 * As the module says.
 */
bool cfgstore_core_lock_release(CoreLock *lock,
                                CoreSource *source,
                                CoreError *error);

/**
 * Frees the lock, if this process still holds it, without waiting. Null is allowed.
 *
 * # Safety
 * As the module says; the handle is gone afterwards.
 */
void cfgstore_core_lock_free(CoreLock *lock);

/**
 * Sets a rule for the keys that begin with `prefix`, or replaces the one of this name. `target` is JSON, as
 * `NotificationTarget::from_json` reads it. With neither `puts` nor `deletes` it tells of both.
 *
 * # Safety
 * As the module says.
 */
bool cfgstore_core_set_notification(CoreSource *source,
                                    double timeout_secs,
                                    CoreBytes name,
                                    CoreBytes target,
                                    CoreBytes prefix,
                                    bool puts,
                                    bool deletes,
                                    bool values,
                                    CoreError *error);

/**
 * Removes a rule.
 *
 * # Safety
 * As the module says.
 */
bool cfgstore_core_remove_notification(CoreSource *source,
                                       double timeout_secs,
                                       CoreBytes name,
                                       CoreError *error);

/**
 * All rules of the cluster, in order of their names.
 *
 * `rules` and `count` describe memory that is valid as `cfgstore_core_history` says.
 *
 * # Safety
 * As the module says.
 */
bool cfgstore_core_notifications(CoreSource *source,
                                 double timeout_secs,
                                 const CoreNotification **rules,
                                 uintptr_t *count,
                                 CoreError *error);

/**
 * What could not be delivered of a rule, or, if `name` is empty, of all, oldest first. `letters` and
 * `count` describe memory that is valid as `cfgstore_core_history` says.
 *
 * # Safety
 * As the module says.
 */
bool cfgstore_core_dead_letters(CoreSource *source,
                                double timeout_secs,
                                CoreBytes name,
                                const CoreDeadLetter **letters,
                                uintptr_t *count,
                                CoreError *error);

/**
 * Sends dead letters of a rule once more, for some seconds, and forgets what was delivered; or, with `only_forget`, only
 * forgets them. No `ids`: all of them.
 *
 * # Safety
 * As the module says; `ids` points to `id_count` numbers.
 */
bool cfgstore_core_retry_dead_letters(CoreSource *source,
                                      double timeout_secs,
                                      CoreBytes name,
                                      const uint64_t *ids,
                                      uintptr_t id_count,
                                      bool only_forget,
                                      uint64_t *delivered,
                                      CoreError *error);

/**
 * Sets the rule of a prefix, or removes it.
 *
 * # Safety
 * As the module says.
 */
bool cfgstore_core_set_retention(CoreSource *source,
                                 double timeout_secs,
                                 CoreBytes client_prefix,
                                 CoreRetention rule,
                                 bool remove,
                                 CoreError *error);

/**
 * The rules whose prefixes begin with `client_prefix`, in their order.
 *
 * `rules` and `count` describe memory that is valid as `cfgstore_core_history` says.
 *
 * # Safety
 * As the module says.
 */
bool cfgstore_core_retention(CoreSource *source,
                             double timeout_secs,
                             CoreBytes client_prefix,
                             const CoreRetention **rules,
                             uintptr_t *count,
                             CoreError *error);

/**
 * Binds a schema to a pattern; if `sealed`, which takes an empty one, the rule that only sealed values may be put; or unbinds it, if
 * neither is given.
 *
 * # Safety
 * As the module says.
 */
bool cfgstore_core_set_schema(CoreSource *source,
                              double timeout_secs,
                              CoreBytes prefix,
                              CoreBytes pattern,
                              CoreBytes schema,
                              bool sealed,
                              CoreError *error);

/**
 * The schemas whose patterns begin with `prefix`, in their order.
 *
 * `schemas` and `count` describe memory that is valid as `cfgstore_core_history` says.
 *
 * # Safety
 * As the module says.
 */
bool cfgstore_core_schemas(CoreSource *source,
                           double timeout_secs,
                           CoreBytes prefix,
                           const CoreSchema **schemas,
                           uintptr_t *count,
                           CoreError *error);

/**
 * Which existing values would keep a schema from being bound to a pattern.
 *
 * `violations` and `count` describe memory that is valid as `cfgstore_core_history` says.
 *
 * # Safety
 * As the module says.
 */
bool cfgstore_core_check_schema(CoreSource *source,
                                double timeout_secs,
                                CoreBytes prefix,
                                CoreBytes pattern,
                                CoreBytes schema,
                                const CoreViolation **violations,
                                uintptr_t *count,
                                CoreError *error);

/**
 * What a put of the value would be refused for. `violations` and `count` as in `cfgstore_core_check_schema`.
 *
 * # Safety
 * As the module says.
 */
bool cfgstore_core_check_value(CoreSource *source,
                               double timeout_secs,
                               CoreBytes prefix,
                               CoreBytes key,
                               CoreBytes value,
                               const CoreViolation **violations,
                               uintptr_t *count,
                               CoreError *error);

/**
 * Opens a store; touches neither disk nor network. Null on failure.
 *
 * # Safety
 * As the module says.
 */
CoreSource *cfgstore_core_source_open(const CoreSettings *settings, CoreError *error);

/**
 * Closes a store. Null is allowed.
 *
 * # Safety
 * As the module says; the handle is gone afterwards.
 */
void cfgstore_core_source_close(CoreSource *source);

/**
 * Frees what the last call has lent: a history, differences, schemas and the like.
 *
 * # Safety
 * As the module says.
 */
void cfgstore_core_forget(CoreSource *source);

/**
 * Moves to the newest snapshot, waiting at most `timeout_secs` until it holds `at_least`.
 *
 * `now_ms` is a monotonic clock of the caller's choice, the same in every call.
 *
 * # Safety
 * As the module says.
 */
bool cfgstore_core_view(CoreSource *source,
                        uint64_t now_ms,
                        CoreAtLeast at_least,
                        double timeout_secs,
                        CoreView *view,
                        CoreError *error);

/**
 * Names the store that answered the last write through `source`, as `store_id` does elsewhere; 0: none did, or it does not say.
 *
 * # Safety
 * As the module says.
 */
uint64_t cfgstore_core_answered_by(CoreSource *source);

/**
 * Looks up `prefix` and `key` together in the snapshot of the last view. An absent key is no failure.
 *
 * # Safety
 * As the module says.
 */
bool cfgstore_core_lookup(CoreSource *source,
                          CoreBytes prefix,
                          CoreBytes key,
                          CoreRecord *record,
                          CoreError *error);

/**
 * All keys that begin with `prefix` and `below` together, in key order, from the snapshot of the last view.
 *
 * `records` and `count` describe memory of the store's, valid until the next scan, view or close.
 *
 * # Safety
 * As the module says.
 */
bool cfgstore_core_scan(CoreSource *source,
                        CoreBytes prefix,
                        CoreBytes below,
                        const CoreRecord **records,
                        uintptr_t *count,
                        CoreError *error);

/**
 * How the mirror and its agent are; asks nobody but that agent, half a second at most, and cannot fail.
 *
 * # Safety
 * As the module says.
 */
void cfgstore_core_status(CoreSource *source,
                          CoreStatus *status);

/**
 * Opens the mirror for `cfgstore_core_status`, if it is there, without starting or waiting for anything.
 *
 * # Safety
 * As the module says.
 */
void cfgstore_core_peek(CoreSource *source);

/**
 * An empty transaction.
 */
CoreTransaction *cfgstore_core_transaction_new(void);

/**
 * Gives a transaction up. Null is allowed.
 *
 * # Safety
 * As the module says; the handle is gone afterwards.
 */
void cfgstore_core_transaction_free(CoreTransaction *transaction);

/**
 * Adds a step. `value` matters to a put, `revision` to `IfRevision` and `IfHeld`.
 *
 * # Safety
 * As the module says.
 */
bool cfgstore_core_transaction_add(CoreTransaction *transaction,
                                   CoreStep step,
                                   CoreBytes prefix,
                                   CoreBytes key,
                                   CoreBytes value,
                                   int64_t revision,
                                   CoreError *error);

/**
 * Says why, for the history; may be empty.
 *
 * # Safety
 * As the module says.
 */
bool cfgstore_core_transaction_comment(CoreTransaction *transaction,
                                       CoreBytes text,
                                       CoreError *error);

/**
 * Sends the transaction, and frees it whatever comes of it. That a condition does not hold is a `Conflict`.
 *
 * # Safety
 * As the module says; the transaction's handle is gone afterwards.
 */
bool cfgstore_core_transaction_commit(CoreSource *source,
                                      double timeout_secs,
                                      CoreTransaction *transaction,
                                      int64_t *revision,
                                      CoreError *error);

/**
 * Watches the keys that begin with `prefix` and `below` together, from a revision on. Connects at the first take.
 *
 * # Safety
 * As the module says. The watch may outlive the store.
 */
CoreWatch *cfgstore_core_watch_open(CoreSource *source,
                                    double timeout_secs,
                                    CoreBytes prefix,
                                    CoreBytes below,
                                    int64_t from_revision,
                                    CoreError *error);

/**
 * Ends a watch. Null is allowed.
 *
 * # Safety
 * As the module says; the handle is gone afterwards.
 */
void cfgstore_core_watch_free(CoreWatch *watch);

/**
 * Takes the next change, if one has arrived; never waits. 1: taken, 0: none, -1: `error`.
 *
 * # Safety
 * As the module says.
 */
int32_t cfgstore_core_watch_take(CoreWatch *watch, CoreChange *change, CoreError *error);

/**
 * A descriptor that is readable while `cfgstore_core_watch_take` has something to take or to do. It stays the watch's; -1: `error`.
 *
 * # Safety
 * As the module says.
 */
int32_t cfgstore_core_watch_fd(CoreWatch *watch,
                               CoreError *error);

/**
 * The revision from which another watch would go on: nothing is skipped, and at most the changes already taken of that one
 * revision come again.
 *
 * # Safety
 * As the module says.
 */
int64_t cfgstore_core_watch_position(const CoreWatch *watch);

/**
 * Writes a key. `if_revision`: only if its last change was in that revision (0: only if it is absent); negative: always.
 * `comment`: why, for the history; may be empty.
 *
 * # Safety
 * As the module says.
 */
bool cfgstore_core_put(CoreSource *source,
                       double timeout_secs,
                       CoreBytes prefix,
                       CoreBytes key,
                       CoreBytes value,
                       int64_t if_revision,
                       CoreBytes comment,
                       int64_t *revision,
                       CoreError *error);

/**
 * Deletes a key; that it is absent is no failure. `if_revision` and `comment` as in a put.
 *
 * # Safety
 * As the module says.
 */
bool cfgstore_core_delete(CoreSource *source,
                          double timeout_secs,
                          CoreBytes prefix,
                          CoreBytes key,
                          int64_t if_revision,
                          CoreBytes comment,
                          int64_t *revision,
                          CoreError *error);

#endif  /* CFGSTORE_CORE_H */
