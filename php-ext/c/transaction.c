/* Cfgstore\Transaction: conditions and writes, gathered here and sent at once. */
#include "php_cfgstore.h"

typedef struct {
	cfg_owner owner;
	CoreTransaction *core; /* NULL: committed */
	zend_object std;
} transaction_object;

static zend_class_entry *transaction_ce;
static zend_object_handlers transaction_handlers;

static transaction_object *from_object(zend_object *object)
{
	return (transaction_object *) ((char *) object - offsetof(transaction_object, std));
}

#define THIS_TRANSACTION() from_object(Z_OBJ_P(ZEND_THIS))

static zend_object *create_transaction(zend_class_entry *ce)
{
	transaction_object *transaction = zend_object_alloc(sizeof(transaction_object), ce);
	zend_object_std_init(&transaction->std, ce);
	transaction->std.handlers = &transaction_handlers;
	return &transaction->std;
}

static void free_transaction(zend_object *object)
{
	transaction_object *transaction = from_object(object);
	cfgstore_core_transaction_free(transaction->core);
	cfg_owner_release(&transaction->owner);
	zend_object_std_dtor(object);
}

void cfg_new_transaction(zval *result, cfg_owner owner)
{
	object_init_ex(result, transaction_ce);
	transaction_object *transaction = from_object(Z_OBJ_P(result));
	cfg_owner_hold(&transaction->owner, owner);
	transaction->core = cfgstore_core_transaction_new();
}

static bool is_open(const transaction_object *transaction)
{
	if (!transaction->core) {
		cfg_throw_kind(ERROR_KIND_INVALID_ARGUMENT, false, "the transaction was committed before; begin another");
	}
	return transaction->core != NULL;
}

/* Adds one step and answers with the transaction, so that calls can be chained. */
static void add(zval *self, CoreStep step, zend_string *key, CoreBytes value, zend_long revision, zval *return_value)
{
	transaction_object *transaction = from_object(Z_OBJ_P(self));
	CoreError error;
	if (!is_open(transaction)) {
		return;
	}
	if (!cfgstore_core_transaction_add(transaction->core, step, cfg_bytes(transaction->owner.scope->prefix),
			cfg_bytes(key), value, revision, &error)) {
		cfg_throw(&error);
		return;
	}
	RETURN_OBJ_COPY(Z_OBJ_P(self));
}

static const CoreBytes no_value = {NULL, 0};

static ZEND_METHOD(Transaction, __construct)
{
	ZEND_PARSE_PARAMETERS_NONE();
}

static ZEND_METHOD(Transaction, ifRevision)
{
	zend_string *key;
	zend_long revision;
	ZEND_PARSE_PARAMETERS_START(2, 2)
		Z_PARAM_STR(key)
		Z_PARAM_LONG(revision)
	ZEND_PARSE_PARAMETERS_END();
	add(ZEND_THIS, CORE_STEP_IF_REVISION, key, no_value, revision, return_value);
}

static ZEND_METHOD(Transaction, ifExists)
{
	zend_string *key;
	ZEND_PARSE_PARAMETERS_START(1, 1)
		Z_PARAM_STR(key)
	ZEND_PARSE_PARAMETERS_END();
	add(ZEND_THIS, CORE_STEP_IF_EXISTS, key, no_value, 0, return_value);
}

static ZEND_METHOD(Transaction, ifAbsent)
{
	zend_string *key;
	ZEND_PARSE_PARAMETERS_START(1, 1)
		Z_PARAM_STR(key)
	ZEND_PARSE_PARAMETERS_END();
	add(ZEND_THIS, CORE_STEP_IF_ABSENT, key, no_value, 0, return_value);
}

static ZEND_METHOD(Transaction, ifHeld)
{
	zend_object *lock;
	ZEND_PARSE_PARAMETERS_START(1, 1)
		Z_PARAM_OBJ_OF_CLASS(lock, cfg_lock_ce)
	ZEND_PARSE_PARAMETERS_END();
	transaction_object *transaction = THIS_TRANSACTION();
	int64_t token;
	CoreBytes key = cfg_lock_key(lock, &token);
	CoreError error;
	if (!is_open(transaction)) {
		return;
	}
	if (!cfgstore_core_transaction_add(transaction->core, CORE_STEP_IF_HELD, no_value, key, no_value, token, &error)) {
		cfg_throw(&error);
		return;
	}
	RETURN_OBJ_COPY(Z_OBJ_P(ZEND_THIS));
}

static ZEND_METHOD(Transaction, put)
{
	zend_string *key;
	zval *value;
	ZEND_PARSE_PARAMETERS_START(2, 2)
		Z_PARAM_STR(key)
		Z_PARAM_ZVAL(value)
	ZEND_PARSE_PARAMETERS_END();
	zend_string *json = cfg_encode(value);
	if (!json) {
		return;
	}
	add(ZEND_THIS, CORE_STEP_PUT, key, cfg_bytes(json), 0, return_value);
	zend_string_release(json);
}

