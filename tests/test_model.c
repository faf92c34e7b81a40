/* Models: counts that are published, names, file layouts, places in the flat values, initial values. */
#include "networks.h"

/* ---- counts ---- */

/* The a-variants are the networks of table 6 of the paper (0.27, 0.46, 0.66, 0.85, 1.7 M); the other counts and the
 * multiply-adds are those of the same networks written in PyTorch and Keras. */
static const struct {
    const char *name;
    enum model_style style;
    uint64_t trainable, untrained;
    double multiply_adds;
} counts[] = {
    {"resnet20a", STYLE_TORCH, 269722, 1376, 40551040},
    {"resnet32a", STYLE_TORCH, 464154, 2272, 68862592},
    {"resnet44a", STYLE_TORCH, 658586, 3168, 97174144},
    {"resnet56a", STYLE_TORCH, 853018, 4064, 125485696},
    {"resnet110a", STYLE_TORCH, 1727962, 8096, 252887680},
    {"resnet20", STYLE_TORCH, 272282, 1376, 40813184},
    {"resnet32", STYLE_TORCH, 466714, 2272, 69124736},
    {"resnet44", STYLE_TORCH, 661146, 3168, 97436288},
    {"resnet56", STYLE_TORCH, 855578, 4064, 125747840},
    {"resnet110", STYLE_TORCH, 1730522, 8096, 253149824},
    {"resnet20b", STYLE_TORCH, 272474, 1568, 40813184},
    {"resnet56b", STYLE_TORCH, 855770, 4256, 125747840},
    {"plain20", STYLE_TORCH, 269722, 1376, 40551040},
    {"resnet20", STYLE_KERAS, 273066, 1376, 40813184},
    {"resnet20v2", STYLE_KERAS, 570602, 3488, 0},
    {"resnet18", STYLE_TORCH, 11689512, 9600, 1814073344}, /* torchvision's, from here on */
    {"resnet34", STYLE_TORCH, 21797672, 17024, 3663761408},
    {"resnet50", STYLE_TORCH, 25557032, 53120, 4089184256},
    {"resnet101", STYLE_TORCH, 44549160, 105344, 7801405440},
    {"resnet152", STYLE_TORCH, 60192808, 151424, 11513626624},
    {"resnet50v1", STYLE_TORCH, 25557032, 53120, 3857973248},
    {"wide_resnet50_2", STYLE_TORCH, 68883240, 68224, 11398021120},
    {"wide_resnet101_2", STYLE_TORCH, 126886696, 137856, 22753050624},
    {"resnext50_32x4d", STYLE_TORCH, 25028904, 68224, 4230479872},
    {"resnext101_32x8d", STYLE_TORCH, 88791336, 202880, 16414015488},
    {"resnext101_64x4d", STYLE_TORCH, 83455272, 202880, 15460270080},
    {"seresnet18", STYLE_TORCH, 11779624, 9600, 1814161408}, /* timm's */
    {"seresnet34", STYLE_TORCH, 21960416, 17024, 3663920128},
    {"seresnet50", STYLE_TORCH, 28088024, 53120, 4091699200},
    {"seresnet101", STYLE_TORCH, 49326872, 105344, 7806148608},
    {"seresnet152", STYLE_TORCH, 66821848, 151424, 11520204800},
    {"vgg11", STYLE_TORCH, 132863336, 0, 7609090048},
    {"vgg13", STYLE_TORCH, 133047848, 0, 11308466176},
    {"vgg16", STYLE_TORCH, 138357544, 0, 15470264320},
    {"vgg19", STYLE_TORCH, 143667240, 0, 19632062464},
    {"vgg11_bn", STYLE_TORCH, 132868840, 5504, 7609090048},
    {"vgg13_bn", STYLE_TORCH, 133053736, 5888, 11308466176},
    {"vgg16_bn", STYLE_TORCH, 138365992, 8448, 15470264320},
    {"vgg19_bn", STYLE_TORCH, 143678248, 11008, 19632062464},
};

static void counts_are_the_published_ones(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(counts); i++) {
        struct model model = MODEL(.name = counts[i].name, .style = counts[i].style);
        if (model.trainable != counts[i].trainable || model.untrained != counts[i].untrained ||
            (counts[i].multiply_adds > 0 && model.multiply_adds != counts[i].multiply_adds))
            fail_msg("%s: %llu trained values, %llu others, %.0f multiply-adds", counts[i].name,
                     (unsigned long long)model.trainable, (unsigned long long)model.untrained, model.multiply_adds);
        model_destroy(&model);
    }
}

