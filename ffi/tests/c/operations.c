/* Every function does what the header says. */
#define _POSIX_C_SOURCE 200112L /* setenv */
#include <poll.h>

#include "check.h"

static void keys(cfgstore_t *store) {
    cfgstore_result_t *result;
    const cfgstore_item_t *item;
    int64_t first, second, now;
    bool deleted;

    OK(cfgstore_put(store, CFGSTORE_TEXT("a"), CFGSTORE_TEXT("1"), CFGSTORE_ABSENT, &first, &error));
    OK(cfgstore_put(store, CFGSTORE_TEXT("a"), CFGSTORE_TEXT("with \0 inside"), first, &second, &error));
    CHECK(second > first);
    EXPECT(CFGSTORE_CONFLICT, cfgstore_put(store, CFGSTORE_TEXT("a"), "3", 1, first, NULL, &error));
    CHECK(error.current_revision == second && !cfgstore_status_retryable((int32_t)error.status));
    EXPECT(CFGSTORE_CONFLICT, cfgstore_put(store, CFGSTORE_TEXT("a"), "3", 1, CFGSTORE_ABSENT, NULL, &error));
    EXPECT(CFGSTORE_CONFLICT, cfgstore_put(store, CFGSTORE_TEXT("b"), "3", 1, CFGSTORE_PRESENT, NULL, &error));
    CHECK(error.current_revision == 0);

    OK(cfgstore_get(store, CFGSTORE_TEXT("a"), &result, &error));
    CHECK(cfgstore_result_count(result) == 1 && cfgstore_result_item(result, 1) == NULL);
    CHECK(cfgstore_result_revision(result) == second && !cfgstore_result_more(result));
    item = cfgstore_result_item(result, 0);
    CHECK(is(item->key, item->key_length, "a"));
    CHECK(item->value_length == 13 && memcmp(item->value, "with \0 inside", 13) == 0);
    CHECK(item->create_revision == first && item->mod_revision == second && item->version == 2);
    CHECK(item->kind == CFGSTORE_ITEM_PUT && item->lease == 0);
    cfgstore_result_free(result);

    OK(cfgstore_put(store, CFGSTORE_TEXT("b"), NULL, 0, CFGSTORE_ANY_REVISION, NULL, &error));
    OK(cfgstore_put(store, CFGSTORE_TEXT("c"), "x", 1, CFGSTORE_ANY_REVISION, &now, &error));
    OK(cfgstore_range(store, NULL, 0, 2, 0, &result, &error));
    CHECK(cfgstore_result_count(result) == 2 && cfgstore_result_more(result));
    CHECK(cfgstore_result_revision(result) == now);
    item = cfgstore_result_item(result, 1);
    CHECK(is(item->key, item->key_length, "b") && item->value != NULL && item->value_length == 0);
    cfgstore_result_free(result);
    OK(cfgstore_range(store, CFGSTORE_TEXT("a"), 0, first, &result, &error));
    CHECK(cfgstore_result_count(result) == 1 && is(cfgstore_result_item(result, 0)->value, 1, "1"));
    cfgstore_result_free(result);

    EXPECT(CFGSTORE_CONFLICT, cfgstore_delete(store, CFGSTORE_TEXT("a"), first, NULL, NULL, &error));
    OK(cfgstore_delete(store, CFGSTORE_TEXT("a"), second, &now, &deleted, &error));
    CHECK(deleted && now > second);
    OK(cfgstore_delete(store, CFGSTORE_TEXT("a"), CFGSTORE_ANY_REVISION, NULL, &deleted, &error));
    CHECK(!deleted);
    OK(cfgstore_revision(store, &first, &error));
    CHECK(first == now);
    EXPECT(CFGSTORE_NOT_FOUND, cfgstore_get(store, CFGSTORE_TEXT("a"), &result, &error));
    CHECK(result == NULL && says("\"a\""));
}

static void transactions(cfgstore_t *store) {
    cfgstore_txn_t *txn;
    cfgstore_result_t *result;
    int64_t revision;

    OK(cfgstore_txn_new(store, &txn, &error));
    OK(cfgstore_txn_if_revision(txn, CFGSTORE_TEXT("t/1"), CFGSTORE_ABSENT, &error));
    OK(cfgstore_txn_put(txn, CFGSTORE_TEXT("t/1"), "1", 1, &error));
    OK(cfgstore_txn_put(txn, CFGSTORE_TEXT("t/2"), "2", 1, &error));
    OK(cfgstore_txn_delete(txn, CFGSTORE_TEXT("c"), &error));
    OK(cfgstore_txn_commit(txn, &revision, &error));
    EXPECT(CFGSTORE_CONFLICT, cfgstore_txn_commit(txn, NULL, &error));
    CHECK(error.current_revision == revision);
    cfgstore_txn_free(txn);

    OK(cfgstore_range(store, CFGSTORE_TEXT("t/"), 0, 0, &result, &error));
    CHECK(cfgstore_result_count(result) == 2);
    CHECK(cfgstore_result_item(result, 0)->mod_revision == revision);
    CHECK(cfgstore_result_item(result, 1)->mod_revision == revision);
    cfgstore_result_free(result);
    EXPECT(CFGSTORE_NOT_FOUND, cfgstore_get(store, CFGSTORE_TEXT("c"), &result, &error));
}

