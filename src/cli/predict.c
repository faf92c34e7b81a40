/* predict: what a checkpoint sees in single images. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct values {
    const char *weights, *data, *pictures, *model, *style;
    uint32_t first, count, top, size;
    bool training;
} values;

#define OPTION(type, name, field, value, initial, help, minimum, maximum)                                              \
    { name, type, offsetof(struct values, field), value, initial, help, minimum, maximum }
static const struct option options[] = {
    OPTION(OPTION_TEXT, "weights", weights, "FILE", NULL, "a checkpoint, or weights of another program", 0, 0),
    OPTION(OPTION_TEXT, "data", data, "SPEC", NULL, "data set; as in training if not given", 0, 0),
    OPTION(OPTION_FLAG, "training", training, NULL, NULL, "its training images instead of its test images", 0, 0),
    OPTION(OPTION_WHOLE, "first", first, "N", "0", "number of the first image", 0, UINT32_MAX),
    OPTION(OPTION_WHOLE, "count", count, "N", "5", "how many images", 1, 10000),
    OPTION(OPTION_WHOLE, "top", top, "N", "3", "how many classes to name", 1, 1000),
    OPTION(OPTION_CHOICE, "pictures", pictures, "auto|always|never", "auto", "draw the images; auto: on a terminal", 0,
           0),
    OPTION(OPTION_TEXT, "model", model, "NAME", NULL, "of weights that do not say it; else it is found by names", 0, 0),
    OPTION(OPTION_CHOICE, "style", style, "torch|keras", "torch", "of such a model", 0, 0),
    OPTION(OPTION_WHOLE, "size", size, "N", "0", "height and width of its images; 0: its usual ones", 0, 4096),
    {NULL, OPTION_FLAG, 0, NULL, NULL, NULL, 0, 0},
};
static const struct option_group groups[] = {{"What to predict", options, &values}, {NULL, NULL, NULL}};

/* ---- text ---- */

/* Mean of the channels of one pixel. */
static unsigned brightness(const uint8_t *image, struct rvk_data_info info, uint32_t row, uint32_t column) {
    const uint8_t *pixel = image + ((size_t)row * info.width + column) * info.channels;
    unsigned sum = 0;
    for (uint32_t c = 0; c < info.channels; c++)
        sum += pixel[c];
    return sum / info.channels;
}

/* Two rows of the image become one line, as letters are about twice as high as wide. */
static void draw(const struct rvk_data *data, uint32_t index) {
    static const char ramp[] = " .:-=+*#%@";
    struct rvk_data_info info = rvk_get_data_info(data);
    const uint8_t *image = rvk_image(data, index);
    for (uint32_t row = 0; row + 1 < info.height; row += 2) {
        for (uint32_t column = 0; column < info.width; column++) {
            unsigned mean = (brightness(image, info, row, column) + brightness(image, info, row + 1, column)) / 2;
            putchar(ramp[mean * (sizeof ramp - 1) / 256]);
        }
        putchar('\n');
    }
}

static void print_class(const struct rvk_data *data, uint32_t k) {
    const char *name = rvk_class_name(data, k);
    if (name)
        printf("%s", name);
    else
        printf("class %u", k);
}

/* The most probable class that is less probable than the one before (of equals, the one with the larger number). */
static uint32_t next_best(const float *probabilities, uint32_t classes, uint32_t before) {
    uint32_t best = UINT32_MAX;
    for (uint32_t k = 0; k < classes; k++) {
        bool behind = before == UINT32_MAX || probabilities[k] < probabilities[before] ||
                      (probabilities[k] == probabilities[before] && k > before);
        if (behind && (best == UINT32_MAX || probabilities[k] > probabilities[best]))
            best = k;
    }
    return best;
}

