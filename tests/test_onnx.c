/* The ONNX export: the file, computed by the standard's definitions, gives the logits of the network. */
#include "resnet_vk.h"

#include "base/file.h"
#include "weights/onnx.h"

#include "networks.h"
#include "onnx_runner.h"

#include <unistd.h>

enum { IMAGES = 2 };

/* Weights of the usual size, and biases and running statistics that matter too; dense, in device order. */
static double *weight_values(const struct model *model, size_t index) {
    const struct parameter *parameter = &model->parameters[index];
    bool kernel = parameter->class == PARAMETER_CONVOLUTION || parameter->class == PARAMETER_DENSE;
    double *dense = calloc(shape_count(parameter->shape), sizeof *dense);
    assert_non_null(dense);
    for (uint64_t i = 0; i < shape_count(parameter->shape); i++) {
        double uniform = random_uniform(3, (uint32_t)index, (uint32_t)i);
        dense[i] = (double)(float)(kernel ? 3 * parameter->scale * (uniform - 0.5) : parameter->scale + 0.4 * uniform);
    }
    return dense;
}

/* The same as in a file; zeros unless `filled`. */
static struct safetensors_tensor tensor_of(const struct model *model, size_t index, bool filled) {
    const struct parameter *parameter = &model->parameters[index];
    uint64_t count = shape_count(parameter->shape);
    struct safetensors_tensor tensor = {.dtype = SAFETENSORS_F32, .size = count * sizeof(float)};
    tensor.name = parameter->name;
    tensor.rank = parameter_file_shape(parameter, tensor.shape);
    float *values = calloc(count, sizeof *values);
    assert_non_null(values);
    if (filled) {
        double *dense = weight_values(model, index), *file = calloc(count, sizeof *file);
        assert_non_null(file);
        parameter_to_file(parameter, dense, file);
        for (uint64_t i = 0; i < count; i++)
            values[i] = (float)file[i];
        free(dense), free(file);
    }
    tensor.bytes = values;
    return tensor;
}

/* The weights of a model as the tensors of a file. */
struct file_weights {
    struct safetensors_tensor *tensors;
    const struct safetensors_tensor **pointers;
    size_t count;
};

static struct file_weights make_weights(const struct model *model, bool filled) {
    struct file_weights weights = {.count = model->count};
    weights.tensors = calloc(model->count, sizeof *weights.tensors);
    weights.pointers = calloc(model->count, sizeof(const struct safetensors_tensor *));
    assert_true(weights.tensors && weights.pointers);
    for (size_t i = 0; i < model->count; i++) {
        weights.tensors[i] = tensor_of(model, i, filled);
        weights.pointers[i] = &weights.tensors[i];
    }
    return weights;
}

static void free_weights(struct file_weights *weights) {
    for (size_t i = 0; i < weights->count; i++)
        free((void *)(uintptr_t)weights->tensors[i].bytes);
    free(weights->tensors);
    free(weights->pointers);
}

static enum status export_model(const struct model *model, bool filled, const char *path) {
    const struct onnx_text metadata[] = {{"model", model->name}, {NULL, NULL}};
    struct file_weights weights = make_weights(model, filled);
    enum status status = onnx_write(path, model, weights.pointers, metadata);
    free_weights(&weights);
    return status;
}

/* The logits that the network's own graph gives. */
static double *expect_logits(const struct model *model, const double *x) {
    const struct model_options *options = &model->options;
    struct graph graph;
    struct network network = {.clock = TENSOR_NONE, .indices = TENSOR_NONE};
    struct evaluation evaluation;
    graph_create(&graph);
    network.values = calloc(model->count, sizeof *network.values);
    assert_non_null(network.values);
    tensor_id input = graph_tensor(&graph, "x", DTYPE_F32,
                                   shape4(IMAGES, options->height, options->width, options->channels), TENSOR_INPUT);
    model_forward(model, &graph, input, false, &network);
    assert_int_equal(graph_status(&graph), STATUS_OK);
    evaluation_create(&evaluation, &graph);
    evaluation_set(&evaluation, input, x);
    for (size_t i = 0; i < model->count; i++) {
        double *dense = weight_values(model, i);
        evaluation_set(&evaluation, network.values[i], dense);
        free(dense);
    }
    for (size_t i = 0; i < graph.node_count; i++)
        evaluation_step(&evaluation, i);
    double *logits = evaluation_values(&evaluation, network.logits);
    evaluation_destroy(&evaluation);
    free(network.values);
    graph_destroy(&graph);
    return logits;
}

/* The images of the network [n,h,w,c], as ONNX has them: [n,c,h,w]. */
static struct array to_planes(const struct model_options *options, const double *x) {
    struct array out = {.rank = 4, .d = {IMAGES, options->channels, options->height, options->width}};
    int64_t pixels = out.d[2] * out.d[3];
    out.values = calloc(array_count(&out), sizeof *out.values);
    assert_non_null(out.values);
    FOR(n, IMAGES)
    FOR(c, out.d[1])
    FOR(p, pixels) out.values[(n * out.d[1] + c) * pixels + p] = x[(n * pixels + p) * out.d[1] + c];
    return out;
}

