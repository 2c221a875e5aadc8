/* The methods of Cfgstore\Client on what values may be. */
#include "client.h"

static zend_class_entry *schema_ce;

void cfg_schema_register(void)
{
	schema_ce = cfg_register_carrier("Schema");
	cfg_declare_readonly(schema_ce, "pattern", CFG_TYPE(MAY_BE_STRING));
	cfg_declare_readonly(schema_ce, "schema", CFG_TYPE(MAY_BE_ARRAY | MAY_BE_BOOL | MAY_BE_NULL));
	cfg_declare_readonly(schema_ce, "sealed", CFG_TYPE(MAY_BE_BOOL));
}

/* With neither: none from now on. */
static void set_schema(cfg_client *client, zend_string *pattern, CoreBytes schema, bool sealed)
{
	cfg_scope *scope = cfg_client_opened(client);
	CoreError error;
	if (scope && !cfgstore_core_set_schema(scope->source->core, cfg_client_timeout(client), cfg_bytes(scope->prefix),
			cfg_bytes(pattern), schema, sealed, &error)) {
		cfg_throw(&error);
	}
}

static const CoreBytes no_schema = {NULL, 0};

ZEND_METHOD(Cfgstore_Client, bindSchema)
{
	zend_string *pattern;
	zval *schema;
	ZEND_PARSE_PARAMETERS_START(2, 2)
		Z_PARAM_STR(pattern)
		Z_PARAM_ARRAY(schema)
	ZEND_PARSE_PARAMETERS_END();
	zend_string *json = cfg_encode(schema);
	if (json) {
		set_schema(THIS_CLIENT(), pattern, cfg_bytes(json), false);
		zend_string_release(json);
	}
}

ZEND_METHOD(Cfgstore_Client, bindSealed)
{
	zend_string *pattern;
	ZEND_PARSE_PARAMETERS_START(1, 1)
		Z_PARAM_STR(pattern)
	ZEND_PARSE_PARAMETERS_END();
	set_schema(THIS_CLIENT(), pattern, no_schema, true);
}

ZEND_METHOD(Cfgstore_Client, unbindSchema)
{
	zend_string *pattern;
	ZEND_PARSE_PARAMETERS_START(1, 1)
		Z_PARAM_STR(pattern)
	ZEND_PARSE_PARAMETERS_END();
	set_schema(THIS_CLIENT(), pattern, no_schema, false);
}

static void new_schema(zval *result, const CoreSchema *bound)
{
	object_init_ex(result, schema_ce);
	zval *property = OBJ_PROP_NUM(Z_OBJ_P(result), 0);
	ZVAL_STRINGL(property++, (const char *) bound->pattern.data, bound->pattern.len);
	if (bound->schema.len > 0) {
		cfg_block *no_block;
		cfg_decode(property++, bound->schema, false, &no_block);
	} else {
		ZVAL_NULL(property++);
	}
	ZVAL_BOOL(property++, bound->schema.len == 0);
}

ZEND_METHOD(Cfgstore_Client, schemas)
{
	ZEND_PARSE_PARAMETERS_NONE();
	cfg_scope *scope = cfg_client_opened(THIS_CLIENT());
	if (!scope) {
		return;
	}
	const CoreSchema *schemas;
	size_t count;
	CoreError error;
	if (!cfgstore_core_schemas(scope->source->core, cfg_client_timeout(THIS_CLIENT()), cfg_bytes(scope->prefix), &schemas, &count,
			&error)) {
		cfg_throw(&error);
		return;
	}
	array_init_size(return_value, (uint32_t) count);
	for (size_t i = 0; i < count; i++) {
		zval bound;
		new_schema(&bound, &schemas[i]);
		zend_hash_next_index_insert_new(Z_ARRVAL_P(return_value), &bound);
	}
	cfgstore_core_forget(scope->source->core);
}

static void add_violations(zval *list, const CoreViolation *violations, size_t count)
{
	array_init_size(list, (uint32_t) count);
	for (size_t i = 0; i < count; i++) {
		zval violation;
		cfg_new_violation(&violation, violations[i].key, violations[i].path, violations[i].message);
		zend_hash_next_index_insert_new(Z_ARRVAL_P(list), &violation);
	}
}

/* Asks what is wrong, of a schema or of a value. */
typedef __typeof__(cfgstore_core_check_schema) check_call;

static void check(zval *result, cfg_client *client, check_call *ask, zend_string *about, zval *value)
{
	cfg_scope *scope;
	zend_string *json = cfg_client_encode(client, value, &scope);
	if (!json) {
		return;
	}
	const CoreViolation *violations;
	size_t count;
	CoreError error;
	bool is_answered = ask(scope->source->core, cfg_client_timeout(client), cfg_bytes(scope->prefix), cfg_bytes(about),
		cfg_bytes(json), &violations, &count, &error);
	zend_string_release(json);
	if (!is_answered) {
		cfg_throw(&error);
		return;
	}
	add_violations(result, violations, count);
	cfgstore_core_forget(scope->source->core);
}

ZEND_METHOD(Cfgstore_Client, checkSchema)
{
	zend_string *pattern;
	zval *schema;
	ZEND_PARSE_PARAMETERS_START(2, 2)
		Z_PARAM_STR(pattern)
		Z_PARAM_ARRAY(schema)
	ZEND_PARSE_PARAMETERS_END();
	check(return_value, THIS_CLIENT(), cfgstore_core_check_schema, pattern, schema);
}

ZEND_METHOD(Cfgstore_Client, checkValue)
{
	zend_string *key;
	zval *value;
	ZEND_PARSE_PARAMETERS_START(2, 2)
		Z_PARAM_STR(key)
		Z_PARAM_ZVAL(value)
	ZEND_PARSE_PARAMETERS_END();
	check(return_value, THIS_CLIENT(), cfgstore_core_check_value, key, value);
}
