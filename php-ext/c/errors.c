/* Exceptions: one class for each kind of failure the client core knows, one for what PHP values can't be stored, one for a value of another type. */
#include "php_cfgstore.h"
#include "ext/spl/spl_exceptions.h"

static zend_class_entry *interface_ce, *base_ce, *encoding_ce, *type_ce;

/* The compiler refuses this when the client core has a kind that is missing here (-Werror=switch in build.rs). */
static const char *class_name(enum ErrorKind kind)
{
	switch (kind) {
		case ERROR_KIND_NOT_FOUND: return "KeyNotFoundException";
		case ERROR_KIND_CONFLICT: return "ConflictException";
		case ERROR_KIND_INVALID_ARGUMENT: return "InvalidArgumentException";
		case ERROR_KIND_TOO_LARGE: return "TooLargeException";
		case ERROR_KIND_UNAVAILABLE: return "UnavailableException";
		case ERROR_KIND_TIMEOUT: return "TimeoutException";
		case ERROR_KIND_DENIED: return "AccessDeniedException";
		case ERROR_KIND_COMPACTED: return "CompactedException";
		case ERROR_KIND_LOCK_LOST: return "LockLostException";
		case ERROR_KIND_EXHAUSTED: return "ExhaustedException";
		case ERROR_KIND_CORRUPT: return "CorruptException";
		case ERROR_KIND_NOT_SYNCED: return "NotSyncedException";
		case ERROR_KIND_UNSUPPORTED: return "UnsupportedException";
		case ERROR_KIND_CANCELED: return "CanceledException";
		case ERROR_KIND_INTERNAL: return "InternalException";
		case ERROR_KIND_SEALED: return "SealedException";
		case ERROR_KIND_SCHEMA_VIOLATION: return "SchemaException";
	}
	return NULL;
}

/* By the number of their kind; the numbers are consecutive, from 1. */
static zend_class_entry *classes[32];

#define SCHEMA_CE classes[ERROR_KIND_SCHEMA_VIOLATION]

static zend_class_entry *class_of(uint8_t kind)
{
	zend_class_entry *ce = kind < sizeof(classes) / sizeof(*classes) ? classes[kind] : NULL;
	return ce ? ce : classes[ERROR_KIND_INTERNAL];
}

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_is, 0, 0, _IS_BOOL, 0)
ZEND_END_ARG_INFO()

static void return_flag(zend_object *exception, const char *name, size_t length, zval *return_value)
{
	zval buffer;
	RETURN_COPY_DEREF(zend_read_property(base_ce, exception, name, length, true, &buffer));
}

static ZEND_METHOD(Exception, isRetryable)
{
	ZEND_PARSE_PARAMETERS_NONE();
	return_flag(Z_OBJ_P(ZEND_THIS), ZEND_STRL("retryable"), return_value);
}

static ZEND_METHOD(Exception, mayHaveHappened)
{
	ZEND_PARSE_PARAMETERS_NONE();
	return_flag(Z_OBJ_P(ZEND_THIS), ZEND_STRL("mayHaveHappened"), return_value);
}

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_violations, 0, 0, IS_ARRAY, 0)
ZEND_END_ARG_INFO()

static ZEND_METHOD(SchemaException, violations)
{
	ZEND_PARSE_PARAMETERS_NONE();
	zval buffer;
	RETURN_COPY_DEREF(zend_read_property(SCHEMA_CE, Z_OBJ_P(ZEND_THIS), ZEND_STRL("violations"), true, &buffer));
}

static const zend_function_entry schema_methods[] = {
	ZEND_ME(SchemaException, violations, arginfo_violations, ZEND_ACC_PUBLIC | ZEND_ACC_FINAL)
	ZEND_FE_END
};

static const zend_function_entry interface_methods[] = {
	ZEND_ABSTRACT_ME_WITH_FLAGS(Exception, isRetryable, arginfo_is, ZEND_ACC_PUBLIC | ZEND_ACC_ABSTRACT)
	ZEND_ABSTRACT_ME_WITH_FLAGS(Exception, mayHaveHappened, arginfo_is, ZEND_ACC_PUBLIC | ZEND_ACC_ABSTRACT)
	ZEND_FE_END
};

static const zend_function_entry base_methods[] = {
	ZEND_ME(Exception, isRetryable, arginfo_is, ZEND_ACC_PUBLIC | ZEND_ACC_FINAL)
	ZEND_ME(Exception, mayHaveHappened, arginfo_is, ZEND_ACC_PUBLIC | ZEND_ACC_FINAL)
	ZEND_FE_END
};

static void declare(zend_class_entry *ce, const char *name, size_t length, zval *initial, uint32_t type)
{
	zend_string *property = zend_string_init(name, length, 1);
	zend_declare_typed_property(ce, property, initial, ZEND_ACC_PROTECTED, NULL, (zend_type) ZEND_TYPE_INIT_MASK(type));
	zend_string_release_ex(property, 1);
}

static zend_class_entry *register_leaf(const char *name, const zend_function_entry *methods)
{
	zend_class_entry ce;
	char full_name[80];
	int length = snprintf(full_name, sizeof(full_name), "Cfgstore\\Exception\\%s", name);
	INIT_CLASS_ENTRY_EX(ce, full_name, length, methods);
	return zend_register_internal_class_ex(&ce, base_ce);
}

