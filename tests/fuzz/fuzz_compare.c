/* A file for bench --against. */
#include "fuzz.h"

#include "cli/earlier.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct earlier earlier;
    json_t *what = json_pack("{s:s, s:i}", "model", "resnet20", "batch", 128);
    fuzz_answer((enum status)earlier_read(fuzz_file("fuzz.json", bytes, size), what, &earlier));
    json_decref(what);
    return 0;
}
