/*
 * Sources, scopes and slots: how a read finds its value.
 *
 * A source's view is the mirror's snapshot that its reads see. The hot path (cfg_scope_peek) asks two things: does the view
 * need no look, and was this slot found current in it. All else is here: taking a view, and filling slots one by one, so a
 * change of one key costs the others a look-up and no decoding. A view that a look finds to be the newest still keeps its
 * number, and with it its slots: so the first read of a request costs little more than the others.
 */
#include "php_cfgstore.h"

#include "SAPI.h"

#include <unistd.h>

/* From this number of scopes on, those that no object uses are dropped when a new one is made. */
#define IDLE_SCOPES 64
/* Below this number of slots nothing is swept. */
#define FIRST_SWEEP 1024

static const uint64_t zero = 0;

/* ---- views ---- */

static void unsettle(cfg_source *source)
{
	source->word = &zero;
	source->seen = 1;
}

/* Decides how long the view needs no look. */
static void settle(cfg_source *source)
{
	if (source->pinned) {
		source->word = &zero;
		source->seen = 0;
	} else if (cfg_effective_consistency() == CFG_READS_REQUEST) {
		source->word = &CFG_G(request);
		source->seen = CFG_G(request);
	} else {
		unsettle(source);
	}
}

static bool is_stale(const cfg_source *source)
{
	return CFG_G(settings).on_stale == CFG_STALE_THROW && CFG_G(settings).stale_after > 0
		&& source->newest.silent_ms >= CFG_G(settings).stale_after * 1000;
}

/* Makes the view the newest one. If it is that already, this costs a load and a look at the clock. */
static bool take_view(cfg_source *source)
{
	if (UNEXPECTED(!source->core)) {
		zend_throw_error(NULL, "The Cfgstore\\Client has not been constructed");
		return false;
	}
	CoreAtLeast must_hold = {0};
	if (source->must_hold_request == CFG_G(request)) {
		must_hold = source->must_hold;
	}
	uint64_t now_ms = cfg_now_ms();
	bool moved = !source->newest.word || __atomic_load_n(source->newest.word, __ATOMIC_ACQUIRE) != source->newest.seen;
	if (moved || now_ms >= source->newest.check_at_ms) {
		CoreError error;
		if (!cfgstore_core_view(source->core, now_ms, must_hold, CFG_G(settings).timeout, &source->newest, &error)) {
			/* The core may have left the mirror that the word belongs to. */
			source->newest.word = NULL;
			unsettle(source);
			cfg_throw(&error);
			return false;
		}
	}
	source->viewed_in = CFG_G(request);
	if (!source->must_hold.store_id) {
		source->must_hold.store_id = source->newest.store_id;
	}
	if (source->view != source->newest.number) {
		source->view = source->newest.number;
		source->revision = source->newest.revision;
		CFG_G(views)++;
	}
	if (is_stale(source)) {
		unsettle(source);
		char silent[64] = "was never heard";
		if (source->newest.silent_ms != UINT64_MAX) {
			snprintf(silent, sizeof(silent), "has been silent for %.1f s", (double) source->newest.silent_ms / 1000);
		}
		cfg_throw_kind(ERROR_KIND_UNAVAILABLE, true,
			"the host agent %s, and cfgstore.on_stale is \"throw\" after %.1f s: "
			"look after the agent, or set cfgstore.on_stale=serve to read the last known configuration",
			silent, CFG_G(settings).stale_after);
		return false;
	}
	settle(source);
	return true;
}

bool cfg_source_move(cfg_source *source)
{
	return cfg_source_is_settled(source) || take_view(source);
}

bool cfg_source_refresh(cfg_source *source)
{
	unsettle(source);
	return take_view(source);
}

void cfg_source_pin(cfg_source *source)
{
	source->pinned = true;
	settle(source);
}

void cfg_source_unpin(cfg_source *source)
{
	source->pinned = false;
	unsettle(source);
}

void cfg_sources_unpin(void)
{
	for (cfg_source *source = CFG_G(sources); source; source = source->next) {
		if (source->pinned) {
			cfg_source_unpin(source);
		}
	}
}

