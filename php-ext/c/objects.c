/* The classes that only carry values: Entry, Change, ChangeType, HistoryEntry, Status; others are beside the methods that make them. */
#include "php_cfgstore.h"
#include "zend_enum.h"

zend_class_entry *cfg_change_type_ce;
static zend_class_entry *entry_ce, *change_ce, *history_entry_ce, *status_ce;

ZEND_BEGIN_ARG_INFO_EX(arginfo_private_construct, 0, 0, 0)
ZEND_END_ARG_INFO()

/* Only the extension makes these objects. */
static ZEND_METHOD(Carrier, __construct)
{
	ZEND_PARSE_PARAMETERS_NONE();
}

static const zend_function_entry carrier_methods[] = {
	ZEND_ME(Carrier, __construct, arginfo_private_construct, ZEND_ACC_PRIVATE)
	ZEND_FE_END
};

void cfg_declare_readonly(zend_class_entry *ce, const char *name, zend_type type)
{
	zend_string *property = zend_string_init(name, strlen(name), 1);
	zval initial;
	ZVAL_UNDEF(&initial);
	zend_declare_typed_property(ce, property, &initial, ZEND_ACC_PUBLIC | ZEND_ACC_READONLY, NULL, type);
	zend_string_release_ex(property, 1);
}

zend_class_entry *cfg_register_carrier(const char *name)
{
	zend_class_entry ce;
	char full_name[64];
	int length = snprintf(full_name, sizeof(full_name), "Cfgstore\\%s", name);
	INIT_CLASS_ENTRY_EX(ce, full_name, length, carrier_methods);
	zend_class_entry *registered = zend_register_internal_class(&ce);
	registered->ce_flags |= ZEND_ACC_FINAL | ZEND_ACC_NO_DYNAMIC_PROPERTIES | ZEND_ACC_NOT_SERIALIZABLE;
	return registered;
}

/* What Change and HistoryEntry begin with; set_change() fills it in this order. */
static void declare_change(zend_class_entry *ce)
{
	zend_string *type_name = zend_string_init_interned(ZEND_STRL("Cfgstore\\ChangeType"), 1);
	zend_string *sealed_name = zend_string_init_interned(ZEND_STRL("Cfgstore\\Exception\\SealedException"), 1);
	cfg_declare_readonly(ce, "type", (zend_type) ZEND_TYPE_INIT_CLASS(type_name, 0, 0));
	cfg_declare_readonly(ce, "key", CFG_TYPE(MAY_BE_STRING));
	cfg_declare_readonly(ce, "value", CFG_TYPE(MAY_BE_ANY));
	cfg_declare_readonly(ce, "previous", CFG_TYPE(MAY_BE_ANY));
	cfg_declare_readonly(ce, "revision", CFG_TYPE(MAY_BE_LONG));
	cfg_declare_readonly(ce, "error", (zend_type) ZEND_TYPE_INIT_CLASS(sealed_name, 1, 0));
}

void cfg_objects_register(void)
{
	entry_ce = cfg_register_carrier("Entry");
	cfg_declare_readonly(entry_ce, "key", CFG_TYPE(MAY_BE_STRING));
	cfg_declare_readonly(entry_ce, "value", CFG_TYPE(MAY_BE_ANY));
	cfg_declare_readonly(entry_ce, "revision", CFG_TYPE(MAY_BE_LONG));
	cfg_declare_readonly(entry_ce, "createRevision", CFG_TYPE(MAY_BE_LONG));
	cfg_declare_readonly(entry_ce, "version", CFG_TYPE(MAY_BE_LONG));

	cfg_change_type_ce = zend_register_internal_enum("Cfgstore\\ChangeType", IS_STRING, NULL);
	cfg_change_type_ce->ce_flags |= ZEND_ACC_FINAL; /* as an enum in PHP; some engines leave it out */
	zval value;
	ZVAL_STR(&value, zend_string_init_interned(ZEND_STRL("put"), 1));
	zend_enum_add_case_cstr(cfg_change_type_ce, "Put", &value);
	ZVAL_STR(&value, zend_string_init_interned(ZEND_STRL("delete"), 1));
	zend_enum_add_case_cstr(cfg_change_type_ce, "Delete", &value);

	change_ce = cfg_register_carrier("Change");
	declare_change(change_ce);

	history_entry_ce = cfg_register_carrier("HistoryEntry");
	declare_change(history_entry_ce);
	cfg_declare_readonly(history_entry_ce, "time", CFG_TYPE(MAY_BE_DOUBLE));
	cfg_declare_readonly(history_entry_ce, "author", CFG_TYPE(MAY_BE_STRING));
	cfg_declare_readonly(history_entry_ce, "verified", CFG_TYPE(MAY_BE_BOOL));
	cfg_declare_readonly(history_entry_ce, "client", CFG_TYPE(MAY_BE_STRING));
	cfg_declare_readonly(history_entry_ce, "address", CFG_TYPE(MAY_BE_STRING));
	cfg_declare_readonly(history_entry_ce, "comment", CFG_TYPE(MAY_BE_STRING));

	status_ce = cfg_register_carrier("Status");
	cfg_declare_readonly(status_ce, "synced", CFG_TYPE(MAY_BE_BOOL));
	cfg_declare_readonly(status_ce, "revision", CFG_TYPE(MAY_BE_LONG));
	cfg_declare_readonly(status_ce, "generation", CFG_TYPE(MAY_BE_LONG));
	cfg_declare_readonly(status_ce, "keys", CFG_TYPE(MAY_BE_LONG));
	cfg_declare_readonly(status_ce, "restored", CFG_TYPE(MAY_BE_BOOL));
	cfg_declare_readonly(status_ce, "agentAlive", CFG_TYPE(MAY_BE_BOOL));
	cfg_declare_readonly(status_ce, "agentPid", CFG_TYPE(MAY_BE_LONG));
	cfg_declare_readonly(status_ce, "silentSeconds", CFG_TYPE(MAY_BE_DOUBLE | MAY_BE_NULL));
	cfg_declare_readonly(status_ce, "dataDir", CFG_TYPE(MAY_BE_STRING));
	cfg_declare_readonly(status_ce, "mirrorDir", CFG_TYPE(MAY_BE_STRING | MAY_BE_NULL));
	cfg_declare_readonly(status_ce, "valueMode", CFG_TYPE(MAY_BE_STRING));
	cfg_declare_readonly(status_ce, "consistency", CFG_TYPE(MAY_BE_STRING));
	cfg_declare_readonly(status_ce, "trouble", CFG_TYPE(MAY_BE_STRING | MAY_BE_NULL));
}

