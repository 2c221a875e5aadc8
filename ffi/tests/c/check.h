/* A test is a program that prints what failed and ends with 1. argv[1] is the address of a store to use. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cfgstore.h"

static cfgstore_error_t error;

#define CHECK(condition)                                                                  \
    do {                                                                                  \
        if (!(condition)) {                                                               \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);     \
            exit(1);                                                                      \
        }                                                                                 \
    } while (0)

/* The call must come to this status; any but CFGSTORE_OK must leave its message in `error`. */
#define EXPECT(expected, call)                                                                                     \
    do {                                                                                                           \
        cfgstore_status_t got;                                                                                     \
        memset(&error, 0x5a, sizeof error);                                                                        \
        got = (call);                                                                                              \
        if (got != (expected)) {                                                                                   \
            fprintf(stderr, "%s:%d: %s, not %s: %s: %s\n", __FILE__, __LINE__, cfgstore_status_name((int32_t)got), \
                    cfgstore_status_name((int32_t)(expected)), #call, got == CFGSTORE_OK ? "" : error.message);    \
            exit(1);                                                                                               \
        }                                                                                                          \
        if (got != CFGSTORE_OK) {                                                                                  \
            CHECK(error.status == got);                                                                            \
            CHECK(error.message_length > 0 && strlen(error.message) == error.message_length);                      \
        }                                                                                                          \
    } while (0)

#define OK(call) EXPECT(CFGSTORE_OK, call)

#ifndef __cplusplus
/* Whether the last message has this text. */
static inline bool says(const char *text) {
    if (strstr(error.message, text) != NULL)
        return true;
    fprintf(stderr, "\"%s\" does not say \"%s\"\n", error.message, text);
    return false;
}

static inline cfgstore_t *open_store(const char *address, const char *prefix) {
    cfgstore_options_t options = CFGSTORE_OPTIONS_INIT;
    cfgstore_t *store;
    options.address = address;
    options.address_length = strlen(address);
    options.prefix = prefix;
    options.prefix_length = strlen(prefix);
    OK(cfgstore_open(&options, &store, &error));
    return store;
}

static inline bool is(const char *bytes, size_t length, const char *text) {
    return length == strlen(text) && memcmp(bytes, text, length) == 0;
}
#endif

#endif
