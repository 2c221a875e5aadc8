/* Cfgstore\Client, and cfgstore_get(). The reads here are the hot path: see cfg_scope_find(). */
#include "php_cfgstore.h"
#include "zend_interfaces.h"
#include "zend_smart_str.h"
#include "client_arginfo.h"

typedef struct {
	cfg_scope *scope;
	zend_object std;
} client_object;

static zend_class_entry *client_ce;
static zend_object_handlers client_handlers;

/* What a client points to until its constructor has run: no view of it is ever current, so reads end in cfg_scope_load(). */
static const uint64_t never = 0;
static cfg_source unopened_source = {.word = &never, .seen = 1, .check_at_ms = UINT64_MAX};
static cfg_scope unopened_scope = {.source = &unopened_source};

static zend_always_inline client_object *from_object(zend_object *object)
{
	return (client_object *) ((char *) object - offsetof(client_object, std));
}

#define THIS_CLIENT() from_object(Z_OBJ_P(ZEND_THIS))

/* The scope of a client that has been constructed, or NULL with an exception. */
static cfg_scope *opened(client_object *client)
{
	if (UNEXPECTED(client->scope == &unopened_scope)) {
		zend_throw_error(NULL, "The Cfgstore\\Client has not been constructed");
		return NULL;
	}
	return client->scope;
}

static zend_object *create_client(zend_class_entry *ce)
{
	client_object *client = zend_object_alloc(sizeof(client_object), ce);
	zend_object_std_init(&client->std, ce);
	object_properties_init(&client->std, ce);
	client->std.handlers = &client_handlers;
	client->scope = &unopened_scope;
	return &client->std;
}

static void set_scope(client_object *client, cfg_scope *scope)
{
	if (client->scope != &unopened_scope) {
		client->scope->users--;
	}
	client->scope = scope;
	if (scope != &unopened_scope) {
		scope->users++;
	}
}

static void free_client(zend_object *object)
{
	set_scope(from_object(object), &unopened_scope);
	zend_object_std_dtor(object);
}

/* ---- reading ---- */

ZEND_COLD static void throw_absent(const cfg_scope *scope, const zend_string *key)
{
	cfg_throw_kind(CFG_NOT_FOUND, false, "key \"%s\" does not exist%s%s%s at revision " ZEND_LONG_FMT
		"; put it, or give get() a default",
		ZSTR_VAL(key), ZSTR_LEN(scope->prefix) ? " below \"" : "", ZSTR_VAL(scope->prefix),
		ZSTR_LEN(scope->prefix) ? "\"" : "", (zend_long) scope->source->revision);
}

static zend_always_inline void read_value(cfg_scope *scope, zend_string *key, zval *fallback, zval *return_value)
{
	cfg_slot *slot = cfg_scope_find(scope, key);
	if (UNEXPECTED(!slot)) {
		return;
	}
	if (EXPECTED(!Z_ISUNDEF(slot->value))) {
		ZVAL_COPY(return_value, &slot->value);
	} else if (fallback) {
		ZVAL_COPY(return_value, fallback);
	} else {
		throw_absent(scope, key);
	}
}

ZEND_METHOD(Cfgstore_Client, get)
{
	zend_string *key;
	zval *fallback = NULL;
	ZEND_PARSE_PARAMETERS_START(1, 2)
		Z_PARAM_STR(key)
		Z_PARAM_OPTIONAL
		Z_PARAM_ZVAL(fallback)
	ZEND_PARSE_PARAMETERS_END();
	read_value(THIS_CLIENT()->scope, key, fallback, return_value);
}

ZEND_FUNCTION(cfgstore_get)
{
	zend_string *key;
	zval *fallback = NULL;
	ZEND_PARSE_PARAMETERS_START(1, 2)
		Z_PARAM_STR(key)
		Z_PARAM_OPTIONAL
		Z_PARAM_ZVAL(fallback)
	ZEND_PARSE_PARAMETERS_END();
	cfg_scope *scope = CFG_G(default_scope);
	if (UNEXPECTED(!scope)) {
		CoreError error;
		scope = cfg_scope_default(&error);
		if (!scope) {
			cfg_throw(&error);
			return;
		}
	}
	read_value(scope, key, fallback, return_value);
}

