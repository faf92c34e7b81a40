/* A model's description: what is accepted describes itself again in the same words, and a network is made of it. */
#include "fuzz.h"

#include "model/description.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check_text(const struct description *description) {
    struct description again;
    if (description_read(description->text, &again) != STATUS_OK || strcmp(again.text, description->text) != 0) {
        fprintf(stderr, "not the same again: %s\n", description->text);
        abort();
    }
    free(again.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct description description;
    struct model model;
    char path[128];
    snprintf(path, sizeof path, "%s", fuzz_file("model.json", bytes, size));
    enum status status = description_read(path, &description);
    fuzz_answer(status);
    if (status != STATUS_OK)
        return 0;
    check_text(&description);
    fuzz_answer(model_create(&(struct model_options){.name = description.text}, &model));
    model_destroy(&model);
    free(description.text);
    return 0;
}
