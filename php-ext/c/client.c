/* Cfgstore\Client, and cfgstore_get(). The reads here are the hot path: see cfg_scope_peek(). */
#include "php_cfgstore.h"
#include "zend_interfaces.h"
#include "zend_smart_str.h"
#include "client.h"
#include "client_arginfo.h"

static zend_class_entry *client_ce;
static zend_object_handlers client_handlers;

/* What a client points to until its constructor has run: its view is never settled, so reads end in cfg_scope_load(). */
static const uint64_t never = 0;
static cfg_source unopened_source = {.word = &never, .seen = 1};
static cfg_scope unopened_scope = {.source = &unopened_source};

cfg_scope *cfg_client_opened(cfg_client *client)
{
	if (UNEXPECTED(client->scope == &unopened_scope)) {
		zend_throw_error(NULL, "The Cfgstore\\Client has not been constructed");
		return NULL;
	}
	return client->scope;
}

zend_string *cfg_client_encode(cfg_client *client, zval *value, cfg_scope **scope)
{
	zend_string *json = cfg_encode(value);
	if (!json) {
		return NULL;
	}
	*scope = cfg_client_opened(client);
	if (!*scope) {
		zend_string_release(json);
		return NULL;
	}
	return json;
}

static zend_object *create_client(zend_class_entry *ce)
{
	cfg_client *client = zend_object_alloc(sizeof(cfg_client), ce);
	zend_object_std_init(&client->std, ce);
	object_properties_init(&client->std, ce);
	client->std.handlers = &client_handlers;
	client->scope = &unopened_scope;
	return &client->std;
}

static void set_scope(cfg_client *client, cfg_scope *scope)
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
	set_scope(cfg_client_of(object), &unopened_scope);
	zend_object_std_dtor(object);
}

/* ---- reading ---- */

ZEND_COLD void cfg_throw_absent(const cfg_scope *scope, const zend_string *name, size_t key_length)
{
	bool is_path = key_length > 0;
	cfg_throw_kind(ERROR_KIND_NOT_FOUND, false, "key \"%s\" does not exist%s%s%s at revision " ZEND_LONG_FMT
		"%s%.*s%s; put it, or give get() a default",
		ZSTR_VAL(name), ZSTR_LEN(scope->prefix) ? " below \"" : "", ZSTR_VAL(scope->prefix),
		ZSTR_LEN(scope->prefix) ? "\"" : "", (zend_long) scope->source->revision,
		is_path ? ", nor that path in the value of \"" : "", (int) key_length, ZSTR_VAL(name), is_path ? "\"" : "");
}

/* A read for which nothing has to be done: false otherwise, and nothing has happened. */
static zend_always_inline bool read_at_once(const cfg_scope *scope, zend_execute_data *execute_data, zval *return_value)
{
	const zval *key = ZEND_CALL_ARG(execute_data, 1);
	if (UNEXPECTED(ZEND_NUM_ARGS() - 1 > 1 || Z_TYPE_P(key) != IS_STRING)) {
		return false;
	}
	const cfg_slot *slot = cfg_scope_peek(scope, Z_STR_P(key));
	if (UNEXPECTED(!slot)) {
		return false;
	}
	const zval *value = &slot->value;
	if (UNEXPECTED(Z_ISUNDEF_P(value))) {
		if (ZEND_NUM_ARGS() == 1 || slot->is_dotted) {
			return false;
		}
		value = ZEND_CALL_ARG(execute_data, 2);
	}
	ZVAL_COPY(return_value, value);
	return true;
}

/* Every other read. A function of its own, as a read at once needs no stack frame. */
static zend_never_inline void load_value(cfg_scope *scope, INTERNAL_FUNCTION_PARAMETERS)
{
	zend_string *key;
	zval *fallback = NULL;
	ZEND_PARSE_PARAMETERS_START(1, 2)
		Z_PARAM_STR(key)
		Z_PARAM_OPTIONAL
		Z_PARAM_ZVAL(fallback)
	ZEND_PARSE_PARAMETERS_END();
	CoreError error;
	if (!scope && !(scope = cfg_scope_default(&error))) {
		cfg_throw(&error);
		return;
	}
	cfg_found found;
	if (UNEXPECTED(!cfg_scope_read(scope, key, &found))) {
		return;
	}
	if (EXPECTED(found.value != NULL)) {
		RETURN_COPY(found.value);
	}
	if (fallback) {
		RETURN_COPY(fallback);
	}
	cfg_throw_absent(scope, key, found.key_length);
}

ZEND_METHOD(Cfgstore_Client, get)
{
	cfg_scope *scope = THIS_CLIENT()->scope;
	if (UNEXPECTED(!read_at_once(scope, INTERNAL_FUNCTION_PARAM_PASSTHRU))) {
		load_value(scope, INTERNAL_FUNCTION_PARAM_PASSTHRU);
	}
}

ZEND_FUNCTION(cfgstore_get)
{
	cfg_scope *scope = CFG_G(default_scope);
	if (UNEXPECTED(!scope || !read_at_once(scope, INTERNAL_FUNCTION_PARAM_PASSTHRU))) {
		load_value(scope, INTERNAL_FUNCTION_PARAM_PASSTHRU);
	}
}

ZEND_METHOD(Cfgstore_Client, has)
{
	zend_string *key;
	ZEND_PARSE_PARAMETERS_START(1, 1)
		Z_PARAM_STR(key)
	ZEND_PARSE_PARAMETERS_END();
	cfg_found found;
	if (cfg_scope_read(THIS_CLIENT()->scope, key, &found)) {
		RETURN_BOOL(found.value != NULL);
	}
}

