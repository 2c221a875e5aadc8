/* What the files of Cfgstore\Client share. */
#ifndef CFGSTORE_CLIENT_H
#define CFGSTORE_CLIENT_H

#include "php_cfgstore.h"

typedef struct {
	cfg_scope *scope;
	double timeout; /* of calls, in seconds; negative: as cfgstore.timeout says */
	zend_object std;
} cfg_client;

static zend_always_inline cfg_client *cfg_client_of(zend_object *object)
{
	return (cfg_client *) ((char *) object - offsetof(cfg_client, std));
}

#define THIS_CLIENT() cfg_client_of(Z_OBJ_P(ZEND_THIS))

static zend_always_inline double cfg_client_timeout(const cfg_client *client)
{
	return client->timeout < 0 ? CFG_G(settings).timeout : client->timeout;
}

/* The scope of a client that has been constructed, or NULL with an exception. */
cfg_scope *cfg_client_opened(cfg_client *client);
/*
 * A value's JSON, owned by the caller, and the client's scope as it is then: encoding runs code of the program, which may do anything to
 * the client. NULL with an exception.
 */
zend_string *cfg_client_encode(cfg_client *client, zval *value, cfg_scope **scope);

/* key_length: as in cfg_found. */
ZEND_COLD void cfg_throw_absent(const cfg_scope *scope, const zend_string *name, size_t key_length);

/* The revision of the write; false with an exception. if_revision: negative for none. */
bool cfg_store_value(cfg_client *client, zend_string *key, zval *value, zend_long if_revision, zend_string *comment,
	zend_long *revision);
bool cfg_erase(cfg_client *client, zend_string *key, zend_long if_revision, zend_string *comment, zend_long *revision);

#endif
