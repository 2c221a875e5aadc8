/*
 * What bench.php can't do in PHP: a function that does nothing, and the extension's share of a request, called in a loop within
 * one process. An extension of its own, which bench.sh compiles; it calls cfgstore.so by what every module shows to the engine.
 */
#include <time.h>

#include "php.h"

static uint64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t) now.tv_sec * 1000000000 + (uint64_t) now.tv_nsec;
}

/* One request that does nothing, as far as the extension sees it: RINIT, RSHUTDOWN and post_deactivate. */
static void begin_request(const zend_module_entry *module)
{
	module->request_startup_func(MODULE_PERSISTENT, module->module_number);
}

static void end_request(const zend_module_entry *module)
{
	module->request_shutdown_func(MODULE_PERSISTENT, module->module_number);
	module->post_deactivate_func();
}

/* bench_nothing(string $key, mixed $default = null): mixed */
static ZEND_FUNCTION(bench_nothing)
{
}

/*
 * bench_requests(string $key, int $times): array of nanoseconds
 *   request: of a request that reads nothing;
 *   first: of the only read in a request, net of the request;
 *   read: of one read of many in a request.
 * A read is a call of what cfgstore_get() runs, without the engine's call around it.
 */
static ZEND_FUNCTION(bench_requests)
{
	zend_string *key;
	zend_long times;
	ZEND_PARSE_PARAMETERS_START(2, 2)
		Z_PARAM_STR(key)
		Z_PARAM_LONG(times)
	ZEND_PARSE_PARAMETERS_END();
	const zend_module_entry *module = zend_hash_str_find_ptr(&module_registry, ZEND_STRL("cfgstore"));
	zend_function *get = zend_hash_str_find_ptr(CG(function_table), ZEND_STRL("cfgstore_get"));
	zend_execute_data *call = zend_vm_stack_push_call_frame(ZEND_CALL_TOP_FUNCTION, get, 1, NULL);
	ZVAL_STR(ZEND_CALL_ARG(call, 1), key);
	call->prev_execute_data = execute_data;
	zval value;

	uint64_t at[4];
	at[0] = now_ns();
	for (zend_long i = 0; i < times; i++) {
		begin_request(module);
		end_request(module);
	}
	at[1] = now_ns();
	for (zend_long i = 0; i < times; i++) {
		begin_request(module);
		get->internal_function.handler(call, &value);
		zval_ptr_dtor(&value);
		end_request(module);
	}
	at[2] = now_ns();
	for (zend_long i = 0; i < times; i++) {
		get->internal_function.handler(call, &value);
		zval_ptr_dtor(&value);
	}
	at[3] = now_ns();
	zend_vm_stack_free_call_frame(call);

	array_init(return_value);
	add_assoc_double(return_value, "request", (double) (at[1] - at[0]) / times);
	add_assoc_double(return_value, "first", ((double) (at[2] - at[1]) - (double) (at[1] - at[0])) / times);
	add_assoc_double(return_value, "read", (double) (at[3] - at[2]) / times);
}

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_nothing, 0, 1, IS_MIXED, 0)
	ZEND_ARG_TYPE_INFO(0, key, IS_STRING, 0)
	ZEND_ARG_TYPE_INFO(0, default, IS_MIXED, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_requests, 0, 2, IS_ARRAY, 0)
	ZEND_ARG_TYPE_INFO(0, key, IS_STRING, 0)
	ZEND_ARG_TYPE_INFO(0, times, IS_LONG, 0)
ZEND_END_ARG_INFO()

static const zend_function_entry functions[] = {
	ZEND_FE(bench_nothing, arginfo_nothing)
	ZEND_FE(bench_requests, arginfo_requests)
	ZEND_FE_END
};

static zend_module_entry probe_module_entry = {
	STANDARD_MODULE_HEADER, "cfgstore_probe", functions, NULL, NULL, NULL, NULL, NULL, "0", STANDARD_MODULE_PROPERTIES
};

ZEND_GET_MODULE(probe)