ZEND_METHOD(Cfgstore_Client, has)
{
	zend_string *key;
	ZEND_PARSE_PARAMETERS_START(1, 1)
		Z_PARAM_STR(key)
	ZEND_PARSE_PARAMETERS_END();
	cfg_slot *slot = cfg_scope_find(THIS_CLIENT()->scope, key);
	if (UNEXPECTED(!slot)) {
		return;
	}
	RETURN_BOOL(!Z_ISUNDEF(slot->value));
}

ZEND_METHOD(Cfgstore_Client, all)
{
	zend_string *prefix = zend_empty_string;
	ZEND_PARSE_PARAMETERS_START(0, 1)
		Z_PARAM_OPTIONAL
		Z_PARAM_STR(prefix)
	ZEND_PARSE_PARAMETERS_END();
	cfg_scope *scope = opened(THIS_CLIENT());
	if (!scope || !cfg_source_move(scope->source)) {
		return;
	}
	const CoreRecord *records;
	size_t count;
	CoreError error;
	if (!cfgstore_core_scan(scope->source->core, cfg_bytes(scope->prefix), cfg_bytes(prefix), &records, &count, &error)) {
		cfg_throw(&error);
		return;
	}
	array_init_size(return_value, (uint32_t) count);
	for (size_t i = 0; i < count; i++) {
		size_t skip = ZSTR_LEN(scope->prefix);
		zend_string *key = zend_string_init((const char *) records[i].key.data + skip, records[i].key.len - skip, 0);
		cfg_slot *slot = cfg_scope_load_record(scope, key, &records[i]);
		if (slot) {
			Z_TRY_ADDREF(slot->value);
			zend_symtable_update(Z_ARRVAL_P(return_value), key, &slot->value);
		}
		zend_string_release(key);
		if (!slot) {
			return;
		}
	}
}

/* The key as the mirror holds it; false with an exception. */
static bool look_up(cfg_scope *scope, zend_string *key, CoreRecord *record)
{
	if (!scope || !cfg_source_move(scope->source)) {
		return false;
	}
	CoreError error;
	if (!cfgstore_core_lookup(scope->source->core, cfg_bytes(scope->prefix), cfg_bytes(key), record, &error)) {
		cfg_throw(&error);
		return false;
	}
	return true;
}

ZEND_METHOD(Cfgstore_Client, entry)
{
	zend_string *key;
	ZEND_PARSE_PARAMETERS_START(1, 1)
		Z_PARAM_STR(key)
	ZEND_PARSE_PARAMETERS_END();
	cfg_scope *scope = opened(THIS_CLIENT());
	CoreRecord record;
	if (!look_up(scope, key, &record)) {
		return;
	}
	if (!record.found) {
		throw_absent(scope, key);
		return;
	}
	cfg_slot *slot = cfg_scope_load_record(scope, key, &record);
	if (slot) {
		cfg_new_entry(return_value, key, slot, &record);
	}
}

ZEND_METHOD(Cfgstore_Client, getBytes)
{
	zend_string *key, *fallback = NULL;
	ZEND_PARSE_PARAMETERS_START(1, 2)
		Z_PARAM_STR(key)
		Z_PARAM_OPTIONAL
		Z_PARAM_STR_OR_NULL(fallback)
	ZEND_PARSE_PARAMETERS_END();
	cfg_scope *scope = opened(THIS_CLIENT());
	CoreRecord record;
	if (!look_up(scope, key, &record)) {
		return;
	}
	if (record.found) {
		RETURN_STRINGL((const char *) record.value.data, record.value.len);
	}
	if (ZEND_NUM_ARGS() < 2) {
		throw_absent(scope, key);
		return;
	}
	if (!fallback) {
		RETURN_NULL();
	}
	RETURN_STR_COPY(fallback);
}

/* ---- writing ---- */

