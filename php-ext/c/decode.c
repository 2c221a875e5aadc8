/*
 * Plain JSON straight into an immutable value: the first read of a document that has changed. The engine's decoder makes each
 * string and table for itself, and each would then be copied and freed.
 *
 * Plain is what there can be no two opinions about. Whatever is rare or wrong is left to the engine's decoder, which thereby stays
 * the one that says what JSON means: `\u`, keys that look like integers or come twice, large integers, minus zero,
 * a number at the very end, deep nesting, and every error.
 *
 * Two passes: the first checks and measures, so that the second builds in one block of just the size, and trusts the text.
 */
#include "value.h"
#include "zend_strtod.h"

#define MAX_PLAIN_DEPTH 64
/* Of an integer: so many fit whatever they are. */
#define MAX_PLAIN_DIGITS (MAX_LENGTH_OF_LONG - 3)
#define FEW_NOTES 1024

#if PHP_VERSION_ID >= 80200
typedef zval packed_element;
# define PACKED_VALUE(table, i) (&(table)->arPacked[i])
#else
typedef Bucket packed_element;
# define PACKED_VALUE(table, i) (&(table)->arData[i].val)
#endif

/* ---- the first pass ---- */

typedef struct {
	const uint8_t *at, *end;
	size_t size; /* of what the second pass will place */
	/* In the order of the text: of a string its length, doubled, and one more if it has escapes; of a table its elements. */
	uint32_t *notes;
	uint32_t note_count, note_limit;
	uint32_t few_notes[FEW_NOTES];
} measure;

static uint32_t *add_note(measure *m, uint32_t note)
{
	if (UNEXPECTED(m->note_count == m->note_limit)) {
		uint32_t *more = safe_pemalloc(m->note_limit, 2 * sizeof(uint32_t), 0, 1);
		memcpy(more, m->notes, m->note_limit * sizeof(uint32_t));
		if (m->notes != m->few_notes) {
			pefree(m->notes, 1);
		}
		m->notes = more;
		m->note_limit *= 2;
	}
	m->notes[m->note_count] = note;
	return &m->notes[m->note_count++];
}

static void skip_space(const uint8_t **at, const uint8_t *end)
{
	while (*at < end && (**at == ' ' || **at == '\n' || **at == '\t' || **at == '\r')) {
		(*at)++;
	}
}

