/* conv: shapes and refusals, the float64 reference against hand, adjoints, and lowering for devices. */
#include "support.h"

static const char *const ops[] = {"conv2d", "conv2d_backward_input", "conv2d_backward_weight"};

static void nonsense_is_refused(void **state) {
    (void)state;
    assert_refused("conv2d", "x=1x4x4x3 weight=3x3x4x8", "weight takes 4 input channels, x has 3");
    assert_refused("conv2d", "x=1x2x9x3 weight=3x3x3x8", "2 rows, the kernel with dilation spans 3");
    assert_refused("conv2d", "x=1x9x9x3 weight=3x3x3x8 dilation_w=5", "9 columns, the kernel with dilation spans 11");
    assert_refused("conv2d", "x=1x4x4x6 weight=3x3x2x8 groups=3", "groups=3");
    assert_refused("conv2d", "x=1x4x4x3 weight=1x1x3x8 stride_h=0", "stride_h=0");
    assert_refused("conv2d", "x=1x4x4x3 weight=1x1x3x8 pad_left=-1", "pad_left=-1");
    assert_refused("conv2d", "x=1x4x4x3 weight=1x1x3x8 pad_left=0.5", "pad_left=0.5");
    assert_refused("conv2d", "x=1x4x4x3 weight=1x1x3x8 bias=1x1x1x7", "bias is 1x1x1x7");
    assert_refused("conv2d", "x=1x4x4x3 weight=1x1x3x8 residual=1x4x3x8", "residual is 1x4x3x8");
    assert_refused("conv2d", "x=32768x128x128x1 weight=1x1x1x4 pad_top=1", "more than 2^31 elements");
    assert_refused("conv2d_backward_input", "dy=1x4x4x8 weight=3x3x3x8 h=4 w=4", "dy is 1x4x4x8");
    assert_refused("conv2d_backward_input", "dy=1x4x4x8 weight=3x3x3x8 w=6", "h=0");
    assert_refused("conv2d_backward_weight", "x=1x4x4x3 dy=1x4x4x8 kh=3 kw=3", "the convolution gives 1x2x2x8");
    assert_refused("conv2d_backward_weight", "x=1x4x4x3 dy=1x4x4x8 kh=3", "kw=0");
    assert_refused("conv2d_backward_weight", "x=1x4x4x3 dy=2x4x4x8 kh=1 kw=1", "dy is 2x4x4x8");
}

static void it_has_its_values(void **state) {
    (void)state;
    struct graph graph;
    struct call call;
    tensor_id in[OP_INPUTS];
    double y[4], bound[4];
    const double x[] = {1, 2, 3, 4, 5, 6, 7, 8, 9}, weight[] = {1, -1, 2, -3}, bias[] = {7};
    graph_create(&graph);
    apply_case(&graph, "conv2d", "x=1x3x3x1 weight=2x2x1x1 bias=1x1x1x1 relu=1 stride_w=2 pad_right=1", in);
    graph_call(&graph, 0, &call);
    assert_true(shape_equal(call.out[0]->shape, shape4(1, 2, 2, 1)));
    call.op->reference(&call, (const double *const[OP_INPUTS]){x, weight, bias}, (double *const[]){y},
                       (double *const[]){bound});
    /* (1 - 2 + 8 - 15) + 7, (3 + 12) + 7; (4 - 5 + 14 - 24) + 7 is negative, (6 + 18) + 7 */
    const double expected[] = {0, 22, 0, 31};
    assert_memory_equal(y, expected, sizeof expected);
    /* 4 sqrt(5) u (|1| + |2| + |8| + |15| + |7|), plus u |y| of the sum -1 */
    assert_true(fabs(bound[0] - (4 * sqrt(5) * 33 + 1) * 0x1p-24) < 1e-15);
    graph_destroy(&graph);
}

