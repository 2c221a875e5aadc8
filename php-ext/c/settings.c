/* php.ini: every setting is checked when it is set, and a bad one is refused with the reason. */
#include "php_cfgstore.h"
#include "php_ini.h"
#include "SAPI.h"

typedef struct {
	const char *name;
	int value;
} choice;

static const choice value_modes[] = {
	{"auto", CFG_VALUES_AUTO}, {"immutable", CFG_VALUES_IMMUTABLE}, {"refcounted", CFG_VALUES_REFCOUNTED}, {NULL, 0},
};
static const choice consistencies[] = {
	{"auto", CFG_READS_AUTO}, {"request", CFG_READS_REQUEST}, {"latest", CFG_READS_LATEST}, {NULL, 0},
};
static const choice stale_actions[] = {
	{"serve", CFG_STALE_SERVE}, {"throw", CFG_STALE_THROW}, {NULL, 0},
};

static const char *choice_name(const choice *choices, int value)
{
	while (choices->name && choices->value != value) {
		choices++;
	}
	return choices->name;
}

const char *cfg_value_mode_name(cfg_value_mode mode)
{
	return choice_name(value_modes, mode);
}

const char *cfg_consistency_name(cfg_consistency consistency)
{
	return choice_name(consistencies, consistency);
}

/* What "auto" comes to: the SAPI does not change, and a read must not pay for comparing its name. */
static cfg_value_mode auto_value_mode;
static cfg_consistency auto_consistency;

static void choose_by_sapi(void)
{
	static const struct {
		const char *name;
		bool no_variable_outlives_a_request;
	} web[] = {
		{"fpm-fcgi", true}, {"cgi-fcgi", true}, {"litespeed", true}, {"cli-server", false},
#ifdef ZTS
		{"apache2handler", false},
#else
		{"apache2handler", true},
#endif
	};
	/* A request is short and wants one configuration; a script may run for days and wants the newest. */
	auto_value_mode = CFG_VALUES_REFCOUNTED;
	auto_consistency = CFG_READS_LATEST;
	for (size_t i = 0; i < sizeof(web) / sizeof(*web); i++) {
		if (strcmp(sapi_module.name, web[i].name) == 0) {
			auto_consistency = CFG_READS_REQUEST;
			if (web[i].no_variable_outlives_a_request) {
				auto_value_mode = CFG_VALUES_IMMUTABLE;
			}
		}
	}
}

cfg_value_mode cfg_effective_value_mode(void)
{
	cfg_value_mode mode = CFG_G(settings).value_mode;
	return mode == CFG_VALUES_AUTO ? auto_value_mode : mode;
}

cfg_consistency cfg_effective_consistency(void)
{
	cfg_consistency consistency = CFG_G(settings).consistency;
	return consistency == CFG_READS_AUTO ? auto_consistency : consistency;
}

/* At startup PHP goes on with the default, so it is a warning; in a running script it is an exception. */
static zend_result refuse(const zend_ini_entry *entry, const zend_string *value, int stage, const char *expected)
{
	if (stage == ZEND_INI_STAGE_RUNTIME && EG(current_execute_data)) {
		cfg_throw_kind(ERROR_KIND_INVALID_ARGUMENT, false, "%s cannot be \"%s\": expected %s",
			ZSTR_VAL(entry->name), ZSTR_VAL(value), expected);
	} else {
		zend_error(stage == ZEND_INI_STAGE_STARTUP ? E_CORE_WARNING : E_WARNING,
			"%s cannot be \"%s\": expected %s; its former or default value stays",
			ZSTR_VAL(entry->name), ZSTR_VAL(value), expected);
	}
	return FAILURE;
}

#define SETTING(type) ((type *) ((char *) ZEND_MODULE_GLOBALS_BULK(cfgstore) + (size_t) mh_arg1))

static ZEND_INI_MH(on_text)
{
	CFG_G(default_scope) = NULL;
	if (strlen(ZSTR_VAL(new_value)) != ZSTR_LEN(new_value)) {
		return refuse(entry, new_value, stage, "text without NUL bytes");
	}
	return OnUpdateString(entry, new_value, mh_arg1, mh_arg2, mh_arg3, stage);
}

static ZEND_INI_MH(on_path)
{
	if (ZSTR_LEN(new_value) > 0 && ZSTR_VAL(new_value)[0] != '/') {
		return refuse(entry, new_value, stage, "an absolute path, or nothing");
	}
	return on_text(entry, new_value, mh_arg1, mh_arg2, mh_arg3, stage);
}

static ZEND_INI_MH(on_seconds)
{
	const char *end;
	double seconds = zend_strtod(ZSTR_VAL(new_value), &end);
	if (ZSTR_LEN(new_value) == 0 || end != ZSTR_VAL(new_value) + ZSTR_LEN(new_value) || !(seconds >= 0 && seconds <= 86400)) {
		return refuse(entry, new_value, stage, "a number of seconds from 0 to 86400");
	}
	*SETTING(double) = seconds;
	CFG_G(default_scope) = NULL;
	return SUCCESS;
}