static void every_listed_name_exists(void **state) {
    (void)state;
    for (const char *const *name = model_names; *name; name++) {
        struct model model = MODEL(.name = *name);
        assert_string_equal(model.name, *name);
        assert_true(model.count > (strncmp(*name, "vgg", 3) == 0 ? 20 : 60));
        model_destroy(&model);
    }
}

/* resnet50 and resnet152 would also be depths 6n+2 for small images. */
static void names_of_imagenet_win_and_c_names_the_others(void **state) {
    (void)state;
    struct model large = MODEL(.name = "resnet50"), small = MODEL(.name = "resnet50c"),
                 next = MODEL(.name = "resnet56"), c = MODEL(.name = "resnet56c"), b = MODEL(.name = "resnet50b");
    assert_int_equal(large.options.height, 224);
    assert_int_equal(large.options.width, 224);
    assert_int_equal(large.options.classes, 1000);
    assert_int_equal(small.options.height, 32);
    assert_int_equal(small.options.classes, 10);
    assert_int_equal(small.count, next.count - 3 * 10); /* two layers less in each stage */
    assert_int_equal(c.trainable, next.trainable);
    assert_true(c.multiply_adds == next.multiply_adds);
    assert_int_equal(b.trainable, small.trainable + 2 * (32 + 64));
    model_destroy(&large);
    model_destroy(&small);
    model_destroy(&next);
    model_destroy(&c);
    model_destroy(&b);
}

/* ---- refusals ---- */

static void refuse(struct model_options options, const char *sentence) {
    struct model model;
    assert_int_equal(model_create(&options, &model), STATUS_USAGE);
    if (!strstr(status_message(), sentence))
        fail_msg("%s: \"%s\" does not say \"%s\"", options.name, status_message(), sentence);
    assert_null(model.parameters);
}

static void wrong_names_and_sizes_are_refused(void **state) {
    (void)state;
    const struct model_options deep = {.name = "resnet10004"}, wide = {.name = "resnet20", .filters = 5000},
                               large = {.name = "resnet20", .height = 100000, .width = 100000}, none = {0};
    refuse((struct model_options){.name = "resnet21"},
           "resnet depth must be 6n+2 (20, 32, 44, 56, 110, ...) or 18, 34, 50, 101, 152 (ImageNet), not 21");
    refuse((struct model_options){.name = "resnet18b"}, "resnet depth must be 6n+2 (20, 32, 44, 56, 110, ...), not 18");
    refuse((struct model_options){.name = "plain2"}, "plain depth must be 6n+2 (20, 32, 44, 56, 110, ...), not 2");
    refuse((struct model_options){.name = "resnet28v2"},
           "resnet v2 depth must be 9n+2 (20, 29, 56, 110, 164, ...), not");
    refuse((struct model_options){.name = "resnet"}, "there is no model called resnet (");
    refuse((struct model_options){.name = "resnet020"}, "there is no model");
    refuse((struct model_options){.name = "resnet20d"}, "there is no model");
    refuse((struct model_options){.name = "plain20a"}, "there is no model");
    refuse((struct model_options){.name = "resnet-20"}, "there is no model");
    refuse((struct model_options){.name = "resnet99999999999999999999999999999999999999999"}, "there is no model");
    refuse(deep, "resnet10004: the depth is limited to 9999");
    refuse(wide, "at most 4096 filters, not 5000");
    refuse(large, "more than 2^31 elements");
    refuse(none, "needs a name");
}

static void images_of_another_size_are_refused(void **state) {
    (void)state;
    struct model model = MODEL(.name = "resnet8");
    struct network network = {
        .values = calloc(model.count, sizeof(tensor_id)), .clock = TENSOR_NONE, .indices = TENSOR_NONE};
    struct graph graph;
    graph_create(&graph);
    tensor_id x = graph_tensor(&graph, "x", DTYPE_F32, shape4(2, 28, 28, 1), TENSOR_INPUT);
    model_forward(&model, &graph, x, true, &network);
    assert_int_equal(graph_status(&graph), STATUS_USAGE);
    assert_non_null(strstr(status_message(), "resnet8 takes images of 32x32x3 (height, width, channels), not 28x28x1"));
    graph_destroy(&graph);
    free(network.values);
    model_destroy(&model);
}