/* A kernel with a single 1 copies a shifted, strided picture. */
static void one_tap_moves_the_picture(void **state) {
    (void)state;
    enum { TAP_ROW = 1, TAP_COLUMN = 1, CHANNEL = 2, FILTER = 3, GROUP = 1 };
    struct graph graph;
    struct evaluation evaluation;
    tensor_id in[OP_INPUTS];
    graph_create(&graph);
    tensor_id out =
        apply_case(&graph, "conv2d",
                   "x=2x9x8x6 weight=3x2x3x4 groups=2 stride_h=2 stride_w=3 pad_top=2 pad_left=1 dilation_h=3", in);
    evaluation_create(&evaluation, &graph);
    evaluation_randomize_all(&evaluation, 3);
    double weight[3 * 2 * 3 * 4] = {0};
    weight[((TAP_ROW * 2 + TAP_COLUMN) * 3 + CHANNEL) * 4 + FILTER] = 1;
    evaluation_set(&evaluation, in[1], weight);
    evaluation_run(&evaluation, 1);
    double *x = evaluation_values(&evaluation, in[0]), *y = evaluation_values(&evaluation, out);
    struct shape ys = graph_shape(&graph, out);
    for (int at = 0; at < (int)shape_count(ys); at++) {
        int filter = at % 4, column = at / 4 % (int)ys.d[W], row = at / 4 / (int)ys.d[W] % (int)ys.d[H];
        int image = at / 4 / (int)(ys.d[W] * ys.d[H]), from_row = row * 2 + 3 * TAP_ROW - 2;
        int from_column = column * 3 + TAP_COLUMN - 1;
        bool hit = filter == FILTER && from_row >= 0 && from_row < 9 && from_column >= 0 && from_column < 8;
        int source = ((image * 9 + from_row) * 8 + from_column) * 6 + GROUP * 3 + CHANNEL;
        assert_true(y[at] == (hit ? x[source] : 0));
    }
    free(x);
    free(y);
    evaluation_destroy(&evaluation);
    graph_destroy(&graph);
}

/* <conv(x, w), g> = <x, backward_input(g, w)> = <w, backward_weight(x, g)> for every short case that is linear in both.
 */
static void it_has_adjoints(void **state) {
    (void)state;
    for (const char *const *line = op_find("conv2d")->cases; *line; line++) {
        struct graph graph;
        struct evaluation evaluation;
        tensor_id in[OP_INPUTS], gradient[2];
        if (**line == '+' || strstr(*line, "relu") || strstr(*line, "bias") || strstr(*line, "residual"))
            continue;
        graph_create(&graph);
        tensor_id y = apply_case(&graph, "conv2d", *line, in);
        tensor_id g = graph_tensor(&graph, "g", DTYPE_F32, graph_shape(&graph, y), TENSOR_INPUT);
        graph_gradient(&graph, y, g, in, 2, gradient);
        assert_int_equal(graph_status(&graph), STATUS_OK);
        evaluation_create(&evaluation, &graph);
        evaluation_randomize_all(&evaluation, 5);
        evaluation_run(&evaluation, graph.node_count);
        double expected = evaluation_product(&evaluation, y, g);
        double room = 1e-12 * (double)(shape_count(graph_shape(&graph, y)) + shape_count(graph_shape(&graph, in[1])));
        assert_true(fabs(expected) > 1e-3);
        assert_true(fabs(evaluation_product(&evaluation, in[0], gradient[0]) - expected) < room);
        assert_true(fabs(evaluation_product(&evaluation, in[1], gradient[1]) - expected) < room);
        evaluation_destroy(&evaluation);
        graph_destroy(&graph);
    }
}

/* ---- lowering ---- */

static void lower_case(struct graph *graph, const char *op, const char *line, const struct device_facts *facts,
                       const char *form_name, struct call *call, struct lowering *lowering) {
    tensor_id in[OP_INPUTS];
    graph_create(graph);
    apply_case(graph, op, line, in);
    assert_int_equal(graph_status(graph), STATUS_OK);
    graph_call(graph, 0, call);
    const struct form *form = call->op->forms;
    while (form->name && strcmp(form->name, form_name) != 0)
        form++;
    assert_non_null(form->name);
    memset(lowering, 0, sizeof *lowering);
    assert_true(form->lower(call, facts, lowering));
}

static void it_fits_the_weakest_device(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(ops); i++)
        assert_case_lowerings(ops[i]);
}

