/* A PHP stream over a descriptor that is only ever waited on: for stream_select() and event loops. */
#include "php_cfgstore.h"
#include "php_network.h"

#include <fcntl.h>

#define DESCRIPTOR(stream) ((int) (intptr_t) (stream)->abstract)

/* Changes are taken with Subscription::next(); there is nothing to read, and that is not the end. */
static ssize_t read_nothing(php_stream *stream, char *buffer, size_t size)
{
	return 0;
}

static ssize_t write_nothing(php_stream *stream, const char *buffer, size_t size)
{
	return -1;
}

static int close_descriptor(php_stream *stream, int close_handle)
{
	if (close_handle) {
		close(DESCRIPTOR(stream));
	}
	return 0;
}

static int flush_nothing(php_stream *stream)
{
	return 0;
}

static int cast(php_stream *stream, int as, void **result)
{
	switch (as) {
		case PHP_STREAM_AS_FD_FOR_SELECT:
		case PHP_STREAM_AS_FD:
		case PHP_STREAM_AS_SOCKETD:
			if (result) {
				*(php_socket_t *) result = DESCRIPTOR(stream);
			}
			return SUCCESS;
		default:
			return FAILURE;
	}
}

/* Event loops ask for a stream that does not block; this one never does. */
static int set_option(php_stream *stream, int option, int value, void *argument)
{
	return option == PHP_STREAM_OPTION_BLOCKING ? PHP_STREAM_OPTION_RETURN_OK : PHP_STREAM_OPTION_RETURN_NOTIMPL;
}

static const php_stream_ops operations = {
	write_nothing, read_nothing, close_descriptor, flush_nothing, "cfgstore", NULL, cast, NULL, set_option,
};

php_stream *cfg_stream_open(int descriptor)
{
	/* One of its own: the program may close the stream before the subscription, or after. */
	int own = fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
	if (own < 0) {
		return NULL;
	}
	php_stream *stream = php_stream_alloc(&operations, (void *) (intptr_t) own, NULL, "r");
	stream->flags |= PHP_STREAM_FLAG_NO_SEEK | PHP_STREAM_FLAG_NO_BUFFER;
	return stream;
}
