/* Weights that other programs wrote: names, shapes, shards, and what is said of files that do not fit. */
#include "state.h"

#include "resnet_vk.h"

#include <math.h>

/* ---- names ---- */

static void call_as_hugging_face(struct state *state) {
    for (size_t i = 0; i < state->count; i++) {
        const char *name = state->model.parameters[i].name;
        char kind[16], rest[NAME];
        unsigned stage, block, layer;
        if (sscanf(name, "layer%u.%u.downsample.%u.%s", &stage, &block, &layer, rest) == 4)
            call(state, i, "resnet.encoder.stages.%u.layers.%u.shortcut.%s.%s", stage - 1, block,
                 layer ? "normalization" : "convolution", rest);
        else if (sscanf(name, "layer%u.%u.%[a-z]%u.%s", &stage, &block, kind, &layer, rest) == 5)
            call(state, i, "resnet.encoder.stages.%u.layers.%u.layer.%u.%s.%s", stage - 1, block, layer - 1,
                 *kind == 'b' ? "normalization" : "convolution", rest);
        else if (strncmp(name, "fc.", 3) == 0)
            call(state, i, "classifier.1.%s", name + 3);
        else
            call(state, i, "resnet.embedder.embedder.%s%s", *name == 'b' ? "normalization" : "convolution",
                 strchr(name, '.'));
    }
}

static void knows_hugging_face(void **unused) {
    (void)unused;
    static const char *const models[] = {"resnet18", "resnet50"};
    static struct state state;
    for (size_t m = 0; m < COUNT(models); m++) {
        make_state(&state, models[m]);
        call_as_hugging_face(&state);
        assert_string_equal(state.names[0], "resnet.embedder.embedder.convolution.weight");
        write_state(&state, "hf.safetensors");
        assert_same(&state, "hf.safetensors");
        free_state(&state);
    }
}

static void drops_wrappers(void **unused) {
    (void)unused;
    static const char *const starts[] = {"", "module.", "model.", "module.model.", "_orig_mod.module."};
    static const char *const heads[] = {"fc", "head.fc", "classifier", "classifier.1", "last_linear"};
    static struct state state;
    make_state(&state, "resnet18");
    for (size_t s = 0; s < COUNT(starts); s++) {
        for (size_t i = 0; i < state.count; i++) {
            const char *name = state.model.parameters[i].name;
            bool head = strncmp(name, "fc.", 3) == 0;
            call(&state, i, "%s%s%s", starts[s], head ? heads[s] : "", head ? name + 2 : name);
        }
        write_state(&state, "wrapped.safetensors");
        assert_same(&state, "wrapped.safetensors");
    }
    free_state(&state);
}

static void ignores_counters(void **unused) {
    (void)unused;
    static const int64_t batches = 1000;
    static struct state state;
    make_state(&state, "resnet18");
    state.tensors[state.count++] = (struct safetensors_tensor){
        .name = "bn1.num_batches_tracked", .dtype = SAFETENSORS_I64, .bytes = &batches, .size = 8};
    write_state(&state, "counted.safetensors");
    assert_same(&state, "counted.safetensors");
    free_state(&state);
}

/* The names after reading of a file with these names, whose tensors are [2, 3, 1, 1]. */
static void expect_names(const char *const *before, const char *const *after, size_t count, uint32_t rank) {
    static const float values[6];
    struct safetensors_tensor tensors[8];
    struct weights weights;
    for (size_t i = 0; i < count; i++)
        tensors[i] = (struct safetensors_tensor){before[i], SAFETENSORS_F32, 4, {2, 3, 1, 1}, values, sizeof values};
    assert_int_equal(safetensors_write(in_folder("names.safetensors"), tensors, count, NULL, 0), STATUS_OK);
    assert_int_equal(weights_open(in_folder("names.safetensors"), &weights), STATUS_OK);
    assert_int_equal(weights.count, count);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(weights.tensors[i].name, after[i]);
        assert_string_equal(weights.origins[i], before[i]);
        assert_int_equal(weights.tensors[i].rank, rank);
    }
    weights_close(&weights);
}

#define EXPECT_NAMES(rank, before, after)                                                                              \
    expect_names((const char *const[]){before}, (const char *const[]){after}, COUNT(((const char *const[]){before})),  \
                 rank)
