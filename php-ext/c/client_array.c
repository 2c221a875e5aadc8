/* $client['key']: the object handlers, which the engine calls without a method call, and the methods of ArrayAccess. */
#include "client.h"

/* The key, owned by the caller; NULL with an exception. */
static zend_string *key_of(zval *offset)
{
	if (!offset) {
		zend_throw_error(NULL, "A key is needed: $config[] has none");
		return NULL;
	}
	ZVAL_DEREF(offset);
	if (Z_TYPE_P(offset) == IS_STRING) {
		return zend_string_copy(Z_STR_P(offset));
	}
	if (Z_TYPE_P(offset) == IS_LONG) {
		return zend_long_to_str(Z_LVAL_P(offset));
	}
	zend_type_error("A key must be a string, %s given", zend_zval_type_name(offset));
	return NULL;
}

/* As cfg_scope_read(). */
static bool read_offset(cfg_scope *scope, zval *offset, cfg_found *found)
{
	if (EXPECTED(offset && Z_TYPE_P(offset) == IS_STRING)) {
		return cfg_scope_read(scope, Z_STR_P(offset), found);
	}
	zend_string *key = key_of(offset);
	bool is_read = key && cfg_scope_read(scope, key, found);
	if (key) {
		zend_string_release(key);
	}
	return is_read;
}

ZEND_COLD static zval *refuse_change_in_place(void)
{
	zend_throw_error(NULL, "A stored value cannot be changed in place: "
		"read it into a variable, change that, and put() it back");
	return NULL;
}

/* Every read for which something has to be done. */
static zend_never_inline zval *load_dimension(zend_object *object, zval *offset, int type, zval *rv)
{
	if (UNEXPECTED(type != BP_VAR_R && type != BP_VAR_IS)) {
		return refuse_change_in_place();
	}
	cfg_scope *scope = cfg_client_of(object)->scope;
	cfg_found found;
	if (UNEXPECTED(!read_offset(scope, offset, &found))) {
		return NULL;
	}
	if (EXPECTED(found.value != NULL)) {
		ZVAL_COPY(rv, found.value);
		return rv;
	}
	if (type == BP_VAR_IS) {
		return &EG(uninitialized_zval);
	}
	zend_string *key = key_of(offset);
	cfg_throw_absent(scope, key, found.key_length);
	zend_string_release(key);
	return NULL;
}

/* A copy: in `$client['k'] .= $x` the engine keeps what is returned while it converts $x, which may run code that changes the slot. */
static zval *read_dimension(zend_object *object, zval *offset, int type, zval *rv)
{
	if (EXPECTED((type == BP_VAR_R || type == BP_VAR_IS) && offset && Z_TYPE_P(offset) == IS_STRING)) {
		cfg_slot *slot = cfg_scope_peek(cfg_client_of(object)->scope, Z_STR_P(offset));
		if (EXPECTED(slot && !Z_ISUNDEF(slot->value))) {
			ZVAL_COPY(rv, &slot->value);
			return rv;
		}
	}
	return load_dimension(object, offset, type, rv);
}

static int has_dimension(zend_object *object, zval *offset, int check_empty)
{
	cfg_found found;
	if (!read_offset(cfg_client_of(object)->scope, offset, &found) || !found.value) {
		return 0;
	}
	return check_empty ? zend_is_true(found.value) : Z_TYPE_P(found.value) != IS_NULL;
}

static void write_dimension(zend_object *object, zval *offset, zval *value)
{
	zend_string *key = key_of(offset);
	if (key) {
		zend_long revision;
		cfg_store_value(cfg_client_of(object), key, value, -1, zend_empty_string, &revision);
		zend_string_release(key);
	}
}

static void unset_dimension(zend_object *object, zval *offset)
{
	zend_string *key = key_of(offset);
	if (key) {
		zend_long revision;
		cfg_erase(cfg_client_of(object), key, -1, zend_empty_string, &revision);
		zend_string_release(key);
	}
}

ZEND_METHOD(Cfgstore_Client, offsetGet)
{
	zval *offset;
	ZEND_PARSE_PARAMETERS_START(1, 1)
		Z_PARAM_ZVAL(offset)
	ZEND_PARSE_PARAMETERS_END();
	read_dimension(Z_OBJ_P(ZEND_THIS), offset, BP_VAR_R, return_value);
}

ZEND_METHOD(Cfgstore_Client, offsetExists)
{
	zval *offset;
	ZEND_PARSE_PARAMETERS_START(1, 1)
		Z_PARAM_ZVAL(offset)
	ZEND_PARSE_PARAMETERS_END();
	RETURN_BOOL(has_dimension(Z_OBJ_P(ZEND_THIS), offset, 0));
}

ZEND_METHOD(Cfgstore_Client, offsetSet)
{
	zval *offset, *value;
	ZEND_PARSE_PARAMETERS_START(2, 2)
		Z_PARAM_ZVAL(offset)
		Z_PARAM_ZVAL(value)
	ZEND_PARSE_PARAMETERS_END();
	write_dimension(Z_OBJ_P(ZEND_THIS), offset, value);
}

ZEND_METHOD(Cfgstore_Client, offsetUnset)
{
	zval *offset;
	ZEND_PARSE_PARAMETERS_START(1, 1)
		Z_PARAM_ZVAL(offset)
	ZEND_PARSE_PARAMETERS_END();
	unset_dimension(Z_OBJ_P(ZEND_THIS), offset);
}

void cfg_client_array_handlers(zend_object_handlers *handlers)
{
	handlers->read_dimension = read_dimension;
	handlers->has_dimension = has_dimension;
	handlers->write_dimension = write_dimension;
	handlers->unset_dimension = unset_dimension;
}
