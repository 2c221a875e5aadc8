/* The methods of Cfgstore\Client that compare revisions, and the classes of what they find. */
#include "client.h"
#include "zend_enum.h"

static zend_class_entry *difference_ce, *difference_type_ce, *blamed_value_ce;

static void add_case(const char *name, zend_string *text)
{
	zval value;
	ZVAL_STR(&value, text);
	zend_enum_add_case_cstr(difference_type_ce, name, &value);
}

static zend_type class_type(zend_string *name, bool allows_null)
{
	return (zend_type) ZEND_TYPE_INIT_CLASS(name, allows_null, 0);
}

void cfg_compare_register(void)
{
	difference_type_ce = zend_register_internal_enum("Cfgstore\\DifferenceType", IS_STRING, NULL);
	difference_type_ce->ce_flags |= ZEND_ACC_FINAL; /* as an enum in PHP; some engines leave it out */
	add_case("Added", zend_string_init_interned(ZEND_STRL("added"), 1));
	add_case("Changed", zend_string_init_interned(ZEND_STRL("changed"), 1));
	add_case("Deleted", zend_string_init_interned(ZEND_STRL("deleted"), 1));

	zend_type string = CFG_TYPE(MAY_BE_STRING), any = CFG_TYPE(MAY_BE_ANY);
	difference_ce = cfg_register_carrier("Difference");
	cfg_declare_readonly(difference_ce, "type", class_type(zend_string_init_interned(ZEND_STRL("Cfgstore\\DifferenceType"), 1), false));
	cfg_declare_readonly(difference_ce, "key", string);
	cfg_declare_readonly(difference_ce, "path", string);
	cfg_declare_readonly(difference_ce, "before", any);
	cfg_declare_readonly(difference_ce, "after", any);
	cfg_declare_readonly(difference_ce, "error",
		class_type(zend_string_init_interned(ZEND_STRL("Cfgstore\\Exception\\SealedException"), 1), true));

	blamed_value_ce = cfg_register_carrier("BlamedValue");
	cfg_declare_readonly(blamed_value_ce, "path", string);
	cfg_declare_readonly(blamed_value_ce, "value", any);
	cfg_declare_readonly(blamed_value_ce, "change",
		class_type(zend_string_init_interned(ZEND_STRL("Cfgstore\\HistoryEntry"), 1), true));
}

/* ---- what differs ---- */

static const char *type_of(const CoreDifference *difference)
{
	if (!difference->has_before) {
		return "Added";
	}
	return difference->has_after ? "Changed" : "Deleted";
}

static void set_value(zval *property, bool is_there, CoreBytes value)
{
	if (is_there) {
		cfg_block *no_block;
		cfg_decode(property, value, false, &no_block);
	} else {
		ZVAL_NULL(property);
	}
}

static void new_difference(zval *result, const CoreDifference *difference, size_t prefix_length)
{
	object_init_ex(result, difference_ce);
	zval *property = OBJ_PROP_NUM(Z_OBJ_P(result), 0);
	ZVAL_OBJ_COPY(property++, zend_enum_get_case_cstr(difference_type_ce, type_of(difference)));
	ZVAL_STRINGL(property++, (const char *) difference->key.data + prefix_length, difference->key.len - prefix_length);
	ZVAL_STRINGL(property++, (const char *) difference->path.data, difference->path.len);
	if (difference->unopened.len > 0) {
		property += 2; /* stay without a value, so that reading one is an Error */
		cfg_new_exception(property++, ERROR_KIND_SEALED, difference->unopened);
		return;
	}
	set_value(property++, difference->has_before, difference->before);
	set_value(property++, difference->has_after, difference->after);
	ZVAL_NULL(property++);
}

static void return_differences(zval *result, cfg_scope *scope, const CoreDifference *differences, size_t count)
{
	array_init_size(result, (uint32_t) count);
	for (size_t i = 0; i < count; i++) {
		zval difference;
		new_difference(&difference, &differences[i], ZSTR_LEN(scope->prefix));
		zend_hash_next_index_insert_new(Z_ARRVAL_P(result), &difference);
	}
	cfgstore_core_forget(scope->source->core);
}