static ZEND_INI_MH(on_flag)
{
	static const char *const yes[] = {"1", "on", "yes", "true"}, *const no[] = {"", "0", "off", "no", "false"};
	for (size_t i = 0; i < sizeof(yes) / sizeof(*yes); i++) {
		if (strcasecmp(ZSTR_VAL(new_value), yes[i]) == 0) {
			*SETTING(bool) = true;
			return SUCCESS;
		}
	}
	for (size_t i = 0; i < sizeof(no) / sizeof(*no); i++) {
		if (strcasecmp(ZSTR_VAL(new_value), no[i]) == 0) {
			*SETTING(bool) = false;
			return SUCCESS;
		}
	}
	return refuse(entry, new_value, stage, "on or off");
}

static ZEND_INI_MH(on_choice)
{
	const choice *choices = mh_arg3;
	for (const choice *c = choices; c->name; c++) {
		if (strcmp(ZSTR_VAL(new_value), c->name) == 0) {
			*SETTING(int) = c->value;
			return SUCCESS;
		}
	}
	char expected[100];
	snprintf(expected, sizeof(expected), choices[2].name ? "\"%s\", \"%s\" or \"%s\"" : "\"%s\" or \"%s\"",
		choices[0].name, choices[1].name, choices[2].name);
	return refuse(entry, new_value, stage, expected);
}

#ifdef ZTS
# define GLOBALS_ARG &cfgstore_globals_id
#else
# define GLOBALS_ARG &cfgstore_globals
#endif
#define ENTRY(name, initial, when, handler, field, arg) \
	ZEND_INI_ENTRY3("cfgstore." name, initial, when, handler, \
		(void *) offsetof(zend_cfgstore_globals, settings.field), (void *) GLOBALS_ARG, (void *) (arg))

PHP_INI_BEGIN()
	ENTRY("endpoints", "", PHP_INI_ALL, on_text, endpoints, NULL)
	ENTRY("prefix", "", PHP_INI_ALL, on_text, prefix, NULL)
	ENTRY("data_dir", "", PHP_INI_SYSTEM | PHP_INI_PERDIR, on_path, data_dir, NULL)
	ENTRY("mirror_dir", "", PHP_INI_SYSTEM | PHP_INI_PERDIR, on_path, mirror_dir, NULL)
	ENTRY("cfgstored", "", PHP_INI_SYSTEM, on_path, cfgstored, NULL)
	ENTRY("seed", "", PHP_INI_SYSTEM, on_path, seed, NULL)
	/* Whatever it is: to go on without one would store in clear what is to be sealed. */
	ENTRY("keyring", "", PHP_INI_SYSTEM, on_text, keyring, NULL)
	ENTRY("client_name", "", PHP_INI_SYSTEM, on_text, client_name, NULL)
	ENTRY("autostart", "1", PHP_INI_SYSTEM, on_flag, autostart, NULL)
	ENTRY("timeout", "5", PHP_INI_ALL, on_seconds, timeout, NULL)
	ENTRY("value_mode", "auto", PHP_INI_SYSTEM, on_choice, value_mode, value_modes)
	ENTRY("consistency", "auto", PHP_INI_ALL, on_choice, consistency, consistencies)
	ENTRY("stale_after", "30", PHP_INI_ALL, on_seconds, stale_after, NULL)
	ENTRY("on_stale", "serve", PHP_INI_ALL, on_choice, on_stale, stale_actions)
PHP_INI_END()

/* PHP ignores a setting nobody registered, so a misspelt one would go unnoticed. */
static void warn_of_unknown_settings(void)
{
	zend_string *name;
	ZEND_HASH_FOREACH_STR_KEY(php_ini_get_configuration_hash(), name) {
		if (name && strncmp(ZSTR_VAL(name), "cfgstore.", strlen("cfgstore.")) == 0
				&& !zend_hash_exists(EG(ini_directives), name)) {
			zend_error(E_CORE_WARNING, "%s is no setting of the cfgstore extension; it is ignored", ZSTR_VAL(name));
		}
	} ZEND_HASH_FOREACH_END();
}

/* A container names its seed in the environment, which php-fpm does not leave to its workers: it is read here, in the master. */
static void take_seed_from_environment(void)
{
	const char *name = "cfgstore.seed", *seed = getenv("CFGSTORE_SEED");
	if (seed && *seed && !zend_hash_str_exists(php_ini_get_configuration_hash(), name, strlen(name))) {
		zval value;
		ZVAL_NEW_STR(&value, zend_string_init(seed, strlen(seed), 1));
		zend_hash_str_update(php_ini_get_configuration_hash(), name, strlen(name), &value);
	}
}

zend_result cfg_settings_register(int type, int module_number)
{
	choose_by_sapi();
	take_seed_from_environment();
	if (zend_register_ini_entries(ini_entries, module_number) == FAILURE) {
		return FAILURE;
	}
	warn_of_unknown_settings();
	cfgstore_core_keyring_capture(cfg_cstring(CFG_G(settings).keyring));
	return SUCCESS;
}

void cfg_settings_unregister(int type, int module_number)
{
	UNREGISTER_INI_ENTRIES();
}
