/* The module: what PHP loads, and the cycle of process, thread and request. */
#include "php_cfgstore.h"

ZEND_DECLARE_MODULE_GLOBALS(cfgstore)

#if defined(ZTS) && defined(COMPILE_DL_CFGSTORE)
ZEND_TSRMLS_CACHE_DEFINE()
#endif

static PHP_GINIT_FUNCTION(cfgstore)
{
#if defined(ZTS) && defined(COMPILE_DL_CFGSTORE)
	ZEND_TSRMLS_CACHE_UPDATE();
#endif
	memset(cfgstore_globals, 0, sizeof(*cfgstore_globals));
}

/* Runs once per process, and again on Apache's graceful restart: no thread, no connection, no file here. */
static PHP_MINIT_FUNCTION(cfgstore)
{
	if (cfg_settings_register(type, module_number) == FAILURE) {
		return FAILURE;
	}
	cfg_errors_register();
	cfg_objects_register();
	cfg_notifications_register();
	cfg_compare_register();
	cfg_retention_register();
	cfg_schema_register();
	cfg_client_register();
	cfg_transaction_register();
	cfg_watch_register();
	cfg_lock_register();
	return SUCCESS;
}

static PHP_MSHUTDOWN_FUNCTION(cfgstore)
{
	cfg_settings_unregister(type, module_number);
	return SUCCESS;
}

static PHP_GSHUTDOWN_FUNCTION(cfgstore)
{
	cfg_sources_close(cfgstore_globals);
	cfg_graveyard_free(&cfgstore_globals->graveyard);
}

/* All that a request pays which reads nothing. */
static PHP_RINIT_FUNCTION(cfgstore)
{
#if defined(ZTS) && defined(COMPILE_DL_CFGSTORE)
	ZEND_TSRMLS_CACHE_UPDATE();
#endif
	CFG_G(request)++;
	if (UNEXPECTED(CFG_G(graveyard).first)) {
		cfg_graveyard_sweep();
	}
	return SUCCESS;
}

static PHP_RSHUTDOWN_FUNCTION(cfgstore)
{
	cfg_locks_release();
	cfg_drop_counted_values();
	return SUCCESS;
}

/* A session handler written in PHP may have read once more after our RSHUTDOWN. */
static ZEND_MODULE_POST_ZEND_DEACTIVATE_D(cfgstore)
{
	cfg_drop_counted_values();
	cfg_sources_unpin();
	if (UNEXPECTED(CFG_G(preloading))) {
		/* php-fpm's master keeps nothing open that its workers would inherit. */
		cfg_sources_close(ZEND_MODULE_GLOBALS_BULK(cfgstore));
		CFG_G(preloading) = false;
	}
	return SUCCESS;
}

static PHP_MINFO_FUNCTION(cfgstore)
{
	cfg_info(zend_module);
}

static const zend_module_dep dependencies[] = {
	ZEND_MOD_REQUIRED("json")
	ZEND_MOD_REQUIRED("spl")
	ZEND_MOD_END
};

static zend_module_entry cfgstore_module_entry = {
	STANDARD_MODULE_HEADER_EX,
	NULL,
	dependencies,
	"cfgstore",
	cfg_functions,
	PHP_MINIT(cfgstore),
	PHP_MSHUTDOWN(cfgstore),
	PHP_RINIT(cfgstore),
	PHP_RSHUTDOWN(cfgstore),
	PHP_MINFO(cfgstore),
	CFGSTORE_VERSION,
	PHP_MODULE_GLOBALS(cfgstore),
	PHP_GINIT(cfgstore),
	PHP_GSHUTDOWN(cfgstore),
	ZEND_MODULE_POST_ZEND_DEACTIVATE_N(cfgstore),
	STANDARD_MODULE_PROPERTIES_EX
};

/* Rust's get_module() hands this on. */
void *cfgstore_php_module(void)
{
	return &cfgstore_module_entry;
}