/* ---- names and layouts ---- */

static void names_are_those_of_torchvision(void **state) {
    (void)state;
    static const char *const present[] = {
        "conv1.weight",
        "bn1.weight",
        "bn1.bias",
        "bn1.running_mean",
        "bn1.running_var",
        "layer1.0.conv1.weight",
        "layer1.2.bn2.bias",
        "layer2.0.downsample.0.weight",
        "layer3.0.conv1.weight",
        "layer3.0.downsample.0.weight",
        "layer3.2.conv2.weight",
        "layer3.2.bn2.running_var",
        "fc.weight",
        "fc.bias",
    };
    struct model model = MODEL(.name = "resnet20"), b = MODEL(.name = "resnet20b");
    for (size_t i = 0; i < COUNT(present); i++)
        if (model_find(&model, present[i]) < 0)
            fail_msg("resnet20 has no %s", present[i]);
    assert_int_equal(model.count, 1 + 4 + 9 * 10 + 2 + 2);
    assert_int_equal(model_find(&model, "conv1.bias"), -1);
    assert_int_equal(model_find(&model, "layer1.0.downsample.0.weight"), -1);
    assert_int_equal(model_find(&model, "layer2.0.downsample.1.weight"), -1);
    assert_true(model_find(&b, "layer2.0.downsample.1.weight") >= 0);
    assert_true(model_find(&b, "layer3.0.downsample.1.running_mean") >= 0);
    model_destroy(&b);
    model_destroy(&model);
}

static void expect_shape(const struct model *model, const char *name, uint32_t kh, uint32_t kw, uint32_t i,
                         uint32_t o) {
    int index = model_find(model, name);
    if (index < 0)
        fail_msg("%s has no %s", model->name, name);
    if (!shape_equal(model->parameters[index].shape, shape4(kh, kw, i, o)))
        fail_msg("%s of %s has another shape", name, model->name);
}

static void imagenet_networks_have_the_parameters_of_torchvision(void **state) {
    (void)state;
    struct model basic = MODEL(.name = "resnet34"), deep = MODEL(.name = "resnet152");
    expect_shape(&basic, "conv1.weight", 7, 7, 3, 64);
    expect_shape(&basic, "layer2.0.downsample.0.weight", 1, 1, 64, 128);
    expect_shape(&basic, "layer3.5.conv2.weight", 3, 3, 256, 256);
    expect_shape(&basic, "layer4.2.bn2.running_var", 1, 1, 1, 512);
    expect_shape(&basic, "fc.weight", 1, 1, 512, 1000);
    assert_int_equal(model_find(&basic, "layer1.0.downsample.0.weight"), -1);
    assert_int_equal(model_find(&basic, "layer4.3.conv1.weight"), -1);
    expect_shape(&deep, "layer1.0.downsample.0.weight", 1, 1, 64, 256);
    expect_shape(&deep, "layer1.0.downsample.1.bias", 1, 1, 1, 256);
    expect_shape(&deep, "layer2.7.conv1.weight", 1, 1, 512, 128);
    expect_shape(&deep, "layer3.35.conv2.weight", 3, 3, 256, 256);
    expect_shape(&deep, "layer4.0.conv1.weight", 1, 1, 1024, 512);
    expect_shape(&deep, "layer4.2.conv3.weight", 1, 1, 512, 2048);
    expect_shape(&deep, "layer4.2.bn3.weight", 1, 1, 1, 2048);
    expect_shape(&deep, "fc.weight", 1, 1, 2048, 1000);
    assert_int_equal(model_find(&deep, "layer1.1.downsample.0.weight"), -1);
    assert_int_equal(basic.count, 36 * 5 + 2); /* 33 convolutions and 3 in shortcuts, each with its normalization */
    assert_int_equal(deep.count, 155 * 5 + 2);
    model_destroy(&basic);
    model_destroy(&deep);
}

