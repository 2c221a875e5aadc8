// The header is C++ too.
#include "check.h"

int main(int argc, char **argv) {
    cfgstore_options_t options = CFGSTORE_OPTIONS_INIT;
    cfgstore_t *store = nullptr;
    cfgstore_result_t *result = nullptr;
    CHECK(argc == 2);
    options.address = argv[1];
    options.address_length = strlen(argv[1]);
    OK(cfgstore_open(&options, &store, &error));
    OK(cfgstore_put(store, CFGSTORE_TEXT("c++"), CFGSTORE_TEXT("1"), CFGSTORE_ANY_REVISION, nullptr, &error));
    OK(cfgstore_get(store, CFGSTORE_TEXT("c++"), &result, &error));
    CHECK(cfgstore_result_count(result) == 1 && *cfgstore_result_item(result, 0)->value == '1');
    cfgstore_result_free(result);
    cfgstore_close(store);
    return cfgstore_status_maybe_committed(CFGSTORE_OK) ? 1 : 0;
}
