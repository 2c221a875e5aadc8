/* How an immutable value is laid out in its block; private to value.c and decode.c. */
#ifndef CFG_VALUE_H
#define CFG_VALUE_H

#include "php_cfgstore.h"

#define ALIGNED(size) ZEND_MM_ALIGNED_SIZE_EX(size, 8)

static inline void *cfg_place(char **at, size_t size)
{
	void *placed = *at;
	*at += ALIGNED(size);
	return placed;
}

/* Length and bytes are in place. */
static inline void cfg_seal_string(zend_string *string, uint32_t flags)
{
	GC_SET_REFCOUNT(string, 1);
	GC_TYPE_INFO(string) = GC_STRING | ((IS_STR_INTERNED | IS_STR_PERSISTENT | flags) << GC_FLAGS_SHIFT);
	/* The engine computes a missing hash in place, and this memory is not its own to write. */
	ZSTR_H(string) = zend_inline_hash_func(ZSTR_VAL(string), ZSTR_LEN(string));
}

static inline void cfg_seal_table(zval *value, HashTable *table)
{
	GC_SET_REFCOUNT(table, 2);
	GC_TYPE_INFO(table) = GC_ARRAY | ((IS_ARRAY_IMMUTABLE | IS_ARRAY_PERSISTENT | GC_NOT_COLLECTABLE) << GC_FLAGS_SHIFT);
	HT_FLAGS(table) |= HASH_FLAG_STATIC_KEYS; /* no key is counted */
	table->nInternalPointer = 0;
	/* ZVAL_ARR would say that the array is counted. */
	Z_ARR_P(value) = table;
	Z_TYPE_INFO_P(value) = IS_ARRAY;
}

/* A block for so many bytes of value, which begin at *at. */
static inline cfg_block *cfg_block_new(size_t size, char **at)
{
	cfg_block *block = pemalloc(ALIGNED(sizeof(cfg_block)) + size, 1);
	block->next = NULL;
	block->size = ALIGNED(sizeof(cfg_block)) + size;
	*at = (char *) block + ALIGNED(sizeof(cfg_block));
	return block;
}

/*
 * Decodes a plain JSON document into a block; see decode.c for what is plain. Of what is not, false: nothing is known of it, and
 * nothing has happened.
 */
bool cfg_decode_plain(zval *value, CoreBytes bytes, cfg_block **block);

#endif