ZEND_METHOD(Cfgstore_Client, all)
{
	zend_string *prefix = zend_empty_string;
	ZEND_PARSE_PARAMETERS_START(0, 1)
		Z_PARAM_OPTIONAL
		Z_PARAM_STR(prefix)
	ZEND_PARSE_PARAMETERS_END();
	cfg_scope *scope = cfg_client_opened(THIS_CLIENT());
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
	cfg_scope *scope = cfg_client_opened(THIS_CLIENT());
	CoreRecord record;
	if (!look_up(scope, key, &record)) {
		return;
	}
	if (!record.found) {
		cfg_throw_absent(scope, key, 0);
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
	cfg_scope *scope = cfg_client_opened(THIS_CLIENT());
	CoreRecord record;
	if (!look_up(scope, key, &record)) {
		return;
	}
	if (record.found) {
		CoreBytes bytes = record.value;
		if (!cfg_keyring_open(scope, key, &bytes)) {
			return;
		}
		RETURN_STRINGL((const char *) bytes.data, bytes.len);
	}
	if (ZEND_NUM_ARGS() < 2) {
		cfg_throw_absent(scope, key, 0);
		return;
	}
	if (!fallback) {
		RETURN_NULL();
	}
	RETURN_STR_COPY(fallback);
}

/* ---- revisions ---- */

ZEND_METHOD(Cfgstore_Client, revision)
{
	ZEND_PARSE_PARAMETERS_NONE();
	cfg_scope *scope = cfg_client_opened(THIS_CLIENT());
	if (!scope || !cfg_source_move(scope->source)) {
		return;
	}
	RETURN_LONG((zend_long) scope->source->revision);
}

ZEND_METHOD(Cfgstore_Client, refresh)
{
	ZEND_PARSE_PARAMETERS_NONE();
	cfg_scope *scope = cfg_client_opened(THIS_CLIENT());
	if (!scope || !cfg_source_refresh(scope->source)) {
		return;
	}
	RETURN_LONG((zend_long) scope->source->revision);
}

ZEND_METHOD(Cfgstore_Client, pin)
{
	ZEND_PARSE_PARAMETERS_NONE();
	cfg_scope *scope = cfg_client_opened(THIS_CLIENT());
	if (!scope || !cfg_source_move(scope->source)) {
		return;
	}
	cfg_source_pin(scope->source);
	RETURN_LONG((zend_long) scope->source->revision);
}

ZEND_METHOD(Cfgstore_Client, unpin)
{
	ZEND_PARSE_PARAMETERS_NONE();
	cfg_scope *scope = cfg_client_opened(THIS_CLIENT());
	if (!scope) {
		return;
	}
	cfg_source_unpin(scope->source);
}

ZEND_METHOD(Cfgstore_Client, status)
{
	ZEND_PARSE_PARAMETERS_NONE();
	cfg_scope *scope = cfg_client_opened(THIS_CLIENT());
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
	zend_string *prefix = NULL, *endpoints = NULL, *keyring = NULL;
	HashTable *endpoint_list = NULL;
	double timeout = 0;
	bool default_timeout = true;
	ZEND_PARSE_PARAMETERS_START(0, 4)
		Z_PARAM_OPTIONAL
		Z_PARAM_STR_OR_NULL(prefix)
		Z_PARAM_ARRAY_HT_OR_STR_OR_NULL(endpoint_list, endpoints)
		Z_PARAM_DOUBLE_OR_NULL(timeout, default_timeout)
		Z_PARAM_STR_OR_NULL(keyring)
	ZEND_PARSE_PARAMETERS_END();
	if (!default_timeout && !(timeout >= 0 && timeout <= 86400)) {
		cfg_throw_kind(ERROR_KIND_INVALID_ARGUMENT, false, "timeout is %g; expected a number of seconds from 0 to 86400", timeout);
		return;
	}
	if (keyring && !cfg_keyring_may_be_named(keyring)) {
		return;
	}
	smart_str joined = {0};
	if (endpoint_list) {
		if (!join_endpoints(endpoint_list, &joined)) {
			smart_str_free(&joined);
			return;
		}
		endpoints = joined.s ? joined.s : zend_empty_string;
	}
	CoreError error;
	cfg_scope *scope = prefix || endpoints || keyring ? cfg_scope_open(prefix, endpoints, keyring, &error) : cfg_scope_default(&error);
	smart_str_free(&joined);
	if (!scope) {
		cfg_throw(&error);
		return;
	}
	set_scope(THIS_CLIENT(), scope);
	THIS_CLIENT()->timeout = default_timeout ? -1 : timeout;
}

ZEND_METHOD(Cfgstore_Client, withPrefix)
{
	zend_string *prefix;
	ZEND_PARSE_PARAMETERS_START(1, 1)
		Z_PARAM_STR(prefix)
	ZEND_PARSE_PARAMETERS_END();
	cfg_scope *scope = cfg_client_opened(THIS_CLIENT());
	if (!scope) {
		return;
	}
	object_init_ex(return_value, client_ce);
	cfg_client *narrowed = cfg_client_of(Z_OBJ_P(return_value));
	set_scope(narrowed, cfg_scope_below(scope, prefix));
	narrowed->timeout = THIS_CLIENT()->timeout;
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
	client_handlers.offset = offsetof(cfg_client, std);
	client_handlers.free_obj = free_client;
	client_handlers.clone_obj = NULL;
	client_handlers.compare = zend_objects_not_comparable;
	cfg_client_array_handlers(&client_handlers);
}
