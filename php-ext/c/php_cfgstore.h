/*
 * The C part of the extension: all that touches the PHP engine.
 *
 * Nothing here is shared between threads: in a ZTS build every thread has its own module globals, and with them its own
 * stores, slots and values.
 */
#ifndef PHP_CFGSTORE_H
#define PHP_CFGSTORE_H

#include <time.h>

#include "php.h"
#include "zend_exceptions.h"

#include "cfgstore_core.h"

/* Deepest nesting of arrays and objects in a value, in either direction. */
#define CFG_MAX_DEPTH 512

typedef struct _cfg_block cfg_block;
typedef struct _cfg_source cfg_source;
typedef struct _cfg_scope cfg_scope;
typedef struct _cfg_lock cfg_lock;

/* ---- settings.c: php.ini ---- */

typedef enum { CFG_VALUES_AUTO, CFG_VALUES_IMMUTABLE, CFG_VALUES_REFCOUNTED } cfg_value_mode;
typedef enum { CFG_READS_AUTO, CFG_READS_REQUEST, CFG_READS_LATEST } cfg_consistency;
typedef enum { CFG_STALE_SERVE, CFG_STALE_THROW } cfg_on_stale;

typedef struct {
	char *endpoints, *prefix, *data_dir, *mirror_dir, *cfgstored, *seed, *keyring, *client_name;
	bool autostart;
	double timeout;              /* seconds */
	double stale_after;          /* seconds; 0: never stale */
	cfg_value_mode value_mode;   /* as set */
	cfg_consistency consistency; /* as set */
	cfg_on_stale on_stale;
} cfg_settings;

zend_result cfg_settings_register(int type, int module_number);
void cfg_settings_unregister(int type, int module_number);

/* What "auto" comes to in this SAPI. */
cfg_value_mode cfg_effective_value_mode(void);
cfg_consistency cfg_effective_consistency(void);
const char *cfg_value_mode_name(cfg_value_mode mode);
const char *cfg_consistency_name(cfg_consistency consistency);

/* ---- value.c: from stored bytes to PHP values ---- */

/* One malloc'd block that holds an immutable value whole: every string and table in it. */
struct _cfg_block {
	cfg_block *next;       /* in the graveyard */
	size_t size;           /* of the whole, in bytes */
	uint64_t buried_ms;    /* when it went to the graveyard */
	uint64_t buried_views; /* and how many views there had been */
};

/* Blocks that nothing in the store points to any more, but a variable of the running request may. Oldest first. */
typedef struct {
	cfg_block *first, *last;
	size_t size;
} cfg_graveyard;

/*
 * Decodes stored bytes: JSON as json_decode($bytes, true) does, anything else as a string. At memory_limit it bails out, or,
 * where the engine reports that later, gives null and answers false: then nothing more is to be done. With `immutable`, *block is the block that holds the value (NULL if the value needs none) and the value is not counted;
 * otherwise the value is an ordinary one that the caller owns.
 */
bool cfg_decode(zval *value, CoreBytes bytes, bool immutable, cfg_block **block);

void cfg_block_bury(cfg_block *block);
void cfg_graveyard_sweep(void);   /* at the start of a request only */
void cfg_graveyard_free(cfg_graveyard *graveyard);
bool cfg_graveyard_has_room(void);

/* ---- keyring.c: sealed values ---- */

/* Whether PHP code, rather than php.ini, may name it; false with an exception. */
bool cfg_keyring_may_be_named(const zend_string *place);
/* Opens a value that was read from the mirror, if it is sealed; false with an exception. Good until the next one is opened. */
bool cfg_keyring_open(const cfg_scope *scope, const zend_string *key, CoreBytes *value);

/* ---- scope.c: sources, scopes and slots, the hot path of every read ---- */

