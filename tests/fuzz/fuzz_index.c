/* An index of the shards a.safetensors and b.safetensors, which hold the tensors x and y, and z. */
#include "fuzz.h"

#include "weights/weights.h"

#include <stdio.h>
#include <stdlib.h>

static void write_shards(void) {
    static const float value = 1;
    static const struct safetensors_tensor tensors[] = {{"x", SAFETENSORS_F32, 1, {1}, &value, 4},
                                                        {"y", SAFETENSORS_F32, 1, {1}, &value, 4},
                                                        {"z", SAFETENSORS_F32, 1, {1}, &value, 4}};
    static bool written;
    char path[256];
    for (int shard = 0; shard < 2 && !written; shard++) {
        snprintf(path, sizeof path, "%s/%c.safetensors", fuzz_folder(), 'a' + shard);
        if (safetensors_write(path, tensors + 2 * shard, shard ? 1 : 2, NULL, 0) != STATUS_OK)
            abort();
    }
    written = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct weights weights;
    write_shards();
    enum status status = weights_open(fuzz_file("fuzz.index.json", bytes, size), &weights);
    fuzz_answer(status);
    weights_close(&weights);
    return 0;
}
