/* Cfgstore\Watch and Cfgstore\Subscription: one watch of the client core, seen as an iterator or taken from by hand. */
#include "php_cfgstore.h"
#include "zend_interfaces.h"

#include <math.h>
#include <poll.h>

/* A signal that arrives just before poll() does not end it: look for one at least this often. */
#define LOOK_UP_MS 500

typedef struct {
	cfg_owner owner;
	CoreWatch *core;
	bool ends;             /* Watch: the loop ends after `timeout` seconds */
	double timeout;
	uint64_t loop_ends_us; /* Watch: when the present loop ends */
	zval current;          /* Watch: a Change, or IS_UNDEF */
	zend_object std;
} watch_object;

static zend_class_entry *watch_ce, *subscription_ce;
static zend_object_handlers watch_handlers;

static watch_object *from_object(zend_object *object)
{
	return (watch_object *) ((char *) object - offsetof(watch_object, std));
}

#define THIS_WATCH() from_object(Z_OBJ_P(ZEND_THIS))

static zend_object *create_watch(zend_class_entry *ce)
{
	watch_object *watch = zend_object_alloc(sizeof(watch_object), ce);
	zend_object_std_init(&watch->std, ce);
	watch->std.handlers = &watch_handlers;
	ZVAL_UNDEF(&watch->current);
	return &watch->std;
}

static void free_watch(zend_object *object)
{
	watch_object *watch = from_object(object);
	cfgstore_core_watch_free(watch->core);
	zval_ptr_dtor(&watch->current);
	cfg_owner_release(&watch->owner);
	zend_object_std_dtor(object);
}

static watch_object *new_object(zval *result, zend_class_entry *ce, cfg_owner owner, zend_string *prefix, int64_t from_revision)
{
	object_init_ex(result, ce);
	watch_object *watch = from_object(Z_OBJ_P(result));
	cfg_owner_hold(&watch->owner, owner);
	CoreError error;
	watch->core = cfgstore_core_watch_open(owner.scope->source->core, owner.timeout, cfg_bytes(owner.scope->prefix),
		cfg_bytes(prefix), from_revision, &error);
	if (!watch->core) {
		zval_ptr_dtor(result);
		ZVAL_UNDEF(result);
		cfg_throw(&error);
		return NULL;
	}
	return watch;
}

void cfg_new_watch(zval *result, cfg_owner owner, zend_string *prefix, bool ends, double timeout, int64_t from_revision)
{
	watch_object *watch = new_object(result, watch_ce, owner, prefix, from_revision);
	if (watch) {
		watch->ends = ends;
		watch->timeout = timeout;
	}
}

void cfg_new_subscription(zval *result, cfg_owner owner, zend_string *prefix, int64_t from_revision)
{
	new_object(result, subscription_ce, owner, prefix, from_revision);
}

/* Not cfg_now_ms(): that one is coarse, and a wait measured by it ends early. */
static uint64_t now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
}

static uint64_t after(double seconds)
{
	double us = ceil(seconds * 1e6);
	return us < 1e18 ? now_us() + 1 + (uint64_t) us : UINT64_MAX;
}

/* Runs signal handlers of pcntl_async_signals(), and ends the script when its time is up. */
static void run_interrupts(void)
{
#if PHP_VERSION_ID >= 80200
	if (!zend_atomic_bool_exchange(&EG(vm_interrupt), false)) {
		return;
	}
	bool timed_out = zend_atomic_bool_load(&EG(timed_out));
#else
	if (!EG(vm_interrupt)) {
		return;
	}
	EG(vm_interrupt) = 0;
	bool timed_out = EG(timed_out);
#endif
	if (timed_out) {
		zend_timeout();
	} else if (zend_interrupt_function) {
		zend_interrupt_function(EG(current_execute_data));
	}
}