#define LIST(...) __VA_ARGS__

static void knows_timm(void **unused) {
    (void)unused;
    EXPECT_NAMES(2, LIST("pre_logits.fc1.weight", "pre_logits.fc2.weight"),
                 LIST("classifier.0.weight", "classifier.3.weight"));
    EXPECT_NAMES(4, LIST("features.0.weight", "features.12.bias"), LIST("features.0.weight", "features.12.bias"));
    EXPECT_NAMES(4, LIST("layer1.0.conv1.weight", "layer1.0.downsample.0.weight", "head.fc.bias"),
                 LIST("layer1.0.conv1.weight", "layer1.0.downsample.0.weight", "fc.bias"));
    /* what only looks like a rule's names */
    EXPECT_NAMES(4, LIST("embedder.embedder.x", "encoder.stages.x.layers.0.shortcut.convolution.weight"),
                 LIST("embedder.embedder.x", "encoder.stages.x.layers.0.shortcut.convolution.weight"));
    EXPECT_NAMES(4,
                 LIST("embedder.embedder.x", "encoder.stages.9999999999.layers.0.shortcut.convolution.weight",
                      "encoder.stages.9.layers.0.shortcut.convolution"),
                 LIST("embedder.embedder.x", "encoder.stages.9999999999.layers.0.shortcut.convolution.weight",
                      "encoder.stages.9.layers.0.shortcut.convolution"));
    EXPECT_NAMES(4, LIST("model.a", "b"), LIST("model.a", "b"));
}

/* ---- what does not fit ---- */

static void expect_refusal(const char *name, const char *const *parts) {
    struct weights weights;
    struct model model;
    const struct safetensors_tensor *tensors[TENSORS];
    const struct model_options options = {.name = "resnet18", .height = 32, .width = 32, .classes = 3, .filters = 4};
    assert_int_equal(model_create(&options, &model), STATUS_OK);
    enum status status = weights_open(in_folder(name), &weights);
    if (status == STATUS_OK)
        status = weights_match(&weights, &model, NULL, tensors);
    if (status != STATUS_DATA)
        fail_msg("%s: %d", name, (int)status);
    for (; *parts; parts++)
        if (!strstr(status_message(), *parts))
            fail_msg("\"%s\" is not in: %s", *parts, status_message());
    weights_close(&weights);
    model_destroy(&model);
}
#define EXPECT_REFUSAL(name, ...) expect_refusal(name, (const char *const[]){__VA_ARGS__, NULL})

static void names_every_fault(void **unused) {
    (void)unused;
    static struct state state;
    make_state(&state, "resnet18");
    size_t fc = state.count - 2;
    assert_string_equal(state.names[fc], "fc.weight");
    state.tensors[fc].shape[0] = 1;
    state.tensors[fc].size /= 3;
    call(&state, 0, "conv1.wieght");
    state.tensors[1].dtype = SAFETENSORS_I32;
    for (size_t i = 10; i < 15; i++)
        call(&state, i, "gone%zu", i);
    write_state(&state, "faults.safetensors");
    EXPECT_REFUSAL("faults.safetensors", "faults.safetensors does not hold the weights of resnet18",
                   "; missing: conv1.weight, ", " and 3 more",
                   "; of another shape or kind: bn1.weight, which holds I32, fc.weight [1, 32] instead of [3, 32];",
                   "; not in the model: conv1.wieght, gone10, gone11 and 3 more");
    free_state(&state);
}

static void lets_the_head_differ(void **unused) {
    (void)unused;
    static struct state state;
    struct weights weights;
    struct model model;
    const struct safetensors_tensor *tensors[TENSORS];
    const struct model_options options = {.name = "resnet18", .height = 32, .width = 32, .classes = 7, .filters = 4};
    char head[WEIGHTS_HEAD];
    make_state(&state, "resnet18");
    write_state(&state, "head.safetensors");
    assert_int_equal(model_create(&options, &model), STATUS_OK);
    assert_string_equal(weights_head(&model, head), "fc.");
    assert_int_equal(weights_open(in_folder("head.safetensors"), &weights), STATUS_OK);
    assert_int_equal(weights_match(&weights, &model, NULL, tensors), STATUS_DATA);
    assert_int_equal(weights_match(&weights, &model, head, tensors), STATUS_OK);
    for (size_t i = 0; i < model.count; i++)
        assert_int_equal(tensors[i] == NULL, i + 2 >= model.count);
    assert_int_equal(weights_match(&weights, &state.model, head, tensors), STATUS_OK); /* the same classes: all */
    for (size_t i = 0; i < model.count; i++)
        assert_non_null(tensors[i]);
    weights_close(&weights);
    model_destroy(&model);
    free_state(&state);
}