/* From now on the request's reads hold this revision of that store. 0: of the one shown, by the first view if there was none. */
static void hold(cfg_source *source, int64_t revision, uint64_t store_id)
{
	uint64_t shown = source->newest.store_id;
	if (!store_id) {
		store_id = shown;
	}
	CoreAtLeast *held = &source->must_hold;
	if (source->must_hold_request != CFG_G(request) || held->store_id != store_id || held->revision < revision) {
		*held = (CoreAtLeast) {
			.revision = revision,
			.store_id = store_id,
			.replaced_store_id = shown != store_id ? shown : 0,
		};
		source->must_hold_request = CFG_G(request);
	}
	if (shown != store_id || source->revision < revision) {
		source->newest.word = NULL; /* so that the core is asked, even if the mirror has not moved since */
		unsettle(source);
	}
}

void cfg_source_wrote(cfg_source *source, int64_t revision)
{
	hold(source, revision, cfgstore_core_answered_by(source->core));
}

void cfg_source_saw(cfg_source *source, int64_t revision)
{
	if (!source->pinned && cfg_effective_consistency() == CFG_READS_LATEST) {
		/* A watch does not say which store it is of: the one shown, unless a write has found that another has taken its place. */
		bool is_replaced = source->must_hold_request == CFG_G(request) && source->newest.store_id
			&& source->must_hold.replaced_store_id == source->newest.store_id;
		hold(source, revision, is_replaced ? source->must_hold.store_id : 0);
	}
}

/* ---- slots ---- */

/*
 * No code of the program may run while slots change. Letting go of an array that a variable holds too may start the collector,
 * and with it destructors, which may read. What JSON decodes to has no cycle, so that it needs no collector.
 */
static void clear_slot(cfg_slot *slot)
{
	if (slot->block) {
		cfg_block_bury(slot->block);
		slot->block = NULL;
	} else {
		bool was_protected = gc_protect(true);
		zval_ptr_dtor(&slot->value);
		gc_protect(was_protected);
	}
	ZVAL_UNDEF(&slot->value);
}

static void free_slot(zval *element)
{
	clear_slot(Z_PTR_P(element));
	pefree(Z_PTR_P(element), 1);
}

static int drop_outdated(zval *element, void *scope)
{
	const cfg_slot *slot = Z_PTR_P(element);
	bool keep = slot->view == ((cfg_scope *) scope)->source->view && !Z_ISUNDEF(slot->value);
	return keep ? ZEND_HASH_APPLY_KEEP : ZEND_HASH_APPLY_REMOVE;
}

/* One that outlives requests, counted by this thread alone. */
static zend_string *persistent_string(const char *bytes, size_t length)
{
	zend_string *string = zend_string_init(bytes, length, 1);
	GC_MAKE_PERSISTENT_LOCAL(string);
	return string;
}

static cfg_slot *add_slot(cfg_scope *scope, zend_string *key)
{
	/* Keys that came and went, and keys that never were, must not pile up in a long-lived process. */
	if (zend_hash_num_elements(&scope->slots) >= scope->sweep_at) {
		zend_hash_apply_with_argument(&scope->slots, drop_outdated, scope);
		scope->sweep_at = MAX(FIRST_SWEEP, 2 * zend_hash_num_elements(&scope->slots));
	}
	cfg_slot *slot = pecalloc(1, sizeof(cfg_slot), 1);
	ZVAL_UNDEF(&slot->value);
	slot->is_dotted = memchr(ZSTR_VAL(key), '.', ZSTR_LEN(key)) != NULL;
	zend_string *own_key = persistent_string(ZSTR_VAL(key), ZSTR_LEN(key));
	zend_hash_add_new_ptr(&scope->slots, own_key, slot);
	zend_string_release_ex(own_key, 1);
	return slot;
}