/* The next change into `change`; false if none comes until `ends_us`, or with an exception. */
static bool await(watch_object *watch, uint64_t ends_us, zval *change)
{
	for (;;) {
		CoreChange taken;
		CoreError error;
		int result = cfgstore_core_watch_take(watch->core, &taken, &error);
		if (result > 0) {
			cfg_source_saw(watch->owner.scope->source, taken.revision);
			cfg_new_change(change, &taken, ZSTR_LEN(watch->owner.scope->prefix));
			return true;
		}
		int descriptor = result < 0 ? -1 : cfgstore_core_watch_fd(watch->core, &error);
		if (descriptor < 0) {
			cfg_throw(&error);
			return false;
		}
		uint64_t now = now_us();
		if (now >= ends_us) {
			return false;
		}
		uint64_t left_ms = (ends_us - now + 999) / 1000;
		struct pollfd readable = {.fd = descriptor, .events = POLLIN};
		poll(&readable, 1, (int) MIN(left_ms, LOOK_UP_MS));
		run_interrupts();
		if (EG(exception)) {
			return false;
		}
	}
}

/* ---- Watch ---- */

static ZEND_METHOD(Watch, __construct)
{
	ZEND_PARSE_PARAMETERS_NONE();
}

/* The old one's end may start the collector, and so code that uses this watch: it finds the new one. */
static void set_current(watch_object *watch, zval *change)
{
	zval old;
	ZVAL_COPY_VALUE(&old, &watch->current);
	ZVAL_COPY_VALUE(&watch->current, change);
	zval_ptr_dtor(&old);
}

static void advance(watch_object *watch)
{
	zval change;
	ZVAL_UNDEF(&change);
	set_current(watch, &change);
	if (!EG(exception) && await(watch, watch->loop_ends_us, &change)) {
		set_current(watch, &change);
	}
}

static ZEND_METHOD(Watch, rewind)
{
	ZEND_PARSE_PARAMETERS_NONE();
	watch_object *watch = THIS_WATCH();
	watch->loop_ends_us = watch->ends ? after(watch->timeout) : UINT64_MAX;
	advance(watch);
}

static ZEND_METHOD(Watch, next)
{
	ZEND_PARSE_PARAMETERS_NONE();
	advance(THIS_WATCH());
}

static ZEND_METHOD(Watch, valid)
{
	ZEND_PARSE_PARAMETERS_NONE();
	RETURN_BOOL(!Z_ISUNDEF(THIS_WATCH()->current));
}

static ZEND_METHOD(Watch, current)
{
	ZEND_PARSE_PARAMETERS_NONE();
	watch_object *watch = THIS_WATCH();
	if (Z_ISUNDEF(watch->current)) {
		RETURN_NULL();
	}
	RETURN_COPY(&watch->current);
}

/* Property 4 of a Change is its revision. */
static ZEND_METHOD(Watch, key)
{
	ZEND_PARSE_PARAMETERS_NONE();
	watch_object *watch = THIS_WATCH();
	if (Z_ISUNDEF(watch->current)) {
		RETURN_NULL();
	}
	RETURN_COPY(OBJ_PROP_NUM(Z_OBJ(watch->current), 4));
}

static ZEND_METHOD(Watch, position)
{
	ZEND_PARSE_PARAMETERS_NONE();
	RETURN_LONG((zend_long) cfgstore_core_watch_position(THIS_WATCH()->core));
}

/* ---- Subscription ---- */

static ZEND_METHOD(Subscription, next)
{
	double timeout = 0.0;
	ZEND_PARSE_PARAMETERS_START(0, 1)
		Z_PARAM_OPTIONAL
		Z_PARAM_DOUBLE(timeout)
	ZEND_PARSE_PARAMETERS_END();
	if (!(timeout >= 0)) {
		cfg_throw_kind(ERROR_KIND_INVALID_ARGUMENT, false, "timeout is negative; expected seconds, 0.0 to take only what has arrived");
		return;
	}
	/* Not waiting must not depend on a clock. */
	await(THIS_WATCH(), timeout > 0 ? after(timeout) : 0, return_value);
}

