/*
 * cfgstore.h: the C interface of cfgstore @VERSION@.
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
