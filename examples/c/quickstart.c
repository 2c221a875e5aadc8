/*
 * cfgstore from C: write a value, read it, watch it change, hold a lock.
 *
 *     make && ./quickstart                            the embedded store of this host, started if need be
 *     ./quickstart embedded:/tmp/quickstart           a store inside this process
 *     ./quickstart http://127.0.0.1:2379              a cluster, of cfgstore or of etcd
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cfgstore.h"

static cfgstore_error_t error;

/* Ends the program if a call failed. The message says what happened and what to do about it. */
static void check(cfgstore_status_t status) {
    if (status == CFGSTORE_OK)
        return;
    fprintf(stderr, "%s: %s\n", cfgstore_status_name((int32_t)status), error.message);
    if (cfgstore_status_retryable((int32_t)status))
        fprintf(stderr, "(the same call may succeed later)\n");
    if (cfgstore_status_maybe_committed((int32_t)status))
        fprintf(stderr, "(the write may have happened: read before writing again)\n");
    exit(1);
}

static void print(const char *what, const cfgstore_item_t *item) {
    if (item->kind == CFGSTORE_ITEM_DELETE)
        printf("%s %.*s is gone (revision %lld)\n", what, (int)item->key_length, item->key,
               (long long)item->mod_revision);
    else
        printf("%s %.*s = %.*s (revision %lld)\n", what, (int)item->key_length, item->key, (int)item->value_length,
               item->value, (long long)item->mod_revision);
}

int main(int argc, char **argv) {
    const char *address = argc > 1 ? argv[1] : "";
    cfgstore_options_t options = CFGSTORE_OPTIONS_INIT;
    cfgstore_t *store;
    cfgstore_result_t *result;
    cfgstore_watch_t *watch;
    cfgstore_lock_t *lock;
    int64_t revision;
    size_t i;

    /* Open: every key of this program is below one prefix. */
    options.address = address;
    options.address_length = strlen(address);
    options.prefix = "/quickstart/";
    options.prefix_length = strlen(options.prefix);
    check(cfgstore_open(&options, &store, &error));

    /* Put and get. Values are bytes; by convention they are JSON, so that every language reads them. */
    check(cfgstore_put(store, CFGSTORE_TEXT("database"), CFGSTORE_TEXT("{\"host\":\"db1\"}"), CFGSTORE_ANY_REVISION,
                       &revision, &error));
    check(cfgstore_get(store, CFGSTORE_TEXT("database"), &result, &error));
    print("got", cfgstore_result_item(result, 0));
    cfgstore_result_free(result);

    /* Watch: every later change, in order. */
    check(cfgstore_watch_open(store, CFGSTORE_WATCH_PREFIX, CFGSTORE_TEXT(""), revision + 1, &watch, &error));
    check(cfgstore_put(store, CFGSTORE_TEXT("database"), CFGSTORE_TEXT("{\"host\":\"db2\"}"), revision, &revision,
                       &error));
    check(cfgstore_delete(store, CFGSTORE_TEXT("database"), CFGSTORE_ANY_REVISION, NULL, NULL, &error));
    do {
        check(cfgstore_watch_next(watch, 5000, &result, &error));
        for (i = 0; i < cfgstore_result_count(result); i++)
            print("changed:", cfgstore_result_item(result, i));
        revision = cfgstore_result_item(result, 0)->kind == CFGSTORE_ITEM_DELETE ? 0 : revision;
        cfgstore_result_free(result);
    } while (revision != 0);
    cfgstore_watch_close(watch);

    /* Lock: one holder at a time, and a token that grows, for what the lock protects to refuse latecomers. */
    check(cfgstore_lock_acquire(store, CFGSTORE_TEXT("nightly"), 10000, 5000, &lock, &error));
    printf("holding the lock, token %s\n", cfgstore_lock_token(lock) > 0 ? "granted" : "missing");
    check(cfgstore_lock_is_held(lock, &error));
    check(cfgstore_lock_release(lock, &error));

    cfgstore_close(store);
    printf("done\n");
    return 0;
}