static ZEND_METHOD(Subscription, stream)
{
	ZEND_PARSE_PARAMETERS_NONE();
	CoreError error;
	int descriptor = cfgstore_core_watch_fd(THIS_WATCH()->core, &error);
	if (descriptor < 0) {
		cfg_throw(&error);
		return;
	}
	php_stream *stream = cfg_stream_open(descriptor);
	if (!stream) {
		cfg_throw_kind(ERROR_KIND_UNAVAILABLE, true, "cannot open a stream: %s", strerror(errno));
		return;
	}
	php_stream_to_zval(stream, return_value);
}

ZEND_BEGIN_ARG_INFO_EX(arginfo_construct, 0, 0, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_void, 0, 0, IS_VOID, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_valid, 0, 0, _IS_BOOL, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_OBJ_INFO_EX(arginfo_current, 0, 0, Cfgstore\\Change, 1)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_key, 0, 0, IS_LONG, 1)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_position, 0, 0, IS_LONG, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_OBJ_INFO_EX(arginfo_next, 0, 0, Cfgstore\\Change, 1)
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, timeout, IS_DOUBLE, 0, "0.0")
ZEND_END_ARG_INFO()

/* A resource, which no type declaration can say. */
ZEND_BEGIN_ARG_INFO_EX(arginfo_stream, 0, 0, 0)
ZEND_END_ARG_INFO()

static const zend_function_entry watch_methods[] = {
	ZEND_ME(Watch, __construct, arginfo_construct, ZEND_ACC_PRIVATE)
	ZEND_ME(Watch, rewind, arginfo_void, ZEND_ACC_PUBLIC)
	ZEND_ME(Watch, next, arginfo_void, ZEND_ACC_PUBLIC)
	ZEND_ME(Watch, valid, arginfo_valid, ZEND_ACC_PUBLIC)
	ZEND_ME(Watch, current, arginfo_current, ZEND_ACC_PUBLIC)
	ZEND_ME(Watch, key, arginfo_key, ZEND_ACC_PUBLIC)
	ZEND_ME(Watch, position, arginfo_position, ZEND_ACC_PUBLIC)
	ZEND_FE_END
};

static const zend_function_entry subscription_methods[] = {
	ZEND_ME(Watch, __construct, arginfo_construct, ZEND_ACC_PRIVATE)
	ZEND_ME(Subscription, next, arginfo_next, ZEND_ACC_PUBLIC)
	ZEND_ME(Subscription, stream, arginfo_stream, ZEND_ACC_PUBLIC)
	ZEND_ME(Watch, position, arginfo_position, ZEND_ACC_PUBLIC)
	ZEND_FE_END
};

static zend_class_entry *register_class(zend_class_entry *ce)
{
	zend_class_entry *registered = zend_register_internal_class(ce);
	registered->ce_flags |= ZEND_ACC_FINAL | ZEND_ACC_NO_DYNAMIC_PROPERTIES | ZEND_ACC_NOT_SERIALIZABLE;
	registered->create_object = create_watch;
	return registered;
}

void cfg_watch_register(void)
{
	zend_class_entry ce;
	INIT_NS_CLASS_ENTRY(ce, "Cfgstore", "Watch", watch_methods);
	watch_ce = register_class(&ce);
	zend_class_implements(watch_ce, 1, zend_ce_iterator);
	INIT_NS_CLASS_ENTRY(ce, "Cfgstore", "Subscription", subscription_methods);
	subscription_ce = register_class(&ce);

	watch_handlers = *zend_get_std_object_handlers();
	watch_handlers.offset = offsetof(watch_object, std);
	watch_handlers.free_obj = free_watch;
	watch_handlers.clone_obj = NULL;
	watch_handlers.compare = zend_objects_not_comparable;
}