static void finds_the_model(void **unused) {
    (void)unused;
    static const char *const models[] = {"resnet18", "resnet34", "resnet50", "resnet20", "resnet20b", "resnet29v2"};
    static struct state state;
    struct model_options found;
    for (size_t m = 0; m < COUNT(models); m++) {
        struct weights weights;
        make_state(&state, models[m]);
        write_state(&state, "unknown.safetensors");
        assert_int_equal(weights_open(in_folder("unknown.safetensors"), &weights), STATUS_OK);
        assert_int_equal(weights_describe(&weights, &(struct model_options){0}, &found), STATUS_OK);
        assert_string_equal(found.name, models[m]);
        assert_int_equal(found.classes, 3);
        assert_int_equal(found.filters, 4);
        assert_int_equal(found.channels, 3);
        weights_close(&weights);
        free_state(&state);
    }
    struct weights weights;
    make_state(&state, "plain20"); /* with the parameters of resnet20a, whose shortcuts have none */
    write_state(&state, "unknown.safetensors");
    assert_int_equal(weights_open(in_folder("unknown.safetensors"), &weights), STATUS_OK);
    assert_int_equal(weights_describe(&weights, &(struct model_options){0}, &found), STATUS_DATA);
    assert_non_null(strstr(status_message(), "resnet20a or of plain20"));
    assert_int_equal(weights_describe(&weights, &(struct model_options){.name = "plain20"}, &found), STATUS_OK);
    assert_string_equal(found.name, "plain20");
    assert_int_equal(found.classes, 3);
    weights_close(&weights);
    free_state(&state);
    make_state(&state, "resnet34");
    call(&state, 4, "bn1.running_vra");
    write_state(&state, "unknown.safetensors");
    assert_int_equal(weights_open(in_folder("unknown.safetensors"), &weights), STATUS_OK);
    assert_int_equal(weights_describe(&weights, &(struct model_options){0}, &found), STATUS_DATA);
    assert_non_null(strstr(status_message(), "does not hold the weights of resnet34, the nearest of the usual models; "
                                             "missing: bn1.running_var; not in the model: bn1.running_vra"));
    weights_close(&weights);
    free_state(&state);
    EXPECT_NAMES(4, LIST("a"), LIST("a"));
    assert_int_equal(weights_open(in_folder("names.safetensors"), &weights), STATUS_OK);
    assert_int_equal(weights_describe(&weights, &(struct model_options){0}, &found), STATUS_DATA);
    assert_non_null(strstr(status_message(), "none of the usual models"));
    weights_close(&weights);
}

static void refuses_two_of_a_name(void **unused) {
    (void)unused;
    static struct state state;
    make_state(&state, "resnet18");
    state.tensors[state.count] = state.tensors[state.count - 1];
    state.tensors[state.count++].name = "head.fc.bias";
    write_state(&state, "twice.safetensors");
    EXPECT_REFUSAL("twice.safetensors", "two tensors are the same one, fc.bias");
    free_state(&state);
}

/* ---- shards ---- */

static void write_part(const struct state *state, const char *name, size_t first, size_t count) {
    assert_int_equal(safetensors_write(in_folder(name), state->tensors + first, count, NULL, 0), STATUS_OK);
}

/* An index of the state's tensors: those before `half` are in `one`, the others in `two`. */
static void write_index(const struct state *state, size_t half, const char *one, const char *two) {
    static char text[1 << 16];
    size_t length = (size_t)sprintf(text, "{\"metadata\": {\"total_size\": 1},\n \"weight_map\": {");
    for (size_t i = 0; i < state->count; i++)
        length += (size_t)sprintf(text + length, "%s\"%s\": \"%s\"", i ? ", " : "", state->tensors[i].name,
                                  i < half ? one : two);
    sprintf(text + length, "}}");
    write_text("s.safetensors.index.json", text);
}
#define INDEX "s.safetensors.index.json"