static ZEND_METHOD(Transaction, putBytes)
{
	zend_string *key, *bytes;
	ZEND_PARSE_PARAMETERS_START(2, 2)
		Z_PARAM_STR(key)
		Z_PARAM_STR(bytes)
	ZEND_PARSE_PARAMETERS_END();
	add(ZEND_THIS, CORE_STEP_PUT, key, cfg_bytes(bytes), 0, return_value);
}

static ZEND_METHOD(Transaction, delete)
{
	zend_string *key;
	ZEND_PARSE_PARAMETERS_START(1, 1)
		Z_PARAM_STR(key)
	ZEND_PARSE_PARAMETERS_END();
	add(ZEND_THIS, CORE_STEP_DELETE, key, no_value, 0, return_value);
}

static ZEND_METHOD(Transaction, comment)
{
	zend_string *text;
	ZEND_PARSE_PARAMETERS_START(1, 1)
		Z_PARAM_STR(text)
	ZEND_PARSE_PARAMETERS_END();
	transaction_object *transaction = THIS_TRANSACTION();
	CoreError error;
	if (!is_open(transaction)) {
		return;
	}
	if (!cfgstore_core_transaction_comment(transaction->core, cfg_bytes(text), &error)) {
		cfg_throw(&error);
		return;
	}
	RETURN_OBJ_COPY(Z_OBJ_P(ZEND_THIS));
}

static ZEND_METHOD(Transaction, commit)
{
	ZEND_PARSE_PARAMETERS_NONE();
	transaction_object *transaction = THIS_TRANSACTION();
	if (!is_open(transaction)) {
		return;
	}
	cfg_source *source = transaction->owner.scope->source;
	CoreTransaction *core = transaction->core;
	transaction->core = NULL; /* whatever comes of it, it is not sent twice */
	int64_t revision;
	CoreError error;
	if (!cfgstore_core_transaction_commit(source->core, transaction->owner.timeout, core, &revision, &error)) {
		cfg_throw(&error);
		return;
	}
	cfg_source_wrote(source, revision);
	RETURN_LONG((zend_long) revision);
}

ZEND_BEGIN_ARG_INFO_EX(arginfo_construct, 0, 0, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_if_revision, 0, 2, IS_STATIC, 0)
	ZEND_ARG_TYPE_INFO(0, key, IS_STRING, 0)
	ZEND_ARG_TYPE_INFO(0, revision, IS_LONG, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_key, 0, 1, IS_STATIC, 0)
	ZEND_ARG_TYPE_INFO(0, key, IS_STRING, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_if_held, 0, 1, IS_STATIC, 0)
	ZEND_ARG_OBJ_INFO(0, lock, Cfgstore\\Lock, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_put, 0, 2, IS_STATIC, 0)
	ZEND_ARG_TYPE_INFO(0, key, IS_STRING, 0)
	ZEND_ARG_TYPE_INFO(0, value, IS_MIXED, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_put_bytes, 0, 2, IS_STATIC, 0)
	ZEND_ARG_TYPE_INFO(0, key, IS_STRING, 0)
	ZEND_ARG_TYPE_INFO(0, bytes, IS_STRING, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_comment, 0, 1, IS_STATIC, 0)
	ZEND_ARG_TYPE_INFO(0, text, IS_STRING, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_commit, 0, 0, IS_LONG, 0)
ZEND_END_ARG_INFO()

static const zend_function_entry transaction_methods[] = {
	ZEND_ME(Transaction, __construct, arginfo_construct, ZEND_ACC_PRIVATE)
	ZEND_ME(Transaction, ifRevision, arginfo_if_revision, ZEND_ACC_PUBLIC)
	ZEND_ME(Transaction, ifExists, arginfo_key, ZEND_ACC_PUBLIC)
	ZEND_ME(Transaction, ifAbsent, arginfo_key, ZEND_ACC_PUBLIC)
	ZEND_ME(Transaction, ifHeld, arginfo_if_held, ZEND_ACC_PUBLIC)
	ZEND_ME(Transaction, put, arginfo_put, ZEND_ACC_PUBLIC)
	ZEND_ME(Transaction, putBytes, arginfo_put_bytes, ZEND_ACC_PUBLIC)
	ZEND_ME(Transaction, delete, arginfo_key, ZEND_ACC_PUBLIC)
	ZEND_ME(Transaction, comment, arginfo_comment, ZEND_ACC_PUBLIC)
	ZEND_ME(Transaction, commit, arginfo_commit, ZEND_ACC_PUBLIC)
	ZEND_FE_END
};

void cfg_transaction_register(void)
{
	zend_class_entry ce;
	INIT_NS_CLASS_ENTRY(ce, "Cfgstore", "Transaction", transaction_methods);
	transaction_ce = zend_register_internal_class(&ce);
	transaction_ce->ce_flags |= ZEND_ACC_FINAL | ZEND_ACC_NO_DYNAMIC_PROPERTIES | ZEND_ACC_NOT_SERIALIZABLE;
	transaction_ce->create_object = create_transaction;

	transaction_handlers = *zend_get_std_object_handlers();
	transaction_handlers.offset = offsetof(transaction_object, std);
	transaction_handlers.free_obj = free_transaction;
	transaction_handlers.clone_obj = NULL;
	transaction_handlers.compare = zend_objects_not_comparable;
}