void cfg_errors_register(void)
{
	zend_class_entry ce;
	INIT_NS_CLASS_ENTRY(ce, "Cfgstore\\Exception", "ExceptionInterface", interface_methods);
	interface_ce = zend_register_internal_interface(&ce);
	zend_class_implements(interface_ce, 1, zend_ce_throwable);

	INIT_NS_CLASS_ENTRY(ce, "Cfgstore\\Exception", "StoreException", base_methods);
	base_ce = zend_register_internal_class_ex(&ce, spl_ce_RuntimeException);
	base_ce->ce_flags |= ZEND_ACC_EXPLICIT_ABSTRACT_CLASS;
	zend_class_implements(base_ce, 1, interface_ce);
	zval initial;
	ZVAL_FALSE(&initial);
	declare(base_ce, ZEND_STRL("retryable"), &initial, MAY_BE_BOOL);
	declare(base_ce, ZEND_STRL("mayHaveHappened"), &initial, MAY_BE_BOOL);

	for (uint8_t kind = 1; class_name(kind); kind++) {
		classes[kind] = register_leaf(class_name(kind), kind == ERROR_KIND_SCHEMA_VIOLATION ? schema_methods : NULL);
	}
	encoding_ce = register_leaf("EncodingException", NULL);
	type_ce = register_leaf("TypeException", NULL);
	ZVAL_EMPTY_ARRAY(&initial);
	declare(SCHEMA_CE, ZEND_STRL("violations"), &initial, MAY_BE_ARRAY);
}

/* Made whole before it is thrown: when the script is ending by exit(), the engine frees what is thrown at once. */
static void new_exception(zval *exception, zend_class_entry *ce, zend_string *message, bool retryable, bool may_have_happened)
{
	object_init_ex(exception, ce);
	zend_update_property_str(zend_ce_exception, Z_OBJ_P(exception), ZEND_STRL("message"), message);
	if (retryable) {
		zend_update_property_bool(base_ce, Z_OBJ_P(exception), ZEND_STRL("retryable"), true);
	}
	if (may_have_happened) {
		zend_update_property_bool(base_ce, Z_OBJ_P(exception), ZEND_STRL("mayHaveHappened"), true);
	}
	zend_string_release(message);
}

void cfg_new_violation(zval *result, CoreBytes key, CoreBytes path, CoreBytes message)
{
	array_init_size(result, 3);
	add_assoc_stringl(result, "key", (const char *) key.data, key.len);
	add_assoc_stringl(result, "path", (const char *) path.data, path.len);
	add_assoc_stringl(result, "message", (const char *) message.data, message.len);
}

/* The next part of what CoreError packs; moves on to what follows it. */
static CoreBytes next_part(const uint8_t **at)
{
	uint16_t length;
	memcpy(&length, *at, sizeof(length));
	CoreBytes part = {*at + sizeof(length), length};
	*at += sizeof(length) + length;
	return part;
}

static void add_violations(zend_object *exception, const CoreError *error)
{
	zval violations;
	array_init(&violations);
	const uint8_t *part = error->violations, *end = part + error->violations_len;
	while (part < end) {
		zval violation;
		CoreBytes key = next_part(&part), path = next_part(&part), message = next_part(&part);
		cfg_new_violation(&violation, key, path, message);
		add_next_index_zval(&violations, &violation);
	}
	zend_update_property(SCHEMA_CE, exception, ZEND_STRL("violations"), &violations);
	zval_ptr_dtor(&violations);
}

void cfg_throw(const CoreError *error)
{
	zend_string *message = zend_string_init((const char *) error->message, error->message_len, 0);
	if (error->kind == ERROR_KIND_UNAVAILABLE && CFG_G(settings).autostart && cfg_starts_nothing()) {
		zend_string *told = strpprintf(0, "%s; a preload script that runs as root starts nothing: "
			"name the pool's user in opcache.preload_user, or start cfgstored first", ZSTR_VAL(message));
		zend_string_release(message);
		message = told;
	}
	zval exception;
	new_exception(&exception, class_of(error->kind), message, error->retryable, error->maybe_committed);
	if (error->kind == ERROR_KIND_SCHEMA_VIOLATION) {
		add_violations(Z_OBJ(exception), error);
	}
	zend_throw_exception_object(&exception);
}

static void throw_formatted(zend_class_entry *ce, bool retryable, const char *format, va_list arguments)
{
	zval exception;
	new_exception(&exception, ce, zend_vstrpprintf(0, format, arguments), retryable, false);
	zend_throw_exception_object(&exception);
}

void cfg_new_exception(zval *result, ErrorKind kind, CoreBytes message)
{
	object_init_ex(result, class_of(kind));
	zend_update_property_stringl(zend_ce_exception, Z_OBJ_P(result), ZEND_STRL("message"), (const char *) message.data, message.len);
}

void cfg_throw_kind(ErrorKind kind, bool retryable, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	throw_formatted(class_of(kind), retryable, format, arguments);
	va_end(arguments);
}

void cfg_throw_encoding(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	throw_formatted(encoding_ce, false, format, arguments);
	va_end(arguments);
}

void cfg_throw_type(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	throw_formatted(type_ce, false, format, arguments);
	va_end(arguments);
}
