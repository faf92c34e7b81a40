/* A checkpoint: what --resume does with it before training goes on, and what eval and predict load of it. */
#include "fuzz.h"

#include "api/internal.h"
#include "train/trainer_internal.h"

#include <jansson.h>
#include <stdlib.h>

/* Networks of thousands of layers are sound, and take seconds. */
static bool is_deep(const struct checkpoint *checkpoint) {
    const char *digits = checkpoint->model.name;
    while (digits && *digits && (*digits < '0' || *digits > '9'))
        digits++;
    return digits && strtoul(digits, NULL, 10) > 200;
}

static enum status recall(const struct checkpoint *checkpoint) {
    struct rvk_train_options options = {0};
    struct trainer_options converted;
    char *record;
    void *keep;
    TRY(trainer_record(checkpoint, &record));
    enum status status = train_options_read(&options, record, &keep);
    if (status == STATUS_OK)
        status = train_options_convert(&options, &converted);
    json_decref(keep);
    free(record);
    return status;
}

static enum status load(const struct checkpoint *checkpoint, struct trainer *trainer) {
    TRY(model_create(&checkpoint->model, &trainer->model));
    TRY(checkpoint_load(checkpoint, &trainer->model, trainer->store, CHECKPOINT_WEIGHTS));
    return trainer_restore(trainer, checkpoint);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    size_t file_size;
    struct checkpoint checkpoint;
    struct trainer trainer = {0};
    uint8_t *content = fuzz_safetensors(bytes, size, &file_size);
    enum status status = checkpoint_open(fuzz_file("fuzz.safetensors", content, file_size), &checkpoint);
    free(content);
    fuzz_answer(status);
    if (status != STATUS_OK)
        return 0;
    if (!is_deep(&checkpoint)) {
        fuzz_answer(recall(&checkpoint));
        fuzz_answer(store_create(fuzz_device(), &trainer.store));
        fuzz_answer(load(&checkpoint, &trainer));
    }
    store_destroy(trainer.store);
    model_destroy(&trainer.model);
    checkpoint_close(&checkpoint);
    return 0;
}
