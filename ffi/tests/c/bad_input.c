/* Bad input of every kind ends in a status and a message, and changes nothing. */
#include "check.h"

#define NOT_NULL ((void *)&error)

static cfgstore_t *store;

static void options(const char *address) {
    cfgstore_options_t good = CFGSTORE_OPTIONS_INIT, bad;
    cfgstore_t *opened = NOT_NULL;
    char larger[sizeof(cfgstore_options_t) + 16] = {0};
    size_t size;

    good.address = address;
    good.address_length = strlen(address);

    EXPECT(CFGSTORE_INVALID_ARGUMENT, cfgstore_open(&good, NULL, &error));
    CHECK(says("store is NULL"));

    /* The size of another version, or of nothing. */
    bad = good;
    for (size = 0; size < 200000; size += size < 16 ? 1 : size < 200 ? 3 : 7777) {
        bad.size = size;
        if (size != sizeof(cfgstore_options_t) && (size < sizeof(cfgstore_options_t) || size > 4096)) {
            opened = NOT_NULL;
            EXPECT(CFGSTORE_INVALID_ARGUMENT, cfgstore_open(&bad, &opened, &error));
            CHECK(opened == NULL && says("options->size"));
        }
    }
    bad.size = SIZE_MAX;
    EXPECT(CFGSTORE_INVALID_ARGUMENT, cfgstore_open(&bad, &opened, &error));

    /* A program of a later version: fields that this library does not know must be zero. */
    memcpy(larger, &good, sizeof good);
    *(size_t *)(void *)larger = sizeof larger;
    OK(cfgstore_open((cfgstore_options_t *)(void *)larger, &opened, &error));
    cfgstore_close(opened);
    larger[sizeof larger - 1] = 1;
    EXPECT(CFGSTORE_UNSUPPORTED, cfgstore_open((cfgstore_options_t *)(void *)larger, &opened, &error));
    CHECK(opened == NULL);

    bad = good;
    bad.autostart = 3;
    EXPECT(CFGSTORE_INVALID_ARGUMENT, cfgstore_open(&bad, &opened, &error));
    CHECK(says("autostart is 3"));
    bad = good;
    bad.reserved = 1;
    EXPECT(CFGSTORE_INVALID_ARGUMENT, cfgstore_open(&bad, &opened, &error));
    bad = good;
    bad.call_timeout_ms = -1;
    EXPECT(CFGSTORE_INVALID_ARGUMENT, cfgstore_open(&bad, &opened, &error));
    CHECK(says("call_timeout_ms is -1"));
    bad = good;
    bad.address = NULL;
    bad.address_length = 3;
    EXPECT(CFGSTORE_INVALID_ARGUMENT, cfgstore_open(&bad, &opened, &error));
    CHECK(says("address is NULL"));
    bad = good;
    bad.address = "\xff\xfe";
    bad.address_length = 2;
    EXPECT(CFGSTORE_INVALID_ARGUMENT, cfgstore_open(&bad, &opened, &error));
    CHECK(says("UTF-8"));
    bad.address = "ftp://a";
    bad.address_length = 7;
    EXPECT(CFGSTORE_INVALID_ARGUMENT, cfgstore_open(&bad, &opened, &error));
    bad.address = "https://a";
    bad.address_length = 9;
    EXPECT(CFGSTORE_UNSUPPORTED, cfgstore_open(&bad, &opened, &error));
    bad.address = "embedded:relative";
    bad.address_length = strlen(bad.address);
    EXPECT(CFGSTORE_INVALID_ARGUMENT, cfgstore_open(&bad, &opened, &error));
    bad.address = "embedded:/dev/null/x";
    bad.address_length = strlen(bad.address);
    CHECK(cfgstore_open(&bad, &opened, &error) != CFGSTORE_OK);
    CHECK(opened == NULL && says("/dev/null/x"));
    bad = good;
    bad.prefix = "x";
    bad.prefix_length = SIZE_MAX;
    EXPECT(CFGSTORE_TOO_LARGE, cfgstore_open(&bad, &opened, &error));
    bad = good;
    bad.data_dir = "a\0b";
    bad.data_dir_length = 3;
    EXPECT(CFGSTORE_INVALID_ARGUMENT, cfgstore_open(&bad, &opened, &error));
    CHECK(opened == NULL);
}