static bool store(cfg_scope *scope, zend_string *key, zend_string *bytes, zend_long if_revision, zend_long *revision)
{
	int64_t written;
	CoreError error;
	if (!cfgstore_core_put(scope->source->core, cfg_bytes(scope->prefix), cfg_bytes(key), cfg_bytes(bytes),
			if_revision, &written, &error)) {
		cfg_throw(&error);
		return false;
	}
	cfg_source_wrote(scope->source, written);
	*revision = (zend_long) written;
	return true;
}

static bool store_value(cfg_scope *scope, zend_string *key, zval *value, zend_long if_revision, zend_long *revision)
{
	zend_string *json = cfg_encode(value);
	if (!json) {
		return false;
	}
	bool stored = store(scope, key, json, if_revision, revision);
	zend_string_release(json);
	return stored;
}

static bool erase(cfg_scope *scope, zend_string *key, zend_long if_revision, zend_long *revision)
{
	int64_t erased;
	CoreError error;
	if (!cfgstore_core_delete(scope->source->core, cfg_bytes(scope->prefix), cfg_bytes(key), if_revision, &erased, &error)) {
		cfg_throw(&error);
		return false;
	}
	cfg_source_wrote(scope->source, erased);
	*revision = (zend_long) erased;
	return true;
}

/* An optional condition; -1 stands for none. */
static bool check_condition(bool is_null, zend_long *if_revision, uint32_t argument)
{
	if (is_null) {
		*if_revision = -1;
	} else if (*if_revision < 0) {
		cfg_throw_kind(CFG_INVALID_ARGUMENT, false, "argument #%u ($ifRevision) is " ZEND_LONG_FMT
			"; expected a revision, or 0 for \"only if the key does not exist\"", argument, *if_revision);
		return false;
	}
	return true;
}

ZEND_METHOD(Cfgstore_Client, put)
{
	zend_string *key;
	zval *value;
	zend_long if_revision, revision;
	bool unconditional = true;
	ZEND_PARSE_PARAMETERS_START(2, 3)
		Z_PARAM_STR(key)
		Z_PARAM_ZVAL(value)
		Z_PARAM_OPTIONAL
		Z_PARAM_LONG_OR_NULL(if_revision, unconditional)
	ZEND_PARSE_PARAMETERS_END();
	cfg_scope *scope = opened(THIS_CLIENT());
	if (!scope || !check_condition(unconditional, &if_revision, 3)
			|| !store_value(scope, key, value, if_revision, &revision)) {
		return;
	}
	RETURN_LONG(revision);
}

ZEND_METHOD(Cfgstore_Client, putBytes)
{
	zend_string *key, *bytes;
	zend_long if_revision, revision;
	bool unconditional = true;
	ZEND_PARSE_PARAMETERS_START(2, 3)
		Z_PARAM_STR(key)
		Z_PARAM_STR(bytes)
		Z_PARAM_OPTIONAL
		Z_PARAM_LONG_OR_NULL(if_revision, unconditional)
	ZEND_PARSE_PARAMETERS_END();
	cfg_scope *scope = opened(THIS_CLIENT());
	if (!scope || !check_condition(unconditional, &if_revision, 3) || !store(scope, key, bytes, if_revision, &revision)) {
		return;
	}
	RETURN_LONG(revision);
}

ZEND_METHOD(Cfgstore_Client, delete)
{
	zend_string *key;
	zend_long if_revision, revision;
	bool unconditional = true;
	ZEND_PARSE_PARAMETERS_START(1, 2)
		Z_PARAM_STR(key)
		Z_PARAM_OPTIONAL
		Z_PARAM_LONG_OR_NULL(if_revision, unconditional)
	ZEND_PARSE_PARAMETERS_END();
	cfg_scope *scope = opened(THIS_CLIENT());
	if (!scope || !check_condition(unconditional, &if_revision, 2) || !erase(scope, key, if_revision, &revision)) {
		return;
	}
	RETURN_LONG(revision);
}

/* ---- watching, locking, transactions ---- */

static cfg_owner owned_by(client_object *client)
{
	return (cfg_owner) {client->scope, &client->std};
}

