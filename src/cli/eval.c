/* eval: loss and accuracy of a checkpoint. */
#include "cli/cli.h"

#include <stdlib.h>

static struct values {
    const char *weights, *data, *model, *style;
    uint32_t batch, count, size;
    bool training;
} values;

#define OPTION(type, name, field, value, initial, help, minimum, maximum)                                              \
    { name, type, offsetof(struct values, field), value, initial, help, minimum, maximum }
static const struct option options[] = {
    OPTION(OPTION_TEXT, "weights", weights, "FILE", NULL, "a checkpoint, or weights of another program", 0, 0),
    OPTION(OPTION_TEXT, "data", data, "SPEC", NULL, "data set; as in training if not given", 0, 0),
    OPTION(OPTION_FLAG, "training", training, NULL, NULL, "its training images instead of its test images", 0, 0),
    OPTION(OPTION_WHOLE, "count", count, "N", "0", "only the first images; 0: all", 0, UINT32_MAX),
    OPTION(OPTION_WHOLE, "batch", batch, "N", "256", "images a step", 1, 65536),
    OPTION(OPTION_TEXT, "model", model, "NAME", NULL, "of weights that do not say it; else it is found by names", 0, 0),
    OPTION(OPTION_CHOICE, "style", style, "torch|keras", "torch", "of such a model", 0, 0),
    OPTION(OPTION_WHOLE, "size", size, "N", "0", "height and width of its images; 0: its usual ones", 0, 4096),
    {NULL, OPTION_FLAG, 0, NULL, NULL, NULL, 0, 0},
};
static const struct option_group groups[] = {{"What to evaluate", options, &values}, {NULL, NULL, NULL}};

struct result {
    struct rvk_evaluation all;
    uint32_t *count, *correct; /* by class */
};

static double share(uint32_t part, uint32_t whole) {
    return whole ? (double)part / whole : 0;
}

static void print(const struct rvk_data *data, const struct result *result) {
    printf("loss %.4f, accuracy %.4f on %u images\n", result->all.loss, result->all.accuracy, result->all.count);
    for (uint32_t k = 0; k < rvk_get_data_info(data).classes; k++) {
        const char *name = rvk_class_name(data, k);
        printf("  %3u %-20s %.4f  (%u of %u)\n", k, name ? name : "", share(result->correct[k], result->count[k]),
               result->correct[k], result->count[k]);
    }
}

static void print_json(const struct cli *cli, const struct rvk_data *data, const struct result *result) {
    json_t *record = cli_record(cli, NULL), *classes = json_array();
    for (uint32_t k = 0; k < rvk_get_data_info(data).classes; k++)
        json_array_append_new(classes, json_pack("{s:I, s:s?, s:I, s:I, s:f}", "class", (json_int_t)k, "name",
                                                 rvk_class_name(data, k), "count", (json_int_t)result->count[k],
                                                 "correct", (json_int_t)result->correct[k], "accuracy",
                                                 share(result->correct[k], result->count[k])));
    json_object_set_new(record, "loss", cli_number(result->all.loss));
    json_object_set_new(record, "accuracy", json_real(result->all.accuracy));
    json_object_set_new(record, "count", json_integer(result->all.count));
    json_object_set_new(record, "classes", classes);
    cli_print_json(record);
}

static enum rvk_status evaluate(struct cli *cli, struct rvk_model *model, struct rvk_data *data) {
    uint32_t classes = rvk_get_data_info(data).classes;
    uint32_t *numbers = calloc(2 * (size_t)classes, sizeof *numbers);
    struct result result = {.count = numbers, .correct = numbers + classes};
    if (!numbers)
        return cli_fail(RVK_MEMORY, "out of memory for %u classes", classes);
    enum rvk_status status = rvk_evaluate(model, data, 0, values.count, &result.all, result.count, result.correct);
    if (status == RVK_OK && cli->common.json)
        print_json(cli, data, &result);
    else if (status == RVK_OK)
        print(data, &result);
    free(numbers);
    return status;
}

static enum rvk_status run(struct cli *cli) {
    struct rvk_model *model = NULL;
    struct rvk_data *data = NULL;
    const struct rvk_load_options load = {values.batch, values.model, values.style, values.size};
    if (!values.weights)
        return cli_fail(RVK_USAGE, "eval needs --weights FILE");
    enum rvk_status status = rvk_load_model(cli->context, values.weights, &load, &model);
    if (status == RVK_OK && !values.data && !*rvk_model_data(model))
        status = cli_fail(RVK_USAGE, "%s does not say what it was trained on: eval needs --data SPEC", values.weights);
    if (status == RVK_OK)
        status = rvk_open_data(values.data ? values.data : rvk_model_data(model), values.training, &data);
    if (status == RVK_OK)
        status = evaluate(cli, model, data);
    rvk_close_data(data);
    rvk_free_model(model);
    return status;
}

const struct command command_eval = {
    .name = "eval",
    .summary = "loss and accuracy of a trained model",
    .device = true,
    .groups = groups,
    .run = run,
};