static void reads_shards(void **unused) {
    (void)unused;
    static struct state state;
    make_state(&state, "resnet18");
    size_t half = state.count / 3;
    write_part(&state, "one.safetensors", 0, half);
    write_part(&state, "two.safetensors", half, state.count - half);
    write_index(&state, half, "one.safetensors", "two.safetensors");
    assert_same(&state, INDEX);
    write_index(&state, half, "one.safetensors", "three.safetensors");
    EXPECT_REFUSAL(INDEX, "three.safetensors", "No such file");
    write_index(&state, half + 1, "one.safetensors", "two.safetensors");
    EXPECT_REFUSAL(INDEX, state.names[half], "in two.safetensors, but not by the index");
    write_part(&state, "one.safetensors", 0, half - 1);
    write_index(&state, half, "one.safetensors", "two.safetensors");
    EXPECT_REFUSAL(INDEX, state.names[half - 1], "is not in its shard");
    free_state(&state);
}

/* What an index names is opened in its own folder only. */
static void refuses_hostile_indices(void **unused) {
    (void)unused;
    static const char *const shards[] = {"..", ".", "", "/etc/passwd", "../x.safetensors", "a/b", "..\\\\x"};
    static struct state state;
    make_state(&state, "resnet18");
    for (size_t i = 0; i < COUNT(shards); i++) {
        write_index(&state, 0, "", shards[i]);
        EXPECT_REFUSAL(INDEX, "is no file of the same folder");
    }
    write_index(&state, 0, "", INDEX);
    EXPECT_REFUSAL(INDEX, "is an index itself");
    free_state(&state);
    static const char *const texts[][2] = {
        {"{\"weight_map\": []}", "no weight_map"},
        {"{\"weight_map\": {}}", "no weight_map"},
        {"{\"weight_map\": {\"a\": 7}}", "no file of the same folder: not a name"},
        {"{\"weight_map\": {\"a\": \"b\", \"a\": \"c\"}}", "is no index: line 1: duplicate"},
        {"{\"weights\": 1}", "no weight_map"},
        {"{\"weights\":", "is no index: line 1"},
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        write_text(INDEX, texts[i][0]);
        EXPECT_REFUSAL(INDEX, texts[i][1]);
    }
}

/* ---- the library's side ---- */

static void loads_into_a_model(void **unused) {
    (void)unused;
    static struct state state;
    struct rvk_context *context;
    struct rvk_model *model;
    struct rvk_model_info info;
    make_state(&state, "resnet20");
    write_state(&state, "m.safetensors");
    assert_int_equal(rvk_open(&(struct rvk_open_options){.device = "cpu"}, &context), RVK_OK);
    assert_int_equal(rvk_load_model(context, in_folder("m.safetensors"), NULL, &model), RVK_OK);
    rvk_get_model_info(model, &info);
    assert_string_equal(info.name, "resnet20");
    assert_int_equal(info.classes, 3);
    assert_int_equal(info.height, 32);
    assert_string_equal(rvk_model_data(model), "");
    rvk_free_model(model);
    const struct rvk_load_options as_plain = {.model = "plain20"}, as_none = {.model = "resnet21"};
    assert_int_equal(rvk_load_model(context, in_folder("m.safetensors"), &as_plain, &model), RVK_DATA);
    assert_non_null(strstr(rvk_message(), "not in the model: layer2.0.downsample.0.weight, "));
    assert_null(model);
    assert_int_equal(rvk_load_model(context, in_folder("m.safetensors"), &as_none, &model), RVK_USAGE);
    rvk_close(context);
    free_state(&state);
}

/* Probabilities of a file's model for some images. */
static void predict(struct rvk_context *context, const char *name, float probabilities[4 * 3]) {
    const struct rvk_load_options load = {.model = "resnet8"};
    struct rvk_model *model = NULL;
    struct rvk_data *data = NULL;
    if (rvk_load_model(context, in_folder(name), &load, &model) != RVK_OK ||
        rvk_open_data("generated:count=4,classes=3,size=32", false, &data) != RVK_OK ||
        rvk_predict(model, data, 0, 4, probabilities) != RVK_OK)
        fail_msg("%s: %s", name, rvk_message());
    rvk_close_data(data);
    rvk_free_model(model);
}