/* One batch is one revision; the descriptor is readable when there is one. */
static void watches(cfgstore_t *store) {
    cfgstore_watch_t *watch, *of_key;
    cfgstore_result_t *result;
    const cfgstore_item_t *item;
    cfgstore_txn_t *txn;
    struct pollfd poll_fd = {0};
    int64_t first, revision;
    int seen = 0;

    OK(cfgstore_watch_open(store, CFGSTORE_WATCH_PREFIX, CFGSTORE_TEXT("w/"), 0, &watch, &error));
    OK(cfgstore_watch_open(store, CFGSTORE_WATCH_KEY, CFGSTORE_TEXT("w/2"), 0, &of_key, &error));
    EXPECT(CFGSTORE_TIMEOUT, cfgstore_watch_next(watch, 1, &result, &error));
    CHECK(result == NULL);

    OK(cfgstore_put(store, CFGSTORE_TEXT("w/1"), "1", 1, CFGSTORE_ANY_REVISION, &first, &error));
    OK(cfgstore_txn_new(store, &txn, &error));
    OK(cfgstore_txn_delete(txn, CFGSTORE_TEXT("w/1"), &error));
    OK(cfgstore_txn_put(txn, CFGSTORE_TEXT("w/2"), "2", 1, &error));
    OK(cfgstore_txn_commit(txn, &revision, &error));
    cfgstore_txn_free(txn);

    OK(cfgstore_watch_fd(watch, &poll_fd.fd, &error));
    poll_fd.events = POLLIN;
    while (seen < 2) {
        CHECK(poll(&poll_fd, 1, 20000) == 1);
        while (cfgstore_watch_next(watch, 0, &result, &error) == CFGSTORE_OK) {
            item = cfgstore_result_item(result, 0);
            CHECK(is(item->key, item->key_length, "w/1"));
            if (++seen == 1) {
                CHECK(cfgstore_result_count(result) == 1 && cfgstore_result_revision(result) == first);
                CHECK(item->kind == CFGSTORE_ITEM_PUT && item->version == 1 && is(item->value, item->value_length, "1"));
            } else {
                CHECK(cfgstore_result_count(result) == 2 && cfgstore_result_revision(result) == revision);
                CHECK(item->kind == CFGSTORE_ITEM_DELETE && item->value != NULL && item->value_length == 0);
                CHECK(item->mod_revision == revision && item->create_revision == 0);
                item = cfgstore_result_item(result, 1);
                CHECK(item->kind == CFGSTORE_ITEM_PUT && is(item->key, item->key_length, "w/2"));
            }
            cfgstore_result_free(result);
        }
        CHECK(error.status == CFGSTORE_TIMEOUT);
    }
    OK(cfgstore_watch_next(of_key, -1, &result, &error));
    CHECK(cfgstore_result_count(result) == 1 && cfgstore_result_revision(result) == revision);
    cfgstore_result_free(result);
    cfgstore_watch_close(of_key);
    cfgstore_watch_close(watch);

    /* From the past. */
    OK(cfgstore_watch_open(store, CFGSTORE_WATCH_PREFIX, CFGSTORE_TEXT("w/"), first, &watch, &error));
    OK(cfgstore_watch_next(watch, 20000, &result, &error));
    CHECK(cfgstore_result_revision(result) == first);
    cfgstore_result_free(result);
    cfgstore_watch_close(watch);
}

static void locks(cfgstore_t *store, const char *address) {
    cfgstore_t *other = open_store(address, "/c/");
    cfgstore_lock_t *lock, *waiting;
    int64_t token;

    OK(cfgstore_lock_acquire(store, CFGSTORE_TEXT("nightly"), 10000, 0, &lock, &error));
    token = cfgstore_lock_token(lock);
    CHECK(token > 0);
    OK(cfgstore_lock_is_held(lock, &error));
    EXPECT(CFGSTORE_TIMEOUT,
           cfgstore_lock_acquire(other, CFGSTORE_TEXT("nightly"), 10000, 0, &waiting, &error));
    CHECK(waiting == NULL && says("nightly") && cfgstore_status_retryable((int32_t)error.status));
    OK(cfgstore_lock_release(lock, &error));
    OK(cfgstore_lock_acquire(other, CFGSTORE_TEXT("nightly"), 10000, 10000, &lock, &error));
    CHECK(cfgstore_lock_token(lock) > token);
    /* It may outlive its store. */
    cfgstore_close(other);
    OK(cfgstore_lock_is_held(lock, &error));
    OK(cfgstore_lock_release(lock, &error));
}