/* A watch goes on where this process' last read was, so that nothing falls between the two. */
static bool check_start(cfg_source *source, bool is_null, zend_long *from_revision)
{
	if (is_null) {
		if (source->revision == 0 && !cfg_source_move(source)) {
			return false;
		}
		*from_revision = (zend_long) source->revision + 1;
	} else if (*from_revision < 1) {
		cfg_throw_kind(CFG_INVALID_ARGUMENT, false, "fromRevision is " ZEND_LONG_FMT "; revisions begin at 1", *from_revision);
		return false;
	}
	return true;
}

ZEND_METHOD(Cfgstore_Client, watch)
{
	zend_string *prefix = zend_empty_string;
	double timeout = 0;
	zend_long from_revision = 0;
	bool endless = true, from_here = true;
	ZEND_PARSE_PARAMETERS_START(0, 3)
		Z_PARAM_OPTIONAL
		Z_PARAM_STR(prefix)
		Z_PARAM_DOUBLE_OR_NULL(timeout, endless)
		Z_PARAM_LONG_OR_NULL(from_revision, from_here)
	ZEND_PARSE_PARAMETERS_END();
	cfg_scope *scope = opened(THIS_CLIENT());
	if (!scope || !check_start(scope->source, from_here, &from_revision)) {
		return;
	}
	if (!endless && !(timeout >= 0)) {
		cfg_throw_kind(CFG_INVALID_ARGUMENT, false, "timeout is negative; expected seconds, or null to watch without end");
		return;
	}
	cfg_new_watch(return_value, owned_by(THIS_CLIENT()), prefix, !endless, timeout, from_revision);
}

ZEND_METHOD(Cfgstore_Client, subscribe)
{
	zend_string *prefix = zend_empty_string;
	zend_long from_revision = 0;
	bool from_here = true;
	ZEND_PARSE_PARAMETERS_START(0, 2)
		Z_PARAM_OPTIONAL
		Z_PARAM_STR(prefix)
		Z_PARAM_LONG_OR_NULL(from_revision, from_here)
	ZEND_PARSE_PARAMETERS_END();
	cfg_scope *scope = opened(THIS_CLIENT());
	if (!scope || !check_start(scope->source, from_here, &from_revision)) {
		return;
	}
	cfg_new_subscription(return_value, owned_by(THIS_CLIENT()), prefix, from_revision);
}

ZEND_METHOD(Cfgstore_Client, lock)
{
	zend_string *name;
	double ttl = 10.0, wait = 0.0;
	ZEND_PARSE_PARAMETERS_START(1, 3)
		Z_PARAM_STR(name)
		Z_PARAM_OPTIONAL
		Z_PARAM_DOUBLE(ttl)
		Z_PARAM_DOUBLE(wait)
	ZEND_PARSE_PARAMETERS_END();
	if (!opened(THIS_CLIENT())) {
		return;
	}
	cfg_new_lock(return_value, owned_by(THIS_CLIENT()), name, ttl, wait);
}

ZEND_METHOD(Cfgstore_Client, transaction)
{
	ZEND_PARSE_PARAMETERS_NONE();
	if (!opened(THIS_CLIENT())) {
		return;
	}
	cfg_new_transaction(return_value, owned_by(THIS_CLIENT()));
}

/* ---- revisions ---- */

ZEND_METHOD(Cfgstore_Client, revision)
{
	ZEND_PARSE_PARAMETERS_NONE();
	cfg_scope *scope = opened(THIS_CLIENT());
	if (!scope || !cfg_source_move(scope->source)) {
		return;
	}
	RETURN_LONG((zend_long) scope->source->revision);
}

ZEND_METHOD(Cfgstore_Client, refresh)
{
	ZEND_PARSE_PARAMETERS_NONE();
	cfg_scope *scope = opened(THIS_CLIENT());
	if (!scope || !cfg_source_refresh(scope->source)) {
		return;
	}
	RETURN_LONG((zend_long) scope->source->revision);
}

ZEND_METHOD(Cfgstore_Client, pin)
{
	ZEND_PARSE_PARAMETERS_NONE();
	cfg_scope *scope = opened(THIS_CLIENT());
	if (!scope || !cfg_source_move(scope->source)) {
		return;
	}
	cfg_source_pin(scope->source);
	RETURN_LONG((zend_long) scope->source->revision);
}