/* A state dict sees images as a checkpoint does that has ImageNet's mean and deviation. */
static void normalizes_as_imagenet(void **unused) {
    (void)unused;
    static const float means[] = {0.485f * 255, 0.456f * 255, 0.406f * 255};
    static const float scales[] = {1 / (0.229f * 255), 1 / (0.224f * 255), 1 / (0.225f * 255)};
    static const struct safetensors_text texts[] = {
        {"resnet_vk.model", "resnet8"}, {"resnet_vk.style", "torch"},
        {"resnet_vk.optimizer", "sgd"}, {"resnet_vk.options", "{\"options\": {\"data\": \"x\"}}"},
        {"resnet_vk.height", "32"},     {"resnet_vk.width", "32"},
        {"resnet_vk.channels", "3"},    {"resnet_vk.classes", "3"},
        {"resnet_vk.filters", "4"},     {"resnet_vk.epoch", "0"},
        {"resnet_vk.step", "0"},        {"resnet_vk.updates", "0"},
        {"resnet_vk.seed", "0"}};
    static struct state state;
    struct rvk_context *context;
    float plain[4 * 3], checkpoint[4 * 3];
    make_state(&state, "resnet8");
    for (size_t i = 0; i < state.count; i++) /* variances are positive, kernels small enough for soft answers */
        for (size_t k = 0; k < state.tensors[i].size / 4; k++)
            state.values[i][k] = strstr(state.names[i], "running_var") ? 1 + fabsf(state.values[i][k])
                                 : state.tensors[i].rank > 1           ? 0.1f * state.values[i][k]
                                                                       : state.values[i][k];
    write_state(&state, "plain.safetensors");
    state.tensors[state.count++] = (struct safetensors_tensor){"normalize.mean", SAFETENSORS_F32, 1, {3}, means, 12};
    state.tensors[state.count++] = (struct safetensors_tensor){"normalize.scale", SAFETENSORS_F32, 1, {3}, scales, 12};
    assert_int_equal(safetensors_write(in_folder("check.safetensors"), state.tensors, state.count, texts, COUNT(texts)),
                     STATUS_OK);
    assert_int_equal(rvk_open(&(struct rvk_open_options){.device = "cpu"}, &context), RVK_OK);
    predict(context, "plain.safetensors", plain);
    predict(context, "check.safetensors", checkpoint);
    rvk_close(context);
    for (size_t i = 0; i < COUNT(plain); i++)
        if (!(fabsf(plain[i] - checkpoint[i]) < 1e-5f))
            fail_msg("probability %zu is %g, not %g", i, (double)plain[i], (double)checkpoint[i]);
    assert_true(plain[0] > 0.01f && plain[0] < 0.99f && fabsf(plain[0] - plain[3]) > 1e-4f);
    free_state(&state);
}

/* ---- converting ---- */

static void convert(const char *in, const char *out, const char *dtype) {
    char path[160];
    snprintf(path, sizeof path, "%s", in_folder(out));
    if (rvk_convert(in_folder(in), path, &(struct rvk_convert_options){.dtype = dtype}) != RVK_OK)
        fail_msg("%s", rvk_message());
}

static void expect_convert_refusal(const char *in, const char *out, const char *dtype, enum rvk_status code,
                                   const char *part) {
    assert_int_equal(rvk_convert(in_folder(in), in_folder(out), &(struct rvk_convert_options){.dtype = dtype}), code);
    if (!strstr(rvk_message(), part))
        fail_msg("\"%s\" is not in: %s", part, rvk_message());
}

static void count_tensors(void *user, const struct rvk_tensor *tensor) {
    assert_true(tensor->rank <= 4 && strncmp(tensor->origin, "module.", 7) == 0);
    assert_string_equal(tensor->origin + 7, tensor->name);
    ++*(size_t *)user;
}