static void keys_and_values(void) {
    cfgstore_result_t *result = NOT_NULL;
    static char large[2 * 1024 * 1024];
    int64_t revision = -7;
    bool deleted;

    memset(large, 'k', sizeof large);

    EXPECT(CFGSTORE_INVALID_ARGUMENT, cfgstore_get(NULL, CFGSTORE_TEXT("k"), &result, &error));
    CHECK(result == NULL && says("store is NULL"));
    EXPECT(CFGSTORE_INVALID_ARGUMENT, cfgstore_get(store, CFGSTORE_TEXT("k"), NULL, &error));
    CHECK(says("result is NULL"));

    /* NULL with length 0 is the empty string: no key, a fine prefix, a fine value. */
    EXPECT(CFGSTORE_INVALID_ARGUMENT, cfgstore_get(store, NULL, 0, &result, &error));
    CHECK(says("empty"));
    EXPECT(CFGSTORE_INVALID_ARGUMENT, cfgstore_get(store, NULL, 1, &result, &error));
    CHECK(says("key is NULL"));
    OK(cfgstore_range(store, NULL, 0, 0, 0, &result, &error));
    CHECK(cfgstore_result_count(result) == 0);
    cfgstore_result_free(result);
    EXPECT(CFGSTORE_INVALID_ARGUMENT,
           cfgstore_put(store, NULL, 0, "v", 1, CFGSTORE_ANY_REVISION, &revision, &error));
    EXPECT(CFGSTORE_INVALID_ARGUMENT,
           cfgstore_put(store, CFGSTORE_TEXT("k"), NULL, 1, CFGSTORE_ANY_REVISION, &revision, &error));
    CHECK(says("value is NULL"));

    /* Lengths over the limit are refused before anything is read. */
    EXPECT(CFGSTORE_TOO_LARGE, cfgstore_get(store, "k", SIZE_MAX, &result, &error));
    EXPECT(CFGSTORE_TOO_LARGE, cfgstore_get(store, "k", 65537, &result, &error));
    EXPECT(CFGSTORE_TOO_LARGE, cfgstore_range(store, "k", SIZE_MAX / 2, 0, 0, &result, &error));
    EXPECT(CFGSTORE_TOO_LARGE,
           cfgstore_put(store, CFGSTORE_TEXT("k"), "v", SIZE_MAX, CFGSTORE_ANY_REVISION, &revision, &error));
    EXPECT(CFGSTORE_TOO_LARGE, cfgstore_put(store, CFGSTORE_TEXT("k"), "v", CFGSTORE_VALUE_BYTES_MAX + (size_t)1,
                                            CFGSTORE_ANY_REVISION, &revision, &error));
    EXPECT(CFGSTORE_TOO_LARGE,
           cfgstore_put(store, large, 65536, "v", 1, CFGSTORE_ANY_REVISION, &revision, &error));
    EXPECT(CFGSTORE_TOO_LARGE, cfgstore_put(store, CFGSTORE_TEXT("k"), large, sizeof large, CFGSTORE_ANY_REVISION,
                                            &revision, &error));

    /* Revisions that are none. */
    EXPECT(CFGSTORE_INVALID_ARGUMENT, cfgstore_put(store, CFGSTORE_TEXT("k"), "v", 1, -3, &revision, &error));
    EXPECT(CFGSTORE_INVALID_ARGUMENT,
           cfgstore_delete(store, CFGSTORE_TEXT("k"), INT64_MIN, &revision, &deleted, &error));
    EXPECT(CFGSTORE_INVALID_ARGUMENT, cfgstore_range(store, NULL, 0, 0, INT64_MAX, &result, &error));

    CHECK(revision == -7);
    EXPECT(CFGSTORE_INVALID_ARGUMENT, cfgstore_put(NULL, "k", 1, "v", 1, 0, NULL, &error));
    EXPECT(CFGSTORE_INVALID_ARGUMENT, cfgstore_delete(NULL, "k", 1, 0, NULL, NULL, &error));
    EXPECT(CFGSTORE_INVALID_ARGUMENT, cfgstore_revision(NULL, NULL, &error));
    OK(cfgstore_revision(store, NULL, &error));
    EXPECT(CFGSTORE_INVALID_ARGUMENT, cfgstore_server_info(store, NULL, &error));

    /* No message wanted. */
    CHECK(cfgstore_get(store, NULL, 0, &result, NULL) == CFGSTORE_INVALID_ARGUMENT);
    CHECK(cfgstore_get(store, CFGSTORE_TEXT("k"), &result, NULL) == CFGSTORE_NOT_FOUND);
    EXPECT(CFGSTORE_NOT_FOUND, cfgstore_get(store, CFGSTORE_TEXT("a\0\xff z"), &result, &error));
}