/* A decoded value. */
typedef struct {
	zval value;           /* IS_UNDEF: the key is absent */
	uint64_t view;        /* the last view of the source in which the value was found current */
	int64_t mod_revision; /* 0: absent; with store_id it names the value */
	uint64_t store_id;
	cfg_block *block;     /* what `value` lies in, if it is immutable and lies in anything */
	bool is_dotted;       /* the key has a dot: where it is absent, it may be a path */
} cfg_slot;

/* One store: its mirror and its connection. All clients with the same settings share it, and so see one revision. */
struct _cfg_source {
	/* The view needs no look while *word == seen: for the rest of the request, or until unpin(). The newest needs one at each read. */
	const uint64_t *word;
	uint64_t seen;
	uint64_t view;        /* number of the view */
	int64_t revision;     /* of the view; 0: there has been none */
	CoreSource *core;
	CoreView newest;            /* as last taken from the core */
	CoreAtLeast must_hold;      /* reads must see this: the request wrote it, or was told of it */
	uint64_t must_hold_request; /* the request that said so */
	bool pinned;                /* by pin(), until unpin() or the end of the request */
	uint64_t viewed_in;         /* the request that last looked */
	cfg_scope *scopes;
	cfg_source *next;
	char *endpoints, *data_dir, *mirror_dir, *keyring; /* what it was opened with */
};

/* A prefix of a source, with the values read below it. */
struct _cfg_scope {
	HashTable slots;      /* key without the prefix -> cfg_slot */
	cfg_source *source;
	zend_string *prefix;  /* persistent */
	uint32_t users;       /* objects that point here */
	uint32_t sweep_at;    /* number of slots at which outdated ones are dropped */
	bool has_counted;     /* some slots hold request memory */
	cfg_scope *next;
};

/* The scope for the settings of the moment, with these instead where given. NULL with `error`. */
cfg_scope *cfg_scope_open(zend_string *prefix, zend_string *endpoints, zend_string *keyring, CoreError *error);
cfg_scope *cfg_scope_default(CoreError *error);
/* The scope of a prefix, added to that of another scope, in the same source. */
cfg_scope *cfg_scope_below(cfg_scope *scope, zend_string *prefix);
/* NULL with an exception, or with a fatal error on its way. */
cfg_slot *cfg_scope_load(cfg_scope *scope, zend_string *key);
cfg_slot *cfg_scope_load_record(cfg_scope *scope, zend_string *key, const CoreRecord *record);
bool cfg_source_move(cfg_source *source);
bool cfg_source_refresh(cfg_source *source);
void cfg_source_pin(cfg_source *source);
void cfg_source_unpin(cfg_source *source);
/* At the end of a request, or the next one would read what this one held. */
void cfg_sources_unpin(void);
void cfg_source_wrote(cfg_source *source, int64_t revision);
/* A change of this revision is handed to the program: what reads the newest must not read what was before it. */
void cfg_source_saw(cfg_source *source, int64_t revision);
void cfg_drop_counted_values(void);
/* Whether a preload script of root's runs, which is given no store: it would be root's, and not the pool's. */
bool cfg_starts_nothing(void);

/* ---- path.c: names that are a key, or a path into the document of one ---- */

typedef struct {
	zval *value;       /* NULL: absent; else valid until the next read or request */
	size_t key_length; /* bytes of the name that are the key; all that follow are the path. 0: no part of it is a key */
} cfg_found;

/* What a name stands for. False with an exception, or with a fatal error on its way. */
bool cfg_scope_read(cfg_scope *scope, zend_string *name, cfg_found *found);

/* ---- module globals ---- */

ZEND_BEGIN_MODULE_GLOBALS(cfgstore)
	uint64_t request;          /* number of the present request */
	bool preloading;           /* that request runs opcache's preload script, and has opened a store */
	cfg_scope *default_scope;  /* of the present settings; NULL: not looked up yet */
	cfg_source *sources;
	uint32_t scope_count;
	uint64_t views;            /* of all sources */
	cfg_graveyard graveyard;
	cfg_lock *locks;           /* held by this request */
	cfg_settings settings;
