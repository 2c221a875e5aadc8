/* The methods of Cfgstore\Client on who is told when keys change, and the classes Notification and DeadLetter. */
#include "client.h"
#include "zend_enum.h"

static zend_class_entry *notification_ce, *dead_letter_ce;

void cfg_notifications_register(void)
{
	notification_ce = cfg_register_carrier("Notification");
	cfg_declare_readonly(notification_ce, "name", CFG_TYPE(MAY_BE_STRING));
	cfg_declare_readonly(notification_ce, "target", CFG_TYPE(MAY_BE_ARRAY | MAY_BE_NULL));
	cfg_declare_readonly(notification_ce, "prefix", CFG_TYPE(MAY_BE_STRING));
	cfg_declare_readonly(notification_ce, "kinds", CFG_TYPE(MAY_BE_ARRAY));
	cfg_declare_readonly(notification_ce, "values", CFG_TYPE(MAY_BE_BOOL));
	cfg_declare_readonly(notification_ce, "doneThroughRevision", CFG_TYPE(MAY_BE_LONG));
	cfg_declare_readonly(notification_ce, "deadLetters", CFG_TYPE(MAY_BE_LONG));
	cfg_declare_readonly(notification_ce, "trouble", CFG_TYPE(MAY_BE_STRING | MAY_BE_NULL));

	dead_letter_ce = cfg_register_carrier("DeadLetter");
	cfg_declare_readonly(dead_letter_ce, "id", CFG_TYPE(MAY_BE_LONG));
	cfg_declare_readonly(dead_letter_ce, "name", CFG_TYPE(MAY_BE_STRING));
	cfg_declare_readonly(dead_letter_ce, "fromRevision", CFG_TYPE(MAY_BE_LONG));
	cfg_declare_readonly(dead_letter_ce, "toRevision", CFG_TYPE(MAY_BE_LONG));
	cfg_declare_readonly(dead_letter_ce, "reason", CFG_TYPE(MAY_BE_STRING));
	cfg_declare_readonly(dead_letter_ce, "time", CFG_TYPE(MAY_BE_DOUBLE));
}

static void add_kind(zval *kinds, const char *name)
{
	zval kind;
	ZVAL_OBJ_COPY(&kind, zend_enum_get_case_cstr(cfg_change_type_ce, name));
	zend_hash_next_index_insert_new(Z_ARRVAL_P(kinds), &kind);
}

static void new_notification(zval *result, const CoreNotification *rule)
{
	cfg_block *no_block;
	object_init_ex(result, notification_ce);
	zval *property = OBJ_PROP_NUM(Z_OBJ_P(result), 0);
	ZVAL_STRINGL(property++, (const char *) rule->name.data, rule->name.len);
	if (rule->target.len > 0) {
		cfg_decode(property++, rule->target, false, &no_block);
	} else {
		ZVAL_NULL(property++);
	}
	ZVAL_STRINGL(property++, (const char *) rule->prefix.data, rule->prefix.len);
	zval *kinds = property++;
	array_init(kinds);
	if (rule->puts) {
		add_kind(kinds, "Put");
	}
	if (rule->deletes) {
		add_kind(kinds, "Delete");
	}
	ZVAL_BOOL(property++, rule->values);
	ZVAL_LONG(property++, (zend_long) rule->done_through_revision);
	ZVAL_LONG(property++, (zend_long) rule->dead_letters);
	if (rule->trouble.len > 0) {
		ZVAL_STRINGL(property, (const char *) rule->trouble.data, rule->trouble.len);
	} else {
		ZVAL_NULL(property);
	}
}

static void new_dead_letter(zval *result, const CoreDeadLetter *letter)
{
	object_init_ex(result, dead_letter_ce);
	zval *property = OBJ_PROP_NUM(Z_OBJ_P(result), 0);
	ZVAL_LONG(property++, (zend_long) letter->id);
	ZVAL_STRINGL(property++, (const char *) letter->name.data, letter->name.len);
	ZVAL_LONG(property++, (zend_long) letter->from_revision);
	ZVAL_LONG(property++, (zend_long) letter->to_revision);
	ZVAL_STRINGL(property++, (const char *) letter->reason.data, letter->reason.len);
	ZVAL_DOUBLE(property, (double) letter->time_unix_ms / 1000);
}

/* Which kinds a list of ChangeType names; false with an exception. */
static bool read_kinds(HashTable *kinds, bool *puts, bool *deletes)
{
	zval *kind;
	*puts = *deletes = false;
	ZEND_HASH_FOREACH_VAL(kinds, kind) {
		ZVAL_DEREF(kind);
		if (Z_TYPE_P(kind) != IS_OBJECT || Z_OBJCE_P(kind) != cfg_change_type_ce) {
			cfg_throw_kind(ERROR_KIND_INVALID_ARGUMENT, false, "kinds has a value of type %s; expected cases of Cfgstore\\ChangeType",
				zend_zval_type_name(kind));
			return false;
		}
		*(Z_OBJ_P(kind) == zend_enum_get_case_cstr(cfg_change_type_ce, "Put") ? puts : deletes) = true;
	} ZEND_HASH_FOREACH_END();
	return true;
}

