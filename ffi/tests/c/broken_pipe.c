/* A server that hangs up on everybody ends calls, not the process: SIGPIPE is at its default here. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "check.h"

static int listener;
static volatile int hung_up;

static void *hang_up(void *unused) {
    int connection;
    (void)unused;
    while ((connection = accept(listener, NULL, NULL)) >= 0) {
        close(connection);
        hung_up++;
    }
    return NULL;
}

int main(int argc, char **argv) {
    char folder[] = "/tmp/cfgstore-XXXXXX", address[sizeof(struct sockaddr_un) + 16];
    struct sockaddr_un socket_address = {0};
    cfgstore_options_t options = CFGSTORE_OPTIONS_INIT;
    cfgstore_result_t *result;
    cfgstore_t *store;
    pthread_t thread;
    sigset_t pending, blocked;
    (void)argc, (void)argv;

    CHECK(mkdtemp(folder) != NULL);
    socket_address.sun_family = AF_UNIX;
    snprintf(socket_address.sun_path, sizeof socket_address.sun_path, "%s/s", folder);
    listener = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(bind(listener, (struct sockaddr *)&socket_address, sizeof socket_address) == 0);
    CHECK(listen(listener, 16) == 0);
    CHECK(pthread_create(&thread, NULL, hang_up, NULL) == 0);

    snprintf(address, sizeof address, "unix://%s", socket_address.sun_path);
    options.address = address;
    options.address_length = strlen(address);
    options.call_timeout_ms = 1500;
    OK(cfgstore_open(&options, &store, &error));
    EXPECT(CFGSTORE_UNAVAILABLE, cfgstore_get(store, CFGSTORE_TEXT("k"), &result, &error));
    CHECK(cfgstore_put(store, CFGSTORE_TEXT("k"), "v", 1, CFGSTORE_ANY_REVISION, NULL, &error) != CFGSTORE_OK);
    cfgstore_close(store);
    CHECK(hung_up > 0);

    /* Nothing was left behind in this thread. */
    CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 0);
    CHECK(pthread_sigmask(SIG_BLOCK, NULL, &blocked) == 0 && sigismember(&blocked, SIGPIPE) == 0);
    unlink(socket_address.sun_path);
    rmdir(folder);
    return 0;
}