/* timm's names; the middle has a sixteenth of the channels, at least eight. */
static void excitations_have_the_parameters_of_timm(void **state) {
    (void)state;
    struct model basic = MODEL(.name = "seresnet18"), deep = MODEL(.name = "seresnet50");
    expect_shape(&basic, "layer1.0.se.fc1.weight", 1, 1, 64, 8);
    expect_shape(&basic, "layer4.1.se.fc1.weight", 1, 1, 512, 32);
    expect_shape(&deep, "layer1.0.se.fc1.weight", 1, 1, 256, 16);
    expect_shape(&deep, "layer1.0.se.fc1.bias", 1, 1, 1, 16);
    expect_shape(&deep, "layer4.2.se.fc2.weight", 1, 1, 128, 2048);
    expect_shape(&deep, "layer4.2.se.fc2.bias", 1, 1, 1, 2048);
    assert_int_equal(deep.count, 53 * 5 + 2 + 16 * 4);
    model_destroy(&basic);
    model_destroy(&deep);
}

static void files_hold_the_layouts_of_pytorch(void **state) {
    (void)state;
    enum { O = 5, I = 3, KHS = 2, KWS = 4, ALL = O * I * KHS * KWS };
    const struct parameter kernel = {.class = PARAMETER_CONVOLUTION, .shape = {{KHS, KWS, I, O}}};
    const struct parameter dense = {.class = PARAMETER_DENSE, .shape = {{1, 1, I, O}}};
    const struct parameter bias = {.class = PARAMETER_VECTOR, .shape = {{1, 1, 1, O}}};
    double values[ALL], file[ALL], back[ALL];
    uint64_t shape[4];
    for (int i = 0; i < ALL; i++)
        values[i] = i;
    parameter_to_file(&kernel, values, file);
    for (int o = 0; o < O; o++)
        for (int i = 0; i < I; i++)
            for (int y = 0; y < KHS; y++)
                for (int x = 0; x < KWS; x++)
                    assert_true(file[((o * I + i) * KHS + y) * KWS + x] == values[((y * KWS + x) * I + i) * O + o]);
    parameter_from_file(&kernel, file, back);
    assert_memory_equal(back, values, sizeof values);
    parameter_to_file(&dense, values, file);
    assert_true(file[1] == O && file[I] == 1); /* [o,i]: the next input, the next output */
    parameter_to_file(&bias, values, file);
    assert_memory_equal(file, values, O * sizeof *file);
    assert_int_equal(parameter_file_shape(&kernel, shape), 4);
    assert_true(shape[0] == O && shape[1] == I && shape[2] == KHS && shape[3] == KWS);
    assert_int_equal(parameter_file_shape(&dense, shape), 2);
    assert_true(shape[0] == O && shape[1] == I);
    assert_int_equal(parameter_file_shape(&bias, shape), 1);
    assert_int_equal(shape[0], O);
}

/* Every parameter has bytes of its own, and the classes follow each other. */
static void places_do_not_overlap(void **state) {
    (void)state;
    struct model model = MODEL(.name = "resnet20b", .style = STYLE_KERAS, .channels = 1);
    for (size_t i = 0; i < model.count; i++) {
        const struct parameter *p = &model.parameters[i];
        const struct tensor tensor = {.dtype = DTYPE_F32, .shape = p->shape};
        const uint64_t first[] = {0, model.convolution_bytes, model.kernel_bytes, 0};
        const uint64_t end[] = {model.convolution_bytes, model.kernel_bytes, model.parameter_bytes,
                                model.statistic_bytes};
        assert_int_equal(p->offset % TENSOR_ALIGNMENT, 0);
        assert_in_range(p->offset, first[p->class], end[p->class]);
        assert_in_range(p->offset + tensor_bytes(&tensor), first[p->class], end[p->class]);
        for (size_t k = 0; k < model.count; k++) {
            const struct parameter *q = &model.parameters[k];
            if (k != i && (p->class == PARAMETER_STATISTIC) == (q->class == PARAMETER_STATISTIC) &&
                q->offset >= p->offset)
                assert_true(q->offset >= p->offset + tensor_bytes(&tensor));
        }
    }
    model_destroy(&model);
}

/* ---- initial values ---- */

struct moments {
    double mean, deviation, largest;
};