static void converts(void **unused) {
    (void)unused;
    static struct state state;
    size_t seen = 0;
    make_state(&state, "resnet18");
    for (size_t i = 0; i < state.count; i++)
        call(&state, i, "module.%s", state.model.parameters[i].name);
    write_state(&state, "wrapped.safetensors");
    convert("wrapped.safetensors", "plain.safetensors", NULL);
    assert_same(&state, "plain.safetensors");
    struct rvk_convert_options options = {.on_tensor = count_tensors, .user = &seen};
    assert_int_equal(rvk_convert(in_folder("wrapped.safetensors"), NULL, &options), RVK_OK);
    assert_int_equal(seen, state.count);
    for (size_t i = 0; i < state.count; i++) /* values that bf16 has */
        for (size_t k = 0; k < state.tensors[i].size / 4; k++)
            state.values[i][k] = ldexpf((float)((int)(i + k) % 256 - 128), -4);
    write_state(&state, "exact.safetensors");
    static const char *const dtypes[] = {"f16", "bf16"};
    for (size_t d = 0; d < COUNT(dtypes); d++) {
        struct weights weights;
        convert("exact.safetensors", "small.safetensors", dtypes[d]);
        assert_int_equal(weights_open(in_folder("small.safetensors"), &weights), STATUS_OK);
        assert_int_equal(weights.tensors[0].size, state.tensors[0].size / 2);
        assert_string_equal(safetensors_metadata(&weights.files[0], "format"), "pt");
        weights_close(&weights);
        convert("small.safetensors", "again.safetensors", "f32");
        assert_same(&state, "again.safetensors");
    }
    state.values[3][1] = 70000;
    write_state(&state, "large.safetensors");
    expect_convert_refusal("large.safetensors", "again.safetensors", "f16", RVK_DATA,
                           "holds 70000, which is too large for F16");
    state.values[3][1] = INFINITY;
    write_state(&state, "large.safetensors");
    convert("large.safetensors", "small.safetensors", "f16");
    expect_convert_refusal("exact.safetensors", "x.pth", NULL, RVK_USAGE,
                           "x.pth: weights are written to NAME.safetensors");
    expect_convert_refusal("exact.safetensors", "x.safetensors", "f64", RVK_USAGE, "not as f64");
    expect_convert_refusal("none", "x.safetensors", NULL, RVK_DATA, "none: No such file");
    expect_convert_refusal("exact.safetensors", "none/x.safetensors", NULL, RVK_IO, "none/x.safetensors");
    assert_false(file_exists(in_folder("x.safetensors")));
    free_state(&state);
}

/* Of a checkpoint, the weights alone. */
static void leaves_out_what_is_no_weight(void **unused) {
    (void)unused;
    static const char *const more[] = {"optimizer.velocity.conv1.weight", "normalize.mean"};
    static const struct safetensors_text texts[] = {{"resnet_vk.model", "resnet18"}};
    static struct state state;
    struct safetensors file;
    make_state(&state, "resnet18");
    for (size_t i = 0; i < COUNT(more); i++) {
        state.tensors[state.count] = state.tensors[0];
        state.tensors[state.count++].name = more[i];
    }
    assert_int_equal(safetensors_write(in_folder("check.safetensors"), state.tensors, state.count, texts, COUNT(texts)),
                     STATUS_OK);
    convert("check.safetensors", "weights.safetensors", NULL);
    assert_int_equal(safetensors_read(in_folder("weights.safetensors"), &file), STATUS_OK);
    assert_int_equal(file.count, state.model.count);
    assert_int_equal(file.metadata_count, 1);
    safetensors_destroy(&file);
    assert_same(&state, "weights.safetensors");
    free_state(&state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_hugging_face), cmocka_unit_test(drops_wrappers),
        cmocka_unit_test(ignores_counters),   cmocka_unit_test(knows_timm),
        cmocka_unit_test(names_every_fault),  cmocka_unit_test(lets_the_head_differ),
        cmocka_unit_test(finds_the_model),    cmocka_unit_test(refuses_two_of_a_name),
        cmocka_unit_test(reads_shards),       cmocka_unit_test(refuses_hostile_indices),
        cmocka_unit_test(loads_into_a_model), cmocka_unit_test(normalizes_as_imagenet),
        cmocka_unit_test(converts),           cmocka_unit_test(leaves_out_what_is_no_weight),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
