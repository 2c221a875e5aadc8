/* A member inside the process: shared by its stores, ended by the last, found again by the next, one process only. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static void put(cfgstore_t *store, const char *value) {
    OK(cfgstore_put(store, CFGSTORE_TEXT("k"), value, 1, CFGSTORE_ANY_REVISION, NULL, &error));
}

static bool has(cfgstore_t *store, const char *value) {
    cfgstore_result_t *result;
    bool found;
    OK(cfgstore_get(store, CFGSTORE_TEXT("k"), &result, &error));
    found = is(cfgstore_result_item(result, 0)->value, cfgstore_result_item(result, 0)->value_length, value);
    cfgstore_result_free(result);
    return found;
}

/* Opens and closes, so that members start and end side by side. */
static void *come_and_go(void *address) {
    int round;
    for (round = 0; round < 5; round++) {
        cfgstore_options_t options = CFGSTORE_OPTIONS_INIT;
        cfgstore_error_t mine;
        cfgstore_t *store;
        cfgstore_result_t *result;
        options.address = (const char *)address;
        options.address_length = strlen(options.address);
        if (cfgstore_open(&options, &store, &mine) != CFGSTORE_OK ||
            cfgstore_get(store, CFGSTORE_TEXT("k"), &result, &mine) != CFGSTORE_OK) {
            fprintf(stderr, "%s\n", mine.message);
            exit(1);
        }
        cfgstore_result_free(result);
        cfgstore_close(store);
    }
    return NULL;
}

/* Forks a child that lives until `alive` is closed everywhere else, and waits until it runs: until then, what it inherited is
 * its parent's, also when that has died. */
static pid_t fork_child(int alive[2]) {
    int running[2];
    char byte = 0;
    pid_t pid;
    CHECK(pipe(running) == 0);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        close(alive[1]);
        CHECK(write(running[1], &byte, 1) == 1);
        _exit(read(alive[0], &byte, 1) == 0 ? 0 : 1);
    }
    CHECK(read(running[0], &byte, 1) == 1);
    close(running[0]);
    close(running[1]);
    return pid;
}

/* Another process, which has a member and a child, and dies. */
static void die_beside_a_child(char **argv) {
    cfgstore_t *store = open_store(argv[1], "");
    int alive[2];
    char byte = 0;
    alive[0] = atoi(argv[2]);
    alive[1] = atoi(argv[3]);
    CHECK(has(store, "3"));
    fork_child(alive);
    CHECK(write(atoi(argv[4]), &byte, 1) == 1);
    raise(SIGKILL);
}

/* A child that inherited everything and lives on keeps nobody from opening the folder again, whether the member that its
 * parent had has ended or has died. */
static void reopen_beside_a_child(const char *program, const char *address) {
    cfgstore_t *store = open_store(address, "");
    int alive[2], ready[2];
    char byte = 0;
    pid_t pid;

    CHECK(pipe(alive) == 0 && pipe(ready) == 0);
    pid = fork_child(alive);
    cfgstore_close(store);
    store = open_store(address, "");
    CHECK(has(store, "3"));
    cfgstore_close(store);
    close(alive[1]);
    close(alive[0]);
    CHECK(waitpid(pid, NULL, 0) == pid);

    CHECK(pipe(alive) == 0);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        char fds[3][16];
        snprintf(fds[0], sizeof fds[0], "%d", alive[0]);
        snprintf(fds[1], sizeof fds[1], "%d", alive[1]);
        snprintf(fds[2], sizeof fds[2], "%d", ready[1]);
        execl(program, program, address, fds[0], fds[1], fds[2], (char *)NULL);
        _exit(1);
    }
    CHECK(read(ready[0], &byte, 1) == 1);
    CHECK(waitpid(pid, NULL, 0) == pid);
    store = open_store(address, "");
    CHECK(has(store, "3"));
    cfgstore_close(store);
    close(alive[1]);
    close(alive[0]);
}

int main(int argc, char **argv) {
    cfgstore_t *first, *second;
    cfgstore_watch_t *watch;
    cfgstore_result_t *result;
    cfgstore_lock_t *lock;
    char socket[512], again[512];
    pthread_t thread[4];
    int status, i;
    pid_t pid;

    if (argc == 5)
        die_beside_a_child(argv);
    CHECK(argc == 2 && strlen(argv[1]) < 400);
    first = open_store(argv[1], "");
    put(first, "1");
    /* The same folder by another name. */
    snprintf(again, sizeof again, "%s/../store", argv[1]);
    second = open_store(again, "");
    CHECK(has(second, "1"));

    /* Children reach it by its socket, but cannot run a member. */
    snprintf(socket, sizeof socket, "unix://%s/cfgstore.sock", strchr(argv[1], ':') + 1);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        cfgstore_t *third;
        cfgstore_options_t options = CFGSTORE_OPTIONS_INIT;
        options.address = argv[1];
        options.address_length = strlen(argv[1]);
        EXPECT(CFGSTORE_UNSUPPORTED, cfgstore_open(&options, &third, &error));
        CHECK(says("forked") && says(socket));
        third = open_store(socket, "");
        CHECK(has(third, "1"));
        put(third, "2");
        cfgstore_close(third);
        /* Inherited; closing it here ends nothing there. */
        cfgstore_close(second);
        exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(has(first, "2"));

    /* It lives as long as anything that uses it. */
    OK(cfgstore_watch_open(first, CFGSTORE_WATCH_KEY, CFGSTORE_TEXT("k"), 0, &watch, &error));
    OK(cfgstore_lock_acquire(first, CFGSTORE_TEXT("l"), 10000, 0, &lock, &error));
    cfgstore_close(first);
    put(second, "3");
    cfgstore_close(second);
    OK(cfgstore_watch_next(watch, 20000, &result, &error));
    CHECK(is(cfgstore_result_item(result, 0)->value, 1, "3"));
    cfgstore_result_free(result);
    cfgstore_watch_close(watch);
    OK(cfgstore_lock_is_held(lock, &error));
    CHECK(access(strchr(socket, '/') + 2, F_OK) == 0);
    OK(cfgstore_lock_release(lock, &error));
    CHECK(access(strchr(socket, '/') + 2, F_OK) != 0);

    first = open_store(argv[1], "");
    CHECK(has(first, "3"));
    cfgstore_close(first);

    reopen_beside_a_child(argv[0], argv[1]);
    for (i = 0; i < 4; i++)
        CHECK(pthread_create(&thread[i], NULL, come_and_go, argv[1]) == 0);
    for (i = 0; i < 4; i++)
        CHECK(pthread_join(thread[i], NULL) == 0);
    CHECK(access(strchr(socket, '/') + 2, F_OK) != 0);
    return 0;
}
