/* A run's log, as compare reads it in a folder to go on with, and what it makes of the numbers. */
#include "fuzz.h"

#include "cli/compare.h"

#include <stdlib.h>
#include <string.h>

/* The reference, which the page names. */
static struct rvk_context *open_context(void) {
    static struct rvk_context *context;
    if (!context && rvk_open(&(struct rvk_open_options){.device = "cpu"}, &context) != RVK_OK)
        abort();
    return context;
}

static void expect_items(const json_t *record, const char *key, size_t count) {
    if (json_array_size(json_object_get(record, key)) != count)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct compare_run runs[2] = {{.model = "plain20"}, {.model = "resnet20"}};
    const struct comparison comparison = {.runs = runs, .network_count = 2, .seeds = 1, .epochs = 2, .data = "fuzz"};
    const struct cli cli = {.context = open_context()};
    fuzz_file("log.jsonl", bytes, size);
    for (int i = 0; i < 2; i++) {
        snprintf(runs[i].folder, sizeof runs[i].folder, "%s", fuzz_folder());
        fuzz_answer((enum status)compare_read_log(&runs[i]));
    }
    json_t *record = json_object();
    compare_pack(&comparison, record);
    expect_items(record, "networks", 2);
    expect_items(record, "runs", 2);
    json_decref(record);
    fuzz_answer((enum status)compare_write_page(&cli, &comparison, "/dev/null"));
    for (int i = 0; i < 2; i++)
        free(runs[i].epochs);
    return 0;
}