/* Tensors over the storage range: every dispatch stays within it, and the slices cover all images once. */
static void check_slices(const char *op, const char *line, uint32_t sliced_input) {
    struct graph graph;
    struct call call;
    struct lowering lowering;
    struct device_facts facts;
    uint64_t covered = 0;
    facts_minimum(&facts);
    lower_case(&graph, op, line, &facts, "plain", &call, &lowering);
    for (uint32_t i = 0; i < lowering.count; i++) {
        assert_dispatch(&call, &facts, &lowering, &lowering.dispatches[i]);
        for (uint32_t j = 0; j < lowering.dispatches[i].operand_count; j++) {
            const struct operand *operand = &lowering.dispatches[i].operands[j];
            assert_true(operand->bytes <= facts.max_storage_range);
            if (operand->kind == OPERAND_INPUT && operand->index == sliced_input) {
                assert_true(operand->offset == covered);
                covered += operand->bytes;
            }
        }
    }
    assert_true(lowering.scratch_bytes[0] <= facts.max_storage_range);
    assert_true(covered == tensor_bytes(call.in[sliced_input]));
    graph_destroy(&graph);
}

static void large_tensors_are_sliced(void **state) {
    (void)state;
    check_slices("conv2d", "x=150x56x56x64 weight=1x1x64x256 residual=150x56x56x256", 0);
    check_slices("conv2d", "x=150x56x56x64 weight=1x1x64x256 bias=1x1x1x256 residual=150x56x56x256", 3);
    check_slices("conv2d", "x=1000x113x113x3 weight=1x1x3x4", 0);
    check_slices("conv2d_backward_input", "dy=150x56x56x256 weight=1x1x64x256 h=56 w=56", 0);
    check_slices("conv2d_backward_weight", "x=150x56x56x64 dy=150x56x56x256 kh=1 kw=1", 1);
}

static void software_facts(struct device_facts *facts, uint32_t subgroup_size) {
    facts_minimum(facts);
    facts->kind = DEVICE_CPU;
    facts->max_storage_buffers = facts->max_storage_texels = 8;
    facts->max_texel_elements = 1u << 27;
    facts->subgroup_size = subgroup_size;
    facts->subgroup_shuffle = facts->prefers_texels = true;
}

static void check_form(const char *op, const char *line, const struct device_facts *facts, const char *expected) {
    struct graph graph;
    tensor_id in[OP_INPUTS];
    struct call call;
    struct lowering lowering = {0};
    graph_create(&graph);
    apply_case(&graph, op, line, in);
    graph_call(&graph, 0, &call);
    assert_lowering(&call, facts);
    const struct form *form = call.op->forms;
    while (!form->lower(&call, facts, &lowering))
        form++;
    assert_string_equal(form->name, expected);
    graph_destroy(&graph);
}

static void software_devices_get_the_subgroup_form(void **state) {
    (void)state;
    struct device_facts facts;
    const char *square = "x=4x16x16x32 weight=3x3x32x32";
    for (uint32_t size = 4; size <= 16; size *= 2) {
        software_facts(&facts, size);
        check_form("conv2d", square, &facts, "subgroup");
    }
    check_form("conv2d_backward_input", "dy=2x5x5x32 weight=3x3x16x32 h=12 w=12 stride_h=2 stride_w=2", &facts,
               "subgroup");
    check_form("conv2d_backward_weight", "x=2x8x8x16 dy=2x6x6x16 kh=3 kw=3", &facts, "subgroup");
    check_form("conv2d", "x=4x16x16x32 weight=3x3x16x32 groups=2", &facts, "subgroup");
    check_form("conv2d", "x=4x16x16x16 weight=3x3x4x16 groups=4", &facts, "subgroup");
    check_form("conv2d", "x=4x16x16x12 weight=3x3x3x16 groups=4", &facts, "plain");
    check_form("conv2d_backward_weight", "x=2x8x8x16 dy=2x6x6x16 kh=3 kw=3 groups=2", &facts, "subgroup");
    check_form("conv2d_backward_weight", "x=2x8x8x16 dy=2x6x6x16 kh=3 kw=3 groups=4", &facts, "quads");
    check_form("conv2d", "x=1x16x40x4 weight=1x33x4x4", &facts, "plain");
    check_form("conv2d", "x=1x8x90x4 weight=3x3x4x4 dilation_w=40", &facts, "plain");
    facts.max_texel_elements = 4 * 16 * 16 * 8 - 1;
    check_form("conv2d", square, &facts, "plain");
    software_facts(&facts, 32);
    check_form("conv2d", square, &facts, "plain");
    software_facts(&facts, 8);
    facts.subgroup_shuffle = false;
    check_form("conv2d", square, &facts, "plain");
}