ZEND_END_MODULE_GLOBALS(cfgstore)

/* When no variable is left: at a thread's end, of the thread that these are the globals of, which need not be the one that calls. */
void cfg_sources_close(zend_cfgstore_globals *globals);

ZEND_EXTERN_MODULE_GLOBALS(cfgstore)
#define CFG_G(v) ZEND_MODULE_GLOBALS_ACCESSOR(cfgstore, v)
#if defined(ZTS) && defined(COMPILE_DL_CFGSTORE)
ZEND_TSRMLS_CACHE_EXTERN()
#endif

/* Milliseconds of a clock that never goes back; resolution of a few. */
static zend_always_inline uint64_t cfg_now_ms(void)
{
	struct timespec now;
#ifdef CLOCK_MONOTONIC_COARSE
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
#else
	clock_gettime(CLOCK_MONOTONIC, &now);
#endif
	return (uint64_t) now.tv_sec * 1000 + (uint64_t) now.tv_nsec / 1000000;
}

static zend_always_inline bool cfg_source_is_settled(const cfg_source *source)
{
	return *source->word == source->seen;
}

static zend_always_inline bool cfg_same_bytes(const zend_string *a, const zend_string *b)
{
	if (ZSTR_LEN(a) != ZSTR_LEN(b)) {
		return false;
	}
	/* Eight bytes at a time from the end. The last eight may begin before the text, in `len`, which is the same in both. */
	ptrdiff_t at = (ptrdiff_t) ZSTR_LEN(a);
	do {
		uint64_t x, y;
		at -= sizeof(x);
		memcpy(&x, ZSTR_VAL(a) + at, sizeof(x));
		memcpy(&y, ZSTR_VAL(b) + at, sizeof(y));
		if (x != y) {
			return false;
		}
	} while (at > 0);
	return true;
}

/* The slot of a key whose hash is computed, if it is current in the view of the source; else NULL. As zend_hash_find(), without its calls. */
static zend_always_inline cfg_slot *cfg_scope_current_slot(const cfg_scope *scope, const zend_string *key)
{
	const HashTable *slots = &scope->slots;
	uint32_t at = HT_HASH(slots, (uint32_t) ZSTR_H(key) | slots->nTableMask);
	while (at != HT_INVALID_IDX) {
		const Bucket *bucket = HT_HASH_TO_BUCKET(slots, at);
		if (EXPECTED(bucket->h == ZSTR_H(key) && cfg_same_bytes(bucket->key, key))) {
			cfg_slot *slot = Z_PTR(bucket->val);
			return EXPECTED(slot->view == scope->source->view) ? slot : NULL;
		}
		at = Z_NEXT(bucket->val);
	}
	return NULL;
}

/*
 * The hot path of every read: the slot of a key if nothing has to be done for it, else NULL, and cfg_scope_load() does it. It
 * makes no call, so what reads by it needs no stack frame. A hash that is not computed yet (0) is no slot's.
 */
static zend_always_inline cfg_slot *cfg_scope_peek(const cfg_scope *scope, const zend_string *key)
{
	return EXPECTED(cfg_source_is_settled(scope->source)) ? cfg_scope_current_slot(scope, key) : NULL;
}

/* The slot of a key at the view of the moment; its value is IS_UNDEF if the key is absent. NULL with an exception. */
static zend_always_inline cfg_slot *cfg_scope_find(cfg_scope *scope, zend_string *key)
{
	cfg_slot *slot = cfg_scope_peek(scope, key);
	return EXPECTED(slot != NULL) ? slot : cfg_scope_load(scope, key);
}

static zend_always_inline CoreBytes cfg_bytes(const zend_string *string)
{
	return (CoreBytes) { (const uint8_t *) ZSTR_VAL(string), ZSTR_LEN(string) };
}

