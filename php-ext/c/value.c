/*
 * From stored bytes to PHP values, and the life of immutable ones.
 *
 * An immutable value is one malloc'd block laid out as opcache lays out literals: tables flagged immutable with two
 * references, strings flagged interned with their hash in place, and zvals that say "not counted". The engine
 * neither counts nor changes nor frees any of it; writing to such an array in PHP copies it first. Not flagged permanent: for what
 * outlives a request, such as the cache of regular expressions, the engine then copies a string, as it does with a script's literals.
 *
 * That the engine does not count them means that nothing says when the last variable has let go. So a block that the store no
 * longer needs is buried, and freed only at the start of a later request, when no variable of the request that saw it is
 * left. It rests for some time even then: another extension may keep an interned string for longer than that.
 */
#include "value.h"
#include "ext/json/php_json.h"

#define REST_MS 60000
#define REST_VIEWS 2
/* More than this is not kept for the sake of the rest, and with more than this decoding turns to counted values. */
#define GRAVEYARD_LIMIT ((size_t) 64 << 20)

#define IS_PACKED(ht) ((HT_FLAGS(ht) & HASH_FLAG_PACKED) != 0)
#if PHP_VERSION_ID >= 80200
# define USED_DATA_SIZE(ht) (IS_PACKED(ht) ? HT_PACKED_USED_SIZE(ht) : HT_USED_SIZE(ht))
#else
# define USED_DATA_SIZE(ht) HT_USED_SIZE(ht)
#endif

static size_t string_size(const zend_string *string)
{
	return ALIGNED(_ZSTR_STRUCT_SIZE(ZSTR_LEN(string)));
}

static size_t value_size(const zval *value)
{
	if (Z_TYPE_P(value) == IS_STRING) {
		return string_size(Z_STR_P(value));
	}
	if (Z_TYPE_P(value) != IS_ARRAY || zend_hash_num_elements(Z_ARRVAL_P(value)) == 0) {
		return 0;
	}
	HashTable *table = Z_ARRVAL_P(value);
	size_t size = ALIGNED(sizeof(HashTable)) + ALIGNED(USED_DATA_SIZE(table));
	zend_string *key;
	zval *element;
	ZEND_HASH_FOREACH_STR_KEY_VAL(table, key, element) {
		size += (key ? string_size(key) : 0) + value_size(element);
	} ZEND_HASH_FOREACH_END();
	return size;
}

static zend_string *place_string(char **at, zend_string *from, uint32_t flags)
{
	zend_string *string = cfg_place(at, _ZSTR_STRUCT_SIZE(ZSTR_LEN(from)));
	memcpy(string, from, _ZSTR_STRUCT_SIZE(ZSTR_LEN(from)));
	cfg_seal_string(string, flags);
	return string;
}

static void place_value(char **at, zval *value, const zval *from, uint32_t string_flags)
{
	if (Z_TYPE_P(from) == IS_STRING) {
		zend_string *string = place_string(at, Z_STR_P(from), string_flags);
		ZVAL_INTERNED_STR(value, string);
		return;
	}
	if (Z_TYPE_P(from) != IS_ARRAY) {
		ZVAL_COPY_VALUE(value, from);
		return;
	}
	if (zend_hash_num_elements(Z_ARRVAL_P(from)) == 0) {
		ZVAL_EMPTY_ARRAY(value);
		return;
	}

	const HashTable *source = Z_ARRVAL_P(from);
	HashTable *table = cfg_place(at, sizeof(HashTable));
	memcpy(table, source, sizeof(HashTable));
	size_t data_size = USED_DATA_SIZE(source);
	void *data = cfg_place(at, data_size);
	memcpy(data, HT_GET_DATA_ADDR(source), data_size);
	HT_SET_DATA_ADDR(table, data);

	if (IS_PACKED(table)) {
		zval *element;
		ZEND_HASH_FOREACH_VAL(table, element) {
			place_value(at, element, element, string_flags);
		} ZEND_HASH_FOREACH_END();
	} else {
		Bucket *bucket;
		ZEND_HASH_FOREACH_BUCKET(table, bucket) {
			if (bucket->key) {
				bucket->key = place_string(at, bucket->key, string_flags);
			}
			/* Only the value part: the rest of the zval is the chain of the hash. */
			zval placed;
			place_value(at, &placed, &bucket->val, string_flags);
			ZVAL_COPY_VALUE(&bucket->val, &placed);
		} ZEND_HASH_FOREACH_END();
	}
	cfg_seal_table(value, table);
}