cfg_slot *cfg_scope_load_record(cfg_scope *scope, zend_string *key, const CoreRecord *record)
{
	cfg_slot *slot = zend_hash_find_ptr(&scope->slots, key);
	if (slot && slot->mod_revision == record->mod_revision && slot->store_id == record->store_id) {
		slot->view = scope->source->view;
		return slot;
	}
	zval value;
	cfg_block *block = NULL;
	ZVAL_UNDEF(&value);
	if (record->found) {
		CoreBytes bytes = record->value;
		if (!cfg_keyring_open(scope, key, &bytes)) {
			return NULL;
		}
		bool immutable = cfg_effective_value_mode() == CFG_VALUES_IMMUTABLE && cfg_graveyard_has_room();
		if (!cfg_decode(&value, bytes, immutable, &block)) { /* or it bails out: nothing is held yet */
			return NULL;
		}
		if (!immutable && Z_REFCOUNTED(value)) {
			scope->has_counted = true;
		}
	}
	if (slot) {
		clear_slot(slot);
	} else {
		slot = add_slot(scope, key);
	}
	ZVAL_COPY_VALUE(&slot->value, &value);
	slot->block = block;
	slot->mod_revision = record->mod_revision;
	slot->store_id = record->store_id;
	slot->view = scope->source->view;
	return slot;
}

cfg_slot *cfg_scope_load(cfg_scope *scope, zend_string *key)
{
	cfg_source *source = scope->source;
	if (!cfg_source_move(source)) {
		return NULL;
	}
	/* The first read of a request finds that nothing has changed; so does every read that takes the newest. */
	zend_string_hash_val(key);
	cfg_slot *slot = cfg_scope_current_slot(scope, key);
	if (EXPECTED(slot != NULL)) {
		return slot;
	}
	CoreRecord record;
	CoreError error;
	if (!cfgstore_core_lookup(source->core, cfg_bytes(scope->prefix), cfg_bytes(key), &record, &error)) {
		cfg_throw(&error);
		return NULL;
	}
	return cfg_scope_load_record(scope, key, &record);
}

void cfg_drop_counted_values(void)
{
	for (cfg_source *source = CFG_G(sources); source; source = source->next) {
		for (cfg_scope *scope = source->scopes; scope; scope = scope->next) {
			if (scope->has_counted) {
				zend_hash_clean(&scope->slots);
				scope->has_counted = false;
			}
		}
	}
}

/* ---- scopes and sources ---- */

