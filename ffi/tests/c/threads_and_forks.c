/* One store used by many threads at once; a child of fork() that goes on with what it inherited. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

enum { THREADS = 8, ROUNDS = 25 };

static cfgstore_t *store;

static void *work(void *number) {
    char key[16], value[16];
    cfgstore_error_t mine;
    cfgstore_result_t *result;
    int round;
    int key_length = snprintf(key, sizeof key, "t/%d", *(int *)number);
    for (round = 0; round < ROUNDS; round++) {
        int length = snprintf(value, sizeof value, "%d", round);
        CHECK(cfgstore_put(store, key, (size_t)key_length, value, (size_t)length, CFGSTORE_ANY_REVISION, NULL, &mine) ==
              CFGSTORE_OK);
        CHECK(cfgstore_get(store, key, (size_t)key_length, &result, &mine) == CFGSTORE_OK);
        CHECK(is(cfgstore_result_item(result, 0)->value, cfgstore_result_item(result, 0)->value_length, value));
        cfgstore_result_free(result);
    }
    return NULL;
}

static void threads(void) {
    pthread_t thread[THREADS];
    int number[THREADS], i;
    cfgstore_result_t *result;
    for (i = 0; i < THREADS; i++) {
        number[i] = i;
        CHECK(pthread_create(&thread[i], NULL, work, &number[i]) == 0);
    }
    for (i = 0; i < THREADS; i++)
        CHECK(pthread_join(thread[i], NULL) == 0);
    OK(cfgstore_range(store, CFGSTORE_TEXT("t/"), 0, 0, &result, &error));
    CHECK(cfgstore_result_count(result) == THREADS);
    cfgstore_result_free(result);
}

static void child(cfgstore_lock_t *lock, cfgstore_watch_t *watch, int64_t revision) {
    cfgstore_result_t *result;
    OK(cfgstore_get(store, CFGSTORE_TEXT("before"), &result, &error));
    cfgstore_result_free(result);
    OK(cfgstore_put(store, CFGSTORE_TEXT("child"), "1", 1, CFGSTORE_ANY_REVISION, NULL, &error));
    EXPECT(CFGSTORE_LOCK_LOST, cfgstore_lock_is_held(lock, &error));
    EXPECT(CFGSTORE_LOCK_LOST, cfgstore_lock_release(lock, &error));
    OK(cfgstore_watch_next(watch, 20000, &result, &error));
    CHECK(cfgstore_result_revision(result) == revision);
    cfgstore_result_free(result);
    cfgstore_watch_close(watch);
    cfgstore_close(store);
    exit(0);
}

static void forks(void) {
    cfgstore_lock_t *lock;
    cfgstore_watch_t *watch;
    cfgstore_result_t *result;
    int64_t revision;
    int status, i;
    pid_t pid;

    OK(cfgstore_watch_open(store, CFGSTORE_WATCH_PREFIX, CFGSTORE_TEXT(""), 0, &watch, &error));
    OK(cfgstore_put(store, CFGSTORE_TEXT("before"), "1", 1, CFGSTORE_ANY_REVISION, &revision, &error));
    OK(cfgstore_lock_acquire(store, CFGSTORE_TEXT("l"), 10000, 0, &lock, &error));
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0)
        child(lock, watch, revision);
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);

    /* Nothing of the parent's was touched: its lock, its watch, its member. */
    OK(cfgstore_lock_is_held(lock, &error));
    for (i = 0; i < 2; i++) {
        OK(cfgstore_watch_next(watch, 20000, &result, &error));
        CHECK((cfgstore_result_revision(result) == revision) == (i == 0));
        cfgstore_result_free(result);
    }
    OK(cfgstore_get(store, CFGSTORE_TEXT("child"), &result, &error));
    cfgstore_result_free(result);
    OK(cfgstore_lock_release(lock, &error));
    cfgstore_watch_close(watch);
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    store = open_store(argv[1], "/threads/");
    threads();
    forks();
    cfgstore_close(store);
    return 0;
}
