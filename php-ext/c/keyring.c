/* Sealed values: whose keyring opens them, and opening them before they are decoded. */
#include "php_cfgstore.h"

bool cfg_keyring_may_be_named(const zend_string *place)
{
	const char *text = ZSTR_VAL(place);
	if (strlen(text) != ZSTR_LEN(place)) {
		cfg_throw_kind(ERROR_KIND_INVALID_ARGUMENT, false, "keyring has a NUL byte");
		return false;
	}
	/* What code may run and read is for php.ini to say: disable_functions, open_basedir. */
	if (strncmp(text, "command:", strlen("command:")) == 0) {
		cfg_throw_kind(ERROR_KIND_DENIED, false, "only php.ini may name a program that gives a keyring (cfgstore.keyring)");
		return false;
	}
	if (text[0] == '/' && php_check_open_basedir_ex(text, 0) != 0) {
		cfg_throw_kind(ERROR_KIND_DENIED, false, "the keyring %s is outside of open_basedir; php.ini may name it (cfgstore.keyring)", text);
		return false;
	}
	return true;
}

bool cfg_keyring_open(const cfg_scope *scope, const zend_string *key, CoreBytes *value)
{
	const cfg_source *source = scope->source;
	if (EXPECTED(source->keyring[0] == '\0')) {
		return true;
	}
	CoreError error;
	if (!cfgstore_core_unseal(source->core, cfg_bytes(scope->prefix), cfg_bytes(key), *value, value, &error)) {
		cfg_throw(&error);
		return false;
	}
	return true;
}