ZEND_METHOD(Cfgstore_Client, diff)
{
	zend_string *key;
	zend_long from, to = 0;
	bool to_now = true, is_prefix = false;
	ZEND_PARSE_PARAMETERS_START(2, 4)
		Z_PARAM_STR(key)
		Z_PARAM_LONG(from)
		Z_PARAM_OPTIONAL
		Z_PARAM_LONG_OR_NULL(to, to_now)
		Z_PARAM_BOOL(is_prefix)
	ZEND_PARSE_PARAMETERS_END();
	cfg_scope *scope = cfg_client_opened(THIS_CLIENT());
	if (!scope) {
		return;
	}
	if (!to_now && to < 1) {
		cfg_throw_kind(ERROR_KIND_INVALID_ARGUMENT, false, "to is " ZEND_LONG_FMT "; expected a revision, or null for now", to);
		return;
	}
	const CoreDifference *differences;
	size_t count;
	CoreError error;
	if (!cfgstore_core_diff(scope->source->core, cfg_client_timeout(THIS_CLIENT()), cfg_bytes(scope->prefix), cfg_bytes(key),
			is_prefix, from, to_now ? 0 : to, &differences, &count, &error)) {
		cfg_throw(&error);
		return;
	}
	return_differences(return_value, scope, differences, count);
}

ZEND_METHOD(Cfgstore_Client, previewRollback)
{
	zend_string *key;
	zend_long to_revision;
	bool is_prefix = false;
	ZEND_PARSE_PARAMETERS_START(2, 3)
		Z_PARAM_STR(key)
		Z_PARAM_LONG(to_revision)
		Z_PARAM_OPTIONAL
		Z_PARAM_BOOL(is_prefix)
	ZEND_PARSE_PARAMETERS_END();
	cfg_scope *scope = cfg_client_opened(THIS_CLIENT());
	if (!scope) {
		return;
	}
	const CoreDifference *differences;
	size_t count;
	CoreError error;
	if (!cfgstore_core_preview_rollback(scope->source->core, cfg_client_timeout(THIS_CLIENT()), cfg_bytes(scope->prefix),
			cfg_bytes(key), is_prefix, to_revision, &differences, &count, &error)) {
		cfg_throw(&error);
		return;
	}
	return_differences(return_value, scope, differences, count);
}

/* ---- where it comes from ---- */

ZEND_METHOD(Cfgstore_Client, blame)
{
	zend_string *key;
	ZEND_PARSE_PARAMETERS_START(1, 1)
		Z_PARAM_STR(key)
	ZEND_PARSE_PARAMETERS_END();
	cfg_scope *scope = cfg_client_opened(THIS_CLIENT());
	if (!scope) {
		return;
	}
	const CoreBlamed *leaves;
	const CoreHistoryChange *changes;
	size_t count;
	CoreError error;
	if (!cfgstore_core_blame(scope->source->core, cfg_client_timeout(THIS_CLIENT()), cfg_bytes(scope->prefix), cfg_bytes(key),
			&leaves, &count, &changes, &error)) {
		cfg_throw(&error);
		return;
	}
	/* One object for each change, however many values come from it. */
	HashTable entries;
	zend_hash_init(&entries, 8, NULL, ZVAL_PTR_DTOR, 0);
	array_init_size(return_value, (uint32_t) count);
	for (size_t i = 0; i < count; i++) {
		const CoreBlamed *leaf = &leaves[i];
		zval blamed;
		object_init_ex(&blamed, blamed_value_ce);
		zval *property = OBJ_PROP_NUM(Z_OBJ(blamed), 0);
		ZVAL_STRINGL(property++, (const char *) leaf->path.data, leaf->path.len);
		set_value(property++, true, leaf->value);
		if (leaf->has_change) {
			zval *entry = zend_hash_index_find(&entries, leaf->change);
			if (!entry) {
				zval made;
				cfg_new_history_entry(&made, &changes[leaf->change], ZSTR_LEN(scope->prefix));
				entry = zend_hash_index_add_new(&entries, leaf->change, &made);
			}
			ZVAL_COPY(property, entry);
		} else {
			ZVAL_NULL(property);
		}
		zend_hash_next_index_insert_new(Z_ARRVAL_P(return_value), &blamed);
	}
	zend_hash_destroy(&entries);
	cfgstore_core_forget(scope->source->core);
}