static void print_image(const struct rvk_data *data, uint32_t index, const float *probabilities) {
    uint32_t classes = rvk_get_data_info(data).classes, label = rvk_label(data, index), best = UINT32_MAX;
    if (strcmp(values.pictures, "always") == 0 || (strcmp(values.pictures, "auto") == 0 && isatty(STDOUT_FILENO)))
        draw(data, index);
    printf("image %u: ", index);
    for (uint32_t i = 0; i < values.top && i < classes; i++) {
        best = next_best(probabilities, classes, best);
        if (best == UINT32_MAX)
            break;
        printf("%s", i ? ", " : "");
        print_class(data, best);
        printf(" %.1f%%", 100 * (double)probabilities[best]);
    }
    printf("; truly ");
    print_class(data, label);
    printf("%s\n", next_best(probabilities, classes, UINT32_MAX) == label ? "" : "  (wrong)");
}

/* ---- JSON ---- */

static json_t *pack(const struct rvk_data *data, uint32_t index, const float *probabilities) {
    uint32_t classes = rvk_get_data_info(data).classes, label = rvk_label(data, index);
    uint32_t best = next_best(probabilities, classes, UINT32_MAX);
    json_t *list = json_array();
    for (uint32_t k = 0; k < classes; k++)
        json_array_append_new(list, cli_number((double)probabilities[k]));
    return json_pack("{s:I, s:I, s:s?, s:I, s:s?, s:o}", "index", (json_int_t)index, "label", (json_int_t)label,
                     "label_name", rvk_class_name(data, label), "prediction",
                     best == UINT32_MAX ? -1 : (json_int_t)best, "prediction_name", rvk_class_name(data, best),
                     "probabilities", list);
}

static void print_json(const struct cli *cli, const struct rvk_data *data, const float *probabilities) {
    json_t *record = cli_record(cli, NULL), *list = json_array();
    uint32_t classes = rvk_get_data_info(data).classes;
    for (uint32_t i = 0; i < values.count; i++)
        json_array_append_new(list, pack(data, values.first + i, probabilities + (size_t)i * classes));
    json_object_set_new(record, "predictions", list);
    cli_print_json(record);
}

/* ---- running ---- */

static enum rvk_status predict(struct cli *cli, struct rvk_model *model, const struct rvk_data *data) {
    uint32_t classes = rvk_get_data_info(data).classes;
    float *probabilities = calloc((size_t)values.count * classes, sizeof *probabilities);
    if (!probabilities)
        return cli_fail(RVK_MEMORY, "out of memory for %u predictions", values.count);
    enum rvk_status status = rvk_predict(model, data, values.first, values.count, probabilities);
    if (status == RVK_OK && cli->common.json)
        print_json(cli, data, probabilities);
    for (uint32_t i = 0; status == RVK_OK && !cli->common.json && i < values.count; i++)
        print_image(data, values.first + i, probabilities + (size_t)i * classes);
    free(probabilities);
    return status;
}

static enum rvk_status run(struct cli *cli) {
    struct rvk_model *model = NULL;
    struct rvk_data *data = NULL;
    if (!values.weights)
        return cli_fail(RVK_USAGE, "predict needs --weights FILE");
    const struct rvk_load_options load = {values.count < 256 ? values.count : 256, values.model, values.style,
                                          values.size};
    enum rvk_status status = rvk_load_model(cli->context, values.weights, &load, &model);
    if (status == RVK_OK && !values.data && !*rvk_model_data(model))
        status =
            cli_fail(RVK_USAGE, "%s does not say what it was trained on: predict needs --data SPEC", values.weights);
    if (status == RVK_OK)
        status = rvk_open_data(values.data ? values.data : rvk_model_data(model), values.training, &data);
    if (status == RVK_OK)
        status = predict(cli, model, data);
    rvk_close_data(data);
    rvk_free_model(model);
    return status;
}

const struct command command_predict = {
    .name = "predict",
    .summary = "what a trained model sees in single images",
    .device = true,
    .groups = groups,
    .run = run,
};