static void gpu_facts(struct device_facts *facts) {
    facts_minimum(facts);
    facts->kind = DEVICE_DISCRETE;
    facts->max_storage_buffers = 8;
    facts->max_invocations = facts->max_group_size[0] = facts->max_group_size[1] = 256;
}

/* Constants of conv2d_tile.glsl. */
enum { INVOCATIONS, IMAGES, TILE_ROWS, TILE_COLUMNS, CHANNELS, DEPTH, RUNS, RUN, BLOCK_COLUMNS };
enum { FLAGS = 16, PLANES, LANES };

/* The tile's constants: its invocations have at least as many runs as it has pixels, and not twice as many. */
static const uint32_t *check_tile(const struct lowering *lowering, const struct device_facts *facts) {
    const uint32_t *c = lowering->dispatches[0].constants;
    uint32_t sums = c[INVOCATIONS] * c[RUNS] * c[RUN] * c[BLOCK_COLUMNS];
    uint32_t wanted = c[IMAGES] * c[TILE_ROWS] * c[TILE_COLUMNS] * c[CHANNELS];
    assert_true(c[INVOCATIONS] <= facts->max_invocations && c[TILE_COLUMNS] % c[RUN] == 0);
    assert_true(wanted <= sums && sums < 2 * wanted);
    return c;
}

static void gpus_get_tiles(void **state) {
    (void)state;
    struct device_facts facts;
    const char *wide = "x=8x56x56x128 weight=3x3x128x256";
    gpu_facts(&facts);
    check_form("conv2d", wide, &facts, "tile");
    check_form("conv2d_backward_input", "dy=2x5x5x32 weight=3x3x16x32 h=12 w=12 stride_h=2 stride_w=2", &facts, "tile");
    check_form("conv2d_backward_weight", "x=2x8x8x16 dy=2x6x6x16 kh=3 kw=3", &facts, "tile");
    check_form("conv2d", "x=4x16x16x32 weight=3x3x16x32 groups=2", &facts, "quads");
    check_form("conv2d_backward_input", "dy=4x14x14x32 weight=3x3x4x32 h=16 w=16 groups=8", &facts, "quads");
    check_form("conv2d_backward_weight", "x=2x8x8x16 dy=2x6x6x16 kh=3 kw=3 groups=4", &facts, "quads");
    check_form("conv2d", "x=4x16x16x12 weight=3x3x3x12 groups=4", &facts, "plain");
    check_form("conv2d", "x=4x16x16x16 weight=3x9x4x16 groups=4", &facts, "plain");
    check_form("conv2d", "x=150x56x56x64 weight=1x1x64x256", &facts, "plain");
    facts.max_storage_buffers = 4;
    check_form("conv2d", wide, &facts, "plain");
    check_form("conv2d", "x=4x16x16x32 weight=3x3x16x32 groups=2", &facts, "plain");
    check_form("conv2d_backward_weight", "x=2x8x8x16 dy=2x6x6x16 kh=3 kw=3 groups=4", &facts, "quads");
    facts.kind = DEVICE_CPU;
    facts.max_storage_buffers = 8;
    check_form("conv2d", wide, &facts, "plain");
}

static void tiles_suit_the_device(void **state) {
    (void)state;
    struct graph graph;
    struct call call;
    struct lowering lowering;
    struct device_facts facts;
    const char *wide = "x=8x56x56x128 weight=1x1x128x256";
    gpu_facts(&facts);
    lower_case(&graph, "conv2d", wide, &facts, "tile", &call, &lowering);
    assert_int_equal(lowering.count, 1);
    assert_int_equal(check_tile(&lowering, &facts)[RUNS], 2);
    assert_int_equal(lowering.dispatches[0].subgroup_size, 0);
    graph_destroy(&graph);
    facts.max_invocations = 128;
    facts.vendor_id = 0x1002;
    facts.least_subgroup = 32;
    lower_case(&graph, "conv2d", wide, &facts, "tile", &call, &lowering);
    assert_int_equal(check_tile(&lowering, &facts)[INVOCATIONS], 128);
    assert_int_equal(lowering.dispatches[0].subgroup_size, 32);
    graph_destroy(&graph);
}