static cfgstore_t *open_sealing(const char *address, const char *keyring) {
    cfgstore_options_t options = CFGSTORE_OPTIONS_INIT;
    cfgstore_t *store;
    options.address = address;
    options.address_length = strlen(address);
    options.prefix = "/c/";
    options.prefix_length = 3;
    options.keyring = keyring;
    options.keyring_length = strlen(keyring);
    OK(cfgstore_open(&options, &store, &error));
    return store;
}

/* A value under a keyring's pattern is in clear only for who has its key. */
static void sealed(cfgstore_t *without, const char *address) {
    static const char *envelope = "{\"$sealed\":\"v1.one.";
    cfgstore_t *with, *other, *broken;
    cfgstore_result_t *result;
    const cfgstore_item_t *item;
    size_t i;

    CHECK(setenv("C_KEYRING", "{\"primary\":\"one\",\"patterns\":[\"/c/secret/*\"],\"keys\":"
                 "{\"one\":\"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\"}}", 1) == 0);
    CHECK(setenv("C_OTHER_KEYRING", "{\"primary\":\"two\",\"patterns\":[\"/c/secret/*\"],\"keys\":"
                 "{\"two\":\"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY=\"}}", 1) == 0);
    with = open_sealing(address, "env:C_KEYRING");
    OK(cfgstore_put(with, CFGSTORE_TEXT("secret/a"), CFGSTORE_TEXT("open sesame"), CFGSTORE_ANY_REVISION, NULL, &error));
    OK(cfgstore_put(with, CFGSTORE_TEXT("clear"), CFGSTORE_TEXT("open sesame"), CFGSTORE_ANY_REVISION, NULL, &error));
    OK(cfgstore_get(with, CFGSTORE_TEXT("secret/a"), &result, &error));
    item = cfgstore_result_item(result, 0);
    CHECK(is(item->value, item->value_length, "open sesame"));
    cfgstore_result_free(result);

    /* What the server has. */
    OK(cfgstore_get(without, CFGSTORE_TEXT("secret/a"), &result, &error));
    item = cfgstore_result_item(result, 0);
    CHECK(item->value_length > strlen(envelope) && memcmp(item->value, envelope, strlen(envelope)) == 0);
    for (i = 0; i + 6 <= item->value_length; i++)
        CHECK(memcmp(item->value + i, "sesame", 6) != 0);
    cfgstore_result_free(result);
    OK(cfgstore_get(without, CFGSTORE_TEXT("clear"), &result, &error));
    CHECK(is(cfgstore_result_item(result, 0)->value, 11, "open sesame"));
    cfgstore_result_free(result);

    other = open_sealing(address, "env:C_OTHER_KEYRING");
    EXPECT(CFGSTORE_SEALED, cfgstore_get(other, CFGSTORE_TEXT("secret/a"), &result, &error));
    CHECK(result == NULL && says("secret/a") && !cfgstore_status_retryable((int32_t)error.status));
    /* Nothing is put in clear by who can't seal it. */
    broken = open_sealing(address, "env:C_NO_KEYRING");
    EXPECT(CFGSTORE_SEALED, cfgstore_put(broken, CFGSTORE_TEXT("secret/b"), "x", 1, CFGSTORE_ANY_REVISION, NULL, &error));
    CHECK(says("C_NO_KEYRING") && !cfgstore_status_maybe_committed((int32_t)error.status));
    EXPECT(CFGSTORE_NOT_FOUND, cfgstore_get(without, CFGSTORE_TEXT("secret/b"), &result, &error));
    cfgstore_close(broken);
    cfgstore_close(other);
    cfgstore_close(with);
}

static void information(cfgstore_t *store) {
    cfgstore_info_t *info;
    int64_t revision;
    OK(cfgstore_revision(store, &revision, &error));
    OK(cfgstore_server_info(store, &info, &error));
    CHECK(info->revision >= revision && info->member_id != 0 && info->leader_id == info->member_id);
    CHECK(info->endpoint_length > 0 && info->version_length > 0 && info->term > 0);
    CHECK(info->is_agent == (info->agent_version_length > 0));
    CHECK(info->is_agent == (info->data_dir_length > 0));
    cfgstore_info_free(info);
}

int main(int argc, char **argv) {
    cfgstore_t *store;
    CHECK(argc == 2);
    CHECK(cfgstore_version_number() == CFGSTORE_VERSION_NUMBER);
    CHECK(strcmp(cfgstore_version(), CFGSTORE_VERSION) == 0);
    store = open_store(argv[1], "/c/");
    keys(store);
    transactions(store);
    watches(store);
    locks(store, argv[1]);
    sealed(store, argv[1]);
    information(store);
    cfgstore_close(store);
    return 0;
}
