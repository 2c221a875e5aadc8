/* The methods of Cfgstore\Client on how much history is kept. */
#include "client.h"

static zend_class_entry *retention_ce;

void cfg_retention_register(void)
{
	retention_ce = cfg_register_carrier("Retention");
	cfg_declare_readonly(retention_ce, "prefix", CFG_TYPE(MAY_BE_STRING));
	cfg_declare_readonly(retention_ce, "count", CFG_TYPE(MAY_BE_LONG));
	cfg_declare_readonly(retention_ce, "maxAge", CFG_TYPE(MAY_BE_LONG));
}

static void set_retention(cfg_client *client, CoreRetention rule, bool remove)
{
	cfg_scope *scope = cfg_client_opened(client);
	CoreError error;
	if (scope && !cfgstore_core_set_retention(scope->source->core, cfg_client_timeout(client), cfg_bytes(scope->prefix), rule,
			remove, &error)) {
		cfg_throw(&error);
	}
}

ZEND_METHOD(Cfgstore_Client, setRetention)
{
	zend_string *prefix;
	zend_long count, max_age = 0;
	ZEND_PARSE_PARAMETERS_START(2, 3)
		Z_PARAM_STR(prefix)
		Z_PARAM_LONG(count)
		Z_PARAM_OPTIONAL
		Z_PARAM_LONG(max_age)
	ZEND_PARSE_PARAMETERS_END();
	if (count < 0 || count > UINT32_MAX) {
		cfg_throw_kind(ERROR_KIND_INVALID_ARGUMENT, false, "count is " ZEND_LONG_FMT "; expected 0 to %u changes", count, UINT32_MAX);
		return;
	}
	if (max_age < 0) {
		cfg_throw_kind(ERROR_KIND_INVALID_ARGUMENT, false, "maxAge is " ZEND_LONG_FMT "; expected seconds, or 0 for no bound", max_age);
		return;
	}
	set_retention(THIS_CLIENT(), (CoreRetention) {cfg_bytes(prefix), (uint32_t) count, (uint64_t) max_age}, false);
}

ZEND_METHOD(Cfgstore_Client, removeRetention)
{
	zend_string *prefix;
	ZEND_PARSE_PARAMETERS_START(1, 1)
		Z_PARAM_STR(prefix)
	ZEND_PARSE_PARAMETERS_END();
	set_retention(THIS_CLIENT(), (CoreRetention) {cfg_bytes(prefix), 0, 0}, true);
}

ZEND_METHOD(Cfgstore_Client, retention)
{
	ZEND_PARSE_PARAMETERS_NONE();
	cfg_scope *scope = cfg_client_opened(THIS_CLIENT());
	if (!scope) {
		return;
	}
	const CoreRetention *rules;
	size_t count;
	CoreError error;
	if (!cfgstore_core_retention(scope->source->core, cfg_client_timeout(THIS_CLIENT()), cfg_bytes(scope->prefix), &rules, &count,
			&error)) {
		cfg_throw(&error);
		return;
	}
	array_init_size(return_value, (uint32_t) count);
	for (size_t i = 0; i < count; i++) {
		zval rule;
		object_init_ex(&rule, retention_ce);
		zval *property = OBJ_PROP_NUM(Z_OBJ(rule), 0);
		ZVAL_STRINGL(property++, (const char *) rules[i].prefix.data, rules[i].prefix.len);
		ZVAL_LONG(property++, (zend_long) rules[i].count);
		ZVAL_LONG(property++, (zend_long) rules[i].max_age_secs);
		zend_hash_next_index_insert_new(Z_ARRVAL_P(return_value), &rule);
	}
	cfgstore_core_forget(scope->source->core);
}
