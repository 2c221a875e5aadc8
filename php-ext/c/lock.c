/* Cfgstore\Lock. A lock lives no longer than its object, its request and its process, whichever ends first. */
#include "php_cfgstore.h"

struct _cfg_lock {
	cfg_owner owner;
	CoreLock *core;     /* NULL: given up */
	cfg_lock *previous; /* in the list of this request's locks, while core is set */
	cfg_lock *next;
	zend_object std;
};

zend_class_entry *cfg_lock_ce;
static zend_object_handlers lock_handlers;

static cfg_lock *from_object(zend_object *object)
{
	return (cfg_lock *) ((char *) object - offsetof(cfg_lock, std));
}

#define THIS_LOCK() from_object(Z_OBJ_P(ZEND_THIS))

static zend_object *create_lock(zend_class_entry *ce)
{
	cfg_lock *lock = zend_object_alloc(sizeof(cfg_lock), ce);
	zend_object_std_init(&lock->std, ce);
	object_properties_init(&lock->std, ce);
	lock->std.handlers = &lock_handlers;
	return &lock->std;
}

static void give_up(cfg_lock *lock)
{
	if (!lock->core) {
		return;
	}
	cfgstore_core_lock_free(lock->core);
	lock->core = NULL;
	if (lock->previous) {
		lock->previous->next = lock->next;
	} else {
		CFG_G(locks) = lock->next;
	}
	if (lock->next) {
		lock->next->previous = lock->previous;
	}
}

void cfg_locks_release(void)
{
	while (CFG_G(locks)) {
		give_up(CFG_G(locks));
	}
}

static void free_lock(zend_object *object)
{
	cfg_lock *lock = from_object(object);
	give_up(lock);
	cfg_owner_release(&lock->owner);
	zend_object_std_dtor(object);
}

CoreBytes cfg_lock_key(zend_object *object, int64_t *token)
{
	*token = Z_LVAL_P(OBJ_PROP_NUM(object, 0));
	return cfg_bytes(Z_STR_P(OBJ_PROP_NUM(object, 1)));
}

void cfg_new_lock(zval *result, cfg_owner owner, zend_string *name, double ttl, double wait)
{
	/* The object first: from then on the lock is never without an owner that frees it. */
	object_init_ex(result, cfg_lock_ce);
	cfg_lock *lock = from_object(Z_OBJ_P(result));
	cfg_owner_hold(&lock->owner, owner);
	int64_t token;
	CoreBytes key;
	CoreError error;
	lock->core = cfgstore_core_lock_acquire(owner.scope->source->core, owner.timeout, cfg_bytes(owner.scope->prefix),
		cfg_bytes(name), ttl, wait, &token, &key, &error);
	if (!lock->core) {
		zval_ptr_dtor(result);
		ZVAL_UNDEF(result);
		cfg_throw(&error);
		return;
	}
	lock->next = CFG_G(locks);
	if (lock->next) {
		lock->next->previous = lock;
	}
	CFG_G(locks) = lock;
	ZVAL_LONG(OBJ_PROP_NUM(&lock->std, 0), (zend_long) token);
	ZVAL_STRINGL(OBJ_PROP_NUM(&lock->std, 1), (const char *) key.data, key.len);
}

static ZEND_METHOD(Lock, __construct)
{
	ZEND_PARSE_PARAMETERS_NONE();
}

static ZEND_METHOD(Lock, isHeld)
{
	ZEND_PARSE_PARAMETERS_NONE();
	cfg_lock *lock = THIS_LOCK();
	RETURN_BOOL(lock->core && cfgstore_core_lock_is_held(lock->core, lock->owner.scope->source->core));
}

static ZEND_METHOD(Lock, release)
{
	ZEND_PARSE_PARAMETERS_NONE();
	cfg_lock *lock = THIS_LOCK();
	if (!lock->core) {
		return; /* released before */
	}
	CoreError error;
	bool released = cfgstore_core_lock_release(lock->core, lock->owner.scope->source->core, &error);
	give_up(lock);
	if (!released) {
		cfg_throw(&error);
	}
}

ZEND_BEGIN_ARG_INFO_EX(arginfo_construct, 0, 0, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_is_held, 0, 0, _IS_BOOL, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_release, 0, 0, IS_VOID, 0)
ZEND_END_ARG_INFO()

static const zend_function_entry lock_methods[] = {
	ZEND_ME(Lock, __construct, arginfo_construct, ZEND_ACC_PRIVATE)
	ZEND_ME(Lock, isHeld, arginfo_is_held, ZEND_ACC_PUBLIC)
	ZEND_ME(Lock, release, arginfo_release, ZEND_ACC_PUBLIC)
	ZEND_FE_END
};

void cfg_lock_register(void)
{
	zend_class_entry ce;
	INIT_NS_CLASS_ENTRY(ce, "Cfgstore", "Lock", lock_methods);
	cfg_lock_ce = zend_register_internal_class(&ce);
	cfg_lock_ce->ce_flags |= ZEND_ACC_FINAL | ZEND_ACC_NO_DYNAMIC_PROPERTIES | ZEND_ACC_NOT_SERIALIZABLE;
	cfg_lock_ce->create_object = create_lock;
	cfg_declare_readonly(cfg_lock_ce, "token", (zend_type) ZEND_TYPE_INIT_MASK(MAY_BE_LONG));
	cfg_declare_readonly(cfg_lock_ce, "key", (zend_type) ZEND_TYPE_INIT_MASK(MAY_BE_STRING));

	lock_handlers = *zend_get_std_object_handlers();
	lock_handlers.offset = offsetof(cfg_lock, std);
	lock_handlers.free_obj = free_lock;
	lock_handlers.clone_obj = NULL;
	lock_handlers.compare = zend_objects_not_comparable;
}
