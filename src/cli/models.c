/* models: lists the networks with their sizes. */
#include "cli/cli.h"

static struct values { const char *style, *model; } values;

static const struct option options[] = {
    {"model", OPTION_TEXT, offsetof(struct values, model), "NAME|FILE.json", NULL,
     "only this one, or one that a file describes", 0, 0},
    {"style", OPTION_CHOICE, offsetof(struct values, style), "torch|keras", "torch", "whose details to follow", 0, 0},
    {NULL, OPTION_FLAG, 0, NULL, NULL, NULL, 0, 0},
};
static const struct option_group groups[] = {{"Options", options, &values}, {NULL, NULL, NULL}};

static json_t *pack(const struct rvk_model_info *info) {
    return json_pack("{s:s, s:I, s:I, s:f, s:I, s:I}", "model", info->name, "trainable", (json_int_t)info->trainable,
                     "untrained", (json_int_t)info->untrained, "multiply_adds", info->multiply_adds, "size",
                     (json_int_t)info->height, "classes", (json_int_t)info->classes);
}

static void print(const struct rvk_model_info *info) {
    printf("%-18s %12llu %12llu %20.1f M %6ux%-3u %8u\n", info->name, (unsigned long long)info->trainable,
           (unsigned long long)info->untrained, 1e-6 * info->multiply_adds, info->height, info->width, info->classes);
}

/* Fills the list, or prints a line for each. */
static enum rvk_status show(const char *const *names, json_t *list, bool as_json) {
    for (; *names; names++) {
        struct rvk_model_info info;
        enum rvk_status status = rvk_describe_model(*names, values.style, &info);
        if (status != RVK_OK)
            return status;
        if (!as_json && json_array_size(list) == 0)
            printf("%-18s %12s %12s %22s %10s %8s\n", "model", "weights", "statistics", "multiply-adds an image",
                   "images", "classes");
        json_array_append_new(list, pack(&info));
        if (!as_json)
            print(&info);
    }
    return RVK_OK;
}

static enum rvk_status run(struct cli *cli) {
    const char *one[] = {values.model, NULL};
    json_t *list = json_array();
    enum rvk_status status = show(values.model ? one : rvk_model_names(), list, cli->common.json);
    if (status == RVK_OK && cli->common.json) {
        json_t *record = cli_record(cli, NULL);
        json_object_set(record, "models", list);
        cli_print_json(record);
    } else if (status == RVK_OK && !values.model) {
        printf("\nOther image sizes, numbers of classes and depths that fit the rule work as well:\n%s",
               rvk_model_rule());
    }
    json_decref(list);
    return status;
}

const struct command command_models = {
    .name = "models",
    .summary = "lists the networks with their numbers of weights",
    .about = "Wherever a network is named, the path of a description may stand, which ends with .json:\n"
             "  {\"kind\": \"bottleneck\", \"blocks\": [3, 4, 6, 3], \"squeeze\": 16, \"name\": \"mine\"}\n"
             "kind          basic, bottleneck, plain (basic without shortcuts), preactivation or vgg\n"
             "blocks        how many in each stage, 1 to 5 numbers from 1 to 256; of vgg: convolutions\n"
             "name          for listings [custom]\n"
             "filters       of the first stage, 1 to 4096; each stage has twice as many as the one before [64; with a\n"
             "              small stem 16, vgg 64]\n"
             "stem          large: a 7x7 convolution of stride 2 and max pooling, for images of 224x224 pixels and\n"
             "              1000 classes; small: a 3x3 convolution, for 32x32 and 10 [large]. Of vgg: three dense\n"
             "              layers at the end, or one\n"
             "shortcut      of basic, bottleneck, preactivation, where a stage begins: projection (1x1 convolution),\n"
             "              projection_norm (and batch normalization) or pad (zeros) [projection_norm; of\n"
             "              preactivation projection]\n"
             "squeeze       of basic, bottleneck, plain: squeeze-and-excitation at the end of a block, with so many\n"
             "              times less values than channels in its middle, 1 to 256 [none]\n"
             "groups, group_width  of bottleneck: groups of the 3x3 convolution, and filters of each in a stage of\n"
             "              64; 1 to 1024 [one group of the stage's filters]\n"
             "stride_first  of bottleneck: the first 1x1 convolution has the stride, not the 3x3 one [false]\n"
             "norm          of vgg: batch normalization [true]\n",
    .groups = groups,
    .run = run,
};