ZEND_METHOD(Cfgstore_Client, setNotification)
{
	zend_string *name, *prefix = zend_empty_string;
	zval *target;
	HashTable *kinds = (HashTable *) &zend_empty_array;
	bool values = false, puts, deletes;
	ZEND_PARSE_PARAMETERS_START(2, 5)
		Z_PARAM_STR(name)
		Z_PARAM_ARRAY(target)
		Z_PARAM_OPTIONAL
		Z_PARAM_STR(prefix)
		Z_PARAM_ARRAY_HT(kinds)
		Z_PARAM_BOOL(values)
	ZEND_PARSE_PARAMETERS_END();
	cfg_scope *scope;
	zend_string *json = read_kinds(kinds, &puts, &deletes) ? cfg_client_encode(THIS_CLIENT(), target, &scope) : NULL;
	if (!json) {
		return;
	}
	zend_string *whole_prefix = zend_string_concat2(ZSTR_VAL(scope->prefix), ZSTR_LEN(scope->prefix), ZSTR_VAL(prefix), ZSTR_LEN(prefix));
	CoreError error;
	if (!cfgstore_core_set_notification(scope->source->core, cfg_client_timeout(THIS_CLIENT()), cfg_bytes(name), cfg_bytes(json),
			cfg_bytes(whole_prefix), puts, deletes, values, &error)) {
		cfg_throw(&error);
	}
	zend_string_release(whole_prefix);
	zend_string_release(json);
}

ZEND_METHOD(Cfgstore_Client, removeNotification)
{
	zend_string *name;
	ZEND_PARSE_PARAMETERS_START(1, 1)
		Z_PARAM_STR(name)
	ZEND_PARSE_PARAMETERS_END();
	cfg_scope *scope = cfg_client_opened(THIS_CLIENT());
	CoreError error;
	if (scope && !cfgstore_core_remove_notification(scope->source->core, cfg_client_timeout(THIS_CLIENT()), cfg_bytes(name), &error)) {
		cfg_throw(&error);
	}
}

ZEND_METHOD(Cfgstore_Client, notifications)
{
	ZEND_PARSE_PARAMETERS_NONE();
	cfg_scope *scope = cfg_client_opened(THIS_CLIENT());
	if (!scope) {
		return;
	}
	CoreSource *core = scope->source->core;
	const CoreNotification *rules;
	size_t count;
	CoreError error;
	if (!cfgstore_core_notifications(core, cfg_client_timeout(THIS_CLIENT()), &rules, &count, &error)) {
		cfg_throw(&error);
		return;
	}
	array_init_size(return_value, (uint32_t) count);
	for (size_t i = 0; i < count; i++) {
		zval rule;
		new_notification(&rule, &rules[i]);
		zend_hash_next_index_insert_new(Z_ARRVAL_P(return_value), &rule);
	}
	/* At memory_limit this is not reached, and the next call does it. */
	cfgstore_core_forget(core);
}

ZEND_METHOD(Cfgstore_Client, deadLetters)
{
	zend_string *name = zend_empty_string;
	ZEND_PARSE_PARAMETERS_START(0, 1)
		Z_PARAM_OPTIONAL
		Z_PARAM_STR(name)
	ZEND_PARSE_PARAMETERS_END();
	cfg_scope *scope = cfg_client_opened(THIS_CLIENT());
	if (!scope) {
		return;
	}
	CoreSource *core = scope->source->core;
	const CoreDeadLetter *letters;
	size_t count;
	CoreError error;
	if (!cfgstore_core_dead_letters(core, cfg_client_timeout(THIS_CLIENT()), cfg_bytes(name), &letters, &count, &error)) {
		cfg_throw(&error);
		return;
	}
	array_init_size(return_value, (uint32_t) count);
	for (size_t i = 0; i < count; i++) {
		zval letter;
		new_dead_letter(&letter, &letters[i]);
		zend_hash_next_index_insert_new(Z_ARRVAL_P(return_value), &letter);
	}
	/* As above. */
	cfgstore_core_forget(core);
}

/* What an array holds, in memory of the caller's for as many numbers; false with an exception. */
static bool read_ids(HashTable *list, uint64_t *ids)
{
	zval *id;
	ZEND_HASH_FOREACH_VAL(list, id) {
		ZVAL_DEREF(id);
		if (Z_TYPE_P(id) != IS_LONG || Z_LVAL_P(id) < 0) {
			cfg_throw_kind(ERROR_KIND_INVALID_ARGUMENT, false, "ids has something else than the ids of dead letters, which are integers");
			return false;
		}
		*ids++ = (uint64_t) Z_LVAL_P(id);
	} ZEND_HASH_FOREACH_END();
	return true;
}

ZEND_METHOD(Cfgstore_Client, retryDeadLetters)
{
	zend_string *name;
	HashTable *list = (HashTable *) &zend_empty_array;
	bool forget = false;
	ZEND_PARSE_PARAMETERS_START(1, 3)
		Z_PARAM_STR(name)
		Z_PARAM_OPTIONAL
		Z_PARAM_ARRAY_HT(list)
		Z_PARAM_BOOL(forget)
	ZEND_PARSE_PARAMETERS_END();
	cfg_scope *scope = cfg_client_opened(THIS_CLIENT());
	if (!scope) {
		return;
	}
	size_t count = zend_hash_num_elements(list);
	uint64_t delivered = 0, *ids = safe_emalloc(count, sizeof(*ids), 0);
	CoreError error;
	if (read_ids(list, ids) && !cfgstore_core_retry_dead_letters(scope->source->core, cfg_client_timeout(THIS_CLIENT()),
			cfg_bytes(name), ids, count, forget, &delivered, &error)) {
		cfg_throw(&error);
	}
	efree(ids);
	RETURN_LONG((zend_long) delivered);
}
