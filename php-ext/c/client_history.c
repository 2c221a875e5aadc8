/* The methods of Cfgstore\Client on what keys were: their history, and making them so again. */
#include "client.h"

/* A time as HistoryEntry has it, in milliseconds; 0 is no bound. */
static bool set_bound(int64_t *bound, const char *name, bool is_null, double time)
{
	if (is_null) {
		*bound = 0;
	} else if (zend_finite(time) && fabs(time) < 1e15) {
		*bound = MAX(1, (int64_t) round(time * 1000));
	} else {
		cfg_throw_kind(ERROR_KIND_INVALID_ARGUMENT, false, "%s is %g; expected seconds since 1970, or null for no bound", name, time);
		return false;
	}
	return true;
}

ZEND_METHOD(Cfgstore_Client, history)
{
	zend_string *key, *author = zend_empty_string;
	zend_long limit = 0;
	double from_time = 0, to_time = 0;
	bool is_prefix = false, from_ever = true, to_now = true;
	ZEND_PARSE_PARAMETERS_START(1, 6)
		Z_PARAM_STR(key)
		Z_PARAM_OPTIONAL
		Z_PARAM_LONG(limit)
		Z_PARAM_BOOL(is_prefix)
		Z_PARAM_DOUBLE_OR_NULL(from_time, from_ever)
		Z_PARAM_DOUBLE_OR_NULL(to_time, to_now)
		Z_PARAM_STR(author)
	ZEND_PARSE_PARAMETERS_END();
	cfg_scope *scope = cfg_client_opened(THIS_CLIENT());
	if (!scope) {
		return;
	}
	if (limit < 0) {
		cfg_throw_kind(ERROR_KIND_INVALID_ARGUMENT, false, "limit is " ZEND_LONG_FMT
			"; expected a number of changes, or 0 for all", limit);
		return;
	}
	CoreHistoryQuery query = {.key = cfg_bytes(key), .is_prefix = is_prefix, .limit = (uint64_t) limit, .author = cfg_bytes(author)};
	if (!set_bound(&query.from_time_unix_ms, "fromTime", from_ever, from_time) || !set_bound(&query.to_time_unix_ms, "toTime", to_now, to_time)) {
		return;
	}
	CoreSource *core = scope->source->core;
	const CoreHistoryChange *changes;
	size_t count;
	CoreError error;
	if (!cfgstore_core_history(core, cfg_client_timeout(THIS_CLIENT()), cfg_bytes(scope->prefix), &query, &changes, &count, &error)) {
		cfg_throw(&error);
		return;
	}
	array_init_size(return_value, (uint32_t) count);
	for (size_t i = 0; i < count; i++) {
		zval entry;
		cfg_new_history_entry(&entry, &changes[i], ZSTR_LEN(scope->prefix));
		zend_hash_next_index_insert_new(Z_ARRVAL_P(return_value), &entry);
	}
	/* At memory_limit this is not reached, and the next call does it. */
	cfgstore_core_forget(core);
}

ZEND_METHOD(Cfgstore_Client, rollback)
{
	zend_string *key, *comment = zend_empty_string;
	zend_long to_revision;
	bool is_prefix = false;
	ZEND_PARSE_PARAMETERS_START(2, 4)
		Z_PARAM_STR(key)
		Z_PARAM_LONG(to_revision)
		Z_PARAM_OPTIONAL
		Z_PARAM_STR(comment)
		Z_PARAM_BOOL(is_prefix)
	ZEND_PARSE_PARAMETERS_END();
	cfg_scope *scope = cfg_client_opened(THIS_CLIENT());
	if (!scope) {
		return;
	}
	int64_t revision;
	CoreError error;
	if (!cfgstore_core_rollback(scope->source->core, cfg_client_timeout(THIS_CLIENT()), cfg_bytes(scope->prefix),
			cfg_bytes(key), is_prefix, to_revision, cfg_bytes(comment), &revision, &error)) {
		cfg_throw(&error);
		return;
	}
	cfg_source_wrote(scope->source, revision);
	RETURN_LONG((zend_long) revision);
}
