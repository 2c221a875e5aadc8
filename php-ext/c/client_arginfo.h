/* Arguments and methods of Cfgstore\Client and cfgstore_get(), as cfgstore.stub.php has them; tests/stub.phpt compares. */

ZEND_BEGIN_ARG_INFO_EX(arginfo_client_construct, 0, 0, 0)
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, prefix, IS_STRING, 1, "null")
	ZEND_ARG_TYPE_MASK(0, endpoints, MAY_BE_ARRAY | MAY_BE_STRING | MAY_BE_NULL, "null")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, timeout, IS_DOUBLE, 1, "null")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, keyring, IS_STRING, 1, "null")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_get, 0, 1, IS_MIXED, 0)
	ZEND_ARG_TYPE_INFO(0, key, IS_STRING, 0)
	ZEND_ARG_TYPE_INFO(0, default, IS_MIXED, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_client_get_int, 0, 1, IS_LONG, 0)
	ZEND_ARG_TYPE_INFO(0, key, IS_STRING, 0)
	ZEND_ARG_TYPE_INFO(0, default, IS_LONG, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_client_get_float, 0, 1, IS_DOUBLE, 0)
	ZEND_ARG_TYPE_INFO(0, key, IS_STRING, 0)
	ZEND_ARG_TYPE_INFO(0, default, IS_DOUBLE, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_client_get_bool, 0, 1, _IS_BOOL, 0)
	ZEND_ARG_TYPE_INFO(0, key, IS_STRING, 0)
	ZEND_ARG_TYPE_INFO(0, default, _IS_BOOL, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_client_get_string, 0, 1, IS_STRING, 0)
	ZEND_ARG_TYPE_INFO(0, key, IS_STRING, 0)
	ZEND_ARG_TYPE_INFO(0, default, IS_STRING, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_client_get_array, 0, 1, IS_ARRAY, 0)
	ZEND_ARG_TYPE_INFO(0, key, IS_STRING, 0)
	ZEND_ARG_TYPE_INFO(0, default, IS_ARRAY, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_client_has, 0, 1, _IS_BOOL, 0)
	ZEND_ARG_TYPE_INFO(0, key, IS_STRING, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_client_all, 0, 0, IS_ARRAY, 0)
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, prefix, IS_STRING, 0, "\'\'")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_OBJ_INFO_EX(arginfo_client_with_prefix, 0, 1, Cfgstore\\Client, 0)
	ZEND_ARG_TYPE_INFO(0, prefix, IS_STRING, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_OBJ_INFO_EX(arginfo_client_entry, 0, 1, Cfgstore\\Entry, 0)
	ZEND_ARG_TYPE_INFO(0, key, IS_STRING, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_client_get_bytes, 0, 1, IS_STRING, 1)
	ZEND_ARG_TYPE_INFO(0, key, IS_STRING, 0)
	ZEND_ARG_TYPE_INFO(0, default, IS_STRING, 1)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_client_put, 0, 2, IS_LONG, 0)
	ZEND_ARG_TYPE_INFO(0, key, IS_STRING, 0)
	ZEND_ARG_TYPE_INFO(0, value, IS_MIXED, 0)
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, ifRevision, IS_LONG, 1, "null")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, comment, IS_STRING, 0, "\'\'")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_client_put_bytes, 0, 2, IS_LONG, 0)
	ZEND_ARG_TYPE_INFO(0, key, IS_STRING, 0)
	ZEND_ARG_TYPE_INFO(0, bytes, IS_STRING, 0)
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, ifRevision, IS_LONG, 1, "null")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, comment, IS_STRING, 0, "\'\'")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_client_delete, 0, 1, IS_LONG, 0)
	ZEND_ARG_TYPE_INFO(0, key, IS_STRING, 0)
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, ifRevision, IS_LONG, 1, "null")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, comment, IS_STRING, 0, "\'\'")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_client_bind_schema, 0, 2, IS_VOID, 0)
	ZEND_ARG_TYPE_INFO(0, pattern, IS_STRING, 0)
	ZEND_ARG_TYPE_INFO(0, schema, IS_ARRAY, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_client_bind_sealed, 0, 1, IS_VOID, 0)
	ZEND_ARG_TYPE_INFO(0, pattern, IS_STRING, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_client_set_retention, 0, 2, IS_VOID, 0)
	ZEND_ARG_TYPE_INFO(0, prefix, IS_STRING, 0)
	ZEND_ARG_TYPE_INFO(0, count, IS_LONG, 0)
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, maxAge, IS_LONG, 0, "0")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_client_remove_retention, 0, 1, IS_VOID, 0)
	ZEND_ARG_TYPE_INFO(0, prefix, IS_STRING, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_client_retention, 0, 0, IS_ARRAY, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_client_unbind_schema, 0, 1, IS_VOID, 0)
	ZEND_ARG_TYPE_INFO(0, pattern, IS_STRING, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_client_history, 0, 1, IS_ARRAY, 0)
	ZEND_ARG_TYPE_INFO(0, key, IS_STRING, 0)
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, limit, IS_LONG, 0, "0")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, prefix, _IS_BOOL, 0, "false")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, fromTime, IS_DOUBLE, 1, "null")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, toTime, IS_DOUBLE, 1, "null")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, author, IS_STRING, 0, "\'\'")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_client_rollback, 0, 2, IS_LONG, 0)
	ZEND_ARG_TYPE_INFO(0, key, IS_STRING, 0)
	ZEND_ARG_TYPE_INFO(0, revision, IS_LONG, 0)
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, comment, IS_STRING, 0, "\'\'")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, prefix, _IS_BOOL, 0, "false")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_client_preview_rollback, 0, 2, IS_ARRAY, 0)
	ZEND_ARG_TYPE_INFO(0, key, IS_STRING, 0)
	ZEND_ARG_TYPE_INFO(0, revision, IS_LONG, 0)
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, prefix, _IS_BOOL, 0, "false")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_client_diff, 0, 2, IS_ARRAY, 0)
	ZEND_ARG_TYPE_INFO(0, key, IS_STRING, 0)
	ZEND_ARG_TYPE_INFO(0, from, IS_LONG, 0)
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, to, IS_LONG, 1, "null")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, prefix, _IS_BOOL, 0, "false")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_client_blame, 0, 1, IS_ARRAY, 0)
	ZEND_ARG_TYPE_INFO(0, key, IS_STRING, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_client_schemas, 0, 0, IS_ARRAY, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_client_check_schema, 0, 2, IS_ARRAY, 0)
	ZEND_ARG_TYPE_INFO(0, pattern, IS_STRING, 0)
	ZEND_ARG_TYPE_INFO(0, schema, IS_ARRAY, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_client_check_value, 0, 2, IS_ARRAY, 0)
	ZEND_ARG_TYPE_INFO(0, key, IS_STRING, 0)
	ZEND_ARG_TYPE_INFO(0, value, IS_MIXED, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_client_set_notification, 0, 2, IS_VOID, 0)
	ZEND_ARG_TYPE_INFO(0, name, IS_STRING, 0)
	ZEND_ARG_TYPE_INFO(0, target, IS_ARRAY, 0)
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, prefix, IS_STRING, 0, "\'\'")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, kinds, IS_ARRAY, 0, "[]")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, values, _IS_BOOL, 0, "false")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_client_remove_notification, 0, 1, IS_VOID, 0)
	ZEND_ARG_TYPE_INFO(0, name, IS_STRING, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_client_notifications, 0, 0, IS_ARRAY, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_client_dead_letters, 0, 0, IS_ARRAY, 0)
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, name, IS_STRING, 0, "\'\'")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_client_retry_dead_letters, 0, 1, IS_LONG, 0)
	ZEND_ARG_TYPE_INFO(0, name, IS_STRING, 0)
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, ids, IS_ARRAY, 0, "[]")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, forget, _IS_BOOL, 0, "false")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_OBJ_INFO_EX(arginfo_client_watch, 0, 0, Cfgstore\\Watch, 0)
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, prefix, IS_STRING, 0, "\'\'")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, timeout, IS_DOUBLE, 1, "null")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, fromRevision, IS_LONG, 1, "null")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_OBJ_INFO_EX(arginfo_client_subscribe, 0, 0, Cfgstore\\Subscription, 0)
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, prefix, IS_STRING, 0, "\'\'")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, fromRevision, IS_LONG, 1, "null")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_OBJ_INFO_EX(arginfo_client_lock, 0, 1, Cfgstore\\Lock, 0)
	ZEND_ARG_TYPE_INFO(0, name, IS_STRING, 0)
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, ttl, IS_DOUBLE, 0, "10.0")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, wait, IS_DOUBLE, 0, "0.0")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_OBJ_INFO_EX(arginfo_client_transaction, 0, 0, Cfgstore\\Transaction, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_client_revision, 0, 0, IS_LONG, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_client_unpin, 0, 0, IS_VOID, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_OBJ_INFO_EX(arginfo_client_status, 0, 0, Cfgstore\\Status, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_client_offset_get, 0, 1, IS_MIXED, 0)
	ZEND_ARG_TYPE_INFO(0, offset, IS_MIXED, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_client_offset_exists, 0, 1, _IS_BOOL, 0)
	ZEND_ARG_TYPE_INFO(0, offset, IS_MIXED, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_client_offset_set, 0, 2, IS_VOID, 0)
	ZEND_ARG_TYPE_INFO(0, offset, IS_MIXED, 0)
	ZEND_ARG_TYPE_INFO(0, value, IS_MIXED, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_client_offset_unset, 0, 1, IS_VOID, 0)
	ZEND_ARG_TYPE_INFO(0, offset, IS_MIXED, 0)
ZEND_END_ARG_INFO()

ZEND_FUNCTION(cfgstore_get);
ZEND_METHOD(Cfgstore_Client, __construct);
ZEND_METHOD(Cfgstore_Client, get);
ZEND_METHOD(Cfgstore_Client, getInt);
ZEND_METHOD(Cfgstore_Client, getFloat);
ZEND_METHOD(Cfgstore_Client, getBool);
ZEND_METHOD(Cfgstore_Client, getString);
ZEND_METHOD(Cfgstore_Client, getArray);
ZEND_METHOD(Cfgstore_Client, has);
ZEND_METHOD(Cfgstore_Client, all);
ZEND_METHOD(Cfgstore_Client, entry);
ZEND_METHOD(Cfgstore_Client, getBytes);
ZEND_METHOD(Cfgstore_Client, withPrefix);
ZEND_METHOD(Cfgstore_Client, put);
ZEND_METHOD(Cfgstore_Client, putBytes);
ZEND_METHOD(Cfgstore_Client, delete);
ZEND_METHOD(Cfgstore_Client, bindSchema);
ZEND_METHOD(Cfgstore_Client, bindSealed);
ZEND_METHOD(Cfgstore_Client, unbindSchema);
ZEND_METHOD(Cfgstore_Client, schemas);
ZEND_METHOD(Cfgstore_Client, checkSchema);
ZEND_METHOD(Cfgstore_Client, checkValue);
ZEND_METHOD(Cfgstore_Client, history);
ZEND_METHOD(Cfgstore_Client, rollback);
ZEND_METHOD(Cfgstore_Client, previewRollback);
ZEND_METHOD(Cfgstore_Client, diff);
ZEND_METHOD(Cfgstore_Client, blame);
ZEND_METHOD(Cfgstore_Client, setRetention);
ZEND_METHOD(Cfgstore_Client, removeRetention);
ZEND_METHOD(Cfgstore_Client, retention);
ZEND_METHOD(Cfgstore_Client, setNotification);
ZEND_METHOD(Cfgstore_Client, removeNotification);
ZEND_METHOD(Cfgstore_Client, notifications);
ZEND_METHOD(Cfgstore_Client, deadLetters);
ZEND_METHOD(Cfgstore_Client, retryDeadLetters);
ZEND_METHOD(Cfgstore_Client, watch);
ZEND_METHOD(Cfgstore_Client, subscribe);
ZEND_METHOD(Cfgstore_Client, lock);
ZEND_METHOD(Cfgstore_Client, transaction);
ZEND_METHOD(Cfgstore_Client, revision);
ZEND_METHOD(Cfgstore_Client, refresh);
ZEND_METHOD(Cfgstore_Client, pin);
ZEND_METHOD(Cfgstore_Client, unpin);
ZEND_METHOD(Cfgstore_Client, status);
ZEND_METHOD(Cfgstore_Client, offsetGet);
ZEND_METHOD(Cfgstore_Client, offsetExists);
ZEND_METHOD(Cfgstore_Client, offsetSet);
ZEND_METHOD(Cfgstore_Client, offsetUnset);

const zend_function_entry cfg_functions[] = {
	ZEND_FE(cfgstore_get, arginfo_get)
	ZEND_FE_END
};

static const zend_function_entry client_methods[] = {
	ZEND_ME(Cfgstore_Client, __construct, arginfo_client_construct, ZEND_ACC_PUBLIC)
	ZEND_ME(Cfgstore_Client, get, arginfo_get, ZEND_ACC_PUBLIC)
	ZEND_ME(Cfgstore_Client, getInt, arginfo_client_get_int, ZEND_ACC_PUBLIC)
	ZEND_ME(Cfgstore_Client, getFloat, arginfo_client_get_float, ZEND_ACC_PUBLIC)
	ZEND_ME(Cfgstore_Client, getBool, arginfo_client_get_bool, ZEND_ACC_PUBLIC)
	ZEND_ME(Cfgstore_Client, getString, arginfo_client_get_string, ZEND_ACC_PUBLIC)
	ZEND_ME(Cfgstore_Client, getArray, arginfo_client_get_array, ZEND_ACC_PUBLIC)
	ZEND_ME(Cfgstore_Client, has, arginfo_client_has, ZEND_ACC_PUBLIC)
	ZEND_ME(Cfgstore_Client, all, arginfo_client_all, ZEND_ACC_PUBLIC)
	ZEND_ME(Cfgstore_Client, entry, arginfo_client_entry, ZEND_ACC_PUBLIC)
	ZEND_ME(Cfgstore_Client, getBytes, arginfo_client_get_bytes, ZEND_ACC_PUBLIC)
	ZEND_ME(Cfgstore_Client, withPrefix, arginfo_client_with_prefix, ZEND_ACC_PUBLIC)
	ZEND_ME(Cfgstore_Client, put, arginfo_client_put, ZEND_ACC_PUBLIC)
	ZEND_ME(Cfgstore_Client, putBytes, arginfo_client_put_bytes, ZEND_ACC_PUBLIC)
	ZEND_ME(Cfgstore_Client, delete, arginfo_client_delete, ZEND_ACC_PUBLIC)
	ZEND_ME(Cfgstore_Client, bindSchema, arginfo_client_bind_schema, ZEND_ACC_PUBLIC)
	ZEND_ME(Cfgstore_Client, bindSealed, arginfo_client_bind_sealed, ZEND_ACC_PUBLIC)
	ZEND_ME(Cfgstore_Client, unbindSchema, arginfo_client_unbind_schema, ZEND_ACC_PUBLIC)
	ZEND_ME(Cfgstore_Client, schemas, arginfo_client_schemas, ZEND_ACC_PUBLIC)
	ZEND_ME(Cfgstore_Client, checkSchema, arginfo_client_check_schema, ZEND_ACC_PUBLIC)
	ZEND_ME(Cfgstore_Client, checkValue, arginfo_client_check_value, ZEND_ACC_PUBLIC)
	ZEND_ME(Cfgstore_Client, history, arginfo_client_history, ZEND_ACC_PUBLIC)
	ZEND_ME(Cfgstore_Client, rollback, arginfo_client_rollback, ZEND_ACC_PUBLIC)
	ZEND_ME(Cfgstore_Client, previewRollback, arginfo_client_preview_rollback, ZEND_ACC_PUBLIC)
	ZEND_ME(Cfgstore_Client, diff, arginfo_client_diff, ZEND_ACC_PUBLIC)
	ZEND_ME(Cfgstore_Client, blame, arginfo_client_blame, ZEND_ACC_PUBLIC)
	ZEND_ME(Cfgstore_Client, setRetention, arginfo_client_set_retention, ZEND_ACC_PUBLIC)
	ZEND_ME(Cfgstore_Client, removeRetention, arginfo_client_remove_retention, ZEND_ACC_PUBLIC)
	ZEND_ME(Cfgstore_Client, retention, arginfo_client_retention, ZEND_ACC_PUBLIC)
	ZEND_ME(Cfgstore_Client, setNotification, arginfo_client_set_notification, ZEND_ACC_PUBLIC)
	ZEND_ME(Cfgstore_Client, removeNotification, arginfo_client_remove_notification, ZEND_ACC_PUBLIC)
	ZEND_ME(Cfgstore_Client, notifications, arginfo_client_notifications, ZEND_ACC_PUBLIC)
	ZEND_ME(Cfgstore_Client, deadLetters, arginfo_client_dead_letters, ZEND_ACC_PUBLIC)
	ZEND_ME(Cfgstore_Client, retryDeadLetters, arginfo_client_retry_dead_letters, ZEND_ACC_PUBLIC)
	ZEND_ME(Cfgstore_Client, watch, arginfo_client_watch, ZEND_ACC_PUBLIC)
	ZEND_ME(Cfgstore_Client, subscribe, arginfo_client_subscribe, ZEND_ACC_PUBLIC)
	ZEND_ME(Cfgstore_Client, lock, arginfo_client_lock, ZEND_ACC_PUBLIC)
	ZEND_ME(Cfgstore_Client, transaction, arginfo_client_transaction, ZEND_ACC_PUBLIC)
	ZEND_ME(Cfgstore_Client, revision, arginfo_client_revision, ZEND_ACC_PUBLIC)
	ZEND_ME(Cfgstore_Client, refresh, arginfo_client_revision, ZEND_ACC_PUBLIC)
	ZEND_ME(Cfgstore_Client, pin, arginfo_client_revision, ZEND_ACC_PUBLIC)
	ZEND_ME(Cfgstore_Client, unpin, arginfo_client_unpin, ZEND_ACC_PUBLIC)
	ZEND_ME(Cfgstore_Client, status, arginfo_client_status, ZEND_ACC_PUBLIC)
	ZEND_ME(Cfgstore_Client, offsetGet, arginfo_client_offset_get, ZEND_ACC_PUBLIC)
	ZEND_ME(Cfgstore_Client, offsetExists, arginfo_client_offset_exists, ZEND_ACC_PUBLIC)
	ZEND_ME(Cfgstore_Client, offsetSet, arginfo_client_offset_set, ZEND_ACC_PUBLIC)
	ZEND_ME(Cfgstore_Client, offsetUnset, arginfo_client_offset_unset, ZEND_ACC_PUBLIC)
	ZEND_FE_END
};
