/* The methods of Cfgstore\Client that go over the network: writes, watches, locks, transactions. */
#include "client.h"

/* ---- writing ---- */

static bool store(cfg_client *client, zend_string *key, zend_string *bytes, zend_long if_revision, zend_string *comment,
	zend_long *revision)
{
	cfg_scope *scope = cfg_client_opened(client);
	if (!scope) {
		return false;
	}
	int64_t written;
	CoreError error;
	if (!cfgstore_core_put(scope->source->core, cfg_client_timeout(client), cfg_bytes(scope->prefix), cfg_bytes(key),
			cfg_bytes(bytes), if_revision, cfg_bytes(comment), &written, &error)) {
		cfg_throw(&error);
		return false;
	}
	cfg_source_wrote(scope->source, written);
	*revision = (zend_long) written;
	return true;
}

bool cfg_store_value(cfg_client *client, zend_string *key, zval *value, zend_long if_revision, zend_string *comment,
	zend_long *revision)
{
	zend_string *json = cfg_encode(value);
	if (!json) {
		return false;
	}
	bool stored = store(client, key, json, if_revision, comment, revision);
	zend_string_release(json);
	return stored;
}

bool cfg_erase(cfg_client *client, zend_string *key, zend_long if_revision, zend_string *comment, zend_long *revision)
{
	cfg_scope *scope = cfg_client_opened(client);
	if (!scope) {
		return false;
	}
	int64_t erased;
	CoreError error;
	if (!cfgstore_core_delete(scope->source->core, cfg_client_timeout(client), cfg_bytes(scope->prefix), cfg_bytes(key),
			if_revision, cfg_bytes(comment), &erased, &error)) {
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
		cfg_throw_kind(ERROR_KIND_INVALID_ARGUMENT, false, "argument #%u ($ifRevision) is " ZEND_LONG_FMT
			"; expected a revision, or 0 for \"only if the key does not exist\"", argument, *if_revision);
		return false;
	}
	return true;
}

ZEND_METHOD(Cfgstore_Client, put)
{
	zend_string *key, *comment = zend_empty_string;
	zval *value;
	zend_long if_revision, revision;
	bool unconditional = true;
	ZEND_PARSE_PARAMETERS_START(2, 4)
		Z_PARAM_STR(key)
		Z_PARAM_ZVAL(value)
		Z_PARAM_OPTIONAL
		Z_PARAM_LONG_OR_NULL(if_revision, unconditional)
		Z_PARAM_STR(comment)
	ZEND_PARSE_PARAMETERS_END();
	if (!check_condition(unconditional, &if_revision, 3)
			|| !cfg_store_value(THIS_CLIENT(), key, value, if_revision, comment, &revision)) {
		return;
	}
	RETURN_LONG(revision);
}

ZEND_METHOD(Cfgstore_Client, putBytes)
{
	zend_string *key, *bytes, *comment = zend_empty_string;
	zend_long if_revision, revision;
	bool unconditional = true;
	ZEND_PARSE_PARAMETERS_START(2, 4)
		Z_PARAM_STR(key)
		Z_PARAM_STR(bytes)
		Z_PARAM_OPTIONAL
		Z_PARAM_LONG_OR_NULL(if_revision, unconditional)
		Z_PARAM_STR(comment)
	ZEND_PARSE_PARAMETERS_END();
	if (!check_condition(unconditional, &if_revision, 3)
			|| !store(THIS_CLIENT(), key, bytes, if_revision, comment, &revision)) {
		return;
	}
	RETURN_LONG(revision);
}

ZEND_METHOD(Cfgstore_Client, delete)
{
	zend_string *key, *comment = zend_empty_string;
	zend_long if_revision, revision;
	bool unconditional = true;
	ZEND_PARSE_PARAMETERS_START(1, 3)
		Z_PARAM_STR(key)
		Z_PARAM_OPTIONAL
		Z_PARAM_LONG_OR_NULL(if_revision, unconditional)
		Z_PARAM_STR(comment)
	ZEND_PARSE_PARAMETERS_END();
	if (!check_condition(unconditional, &if_revision, 2)
			|| !cfg_erase(THIS_CLIENT(), key, if_revision, comment, &revision)) {
		return;
	}
	RETURN_LONG(revision);
}

/* ---- watching, locking, transactions ---- */

static cfg_owner owned_by(cfg_client *client)
{
	return (cfg_owner) {client->scope, cfg_client_timeout(client)};
}

/* A watch goes on where this request's last read was, so that nothing falls between the two. */
static bool check_start(cfg_source *source, bool is_null, zend_long *from_revision)
{
	if (is_null) {
		if (source->viewed_in != CFG_G(request) && !cfg_source_move(source)) {
			return false;
		}
		*from_revision = (zend_long) source->revision + 1;
	} else if (*from_revision < 1) {
		cfg_throw_kind(ERROR_KIND_INVALID_ARGUMENT, false, "fromRevision is " ZEND_LONG_FMT "; revisions begin at 1", *from_revision);
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
	cfg_scope *scope = cfg_client_opened(THIS_CLIENT());
	if (!scope || !check_start(scope->source, from_here, &from_revision)) {
		return;
	}
	if (!endless && !(timeout >= 0)) {
		cfg_throw_kind(ERROR_KIND_INVALID_ARGUMENT, false, "timeout is negative; expected seconds, or null to watch without end");
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
	cfg_scope *scope = cfg_client_opened(THIS_CLIENT());
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
	if (!cfg_client_opened(THIS_CLIENT())) {
		return;
	}
	cfg_new_lock(return_value, owned_by(THIS_CLIENT()), name, ttl, wait);
}

ZEND_METHOD(Cfgstore_Client, transaction)
{
	ZEND_PARSE_PARAMETERS_NONE();
	if (!cfg_client_opened(THIS_CLIENT())) {
		return;
	}
	cfg_new_transaction(return_value, owned_by(THIS_CLIENT()));
}
