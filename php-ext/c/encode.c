/*
 * From PHP values to stored bytes: JSON with the engine's own rules for each leaf.
 *
 * The walk is ours, because the engine's encoder neither says where in a value it failed nor refuses what has no content
 * to store: a Closure, for instance, becomes {} there.
 */
#include "php_cfgstore.h"
#include "zend_enum.h"
#include "zend_interfaces.h"
#include "zend_smart_str.h"
#include "ext/json/php_json.h"

#define LEAF_OPTIONS (PHP_JSON_PRESERVE_ZERO_FRACTION | PHP_JSON_UNESCAPED_SLASHES | PHP_JSON_UNESCAPED_UNICODE \
	| PHP_JSON_UNESCAPED_LINE_TERMINATORS)

/* Where in the value the walk is, from the inside out. */
typedef struct step {
	const struct step *outer;
	const zend_string *key; /* NULL: index */
	zend_ulong index;
	bool property;
} step;

static bool encode_value(smart_str *json, zval *value, const step *at, uint32_t depth);

/* In quotes, and readable whatever bytes it has. */
static void append_quoted(smart_str *path, const zend_string *key)
{
	zval name;
	ZVAL_STR(&name, (zend_string *) key);
	php_json_encode_ex(path, &name, LEAF_OPTIONS | PHP_JSON_INVALID_UTF8_SUBSTITUTE, 1);
}

static void append_path(smart_str *path, const step *at)
{
	if (!at) {
		return;
	}
	append_path(path, at->outer);
	smart_str_appends(path, at->property ? "->{" : "[");
	if (at->key) {
		append_quoted(path, at->key);
	} else {
		smart_str_append_long(path, (zend_long) at->index);
	}
	smart_str_appendc(path, at->property ? '}' : ']');
}

static bool refuse(const step *at, const char *why)
{
	smart_str path = {0};
	smart_str_appends(&path, "$value");
	append_path(&path, at);
	smart_str_0(&path);
	cfg_throw_encoding("%s cannot be stored: %s", ZSTR_VAL(path.s), why);
	smart_str_free(&path);
	return false;
}

static bool encode_leaf(smart_str *json, zval *value, const step *at)
{
	php_json_error_code before = JSON_G(error_code);
	JSON_G(error_code) = PHP_JSON_ERROR_NONE;
	zend_result result = php_json_encode_ex(json, value, LEAF_OPTIONS, CFG_MAX_DEPTH);
	php_json_error_code error = JSON_G(error_code);
	JSON_G(error_code) = before;
	if (result == SUCCESS && error == PHP_JSON_ERROR_NONE) {
		return true;
	}
	switch (error) {
		case PHP_JSON_ERROR_NONE:
			return false; /* an exception, or memory_limit, which this engine reports when the call is over */
		case PHP_JSON_ERROR_UTF8:
			return refuse(at, "it is not valid UTF-8; use putBytes() for binary data");
		case PHP_JSON_ERROR_INF_OR_NAN:
			return refuse(at, "INF and NAN are no JSON numbers");
		case PHP_JSON_ERROR_NON_BACKED_ENUM:
			return refuse(at, "an enum case without a value has no JSON form");
		default:
			return refuse(at, "it has no JSON form");
	}
}

static bool encode_key(smart_str *json, zend_string *key, zend_ulong index, const step *at)
{
	if (!key) {
		smart_str_appendc(json, '"');
		smart_str_append_long(json, (zend_long) index);
		smart_str_appends(json, "\":");
		return true;
	}
	zval name;
	ZVAL_STR(&name, key);
	if (!encode_leaf(json, &name, at)) {
		return false;
	}
	smart_str_appendc(json, ':');
	return true;
}

static bool encode_elements(smart_str *json, HashTable *elements, const step *at, uint32_t depth)
{
	bool list = zend_array_is_list(elements);
	bool first = true;
	zend_string *key;
	zend_ulong index;
	zval *element;
	smart_str_appendc(json, list ? '[' : '{');
	ZEND_HASH_FOREACH_KEY_VAL_IND(elements, index, key, element) {
		step here = {at, key, index, false};
		if (!first) {
			smart_str_appendc(json, ',');
		}
		first = false;
		if ((!list && !encode_key(json, key, index, &here)) || !encode_value(json, element, &here, depth)) {
			return false;
		}
	} ZEND_HASH_FOREACH_END();
	smart_str_appendc(json, list ? ']' : '}');
	return true;
}

static bool encode_array(smart_str *json, zval *value, const step *at, uint32_t depth)
{
	HashTable *array = Z_ARRVAL_P(value);
	if (GC_IS_RECURSIVE(array)) {
		return refuse(at, "it contains itself");
	}
	/* A jsonSerialize() further in may write to the variable that holds this array. */
	GC_TRY_ADDREF(array);
	GC_TRY_PROTECT_RECURSION(array);
	bool done = encode_elements(json, array, at, depth);
	GC_TRY_UNPROTECT_RECURSION(array);
	zend_array_release(array);
	return done;
}

