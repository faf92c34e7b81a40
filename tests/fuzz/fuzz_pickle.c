/* A pickle, by itself and in a sound zip file with four storages of 64 bytes. */
#include "fuzz.h"

#include "../torch_writer.h"
#include "weights/pickle.h"
#include "weights/weights.h"

static const char *write_zip(const uint8_t *bytes, size_t size) {
    static const uint8_t stored[64] = {1, 2, 3};
    const char *path = fuzz_file("fuzz.pth", bytes, 0);
    zip_t *zip = written_zip(path);
    written_entry(zip, "a/data.pkl", bytes, size, ZIP_CM_STORE);
    for (char name[] = "a/data/0"; name[7] < '4'; name[7]++)
        written_entry(zip, name, stored, sizeof stored, ZIP_CM_STORE);
    if (zip_close(zip) != 0)
        abort();
    return path;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct pickle pickle;
    struct weights weights;
    enum status status = pickle_parse(bytes, size, &pickle);
    fuzz_answer(status);
    if (status != STATUS_OK)
        return 0;
    pickle_find(&pickle, &pickle.nodes[pickle.top], "w");
    pickle_destroy(&pickle);
    status = weights_open(write_zip(bytes, size), &weights);
    fuzz_answer(status);
    for (size_t i = 0; status == STATUS_OK && i < weights.count; i++)
        for (uint64_t k = 0; k < weights.tensors[i].size; k++) /* every byte is there */
            if (((const uint8_t *)weights.tensors[i].bytes)[k] > 3)
                abort();
    weights_close(&weights);
    return 0;
}