ZEND_METHOD(Cfgstore_Client, unpin)
{
	ZEND_PARSE_PARAMETERS_NONE();
	cfg_scope *scope = opened(THIS_CLIENT());
	if (!scope) {
		return;
	}
	cfg_source_unpin(scope->source);
}

ZEND_METHOD(Cfgstore_Client, status)
{
	ZEND_PARSE_PARAMETERS_NONE();
	cfg_scope *scope = opened(THIS_CLIENT());
	if (!scope) {
		return;
	}
	cfg_new_status(return_value, scope->source);
}

/* ---- construction ---- */

static bool join_endpoints(HashTable *endpoints, smart_str *joined)
{
	zval *endpoint;
	ZEND_HASH_FOREACH_VAL(endpoints, endpoint) {
		ZVAL_DEREF(endpoint);
		if (Z_TYPE_P(endpoint) != IS_STRING) {
			zend_argument_type_error(2, "must contain strings only, %s given", zend_zval_type_name(endpoint));
			return false;
		}
		if (joined->s) {
			smart_str_appendc(joined, ',');
		}
		smart_str_append(joined, Z_STR_P(endpoint));
	} ZEND_HASH_FOREACH_END();
	smart_str_0(joined);
	return true;
}

ZEND_METHOD(Cfgstore_Client, __construct)
{
	zend_string *prefix = NULL, *endpoints = NULL;
	HashTable *endpoint_list = NULL;
	double timeout = 0;
	bool default_timeout = true;
	ZEND_PARSE_PARAMETERS_START(0, 3)
		Z_PARAM_OPTIONAL
		Z_PARAM_STR_OR_NULL(prefix)
		Z_PARAM_ARRAY_HT_OR_STR_OR_NULL(endpoint_list, endpoints)
		Z_PARAM_DOUBLE_OR_NULL(timeout, default_timeout)
	ZEND_PARSE_PARAMETERS_END();
	smart_str joined = {0};
	if (endpoint_list) {
		if (!join_endpoints(endpoint_list, &joined)) {
			smart_str_free(&joined);
			return;
		}
		endpoints = joined.s ? joined.s : zend_empty_string;
	}
	CoreError error;
	cfg_scope *scope = prefix || endpoints || !default_timeout
		? cfg_scope_open(prefix, endpoints, default_timeout ? CFG_G(settings).timeout : timeout, &error)
		: cfg_scope_default(&error);
	smart_str_free(&joined);
	if (!scope) {
		cfg_throw(&error);
		return;
	}
	set_scope(THIS_CLIENT(), scope);
}

/* ---- $client['key'] ---- */

/* The key, owned by the caller; NULL with an exception. */
static zend_string *key_of(zval *offset)
{
	if (!offset) {
		zend_throw_error(NULL, "A key is needed: $config[] has none");
		return NULL;
	}
	ZVAL_DEREF(offset);
	if (Z_TYPE_P(offset) == IS_STRING) {
		return zend_string_copy(Z_STR_P(offset));
	}
	if (Z_TYPE_P(offset) == IS_LONG) {
		return zend_long_to_str(Z_LVAL_P(offset));
	}
	zend_type_error("A key must be a string, %s given", zend_zval_type_name(offset));
	return NULL;
}

static cfg_slot *find_offset(cfg_scope *scope, zval *offset)
{
	if (EXPECTED(offset && Z_TYPE_P(offset) == IS_STRING)) {
		return cfg_scope_find(scope, Z_STR_P(offset));
	}
	zend_string *key = key_of(offset);
	cfg_slot *slot = key ? cfg_scope_find(scope, key) : NULL;
	if (key) {
		zend_string_release(key);
	}
	return slot;
}

ZEND_COLD static zval *refuse_change_in_place(void)
{
	zend_throw_error(NULL, "A stored value cannot be changed in place: "
		"read it into a variable, change that, and put() it back");
	return NULL;
}