static bool same(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

bool cfg_starts_nothing(void)
{
	return CFG_G(preloading) && geteuid() == 0;
}

static cfg_source *open_source(const char *endpoints, const char *keyring, CoreError *error)
{
	const cfg_settings *settings = &CFG_G(settings);
	for (cfg_source *source = CFG_G(sources); source; source = source->next) {
		if (same(source->endpoints, endpoints) && same(source->data_dir, settings->data_dir)
				&& same(source->mirror_dir, settings->mirror_dir) && same(source->keyring, keyring)) {
			return source;
		}
	}
	char sapi_name[64];
	snprintf(sapi_name, sizeof(sapi_name), "php-%s", sapi_module.name);
	const char *client_name = settings->client_name && *settings->client_name ? settings->client_name : sapi_name;
	CoreSettings core_settings = {
		.endpoints = cfg_cstring(endpoints),
		.data_dir = cfg_cstring(settings->data_dir),
		.mirror_dir = cfg_cstring(settings->mirror_dir),
		.cfgstored = cfg_cstring(settings->cfgstored),
		.seed = cfg_cstring(settings->seed),
		.keyring = cfg_cstring(keyring),
		.client_name = cfg_cstring(client_name),
		.autostart = settings->autostart && !cfg_starts_nothing(),
	};
	CoreSource *core = cfgstore_core_source_open(&core_settings, error);
	if (!core) {
		return NULL;
	}
	cfg_source *source = pecalloc(1, sizeof(cfg_source), 1);
	source->core = core;
	source->endpoints = pestrdup(endpoints ? endpoints : "", 1);
	source->data_dir = pestrdup(settings->data_dir ? settings->data_dir : "", 1);
	source->mirror_dir = pestrdup(settings->mirror_dir ? settings->mirror_dir : "", 1);
	source->keyring = pestrdup(keyring ? keyring : "", 1);
	unsettle(source);
	source->next = CFG_G(sources);
	CFG_G(sources) = source;
	return source;
}

static void free_scope(cfg_scope *scope)
{
	zend_hash_destroy(&scope->slots);
	zend_string_release_ex(scope->prefix, 1);
	pefree(scope, 1);
}

static void free_source(cfg_source *source)
{
	cfgstore_core_source_close(source->core);
	pefree(source->endpoints, 1);
	pefree(source->data_dir, 1);
	pefree(source->mirror_dir, 1);
	pefree(source->keyring, 1);
	pefree(source, 1);
}

/* What a program names on the fly must not pile up in a long-lived process. */
static void evict_idle(void)
{
	for (cfg_source **at_source = &CFG_G(sources); *at_source;) {
		cfg_source *source = *at_source;
		for (cfg_scope **at = &source->scopes; *at;) {
			cfg_scope *scope = *at;
			if (scope->users > 0 || scope == CFG_G(default_scope)) {
				at = &scope->next;
			} else {
				*at = scope->next;
				free_scope(scope);
				CFG_G(scope_count)--;
			}
		}
		if (source->scopes) {
			at_source = &source->next;
		} else {
			*at_source = source->next;
			free_source(source);
		}
	}
}

/* The scope of a source with that prefix. */
static cfg_scope *scope_of(cfg_source *source, const char *prefix, size_t length)
{
	for (cfg_scope *scope = source->scopes; scope; scope = scope->next) {
		if (ZSTR_LEN(scope->prefix) == length && memcmp(ZSTR_VAL(scope->prefix), prefix, length) == 0) {
			return scope;
		}
	}
	cfg_scope *scope = pecalloc(1, sizeof(cfg_scope), 1);
	scope->source = source;
	scope->prefix = persistent_string(prefix, length);
	scope->sweep_at = FIRST_SWEEP;
	zend_hash_init(&scope->slots, 8, NULL, free_slot, 1);
	scope->next = source->scopes;
	source->scopes = scope;
	CFG_G(scope_count)++;
	return scope;
}

cfg_scope *cfg_scope_open(zend_string *prefix, zend_string *endpoints, zend_string *keyring, CoreError *error)
{
	const cfg_settings *settings = &CFG_G(settings);
	if (CG(compiler_options) & ZEND_COMPILE_PRELOAD) {
		CFG_G(preloading) = true;
	}
	if (CFG_G(scope_count) >= IDLE_SCOPES) {
		evict_idle();
	}
	cfg_source *source = open_source(endpoints ? ZSTR_VAL(endpoints) : settings->endpoints,
		keyring ? ZSTR_VAL(keyring) : settings->keyring, error);
	if (!source) {
		return NULL;
	}
	if (prefix) {
		return scope_of(source, ZSTR_VAL(prefix), ZSTR_LEN(prefix));
	}
	const char *wanted = settings->prefix ? settings->prefix : "";
	return scope_of(source, wanted, strlen(wanted));
}

cfg_scope *cfg_scope_below(cfg_scope *scope, zend_string *prefix)
{
	if (CFG_G(scope_count) >= IDLE_SCOPES) {
		evict_idle();
	}
	zend_string *whole = zend_string_concat2(ZSTR_VAL(scope->prefix), ZSTR_LEN(scope->prefix), ZSTR_VAL(prefix), ZSTR_LEN(prefix));
	cfg_scope *below = scope_of(scope->source, ZSTR_VAL(whole), ZSTR_LEN(whole));
	zend_string_release_ex(whole, 0);
	return below;
}

cfg_scope *cfg_scope_default(CoreError *error)
{
	if (UNEXPECTED(!CFG_G(default_scope))) {
		CFG_G(default_scope) = cfg_scope_open(NULL, NULL, NULL, error);
	}
	return CFG_G(default_scope);
}

/* At once: no variable is left that could hold the value, and the graveyard at hand may be another thread's. */
static int free_block(zval *element)
{
	cfg_slot *slot = Z_PTR_P(element);
	if (slot->block) {
		pefree(slot->block, 1);
		slot->block = NULL;
		ZVAL_UNDEF(&slot->value);
	}
	return ZEND_HASH_APPLY_KEEP;
}

void cfg_sources_close(zend_cfgstore_globals *globals)
{
	for (cfg_source *source = globals->sources, *next_source; source; source = next_source) {
		next_source = source->next;
		for (cfg_scope *scope = source->scopes, *next; scope; scope = next) {
			next = scope->next;
			zend_hash_apply(&scope->slots, free_block);
			free_scope(scope);
		}
		free_source(source);
	}
	globals->sources = NULL;
	globals->scope_count = 0;
	globals->default_scope = NULL;
}