static zend_always_inline CoreBytes cfg_cstring(const char *string)
{
	return (CoreBytes) { (const uint8_t *) string, string ? strlen(string) : 0 };
}

/* ---- errors.c: exceptions ---- */

void cfg_errors_register(void);
void cfg_throw(const CoreError *error);
/* One thing that is wrong with a value, as a SchemaException lists them. */
void cfg_new_violation(zval *result, CoreBytes key, CoreBytes path, CoreBytes message);
/* The exception for a failure that is told and not thrown. */
void cfg_new_exception(zval *result, ErrorKind kind, CoreBytes message);
/* For what the C part finds out by itself. */
void cfg_throw_kind(ErrorKind kind, bool retryable, const char *format, ...) ZEND_ATTRIBUTE_FORMAT(printf, 3, 4);
void cfg_throw_encoding(const char *format, ...) ZEND_ATTRIBUTE_FORMAT(printf, 1, 2);
void cfg_throw_type(const char *format, ...) ZEND_ATTRIBUTE_FORMAT(printf, 1, 2);

/* ---- encode.c: from PHP values to stored bytes ---- */

/* The value as JSON, or NULL with an EncodingException that names the path of what can't be stored. */
zend_string *cfg_encode(zval *value);

/* ---- objects.c, client*.c, transaction.c, watch.c, lock.c: the classes ---- */

void cfg_objects_register(void);
/* A class that only carries values: readonly properties, and nobody but the extension makes its objects. */
zend_class_entry *cfg_register_carrier(const char *name);
void cfg_declare_readonly(zend_class_entry *ce, const char *name, zend_type type);
#define CFG_TYPE(mask) ((zend_type) ZEND_TYPE_INIT_MASK(mask))
extern zend_class_entry *cfg_change_type_ce;
void cfg_new_entry(zval *result, zend_string *key, const cfg_slot *slot, const CoreRecord *record);
/* `change` names the whole key, of which the client's prefix is taken off. */
void cfg_new_change(zval *result, const CoreChange *change, size_t prefix_length);
void cfg_new_history_entry(zval *result, const CoreHistoryChange *entry, size_t prefix_length);
void cfg_new_status(zval *result, const cfg_source *source);

void cfg_client_register(void);
void cfg_notifications_register(void);
void cfg_compare_register(void);
void cfg_retention_register(void);
void cfg_schema_register(void);
void cfg_client_array_handlers(zend_object_handlers *handlers);
extern const zend_function_entry cfg_functions[];

/* What an object that a client made goes on with, whatever becomes of the client. It holds the scope, and with it the source. */
typedef struct {
	cfg_scope *scope;
	double timeout; /* of the client's calls, in seconds */
} cfg_owner;

static inline void cfg_owner_hold(cfg_owner *place, cfg_owner owner)
{
	*place = owner;
	owner.scope->users++;
}

static inline void cfg_owner_release(cfg_owner *owner)
{
	if (owner->scope) {
		owner->scope->users--;
		owner->scope = NULL;
	}
}

void cfg_transaction_register(void);
void cfg_new_transaction(zval *result, cfg_owner owner);

void cfg_watch_register(void);
void cfg_new_watch(zval *result, cfg_owner owner, zend_string *prefix, bool ends, double timeout, int64_t from_revision);
void cfg_new_subscription(zval *result, cfg_owner owner, zend_string *prefix, int64_t from_revision);

extern zend_class_entry *cfg_lock_ce;
void cfg_lock_register(void);
CoreBytes cfg_lock_key(zend_object *lock, int64_t *token);
void cfg_new_lock(zval *result, cfg_owner owner, zend_string *name, double ttl, double wait);
void cfg_locks_release(void);

/* ---- stream.c ---- */

/* A stream that is readable while the descriptor is; it owns neither. */
php_stream *cfg_stream_open(int descriptor);

/* ---- info.c ---- */

void cfg_info(zend_module_entry *zend_module);

#endif