/* An image's three channels take three planes of shared memory, not the four of a vec4. */
static void padding_takes_no_shared_memory(void **state) {
    (void)state;
    static const struct {
        const char *line;
        uint32_t depth, planes;
    } cases[] = {{"x=8x64x64x3 weight=7x7x3x64 stride_h=2 stride_w=2", 4, 3},
                 {"x=8x64x64x1 weight=3x3x1x64", 4, 1},
                 {"x=8x64x64x5 weight=3x3x5x64", 4, 4},
                 {"x=8x64x64x6 weight=1x1x6x64", 8, 8}};
    struct graph graph;
    struct call call;
    struct lowering lowering;
    struct device_facts facts;
    gpu_facts(&facts);
    facts.max_shared_bytes = 32768;
    for (size_t i = 0; i < COUNT(cases); i++) {
        lower_case(&graph, "conv2d", cases[i].line, &facts, "tile", &call, &lowering);
        const uint32_t *c = check_tile(&lowering, &facts);
        assert_int_equal(c[DEPTH], cases[i].depth);
        assert_int_equal(c[PLANES], cases[i].planes);
        graph_destroy(&graph);
    }
}

/* Intel: short subgroups share weights, and 32 sums fit into the registers. */
static void short_subgroups_share_weights(void **state) {
    (void)state;
    struct graph graph;
    struct call call;
    struct lowering lowering;
    struct device_facts facts;
    const char *line = "x=8x56x56x128 weight=3x3x128x256";
    gpu_facts(&facts);
    facts.vendor_id = 0x8086;
    facts.subgroup_size = 32;
    facts.subgroup_shuffle = true;
    check_form("conv2d", line, &facts, "tile"); /* 32 lanes are too many */
    facts.least_subgroup = 8;
    check_form("conv2d", line, &facts, "lanes");
    check_form("conv2d_backward_weight", "x=8x56x56x64 dy=8x56x56x64 kh=1 kw=1", &facts, "lanes");
    /* Of 8 lanes that share x, 16 filters would leave half without work, not 32. */
    check_form("conv2d_backward_weight",
               "x=128x32x32x16 dy=128x32x32x16 kh=3 kw=3 pad_top=1 pad_bottom=1 pad_left=1 pad_right=1", &facts,
               "tile");
    check_form("conv2d_backward_weight",
               "x=128x16x16x32 dy=128x16x16x32 kh=3 kw=3 pad_top=1 pad_bottom=1 pad_left=1 pad_right=1", &facts,
               "lanes");
    lower_case(&graph, "conv2d", line, &facts, "lanes", &call, &lowering);
    const uint32_t *c = check_tile(&lowering, &facts);
    assert_int_equal(lowering.dispatches[0].subgroup_size, 8);
    assert_int_equal(c[LANES], 8);
    assert_int_equal(c[INVOCATIONS] / (c[CHANNELS] / c[BLOCK_COLUMNS]) % 8, 0);
    assert_true(c[RUNS] * c[RUN] * c[BLOCK_COLUMNS] <= 32);
    graph_destroy(&graph);
    facts.max_subgroups = 16;
    lower_case(&graph, "conv2d", line, &facts, "lanes", &call, &lowering);
    assert_true(check_tile(&lowering, &facts)[INVOCATIONS] <= 8 * 16);
    graph_destroy(&graph);
}

/* Few pixels and many channels: workgroups share the channels, and relu and bias come after the sum of their parts. */
static void small_images_are_split_by_channels(void **state) {
    (void)state;
    struct graph graph;
    struct call call;
    struct lowering lowering;
    struct device_facts facts;
    gpu_facts(&facts);
    lower_case(&graph, "conv2d", "x=1x7x7x512 weight=3x3x512x512 bias=1x1x1x512 relu=1 pad_top=1 pad_bottom=1", &facts,
               "tile", &call, &lowering);
    assert_int_equal(lowering.count, 2);
    const struct dispatch *sum = &lowering.dispatches[1];
    uint32_t parts = sum->push[1];
    assert_string_equal(sum->kernel, "conv2d_tile_sum");
    assert_true(parts > 1 && lowering.scratch_bytes[0] == parts * tensor_bytes(call.out[0]));
    assert_int_equal(check_tile(&lowering, &facts)[FLAGS], 0);
    assert_int_equal(sum->constants[0], 1 | 2);
    assert_true(sum->operands[1].kind == OPERAND_INPUT && sum->operands[1].index == 2);
    graph_destroy(&graph);
}

