/*
 * Paths into documents: "database.host" is the member "host" of the key "database", if no key has the whole name.
 *
 * Of several keys that the name begins with, the longest counts. Only a name with a dot that is no key comes here, so keys cost
 * what they cost without paths, and so does a miss of a name without a dot.
 */
#include "php_cfgstore.h"

/* Dots of a name, from its end, before which a key is looked for: so many look-ups a miss may cost. */
#define MAX_CUTS 16

/* "\." is a dot of a name, and "\\" a backslash. */
static bool is_escaped(const char *text, size_t at)
{
	size_t backslashes = 0;
	while (backslashes < at && text[at - 1 - backslashes] == '\\') {
		backslashes++;
	}
	return backslashes % 2 == 1;
}

/* A key that is not the whole name, at the view at hand. NULL with an exception. */
static cfg_slot *find_key(cfg_scope *scope, const char *bytes, size_t length)
{
	cfg_slot *slot = zend_hash_str_find_ptr(&scope->slots, bytes, length);
	if (slot && slot->view == scope->source->view) {
		return slot;
	}
	CoreRecord record;
	CoreError error;
	CoreBytes key_bytes = {(const uint8_t *) bytes, length};
	if (!cfgstore_core_lookup(scope->source->core, cfg_bytes(scope->prefix), key_bytes, &record, &error)) {
		cfg_throw(&error);
		return NULL;
	}
	zend_string *key = zend_string_init(bytes, length, 0);
	slot = cfg_scope_load_record(scope, key, &record);
	zend_string_release_ex(key, 0);
	return slot;
}

static zval *member(const zval *value, const char *name, size_t length)
{
	if (Z_TYPE_P(value) != IS_ARRAY) {
		return NULL;
	}
	if (!memchr(name, '\\', length)) {
		return zend_symtable_str_find(Z_ARRVAL_P(value), name, length);
	}
	char *plain = emalloc(length);
	size_t plain_length = 0;
	for (size_t i = 0; i < length; i++) {
		bool escapes = name[i] == '\\' && i + 1 < length && (name[i + 1] == '.' || name[i + 1] == '\\');
		plain[plain_length++] = name[escapes ? ++i : i];
	}
	zval *found = zend_symtable_str_find(Z_ARRVAL_P(value), plain, plain_length);
	efree(plain);
	return found;
}

static zval *walk(zval *value, const char *path, size_t length)
{
	size_t begin = 0;
	for (size_t i = 0; value && i <= length; i++) {
		if (i == length || (path[i] == '.' && !is_escaped(path, i))) {
			value = member(value, path + begin, i - begin);
			begin = i + 1;
		}
	}
	return value;
}

/* False with an exception. */
static bool find_path(cfg_scope *scope, const zend_string *name, cfg_found *found)
{
	const char *text = ZSTR_VAL(name);
	int cuts = 0;
	for (size_t at = ZSTR_LEN(name) - 1; at > 0 && cuts < MAX_CUTS; at--) {
		if (text[at] != '.' || is_escaped(text, at)) {
			continue;
		}
		cuts++;
		cfg_slot *slot = find_key(scope, text, at);
		if (!slot) {
			return false;
		}
		if (!Z_ISUNDEF(slot->value)) {
			found->key_length = at;
			found->value = walk(&slot->value, text + at + 1, ZSTR_LEN(name) - at - 1);
			return true;
		}
	}
	return true;
}

bool cfg_scope_read(cfg_scope *scope, zend_string *name, cfg_found *found)
{
	*found = (cfg_found) {NULL, 0};
	cfg_slot *slot = cfg_scope_find(scope, name);
	if (UNEXPECTED(!slot)) {
		return false;
	}
	if (EXPECTED(!Z_ISUNDEF(slot->value))) {
		*found = (cfg_found) {&slot->value, ZSTR_LEN(name)};
		return true;
	}
	return !slot->is_dotted || find_path(scope, name, found);
}