/* The engine copies the value out of the slot before anything else can run. */
static zval *read_dimension(zend_object *object, zval *offset, int type, zval *rv)
{
	if (UNEXPECTED(type != BP_VAR_R && type != BP_VAR_IS)) {
		return refuse_change_in_place();
	}
	cfg_scope *scope = from_object(object)->scope;
	cfg_slot *slot = find_offset(scope, offset);
	if (UNEXPECTED(!slot)) {
		return NULL;
	}
	if (EXPECTED(!Z_ISUNDEF(slot->value))) {
		return &slot->value;
	}
	if (type == BP_VAR_IS) {
		return &EG(uninitialized_zval);
	}
	zend_string *key = key_of(offset);
	throw_absent(scope, key);
	zend_string_release(key);
	return NULL;
}

static int has_dimension(zend_object *object, zval *offset, int check_empty)
{
	cfg_slot *slot = find_offset(from_object(object)->scope, offset);
	if (!slot || Z_ISUNDEF(slot->value)) {
		return 0;
	}
	return check_empty ? zend_is_true(&slot->value) : Z_TYPE(slot->value) != IS_NULL;
}

static void write_dimension(zend_object *object, zval *offset, zval *value)
{
	cfg_scope *scope = opened(from_object(object));
	zend_string *key = scope ? key_of(offset) : NULL;
	if (key) {
		zend_long revision;
		store_value(scope, key, value, -1, &revision);
		zend_string_release(key);
	}
}

static void unset_dimension(zend_object *object, zval *offset)
{
	cfg_scope *scope = opened(from_object(object));
	zend_string *key = scope ? key_of(offset) : NULL;
	if (key) {
		zend_long revision;
		erase(scope, key, -1, &revision);
		zend_string_release(key);
	}
}

ZEND_METHOD(Cfgstore_Client, offsetGet)
{
	zval *offset;
	ZEND_PARSE_PARAMETERS_START(1, 1)
		Z_PARAM_ZVAL(offset)
	ZEND_PARSE_PARAMETERS_END();
	zval *value = read_dimension(Z_OBJ_P(ZEND_THIS), offset, BP_VAR_R, return_value);
	if (value) {
		RETURN_COPY(value);
	}
}

ZEND_METHOD(Cfgstore_Client, offsetExists)
{
	zval *offset;
	ZEND_PARSE_PARAMETERS_START(1, 1)
		Z_PARAM_ZVAL(offset)
	ZEND_PARSE_PARAMETERS_END();
	RETURN_BOOL(has_dimension(Z_OBJ_P(ZEND_THIS), offset, 0));
}

ZEND_METHOD(Cfgstore_Client, offsetSet)
{
	zval *offset, *value;
	ZEND_PARSE_PARAMETERS_START(2, 2)
		Z_PARAM_ZVAL(offset)
		Z_PARAM_ZVAL(value)
	ZEND_PARSE_PARAMETERS_END();
	write_dimension(Z_OBJ_P(ZEND_THIS), offset, value);
}

ZEND_METHOD(Cfgstore_Client, offsetUnset)
{
	zval *offset;
	ZEND_PARSE_PARAMETERS_START(1, 1)
		Z_PARAM_ZVAL(offset)
	ZEND_PARSE_PARAMETERS_END();
	unset_dimension(Z_OBJ_P(ZEND_THIS), offset);
}

void cfg_client_register(void)
{
	zend_class_entry ce;
	INIT_NS_CLASS_ENTRY(ce, "Cfgstore", "Client", client_methods);
	client_ce = zend_register_internal_class(&ce);
	client_ce->ce_flags |= ZEND_ACC_FINAL | ZEND_ACC_NO_DYNAMIC_PROPERTIES | ZEND_ACC_NOT_SERIALIZABLE;
	client_ce->create_object = create_client;
	zend_class_implements(client_ce, 1, zend_ce_arrayaccess);

	client_handlers = *zend_get_std_object_handlers();
	client_handlers.offset = offsetof(client_object, std);
	client_handlers.free_obj = free_client;
	client_handlers.clone_obj = NULL;
	client_handlers.read_dimension = read_dimension;
	client_handlers.has_dimension = has_dimension;
	client_handlers.write_dimension = write_dimension;
	client_handlers.unset_dimension = unset_dimension;
}