static bool is_ordinary(uint8_t c)
{
	return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* How many of eight bytes are ordinary before the first that is not. A borrow only reaches bytes behind one that is not (little-endian). */
static size_t ordinary_of_eight(const uint8_t *at)
{
	const uint64_t ones = 0x0101010101010101, tops = 0x8080808080808080;
	uint64_t x;
	memcpy(&x, at, sizeof(x));
	uint64_t quote = x ^ ones * '"', backslash = x ^ ones * '\\';
	uint64_t special = (x - ones * 0x20) | (quote - ones) | (backslash - ones) | x;
	special &= tops;
	return special ? (size_t) __builtin_ctzll(special) / 8 : 8;
}

/* The length of a character of more than one byte (RFC 3629, section 4), 0 if it is none. */
static size_t utf8_length(const uint8_t *at, const uint8_t *end)
{
	size_t length = at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
	if (at[0] < 0xc2 || at[0] > 0xf4 || (size_t) (end - at) < length) {
		return 0;
	}
	for (size_t i = 1; i < length; i++) {
		if ((at[i] & 0xc0) != 0x80) {
			return 0;
		}
	}
	bool is_too_long = (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xf0 && at[1] < 0x90);
	bool is_surrogate = at[0] == 0xed && at[1] >= 0xa0;
	bool is_too_high = at[0] == 0xf4 && at[1] >= 0x90;
	return is_too_long || is_surrogate || is_too_high ? 0 : length;
}

/* What stands for `\c`; 0: nothing, or not plain. */
static uint8_t unescape(uint8_t c)
{
	switch (c) {
		case '"': case '\\': case '/': return c;
		case 'b': return '\b';
		case 'f': return '\f';
		case 'n': return '\n';
		case 'r': return '\r';
		case 't': return '\t';
		default: return 0;
	}
}

/* From behind its opening quote. */
static bool measure_string(measure *m)
{
	const uint8_t *at = m->at, *end = m->end;
	size_t escapes = 0;
	for (;;) {
		size_t ordinary = 8;
		while (end - at >= 8 && ordinary == 8) {
			ordinary = ordinary_of_eight(at);
			at += ordinary;
		}
		while (at < end && is_ordinary(*at)) {
			at++;
		}
		if (at == end || *at < 0x20) {
			return false;
		}
		if (*at == '"') {
			break;
		}
		size_t length = 2;
		if (*at >= 0x80) {
			length = utf8_length(at, end);
		} else if (end - at < 2 || !unescape(at[1])) {
			return false;
		} else {
			escapes++;
		}
		if (length == 0) {
			return false;
		}
		at += length;
	}
	size_t length = (size_t) (at - m->at) - escapes;
	m->at = at + 1;
	m->size += ALIGNED(_ZSTR_STRUCT_SIZE(length));
	add_note(m, (uint32_t) length << 1 | (escapes > 0));
	return true;
}

static bool digits(measure *m)
{
	const uint8_t *begin = m->at;
	while (m->at < m->end && *m->at >= '0' && *m->at <= '9') {
		m->at++;
	}
	return m->at > begin;
}

static bool takes(measure *m, uint8_t a, uint8_t b)
{
	bool is_there = m->at < m->end && (*m->at == a || *m->at == b);
	m->at += is_there;
	return is_there;
}

static bool measure_number(measure *m)
{
	bool is_negative = takes(m, '-', '-');
	const uint8_t *first = m->at;
	if (!digits(m) || (*first == '0' && m->at - first > 1)) {
		return false;
	}
	bool is_plain = m->at - first <= MAX_PLAIN_DIGITS && !(is_negative && *first == '0');
	if (takes(m, '.', '.')) {
		is_plain = true;
		if (!digits(m)) {
			return false;
		}
	}
	if (takes(m, 'e', 'E')) {
		is_plain = true;
		takes(m, '+', '-');
		if (!digits(m)) {
			return false;
		}
	}
	/* zend_strtod() ends at what follows, so something must. */
	return is_plain && m->at < m->end;
}

static bool measure_literal(measure *m, const char *literal, size_t length)
{
	bool is_it = (size_t) (m->end - m->at) >= length && memcmp(m->at, literal, length) == 0;
	m->at += is_it ? length : 0;
	return is_it;
}

static uint32_t table_size(uint32_t elements)
{
	uint32_t size = HT_MIN_SIZE;
	while (size < elements) {
		size *= 2;
	}
	return size;
}

static size_t hash_data_size(uint32_t elements)
{
	return HT_HASH_SIZE(HT_SIZE_TO_MASK(table_size(elements))) + (size_t) elements * sizeof(Bucket);
}

static size_t packed_data_size(uint32_t elements)
{
	return HT_HASH_SIZE(HT_MIN_MASK) + (size_t) elements * sizeof(packed_element);
}

static bool measure_value(measure *m, int depth);

static bool measure_key(measure *m)
{
	if (!takes(m, '"', '"')) {
		return false;
	}
	const char *key = (const char *) m->at;
	zend_ulong index;
	/* An escape stands for no digit, so that the text will do. */
	return measure_string(m) && !ZEND_HANDLE_NUMERIC_STR(key, (const char *) m->at - 1 - key, index);
}

/* From behind its opening bracket. */
static bool measure_table(measure *m, bool is_object, int depth)
{
	if (depth == MAX_PLAIN_DEPTH) {
		return false;
	}
	uint32_t note = (uint32_t) (add_note(m, 0) - m->notes);
	uint32_t elements = 0;
	uint8_t closing = is_object ? '}' : ']';
	skip_space(&m->at, m->end);
	if (takes(m, closing, closing)) {
		return true;
	}
	do {
		skip_space(&m->at, m->end);
		if (is_object) {
			if (!measure_key(m)) {
				return false;
			}
			skip_space(&m->at, m->end);
			if (!takes(m, ':', ':')) {
				return false;
			}
			skip_space(&m->at, m->end);
		}
		if (!measure_value(m, depth + 1)) {
			return false;
		}
		elements++;
		skip_space(&m->at, m->end);
	} while (takes(m, ',', ','));
	if (!takes(m, closing, closing)) {
		return false;
	}
	m->notes[note] = elements;
	m->size += ALIGNED(sizeof(HashTable)) + ALIGNED(is_object ? hash_data_size(elements) : packed_data_size(elements));
	return true;
}

static bool measure_value(measure *m, int depth)
{
	if (m->at == m->end) {
		return false;
	}
	switch (*m->at) {
		case '"': m->at++; return measure_string(m);
		case '{': m->at++; return measure_table(m, true, depth);
		case '[': m->at++; return measure_table(m, false, depth);
		case 't': return measure_literal(m, "true", 4);
		case 'f': return measure_literal(m, "false", 5);
		case 'n': return measure_literal(m, "null", 4);
		default: return measure_number(m);
	}
}

/* ---- the second pass ---- */

typedef struct {
	const uint8_t *at, *end;
	const uint32_t *note;
	char *place;
} build;

/* As memcpy(), for short strings: in words, of which the last may reach beyond the text, into the string's padding. */
static zend_always_inline void copy_words(char *to, const uint8_t *from, size_t length, const uint8_t *end)
{
	if (UNEXPECTED(length > 64 || (size_t) (end - from) < length + 8)) {
		memcpy(to, from, length);
		return;
	}
	for (size_t i = 0; i < length; i += 8) {
		memcpy(to + i, from + i, 8);
	}
}

static zend_string *build_string(build *b)
{
	uint32_t note = *b->note++;
	size_t length = note >> 1;
	zend_string *string = cfg_place(&b->place, _ZSTR_STRUCT_SIZE(length));
	ZSTR_LEN(string) = length;
	char *bytes = ZSTR_VAL(string);
	if (EXPECTED(!(note & 1))) {
		copy_words(bytes, b->at, length, b->end);
		b->at += length;
	} else {
		for (size_t i = 0; i < length; i++) {
			bytes[i] = (char) (*b->at == '\\' ? unescape(*++b->at) : *b->at);
			b->at++;
		}
	}
	bytes[length] = '\0';
	b->at++; /* the closing quote */
	cfg_seal_string(string, IS_STR_VALID_UTF8);
	return string;
}

static void build_number(build *b, zval *value)
{
	const uint8_t *at = b->at + (*b->at == '-');
	zend_long number = 0;
	while (*at >= '0' && *at <= '9') {
		number = number * 10 + (*at++ - '0');
	}
	if (*at == '.' || *at == 'e' || *at == 'E') {
		const char *end;
		ZVAL_DOUBLE(value, zend_strtod((const char *) b->at, &end));
		b->at = (const uint8_t *) end;
		return;
	}
	ZVAL_LONG(value, *b->at == '-' ? -number : number);
	b->at = at;
}

static bool build_value(build *b, zval *value);

static HashTable *build_table(build *b, uint32_t elements, uint32_t mask, size_t data_size)
{
	HashTable *table = cfg_place(&b->place, sizeof(HashTable));
	zend_hash_init(table, elements, NULL, ZVAL_PTR_DTOR, 1);
	HT_FLAGS(table) = 0;
	table->nTableMask = mask;
	table->nNumUsed = table->nNumOfElements = elements;
	HT_SET_DATA_ADDR(table, cfg_place(&b->place, data_size));
	return table;
}

/* False if the key is there already. */
static bool link_bucket(HashTable *table, uint32_t at)
{
	Bucket *bucket = &table->arData[at];
	uint32_t slot = (uint32_t) bucket->h | table->nTableMask;
	for (uint32_t other = HT_HASH(table, slot); other != HT_INVALID_IDX; other = Z_NEXT(table->arData[other].val)) {
		if (table->arData[other].h == bucket->h && zend_string_equal_content(table->arData[other].key, bucket->key)) {
			return false;
		}
	}
	Z_NEXT(bucket->val) = HT_HASH(table, slot);
	HT_HASH(table, slot) = at;
	return true;
}

/* From behind its opening bracket. */
static bool build_object(build *b, zval *value)
{
	uint32_t elements = *b->note++;
	HashTable *table = build_table(b, elements, HT_SIZE_TO_MASK(table_size(elements)), hash_data_size(elements));
	HT_HASH_RESET(table);
	for (uint32_t i = 0; i < elements; i++) {
		Bucket *bucket = &table->arData[i];
		skip_space(&b->at, b->end);
		b->at++; /* the quote */
		bucket->key = build_string(b);
		bucket->h = ZSTR_H(bucket->key);
		skip_space(&b->at, b->end);
		b->at++; /* the colon */
		skip_space(&b->at, b->end);
		if (!build_value(b, &bucket->val) || !link_bucket(table, i)) {
			return false;
		}
		skip_space(&b->at, b->end);
		b->at++; /* the comma, or the closing bracket */
	}
	cfg_seal_table(value, table);
	return true;
}

static bool build_list(build *b, zval *value)
{
	uint32_t elements = *b->note++;
	HashTable *table = build_table(b, elements, HT_MIN_MASK, packed_data_size(elements));
	HT_FLAGS(table) = HASH_FLAG_PACKED;
	HT_HASH_RESET_PACKED(table);
	table->nNextFreeElement = elements;
	for (uint32_t i = 0; i < elements; i++) {
#if PHP_VERSION_ID < 80200
		table->arData[i].h = i;
		table->arData[i].key = NULL;
#endif
		skip_space(&b->at, b->end);
		if (!build_value(b, PACKED_VALUE(table, i))) {
			return false;
		}
		skip_space(&b->at, b->end);
		b->at++; /* the comma, or the closing bracket */
	}
	cfg_seal_table(value, table);
	return true;
}

static bool build_value(build *b, zval *value)
{
	uint8_t first = *b->at;
	switch (first) {
		case '"': {
			b->at++;
			zend_string *string = build_string(b);
			ZVAL_INTERNED_STR(value, string);
			return true;
		}
		case '{':
		case '[':
			b->at++;
			if (*b->note == 0) {
				b->note++;
				skip_space(&b->at, b->end);
				b->at++; /* the closing bracket */
				ZVAL_EMPTY_ARRAY(value);
				return true;
			}
			return first == '{' ? build_object(b, value) : build_list(b, value);
		case 't': b->at += 4; ZVAL_TRUE(value); return true;
		case 'f': b->at += 5; ZVAL_FALSE(value); return true;
		case 'n': b->at += 4; ZVAL_NULL(value); return true;
		default: build_number(b, value); return true;
	}
}

bool cfg_decode_plain(zval *value, CoreBytes bytes, cfg_block **block)
{
	/* Not cleared as a whole: most of it is the few notes. */
	measure m;
	m.at = bytes.data;
	m.end = bytes.data + bytes.len;
	m.size = 0;
	m.notes = m.few_notes;
	m.note_count = 0;
	m.note_limit = FEW_NOTES;
	bool is_plain = bytes.len <= INT32_MAX;
	if (is_plain) {
		skip_space(&m.at, m.end);
		is_plain = measure_value(&m, 0);
		skip_space(&m.at, m.end);
		is_plain = is_plain && m.at == m.end;
	}
	if (is_plain) {
		build b = {.at = bytes.data, .end = m.end, .note = m.notes};
		*block = m.size > 0 ? cfg_block_new(m.size, &b.place) : NULL;
		skip_space(&b.at, b.end);
		is_plain = build_value(&b, value);
		ZEND_ASSERT(!is_plain || !*block || b.place == (char *) *block + (*block)->size);
		if (!is_plain) {
			pefree(*block, 1);
			*block = NULL;
		}
	}
	if (m.notes != m.few_notes) {
		pefree(m.notes, 1);
	}
	return is_plain;
}