/* Stride 2, padding 1: even rows of dx are reached by tap 1; odd row r by the taps 0 and 2, from (r + 1) / 2 of dy
 * down. */
static void strided_rows_take_their_taps(void **state) {
    (void)state;
    enum {
        ROW_COUNT = 2,
        ROW_FIRST = 6,
        ROW_STEP = 7,
        SOURCE_FIRST = 8,
        SOURCE_STEP = 10,
        TAPS = 11,
        WEIGHT_STEP = 19
    };
    struct graph graph;
    struct call call;
    struct lowering lowering;
    struct device_facts facts;
    software_facts(&facts, 8);
    lower_case(&graph, "conv2d_backward_input",
               "dy=1x4x4x8 weight=3x3x4x8 h=7 w=7 stride_h=2 stride_w=2 pad_top=1 "
               "pad_bottom=1 pad_left=1 pad_right=1",
               &facts, "subgroup", &call, &lowering);
    assert_int_equal(lowering.count, 2);
    const uint32_t *even = lowering.dispatches[0].push, *odd = lowering.dispatches[1].push;
    assert_int_equal(even[ROW_COUNT], 4);
    assert_int_equal(even[TAPS], 1);
    assert_int_equal(odd[ROW_COUNT], 3);
    assert_int_equal(odd[ROW_FIRST], 1);
    assert_int_equal(odd[ROW_STEP], 2);
    assert_int_equal(odd[TAPS], 2);
    assert_int_equal(odd[SOURCE_FIRST], 1);
    assert_int_equal((int)odd[SOURCE_STEP], -1);
    assert_int_equal(odd[WEIGHT_STEP], 2 * 3 * 4 * 2);
    graph_destroy(&graph);
}

/* A chunk of the weight gradient has no more steps than the device's loops; no row is left out. */
static void check_chunks(const char *line, const char *form, uint32_t width, uint32_t rows, uint32_t most) {
    enum { COLUMNS_OF_STEP = 3, CHUNK_ROWS = 15, CHUNKS = 16 };
    struct graph graph;
    struct call call;
    struct lowering lowering;
    struct device_facts facts;
    software_facts(&facts, 8);
    facts.max_loop_steps = most;
    lower_case(&graph, "conv2d_backward_weight", line, &facts, form, &call, &lowering);
    const struct dispatch *dispatch = &lowering.dispatches[0];
    uint32_t columns = dispatch->constants[COLUMNS_OF_STEP], chunk = dispatch->push[CHUNK_ROWS];
    assert_true(chunk * ((width + columns - 1) / columns) <= most);
    assert_true(chunk * dispatch->push[CHUNKS] >= rows);
    graph_destroy(&graph);
}

static void loops_end_in_time(void **state) {
    (void)state;
    struct device_facts facts;
    software_facts(&facts, 8);
    check_chunks("x=128x56x56x128 dy=128x56x56x128 kh=3 kw=3 pad_top=1 pad_bottom=1 pad_left=1 pad_right=1", "subgroup",
                 56, 128 * 56, 65535);
    check_chunks("x=16x28x28x1024 dy=16x28x28x1024 kh=3 kw=3 groups=32 pad_top=1 pad_bottom=1 pad_left=1 pad_right=1",
                 "quads", 28, 16 * 28, 99);
    facts.max_loop_steps = 17;
    check_form("conv2d", "x=1x8x8x128 weight=3x3x32x128 groups=4", &facts, "plain");
    check_form("conv2d_backward_weight", "x=1x8x80x8 dy=1x8x78x8 kh=1 kw=3", &facts, "plain");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(it_has_its_values),
        cmocka_unit_test(one_tap_moves_the_picture),
        cmocka_unit_test(it_has_adjoints),
        cmocka_unit_test(it_fits_the_weakest_device),
        cmocka_unit_test(large_tensors_are_sliced),
        cmocka_unit_test(software_devices_get_the_subgroup_form),
        cmocka_unit_test(gpus_get_tiles),
        cmocka_unit_test(tiles_suit_the_device),
        cmocka_unit_test(padding_takes_no_shared_memory),
        cmocka_unit_test(short_subgroups_share_weights),
        cmocka_unit_test(small_images_are_split_by_channels),
        cmocka_unit_test(strided_rows_take_their_taps),
        cmocka_unit_test(loops_end_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
