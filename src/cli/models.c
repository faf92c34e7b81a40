/* models: lists the networks with their sizes. */
#include "cli/cli.h"

static struct values { const char *style; } values;

static const struct option options[] = {
    {"style", OPTION_CHOICE, offsetof(struct values, style), "torch|keras", "torch", "whose details to follow", 0, 0},
    {NULL, OPTION_FLAG, 0, NULL, NULL, NULL, 0, 0},
};
static const struct option_group groups[] = {{"Options", options, &values}, {NULL, NULL, NULL}};

static json_t *pack(const struct rvk_model_info *info) {
    return json_pack("{s:s, s:I, s:I, s:f, s:I, s:I}", "model", info->name, "trainable", (json_int_t)info->trainable,
                     "untrained", (json_int_t)info->untrained, "multiply_adds", info->multiply_adds, "size",
                     (json_int_t)info->height, "classes", (json_int_t)info->classes);
}

static enum rvk_status run(struct cli *cli) {
    json_t *list = json_array();
    if (!cli->common.json)
        printf("%-18s %12s %12s %22s %10s %8s\n", "model", "weights", "statistics", "multiply-adds an image", "images",
               "classes");
    for (const char *const *name = rvk_model_names(); *name; name++) {
        struct rvk_model_info info;
        enum rvk_status status = rvk_describe_model(*name, values.style, &info);
        if (status != RVK_OK) {
            json_decref(list);
            return status;
        }
        json_array_append_new(list, pack(&info));
        if (!cli->common.json)
            printf("%-18s %12llu %12llu %20.1f M %6ux%-3u %8u\n", info.name, (unsigned long long)info.trainable,
                   (unsigned long long)info.untrained, 1e-6 * info.multiply_adds, info.height, info.width,
                   info.classes);
    }
    if (cli->common.json) {
        json_t *record = cli_record(cli, NULL);
        json_object_set(record, "models", list);
        cli_print_json(record);
    } else {
        printf("\nOther image sizes, numbers of classes and depths that fit the rule work as well:\n%s",
               rvk_model_rule());
    }
    json_decref(list);
    return RVK_OK;
}

const struct command command_models = {
    .name = "models",
    .summary = "lists the networks with their numbers of weights",
    .groups = groups,
    .run = run,
};
