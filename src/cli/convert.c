/* convert: weights of another program, or of a checkpoint, as a plain safetensors file or an ONNX model. */
#include "cli/cli.h"
#include "cli/stop.h"

#include <string.h>

static struct values {
    const char *dtype, *model, *style;
    uint32_t size;
    bool list;
} values;

#define OPTION(type, name, field, value, initial, help, minimum, maximum)                                              \
    { name, type, offsetof(struct values, field), value, initial, help, minimum, maximum }
static const struct option options[] = {
    OPTION(OPTION_CHOICE, "dtype", dtype, "keep|f32|f16|bf16", "keep", "kind of the numbers that are written", 0, 0),
    OPTION(OPTION_FLAG, "list", list, NULL, NULL, "print every tensor's name, kind and shape", 0, 0),
    {NULL, OPTION_FLAG, 0, NULL, NULL, NULL, 0, 0},
};
static const struct option onnx_options[] = {
    OPTION(OPTION_TEXT, "model", model, "NAME", NULL, "the network; by default the one that the tensors fit", 0, 0),
    OPTION(OPTION_CHOICE, "style", style, "torch|keras", "torch", "of the network", 0, 0),
    OPTION(OPTION_WHOLE, "size", size, "N", "0", "height and width of images; 0: 224 for ImageNet, else 32", 0, 4096),
    {NULL, OPTION_FLAG, 0, NULL, NULL, NULL, 0, 0},
};
static const struct option_group groups[] = {{"What to write", options, &values},
                                             {"ONNX, where IN is no checkpoint", onnx_options, &values},
                                             {NULL, NULL, NULL}};

struct seen {
    json_t *tensors; /* NULL: they are printed, if wanted */
    uint64_t count, bytes;
};

static void print(const struct rvk_tensor *tensor) {
    printf("%-44s %-5s [", tensor->name, tensor->dtype);
    for (uint32_t i = 0; i < tensor->rank; i++)
        printf("%s%llu", i ? ", " : "", (unsigned long long)tensor->shape[i]);
    printf("]%s%s\n", strcmp(tensor->name, tensor->origin) ? "  was " : "",
           strcmp(tensor->name, tensor->origin) ? tensor->origin : "");
}

static void see(void *user, const struct rvk_tensor *tensor) {
    struct seen *seen = user;
    seen->count++;
    seen->bytes += tensor->bytes;
    if (seen->tensors && values.list) {
        json_t *shape = json_array();
        for (uint32_t i = 0; i < tensor->rank; i++)
            json_array_append_new(shape, json_integer((json_int_t)tensor->shape[i]));
        json_array_append_new(seen->tensors, json_pack("{s:s, s:s, s:s, s:o}", "name", tensor->name, "origin",
                                                       tensor->origin, "dtype", tensor->dtype, "shape", shape));
    } else if (values.list) {
        print(tensor);
    }
}

static void report(const struct cli *cli, const struct seen *seen, const char *out) {
    char size[32];
    if (cli->common.json) {
        json_t *record = cli_record(cli, NULL);
        json_object_set_new(record, "count", json_integer((json_int_t)seen->count));
        if (values.list)
            json_object_set(record, "tensors", seen->tensors);
        cli_print_json(record);
    } else {
        printf("%llu tensors of %s read%s%s\n", (unsigned long long)seen->count, cli_bytes(seen->bytes, size),
               out ? ", written to " : "", out ? out : "");
    }
}

static enum rvk_status should_stop(void *user) {
    (void)user;
    enum rvk_status status = stop_asked();
    return status == RVK_OK ? RVK_OK : cli_fail(status, "stopped before anything was written");
}

static enum rvk_status run(struct cli *cli) {
    const struct args *args = &cli->args;
    const char *out = args->word_count > 1 ? args->words[1] : NULL;
    struct seen seen = {0};
    struct rvk_convert_options convert = {.model = values.model,
                                          .style = values.style,
                                          .size = values.size,
                                          .on_tensor = see,
                                          .should_stop = should_stop,
                                          .user = &seen};
    if (args->word_count < 1 || args->word_count > 2 || (!out && !values.list))
        return cli_fail(RVK_USAGE, "convert needs IN and OUT.safetensors or OUT.onnx, or --list and IN");
    if (strcmp(values.dtype, "keep") != 0)
        convert.dtype = values.dtype;
    stop_install();
    seen.tensors = cli->common.json ? json_array() : NULL;
    enum rvk_status status = rvk_convert(args->words[0], out, &convert);
    if (status == RVK_OK)
        report(cli, &seen, out);
    json_decref(seen.tensors);
    return status;
}

const struct command command_convert = {
    .name = "convert",
    .summary = "weights of any program to safetensors or ONNX",
    .about = "IN is a safetensors file or a checkpoint, a state dict that torch.save wrote (.pth; nothing in it is\n"
             "executed), or a *.index.json with its shards. OUT is a plain state dict under torchvision's names,\n"
             "NAME.safetensors; what a checkpoint holds beside weights and running statistics is left out. Or OUT is\n"
             "NAME.onnx: the network with its weights, for inference by other programs (operator set 17), from\n"
             "normalized images \"x\" to \"logits\"; its metadata say how to normalize.\n",
    .words = "IN [OUT]",
    .groups = groups,
    .run = run,
};