static struct moments measure(const struct model *model, const char *name, uint32_t seed) {
    int index = model_find(model, name);
    assert_true(index >= 0);
    uint64_t count = shape_count(model->parameters[index].shape);
    double *values = malloc(count * sizeof *values), sum = 0, squares = 0, largest = 0;
    assert_non_null(values);
    model_initial(model, (size_t)index, seed, values);
    for (uint64_t i = 0; i < count; i++) {
        sum += values[i];
        squares += values[i] * values[i];
        largest = fmax(largest, fabs(values[i]));
    }
    free(values);
    return (struct moments){sum / (double)count, sqrt(squares / (double)count), largest};
}

/* 36,864 values: a mean is off by 0.5 % of the deviation, a deviation by 0.4 %, each 1 sigma. */
static void initial_values_have_their_moments(void **state) {
    (void)state;
    const char *conv = "layer3.1.conv1.weight";
    struct model torch = MODEL(.name = "resnet20"), keras = MODEL(.name = "resnet20", .style = STYLE_KERAS);
    double he = sqrt(2.0 / (64 * 9));
    struct moments m = measure(&torch, conv, 1);
    assert_true(fabs(m.mean) < 0.02 * he && fabs(m.deviation / he - 1) < 0.02);
    assert_true(m.largest > 3.5 * he);
    m = measure(&torch, "layer2.0.conv1.weight", 1); /* fan-out: 32 filters, not 16 channels */
    assert_true(fabs(m.deviation / sqrt(2.0 / (32 * 9)) - 1) < 0.05);
    m = measure(&torch, "fc.weight", 1);
    assert_true(m.largest <= 1.0 / 8 && m.largest > 0.95 / 8 && fabs(m.deviation - 0.125 / sqrt(3)) < 0.01);
    m = measure(&torch, "fc.bias", 1);
    assert_true(m.largest <= 1.0 / 8 && m.largest > 0);
    m = measure(&keras, conv, 1); /* cut, and the deviation after the cut is He's */
    assert_true(fabs(m.mean) < 0.02 * he && fabs(m.deviation / he - 1) < 0.02);
    assert_true(m.largest <= 2 * he / 0.87962566103423978 && m.largest > 1.95 * he / 0.87962566103423978);
    m = measure(&keras, "layer2.0.conv1.weight", 1); /* fan-in */
    assert_true(fabs(m.deviation / sqrt(2.0 / (16 * 9)) - 1) < 0.05);
    m = measure(&keras, "fc.weight", 1);
    assert_true(fabs(m.deviation / sqrt(2.0 / 64) - 1) < 0.1);
    assert_true(measure(&keras, "fc.bias", 1).largest == 0 && measure(&keras, "conv1.bias", 1).largest == 0);
    assert_true(measure(&torch, "bn1.weight", 1).mean == 1 && measure(&torch, "bn1.bias", 1).largest == 0);
    assert_true(measure(&torch, "bn1.running_mean", 1).largest == 0);
    assert_true(measure(&torch, "bn1.running_var", 1).mean == 1);
    model_destroy(&torch);
    model_destroy(&keras);
}

static void initial_values_depend_on_seed_and_parameter_only(void **state) {
    (void)state;
    struct model model = MODEL(.name = "resnet20");
    double a = measure(&model, "layer1.0.conv1.weight", 1).mean;
    assert_true(a == measure(&model, "layer1.0.conv1.weight", 1).mean);
    assert_true(a != measure(&model, "layer1.0.conv1.weight", 2).mean);
    assert_true(a != measure(&model, "layer1.0.conv2.weight", 1).mean);
    model_destroy(&model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_are_the_published_ones),
        cmocka_unit_test(every_listed_name_exists),
        cmocka_unit_test(names_of_imagenet_win_and_c_names_the_others),
        cmocka_unit_test(wrong_names_and_sizes_are_refused),
        cmocka_unit_test(images_of_another_size_are_refused),
        cmocka_unit_test(names_are_those_of_torchvision),
        cmocka_unit_test(imagenet_networks_have_the_parameters_of_torchvision),
        cmocka_unit_test(excitations_have_the_parameters_of_timm),
        cmocka_unit_test(files_hold_the_layouts_of_pytorch),
        cmocka_unit_test(places_do_not_overlap),
        cmocka_unit_test(initial_values_have_their_moments),
        cmocka_unit_test(initial_values_depend_on_seed_and_parameter_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