/* Largest difference of a logit of the file from the network's own, as a share of the largest logit. */
static double difference(const struct model *model, const char *path) {
    const struct model_options *options = &model->options;
    size_t count = (size_t)IMAGES * options->height * options->width * options->channels, size;
    double *x = calloc(count, sizeof *x), worst = 0, largest = 0;
    uint8_t *bytes;
    assert_non_null(x);
    for (size_t i = 0; i < count; i++)
        x[i] = random_normal(5, 0, (uint32_t)i);
    assert_int_equal(file_read(path, 1u << 30, &bytes, &size), STATUS_OK);
    double *expected = expect_logits(model, x);
    struct array planes = to_planes(options, x);
    static struct runner runner;
    const struct array *logits = runner_run(&runner, (struct span){bytes, bytes + size}, &planes);
    assert_non_null(logits);
    assert_int_equal(logits->rank, 2);
    assert_int_equal(logits->d[0], IMAGES);
    assert_int_equal(logits->d[1], options->classes);
    for (size_t i = 0; i < array_count(logits); i++) {
        worst = fmax(worst, fabs(logits->values[i] - expected[i]));
        largest = fmax(largest, fabs(expected[i]));
    }
    runner_destroy(&runner);
    free(planes.values), free(expected), free(bytes), free(x);
    return worst / largest;
}

/* Every op of every family: folded and free normalizations, all shortcuts, groups, pools, several dense layers. */
static void logits_are_the_networks(void **state) {
    (void)state;
    static const struct model_options networks[] = {
        {.name = "resnet8", .height = 8, .width = 12},
        {.name = "resnet8", .height = 8, .width = 8, .style = STYLE_KERAS},
        {.name = "resnet8a", .height = 9, .width = 9},
        {.name = "resnet8b", .height = 8, .width = 8},
        {.name = "resnet11v2", .height = 8, .width = 8},
        {.name = "plain8", .height = 8, .width = 8},
        {.name = "resnet18", .height = 33, .width = 40, .filters = 4},
        {.name = "seresnet18", .height = 32, .width = 32, .filters = 16, .classes = 6},
        {.name = "resnext50_32x4d", .height = 32, .width = 32, .classes = 9},
        {.name = "vgg16c_bn", .height = 32, .width = 32, .filters = 4},
        {.name = "vgg11", .height = 224, .width = 224, .filters = 1, .classes = 5},
        {.name = "vgg11", .height = 64, .width = 352, .filters = 1, .classes = 5},
    };
    for (size_t i = 0; i < COUNT(networks); i++) {
        struct model model = create(networks[i]);
        char path[] = "/tmp/resnet-vk-onnx-XXXXXX";
        close(mkstemp(path));
        if (export_model(&model, true, path) != STATUS_OK)
            fail_msg("%s: %s", model.name, status_message());
        double error = difference(&model, path);
        unlink(path);
        if (!(error < 2e-6))
            fail_msg("%s: logits differ by %.2g of the largest", model.name, error);
        model_destroy(&model);
    }
}

/* Every network of the listing has only ops with a counterpart. Of those with large dense layers, which take long, two
 * are tried. */
static void every_network_is_written(void **state) {
    (void)state;
    int large = 0;
    for (const char *const *name = model_names; *name; name++) {
        uint32_t filters = strncmp(*name, "resnext", 7) == 0 ? 16 : 1;
        struct model model = MODEL(.name = *name, .filters = filters);
        large += model.parameter_bytes > 64u << 20;
        if ((model.parameter_bytes <= 64u << 20 || large <= 2) && export_model(&model, false, "/dev/null") != STATUS_OK)
            fail_msg("%s: %s", *name, status_message());
        model_destroy(&model);
    }
}

static void a_failure_leaves_the_old_file(void **state) {
    (void)state;
    struct model model = MODEL(.name = "resnet8");
    assert_int_equal(export_model(&model, false, "/nonexistent/model.onnx"), STATUS_IO);
    assert_non_null(strstr(status_message(), "/nonexistent/model.onnx"));
    model_destroy(&model);
}

/* From a file of weights, whose network is found by its tensors. */
static void convert_writes_it(void **state) {
    (void)state;
    struct model model = MODEL(.name = "resnet20b", .classes = 7);
    struct file_weights weights = make_weights(&model, true);
    char in[] = "/tmp/resnet-vk-onnx-XXXXXX", out[sizeof in + 8];
    close(mkstemp(in));
    snprintf(out, sizeof out, "%s.onnx", in);
    assert_int_equal(safetensors_write(in, weights.tensors, model.count, NULL, 0), STATUS_OK);
    assert_int_equal(rvk_convert(in, out, &(struct rvk_convert_options){.dtype = "f16"}), RVK_USAGE);
    assert_false(file_exists(out));
    assert_int_equal(rvk_convert(in, out, &(struct rvk_convert_options){.model = "resnet32b"}), RVK_DATA);
    if (rvk_convert(in, out, &(struct rvk_convert_options){.model = "resnet20b"}) != RVK_OK)
        fail_msg("%s", rvk_message());
    assert_true(difference(&model, out) < 2e-6);
    unlink(in), unlink(out);
    free_weights(&weights);
    model_destroy(&model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_are_the_networks),
        cmocka_unit_test(every_network_is_written),
        cmocka_unit_test(a_failure_leaves_the_old_file),
        cmocka_unit_test(convert_writes_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