static void watches_locks_and_transactions(void) {
    cfgstore_watch_t *watch = NOT_NULL;
    cfgstore_lock_t *lock = NOT_NULL;
    cfgstore_txn_t *txn;
    cfgstore_result_t *result = NOT_NULL;
    int fd;

    EXPECT(CFGSTORE_INVALID_ARGUMENT, cfgstore_watch_open(store, 3, CFGSTORE_TEXT("k"), 0, &watch, &error));
    CHECK(watch == NULL && says("scope is 3"));
    EXPECT(CFGSTORE_INVALID_ARGUMENT,
           cfgstore_watch_open(store, CFGSTORE_WATCH_KEY, NULL, 0, 0, &watch, &error));
    EXPECT(CFGSTORE_INVALID_ARGUMENT,
           cfgstore_watch_open(store, CFGSTORE_WATCH_PREFIX, CFGSTORE_TEXT("k"), -1, &watch, &error));
    EXPECT(CFGSTORE_INVALID_ARGUMENT,
           cfgstore_watch_open(store, CFGSTORE_WATCH_PREFIX, CFGSTORE_TEXT("k"), 0, NULL, &error));
    EXPECT(CFGSTORE_INVALID_ARGUMENT, cfgstore_watch_next(NULL, 0, &result, &error));
    CHECK(result == NULL);
    EXPECT(CFGSTORE_INVALID_ARGUMENT, cfgstore_watch_fd(NULL, &fd, &error));
    OK(cfgstore_watch_open(store, CFGSTORE_WATCH_KEY, CFGSTORE_TEXT("k"), 0, &watch, &error));
    EXPECT(CFGSTORE_INVALID_ARGUMENT, cfgstore_watch_next(watch, 0, NULL, &error));
    EXPECT(CFGSTORE_TIMEOUT, cfgstore_watch_next(watch, 0, &result, &error));
    cfgstore_watch_close(watch);

    EXPECT(CFGSTORE_INVALID_ARGUMENT, cfgstore_lock_acquire(store, NULL, 0, 1000, 0, &lock, &error));
    CHECK(lock == NULL);
    EXPECT(CFGSTORE_INVALID_ARGUMENT, cfgstore_lock_acquire(store, CFGSTORE_TEXT("l"), 0, 0, &lock, &error));
    EXPECT(CFGSTORE_INVALID_ARGUMENT, cfgstore_lock_acquire(store, CFGSTORE_TEXT("l"), -1, 0, &lock, &error));
    EXPECT(CFGSTORE_INVALID_ARGUMENT, cfgstore_lock_acquire(store, CFGSTORE_TEXT("l"), 1000, -1, &lock, &error));
    EXPECT(CFGSTORE_INVALID_ARGUMENT,
           cfgstore_lock_acquire(store, CFGSTORE_TEXT("l"), INT64_MAX, INT64_MAX, &lock, &error));
    CHECK(says("TTL"));
    EXPECT(CFGSTORE_TOO_LARGE, cfgstore_lock_acquire(store, "l", SIZE_MAX, 1000, 0, &lock, &error));
    EXPECT(CFGSTORE_INVALID_ARGUMENT, cfgstore_lock_acquire(store, CFGSTORE_TEXT("l"), 1000, 0, NULL, &error));
    EXPECT(CFGSTORE_INVALID_ARGUMENT, cfgstore_lock_is_held(NULL, &error));

    EXPECT(CFGSTORE_INVALID_ARGUMENT, cfgstore_txn_new(store, NULL, &error));
    EXPECT(CFGSTORE_INVALID_ARGUMENT, cfgstore_txn_commit(NULL, NULL, &error));
    EXPECT(CFGSTORE_INVALID_ARGUMENT, cfgstore_txn_put(NULL, "k", 1, "v", 1, &error));
    OK(cfgstore_txn_new(store, &txn, &error));
    EXPECT(CFGSTORE_TOO_LARGE, cfgstore_txn_put(txn, "k", SIZE_MAX, "v", 1, &error));
    OK(cfgstore_txn_put(txn, CFGSTORE_TEXT("k"), "1", 1, &error));
    OK(cfgstore_txn_put(txn, CFGSTORE_TEXT("k"), "2", 1, &error));
    EXPECT(CFGSTORE_INVALID_ARGUMENT, cfgstore_txn_commit(txn, NULL, &error));
    CHECK(says("duplicate key"));
    cfgstore_txn_free(txn);
}

int main(int argc, char **argv) {
    cfgstore_result_t *result;
    CHECK(argc == 2);
    store = open_store(argv[1], "/bad/");
    options(argv[1]);
    keys_and_values();
    watches_locks_and_transactions();

    /* None of it was written. */
    OK(cfgstore_range(store, NULL, 0, 0, 0, &result, &error));
    CHECK(cfgstore_result_count(result) == 0);
    cfgstore_result_free(result);
    cfgstore_close(store);

    /* Freeing nothing, and asking nothing. */
    cfgstore_close(NULL);
    cfgstore_result_free(NULL);
    cfgstore_watch_close(NULL);
    cfgstore_txn_free(NULL);
    cfgstore_info_free(NULL);
    OK(cfgstore_lock_release(NULL, &error));
    CHECK(cfgstore_result_count(NULL) == 0 && cfgstore_result_item(NULL, 0) == NULL);
    CHECK(cfgstore_result_revision(NULL) == 0 && !cfgstore_result_more(NULL) && cfgstore_lock_token(NULL) == 0);
    CHECK(strcmp(cfgstore_status_name(4711), "CFGSTORE_UNKNOWN") == 0);
    CHECK(!cfgstore_status_retryable(4711) && !cfgstore_status_maybe_committed(-1));
    return 0;
}