void cfg_new_entry(zval *result, zend_string *key, const cfg_slot *slot, const CoreRecord *record)
{
	object_init_ex(result, entry_ce);
	zval *property = OBJ_PROP_NUM(Z_OBJ_P(result), 0);
	ZVAL_STR_COPY(property++, key);
	ZVAL_COPY(property++, (zval *) &slot->value);
	ZVAL_LONG(property++, record->mod_revision);
	ZVAL_LONG(property++, record->create_revision);
	ZVAL_LONG(property++, record->version);
}

/* The properties that Change and HistoryEntry begin with. Answers with the one after them. */
static zval *set_change(zval *property, const CoreChange *change, size_t prefix_length)
{
	cfg_block *no_block;
	ZVAL_OBJ_COPY(property++, zend_enum_get_case_cstr(cfg_change_type_ce, change->deleted ? "Delete" : "Put"));
	ZVAL_STRINGL(property++, (const char *) change->key.data + prefix_length, change->key.len - prefix_length);
	if (change->unopened.len > 0) {
		property++; /* stays without a value, so that reading it is an Error */
	} else if (change->deleted) {
		ZVAL_NULL(property++);
	} else {
		cfg_decode(property++, change->value, false, &no_block);
	}
	if (change->has_previous) {
		cfg_decode(property++, change->previous, false, &no_block);
	} else {
		ZVAL_NULL(property++);
	}
	ZVAL_LONG(property++, change->revision);
	if (change->unopened.len > 0) {
		cfg_new_exception(property++, ERROR_KIND_SEALED, change->unopened);
	} else {
		ZVAL_NULL(property++);
	}
	return property;
}

void cfg_new_change(zval *result, const CoreChange *change, size_t prefix_length)
{
	object_init_ex(result, change_ce);
	set_change(OBJ_PROP_NUM(Z_OBJ_P(result), 0), change, prefix_length);
}

void cfg_new_history_entry(zval *result, const CoreHistoryChange *entry, size_t prefix_length)
{
	object_init_ex(result, history_entry_ce);
	bool is_verified = entry->user.len > 0;
	CoreBytes author = is_verified ? entry->user : entry->client;
	zval *property = set_change(OBJ_PROP_NUM(Z_OBJ_P(result), 0), &entry->change, prefix_length);
	ZVAL_DOUBLE(property++, (double) entry->time_unix_ms / 1000);
	ZVAL_STRINGL(property++, (const char *) author.data, author.len);
	ZVAL_BOOL(property++, is_verified);
	ZVAL_STRINGL(property++, (const char *) entry->client.data, entry->client.len);
	ZVAL_STRINGL(property++, (const char *) entry->address.data, entry->address.len);
	ZVAL_STRINGL(property++, (const char *) entry->comment.data, entry->comment.len);
}

static void set_text(zval *property, CoreBytes text)
{
	if (text.len > 0) {
		ZVAL_STRINGL(property, (const char *) text.data, text.len);
	} else {
		ZVAL_NULL(property);
	}
}

void cfg_new_status(zval *result, const cfg_source *source)
{
	CoreStatus status;
	cfgstore_core_status(source->core, &status);
	object_init_ex(result, status_ce);
	zval *property = OBJ_PROP_NUM(Z_OBJ_P(result), 0);
	ZVAL_BOOL(property++, status.synced);
	ZVAL_LONG(property++, status.revision);
	ZVAL_LONG(property++, (zend_long) status.generation);
	ZVAL_LONG(property++, (zend_long) status.keys);
	ZVAL_BOOL(property++, status.restored);
	ZVAL_BOOL(property++, status.silent_ms < CORE_SILENT_MS);
	ZVAL_LONG(property++, status.agent_pid);
	if (status.silent_ms == UINT64_MAX) {
		ZVAL_NULL(property++);
	} else {
		ZVAL_DOUBLE(property++, (double) status.silent_ms / 1000);
	}
	ZVAL_STRINGL(property++, (const char *) status.data_dir.data, status.data_dir.len);
	set_text(property++, status.mirror_dir);
	ZVAL_STRING(property++, cfg_value_mode_name(cfg_effective_value_mode()));
	ZVAL_STRING(property++, cfg_consistency_name(cfg_effective_consistency()));
	set_text(property++, status.trouble);
}