static bool encode_properties(smart_str *json, zval *value, const step *at, uint32_t depth)
{
	zend_array *properties = zend_get_properties_for(value, ZEND_PROP_PURPOSE_JSON);
	bool first = true, done = true;
	zend_string *name;
	zend_ulong index;
	zval *property;
	smart_str_appendc(json, '{');
	if (!properties) {
		smart_str_appendc(json, '}');
		return !EG(exception);
	}
	ZEND_HASH_FOREACH_KEY_VAL_IND(properties, index, name, property) {
		if (name && ZSTR_LEN(name) > 0 && ZSTR_VAL(name)[0] == '\0') {
			continue; /* private or protected */
		}
		zval read;
		ZVAL_UNDEF(&read);
#if PHP_VERSION_ID >= 80400
		if (Z_TYPE_P(property) == IS_PTR) {
			const zend_property_info *info = Z_PTR_P(property);
			if ((info->flags & ZEND_ACC_VIRTUAL) && !info->hooks[ZEND_PROPERTY_HOOK_GET]) {
				continue;
			}
			property = zend_read_property_ex(info->ce, Z_OBJ_P(value), info->name, true, &read);
			if (EG(exception)) {
				done = false;
				break;
			}
		}
#endif
		step here = {at, name, index, true};
		if (!first) {
			smart_str_appendc(json, ',');
		}
		first = false;
		done = encode_key(json, name, index, &here) && encode_value(json, property, &here, depth);
		zval_ptr_dtor(&read);
		if (!done) {
			break;
		}
	} ZEND_HASH_FOREACH_END();
	zend_release_properties(properties);
	smart_str_appendc(json, '}');
	return done;
}

static bool encode_serializable(smart_str *json, zval *value, const step *at, uint32_t depth)
{
	zval result;
	ZVAL_UNDEF(&result);
	zend_call_method_with_0_params(Z_OBJ_P(value), Z_OBJCE_P(value), NULL, "jsonserialize", &result);
	if (EG(exception) || Z_ISUNDEF(result)) {
		zval_ptr_dtor(&result);
		return false;
	}
	bool itself = Z_TYPE(result) == IS_OBJECT && Z_OBJ(result) == Z_OBJ_P(value);
	/* Counted as a level, for one that always returns another. */
	bool done = itself ? encode_properties(json, &result, at, depth + 1) : encode_value(json, &result, at, depth + 1);
	zval_ptr_dtor(&result);
	return done;
}

static bool encode_object(smart_str *json, zval *value, const step *at, uint32_t depth)
{
	zend_class_entry *ce = Z_OBJCE_P(value);
	bool serializable = instanceof_function(ce, php_json_serializable_ce);
	if (!serializable && (ce->ce_flags & ZEND_ACC_ENUM)) {
		return encode_leaf(json, value, at);
	}
	if (!serializable && (ce->ce_flags & ZEND_ACC_NOT_SERIALIZABLE)) {
		smart_str why = {0};
		smart_str_append_printf(&why, "an object of class %s has no content to store", ZSTR_VAL(ce->name));
		smart_str_0(&why);
		refuse(at, ZSTR_VAL(why.s));
		smart_str_free(&why);
		return false;
	}
	if (Z_IS_RECURSIVE_P(value)) {
		return refuse(at, "it contains itself");
	}
	Z_ADDREF_P(value);
	zval held;
	ZVAL_OBJ(&held, Z_OBJ_P(value));
	Z_PROTECT_RECURSION(held);
	bool done = serializable ? encode_serializable(json, &held, at, depth) : encode_properties(json, &held, at, depth + 1);
	Z_UNPROTECT_RECURSION(held);
	zval_ptr_dtor(&held);
	return done;
}

/* `depth`: how many arrays and objects are around the value. */
static bool encode_value(smart_str *json, zval *value, const step *at, uint32_t depth)
{
	ZVAL_DEREF(value);
	switch (Z_TYPE_P(value)) {
		case IS_ARRAY:
		case IS_OBJECT:
			if (depth >= CFG_MAX_DEPTH) {
				return refuse(NULL, "it is nested deeper than 512 levels");
			}
			return Z_TYPE_P(value) == IS_ARRAY
				? encode_array(json, value, at, depth + 1) : encode_object(json, value, at, depth);
		case IS_RESOURCE:
			return refuse(at, "a resource lives in this process only");
		default:
			return encode_leaf(json, value, at);
	}
}

zend_string *cfg_encode(zval *value)
{
	smart_str json = {0};
	/* A destructor of what jsonSerialize() returned may have thrown after it was encoded. */
	if (!encode_value(&json, value, NULL, 0) || EG(exception)) {
		smart_str_free(&json);
		return NULL;
	}
	smart_str_0(&json);
	return json.s;
}