static cfg_block *make_immutable(zval *value, uint32_t string_flags)
{
	size_t size = value_size(value);
	zval placed;
	if (size == 0) {
		place_value(NULL, &placed, value, string_flags);
		ZVAL_COPY_VALUE(value, &placed);
		return NULL;
	}
	char *at;
	cfg_block *block = cfg_block_new(size, &at);
	place_value(&at, &placed, value, string_flags);
	ZEND_ASSERT(at == (char *) block + block->size);
	zval_ptr_dtor(value);
	ZVAL_COPY_VALUE(value, &placed);
	return block;
}

bool cfg_decode(zval *value, CoreBytes bytes, bool immutable, cfg_block **block)
{
	*block = NULL;
	if (immutable && cfg_decode_plain(value, bytes, block)) {
		return true;
	}
	/* The engine's scanner needs a zero byte after the text. */
	zend_string *text = zend_string_init((const char *) bytes.data, bytes.len, 0);
	/* json_last_error() of the application must not notice. */
	php_json_error_code before = JSON_G(error_code);
	JSON_G(error_code) = PHP_JSON_ERROR_NONE;
	/* The engine's decoder counts one level more than its encoder. */
	zend_result result = php_json_decode_ex(value, ZSTR_VAL(text), ZSTR_LEN(text), PHP_JSON_OBJECT_AS_ARRAY, CFG_MAX_DEPTH + 1);
	php_json_error_code error = JSON_G(error_code);
	JSON_G(error_code) = before;
	if (result == SUCCESS || error == PHP_JSON_ERROR_NONE) {
		zend_string_release_ex(text, 0);
	} else {
		ZVAL_STR(value, text);
	}
	if (result != SUCCESS && error == PHP_JSON_ERROR_NONE) {
		/* Nothing is wrong with the text: memory_limit is reached, and this engine says so only when the call is over. */
		ZVAL_NULL(value);
		return false;
	}
	if (immutable) {
		*block = make_immutable(value, result == SUCCESS ? IS_STR_VALID_UTF8 : 0);
	}
	return true;
}

void cfg_block_bury(cfg_block *block)
{
	if (!block) {
		return;
	}
	cfg_graveyard *graveyard = &CFG_G(graveyard);
	block->next = NULL;
	block->buried_ms = cfg_now_ms();
	block->buried_views = CFG_G(views);
	if (graveyard->last) {
		graveyard->last->next = block;
	} else {
		graveyard->first = block;
	}
	graveyard->last = block;
	graveyard->size += block->size;
}

bool cfg_graveyard_has_room(void)
{
	return CFG_G(graveyard).size < GRAVEYARD_LIMIT;
}

static void free_first(cfg_graveyard *graveyard)
{
	cfg_block *block = graveyard->first;
	graveyard->first = block->next;
	if (!graveyard->first) {
		graveyard->last = NULL;
	}
	graveyard->size -= block->size;
	pefree(block, 1);
}

void cfg_graveyard_sweep(void)
{
	cfg_graveyard *graveyard = &CFG_G(graveyard);
	uint64_t now_ms = cfg_now_ms();
	while (graveyard->first) {
		const cfg_block *block = graveyard->first;
		bool rested = now_ms - block->buried_ms >= REST_MS && CFG_G(views) - block->buried_views >= REST_VIEWS;
		if (!rested && graveyard->size <= GRAVEYARD_LIMIT) {
			break;
		}
		free_first(graveyard);
	}
}

void cfg_graveyard_free(cfg_graveyard *graveyard)
{
	while (graveyard->first) {
		free_first(graveyard);
	}
}
