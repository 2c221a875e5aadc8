/* getInt() and its like: get(), and an exception if the value is of another type. */
#include "client.h"

typedef enum { WANTS_INT, WANTS_FLOAT, WANTS_BOOL, WANTS_STRING, WANTS_ARRAY } wanted_type;

static const char *const type_names[] = {"an int", "a float", "a bool", "a string", "an array"};

/* Whether a value is of the type as it is; an int for a float is not, but can be made one. */
static zend_always_inline bool is_of(const zval *value, wanted_type wanted)
{
	switch (wanted) {
		case WANTS_INT: return Z_TYPE_P(value) == IS_LONG;
		case WANTS_FLOAT: return Z_TYPE_P(value) == IS_DOUBLE;
		case WANTS_BOOL: return Z_TYPE_P(value) == IS_TRUE || Z_TYPE_P(value) == IS_FALSE;
		case WANTS_STRING: return Z_TYPE_P(value) == IS_STRING;
		case WANTS_ARRAY: return Z_TYPE_P(value) == IS_ARRAY;
	}
	return false;
}

ZEND_COLD static void throw_type(const cfg_scope *scope, const zend_string *name, size_t key_length, wanted_type wanted, const zval *found)
{
	const char *found_name = "null";
	for (wanted_type type = WANTS_INT; type <= WANTS_ARRAY; type++) {
		if (is_of(found, type)) {
			found_name = type_names[type];
		}
	}
	bool is_path = key_length < ZSTR_LEN(name);
	cfg_throw_type("key \"%.*s\"%s%s%s holds %s%s%s%s, not %s; put the other type there, or read it with get()",
		(int) key_length, ZSTR_VAL(name),
		ZSTR_LEN(scope->prefix) ? " below \"" : "", ZSTR_VAL(scope->prefix), ZSTR_LEN(scope->prefix) ? "\"" : "",
		found_name, is_path ? " at \"" : "", is_path ? ZSTR_VAL(name) + key_length + 1 : "", is_path ? "\"" : "",
		type_names[wanted]);
}

/* A read for which nothing has to be done: false otherwise, and nothing has happened. */
static zend_always_inline bool read_at_once(INTERNAL_FUNCTION_PARAMETERS, wanted_type wanted)
{
	const cfg_scope *scope = THIS_CLIENT()->scope;
	const zval *key = ZEND_CALL_ARG(execute_data, 1);
	if (UNEXPECTED(ZEND_NUM_ARGS() - 1 > 1 || Z_TYPE_P(key) != IS_STRING)) {
		return false;
	}
	const cfg_slot *slot = cfg_scope_peek(scope, Z_STR_P(key));
	if (UNEXPECTED(!slot)) {
		return false;
	}
	const zval *value = &slot->value;
	if (UNEXPECTED(Z_ISUNDEF_P(value) && ZEND_NUM_ARGS() == 2 && !slot->is_dotted)) {
		value = ZEND_CALL_ARG(execute_data, 2);
	}
	if (UNEXPECTED(!is_of(value, wanted))) {
		return false;
	}
	ZVAL_COPY(return_value, value);
	return true;
}

/* The default, by PHP's own rules for an argument of that type. True if there is one; false with an exception. */
static bool parse(INTERNAL_FUNCTION_PARAMETERS, wanted_type wanted, zend_string **key, zval *fallback)
{
	zend_string *string = NULL;
	zval *array = NULL;
	zend_long integer = 0;
	double number = 0;
	bool flag = false;
	ZVAL_UNDEF(fallback);
	ZEND_PARSE_PARAMETERS_START(1, 2)
		Z_PARAM_STR(*key)
		Z_PARAM_OPTIONAL
		if (wanted == WANTS_INT) {
			Z_PARAM_LONG(integer)
		} else if (wanted == WANTS_FLOAT) {
			Z_PARAM_DOUBLE(number)
		} else if (wanted == WANTS_BOOL) {
			Z_PARAM_BOOL(flag)
		} else if (wanted == WANTS_STRING) {
			Z_PARAM_STR(string)
		} else {
			Z_PARAM_ARRAY(array)
		}
	ZEND_PARSE_PARAMETERS_END_EX(return false);
	if (ZEND_NUM_ARGS() == 2) {
		switch (wanted) {
			case WANTS_INT: ZVAL_LONG(fallback, integer); break;
			case WANTS_FLOAT: ZVAL_DOUBLE(fallback, number); break;
			case WANTS_BOOL: ZVAL_BOOL(fallback, flag); break;
			case WANTS_STRING: ZVAL_STR(fallback, string); break;
			case WANTS_ARRAY: ZVAL_COPY_VALUE(fallback, array); break;
		}
	}
	return true;
}

/* Every other read. */
static zend_never_inline void load_value(INTERNAL_FUNCTION_PARAMETERS, wanted_type wanted)
{
	zend_string *name;
	zval fallback;
	if (!parse(INTERNAL_FUNCTION_PARAM_PASSTHRU, wanted, &name, &fallback)) {
		return;
	}
	cfg_scope *scope = THIS_CLIENT()->scope;
	cfg_found found;
	if (!cfg_scope_read(scope, name, &found)) {
		return;
	}
	const zval *value = found.value;
	if (!value) {
		if (Z_ISUNDEF(fallback)) {
			cfg_throw_absent(scope, name, found.key_length);
			return;
		}
		RETURN_COPY(&fallback);
	}
	if (is_of(value, wanted)) {
		RETURN_COPY(value);
	}
	if (wanted == WANTS_FLOAT && Z_TYPE_P(value) == IS_LONG) {
		RETURN_DOUBLE((double) Z_LVAL_P(value));
	}
	throw_type(scope, name, found.key_length, wanted, value);
}

#define TYPED_READ(method, wanted) \
	ZEND_METHOD(Cfgstore_Client, method) \
	{ \
		if (UNEXPECTED(!read_at_once(INTERNAL_FUNCTION_PARAM_PASSTHRU, wanted))) { \
			load_value(INTERNAL_FUNCTION_PARAM_PASSTHRU, wanted); \
		} \
	}

TYPED_READ(getInt, WANTS_INT)
TYPED_READ(getFloat, WANTS_FLOAT)
TYPED_READ(getBool, WANTS_BOOL)
TYPED_READ(getString, WANTS_STRING)
TYPED_READ(getArray, WANTS_ARRAY)
