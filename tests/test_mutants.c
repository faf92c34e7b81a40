/*
 * Mutants: verify must be able to fail. Every line of the table plants one mistake in a shader, as text; the cases that
 * verify runs by default must find it. A text that a shader no longer has is an error, so that no line rots.
 */
#include "device.h"
#include "mutant.h"

#include "exec/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Text, and the same with its sums kept in half precision. */
#define HALF(sum) "vec4(unpackHalf2x16(packHalf2x16(" sum ".xy)), unpackHalf2x16(packHalf2x16(" sum ".zw)))"

static const struct mutant mutants[] = {
    {"dense", "dense", NULL, "q < feature_quads", "q + 1u < feature_quads"},
    {"dense", "dense", NULL, "min(first + r, images - 1u)", "min(first, images - 1u)"},
    {"dense", "dense", NULL, "sum[r] += value.x", "sum[r] = " HALF("sum[r]") " + value.x"},
    {"dense", "dense", NULL, "has_bias != 0u", "false"},
    {"dense_backward_input", "dense_backward_input", NULL, "q < output_quads", "q + 1u < output_quads"},
    {"dense_backward_input", "dense_backward_input", NULL, "dot(value, w2)", "dot(value, w1)"},
    {"dense_backward_input", "dense_backward_input", NULL, "lessThan(feature, uvec4(features))", "bvec4(true)"},
    {"dense_backward_weight", "dense_backward_weight", NULL, "n < images", "n + 1u < images"},
    {"dense_backward_weight", "dense_backward_weight", NULL, "sum[j] += ", "sum[j] = " HALF("sum[j]") " + "},
    {"softmax", "softmax", "softmax.glsl", " - largest)", ")"},
    {"softmax", "softmax", "softmax.glsl", "span = LANES / 2u", "span = LANES / 4u"},
    {"softmax", "softmax", "softmax.glsl", "lessThan(4u", "lessThanEqual(4u"},
    {"softmax", "softmax", NULL, "/ sum", "/ (1.00001 * sum)"},
    {"softmax_cross_entropy", "softmax_cross_entropy", NULL, "greaterThanEqual(x", "greaterThan(x"},
    {"softmax_cross_entropy", "softmax_cross_entropy", NULL, "counts ? result", "row < images ? result"},
    {"softmax_cross_entropy", "softmax_cross_entropy", NULL, "other_weight != 0.0", "false"},
    {"softmax_cross_entropy", "softmax_cross_entropy", NULL, "log(sum)", "log(sum + 1e-5)"},
    {"softmax_cross_entropy_backward", "softmax_cross_entropy_backward", NULL, "scale * (", "("},
    {"softmax_cross_entropy_backward", "softmax_cross_entropy_backward", NULL, "place < classes ? mix", "true ? mix"},
    {"softmax_cross_entropy_backward", "softmax_cross_entropy_backward", NULL, "equal(4u * q", "equal(1u + 4u * q"},
    {"batch_metrics", "batch_metrics", NULL, "q < quads", "q + 1u < quads"},
    {"batch_metrics", "batch_metrics", NULL, "span = 32u", "span = 16u"},
    {"batch_metrics", "batch_metrics", NULL, "has_penalty != 0u", "true"},
    {"l2_penalty", "l2_penalty", NULL, "steps, quads)", "steps, quads - 1u)"},
    {"l2_penalty", "l2_penalty", NULL, "value * value", "abs(value)"},
    {"l2_penalty", "l2_penalty_sum", NULL, "i += 64u", "i += 128u"},
    {"sgd", "sgd", NULL, "i >= quads", "i + 1u >= quads"},
    {"sgd", "sgd", NULL, "nesterov != 0u", "false"},
    {"sgd", "sgd", NULL, "rate.w != 0.0", "false"},
    {"sgd", "sgd", NULL, "weight_decay * w", "0.0 * w"},
    {"sgd", "optimizer_gate", NULL, "exponent == 0x7f800000u", "false"},
    {"adam", "adam", NULL, "first * rate.y", "first"},
    {"adam", "adam", NULL, "second * rate.z", "second"},
    {"adam", "adam", NULL, "+ epsilon", ""},
    {"adam", "adam", NULL, "decoupled != 0u", "false"},
    {"adam", "adam", NULL, "(g * g)", "abs(g)"},
    {"adam", "optimizer_gate", NULL, "exponent == 0x7f800000u", "false"},
    {"adam", "adam_moment", NULL, "squares != 0u", "false"},
    {"adam", "adam_moment", NULL, "decoupled == 0u", "true"},
    {"adam", "adam_moment", NULL, "i >= quads", "i + 1u >= quads"},
    {"adam", "adam_step", NULL, "rate.w != 0.0", "false"},
    {"adam", "adam_step", NULL, "decoupled != 0u", "false"},
    {"gather_batch", "gather_batch", NULL, "nearest == 0u && source != edge", "false"},
    {"gather_batch", "gather_batch", NULL, "int(width) - 1 - int(column)", "int(width) - int(column)"},
    {"gather_batch", "gather_choices", NULL, "4u * clock[1]", "4u * clock[0]"},
    {"gather_batch", "gather_choices", NULL, "uvec2(choose(ROWS, index, count), choose(COLUMNS",
     "uvec2(choose(COLUMNS, index, count), choose(COLUMNS"},
    {"gather_batch", "gather_table", NULL, "i % quads", "0u"},
    {"gather_batch", "gather_batch", NULL, "begin + count - 1u", "begin"},
    {"gather_batch", "gather_batch", NULL, "(32u - shift_bits)", "(31u - shift_bits)"},
    {"gather_batch", "gather_labels", NULL, "i < batch ? label", "true ? label"},
    {"latch", "latch", NULL, "exponent == 0x7f800000u", "false"},
    {"relu", "relu", NULL, "i >= quads", "i + 1u >= quads"},
    {"relu", "relu", NULL, "lessThan(value, vec4(0))", "lessThan(value, vec4(-0.5))"},
    {"relu_backward", "relu_backward", NULL, "greaterThan(", "greaterThanEqual("},
    {"add", "add", NULL, "LOAD(b, i)", "LOAD(b, max(i, 1u) - 1u)"},
    {"fill", "fill", NULL, "uvec4(width)", "uvec4(width + 1u)"},
    {"channel_sum", "channel_sum", "channel_reduce.glsl", "pixel < s.end", "pixel + s.stride < s.end"},
    {"channel_sum", "channel_sum", "channel_reduce.glsl", "batch_a += ", "batch_a = " HALF("batch_a") " + "},
    {"channel_sum", "channel_sum", NULL, "tree_sum(sum, lanes)", "tree_sum(sum, 2u * lanes)"},
    {"channel_sum", "channel_sum_merge", "channel_merge.glsl", "c < chunks", "c + 1u < chunks"},
    {"batch_norm_statistics", "batch_norm_statistics", NULL, "median_near(s)", "vec4(0)"},
    {"batch_norm_statistics", "batch_norm_statistics", NULL, "squares - sum * offset", "squares"},
    {"batch_norm_statistics", "batch_norm_statistics_merge", NULL, "min(chunk, pixels - c * chunk)", "chunk"},
    {"batch_norm_statistics", "batch_norm_statistics_merge", NULL, " + chunk_pixels(c) * apart * apart", ""},
    {"batch_norm_update", "batch_norm_update", NULL, "keep * running_mean[i]", "running_mean[i]"},
    {"batch_norm_update", "batch_norm_update", NULL, "variance_momentum * LOAD", "momentum * LOAD"},
    {"batch_norm", "batch_norm_scale", "deviation.glsl", "variance + epsilon", "variance"},
    {"batch_norm", "batch_norm_shift", NULL, "LOAD(beta, i) - ", "-"},
    {"batch_norm", "batch_norm", NULL, "(HAS_RELU)", "(false)"},
    {"batch_norm", "batch_norm", NULL, "k < PIXELS", "k + 1u < PIXELS"},
    {"batch_norm_backward_reduce", "batch_norm_backward_reduce", NULL, " - center", ""},
    {"batch_norm_backward_reduce", "batch_norm_backward_merge", NULL, "product * ", "product + 0.0 * "},
    {"batch_norm_backward_input", "batch_norm_backward_shift", NULL, "/ -pixels", "/ (1.0 - pixels)"},
    {"batch_norm_backward_input", "batch_norm_backward_input", NULL, " * slope + shift", " * slope"},
    {"batch_norm_fold", "batch_norm_shift", NULL, "- LOAD(mean, i)", "+ LOAD(mean, i)"},
    {"max_pool", "max_pool", NULL, "uintBitsToFloat(0xff800000)", "0.0"},
    {"max_pool", "max_pool", NULL, "isnan(value)", "bvec4(false)"},
    {"max_pool_backward", "max_pool_backward", NULL, "greaterThan(", "greaterThanEqual("},
    {"average_pool", "average_pool", "pool.glsl", "include_pad != 0", "true"},
    {"average_pool", "average_pool", "pool.glsl", "int(axis.size + axis.after)", "int(axis.size + axis.kernel)"},
    {"average_pool_backward", "average_pool_backward", "pool.glsl", "last < axis.kernel", "last <= axis.kernel"},
    {"global_average_pool", "global_average_pool", NULL, "pixel < pixels", "pixel + 1u < pixels"},
    {"global_average_pool", "global_average_pool", "divide.glsl", "i << 1", "i"},
    {"global_average_pool_backward", "global_average_pool_backward", NULL, "divide(i, image)", "divide(i + 1u, image)"},
    {"conv2d", "conv2d", NULL, "filters - 4u * quad)", "4u)"},
    {"conv2d", "conv2d_grouped", NULL, "keep((flags & RELU) != 0u ? positive : sum, filters - 4u * quad)", "sum"},
    {"conv2d", "conv2d", NULL, "first + p < pixels;", "first + p + 1u < pixels;"},
    {"conv2d", "conv2d", NULL, "inside[p] ? value", "true ? value"},
    {"conv2d", "conv2d", NULL, "channel < channels ? value", "channel + 1u < channels ? value"},
    {"conv2d", "conv2d", "conv2d.glsl", "- padding;", "- padding.yx;"},
    {"conv2d", "conv2d", "conv2d.glsl", "tap * dilation - padding", "tap - padding"},
    {"conv2d", "conv2d_grouped", NULL, "/ group_filters * group_channels", "* group_channels / group_filters"},
    {"conv2d", "conv2d_grouped", NULL, "i < group_channels", "i + 1u < group_channels"},
    {"conv2d", "conv2d_finish", NULL, "i >= count", "i + 1u >= count"},
    {"conv2d", "conv2d_finish", NULL, "(flags & RELU) != 0u", "false"},
    {"conv2d", "conv2d_subgroup", NULL, "inside ? loaded", "true ? loaded"},
    {"conv2d", "conv2d_subgroup", NULL, "steps = row_taps * source_quads", "steps = row_taps * source_quads - 1"},
    {"conv2d", "conv2d_subgroup", NULL, "row + i >= grid.x", "row + i + 1 >= grid.x"},
    {"conv2d", "conv2d_subgroup", NULL, "source_channels - 1) * weight_quads", "source_channels - 2) * weight_quads"},
    {"conv2d", "conv2d_subgroup", NULL, "sum[(i * COLUMNS + c) * 4 + o] +=",
     "sum[(i * COLUMNS + c) * 4 + o] = unpackHalf2x16(packHalf2x16(vec2(sum[(i * COLUMNS + c) * 4 + o]))).x +"},
    {"conv2d", "conv2d_tile", "conv2d_tile.glsl", "depth < end_depth", "depth + int(DEPTH_QUADS) < end_depth"},
    {"conv2d", "conv2d_tile", "conv2d_tile.glsl", "    barrier();\n}", "}"},
    {"conv2d", "conv2d_tile", "conv2d_tile.glsl", "left_at[i] >= 0 && ", ""},
    {"conv2d", "conv2d_tile", "conv2d_tile.glsl", " quad < (source_channels", " quad + 1 < (source_channels"},
    {"conv2d", "conv2d_tile", "conv2d_tile.glsl", " + t * STEP_COLUMNS", " + t"},
    {"conv2d", "conv2d_tile", "conv2d_tile.glsl", "in_grid * spacing", "in_grid"},
    {"conv2d", "conv2d_tile", "conv2d_tile.glsl", "min(run_number(r), TILE_RUNS - 1u)", "run_number(0u)"},
    {"conv2d", "conv2d_tile_lanes", "conv2d_tile.glsl", "j % LANES", "0u"},
    {"conv2d", "conv2d_tile_lanes", "conv2d_tile.glsl", "self / ROW_BLOCKS", "0u"},
    {"conv2d", "conv2d_tile_sum", NULL, "part < part_count", "part + 1u < part_count"},
    {"conv2d", "conv2d_tile_sum", "conv2d_end.glsl", "(FLAGS & RELU) != 0u", "false"},
    {"conv2d", "conv2d_winograd_source", NULL, "lessThan(at, size)", "lessThan(at, size - 1)"},
    {"conv2d", "conv2d_winograd_source", NULL, " * 4 - padding", " * 4"},
    {"conv2d", "conv2d_winograd_source", "winograd.glsl", "2.0 * (d[3] - d[1])", "2.0 * d[3] - d[1]"},
    {"conv2d", "conv2d_winograd_weight", "winograd.glsl", "even - g[1]", "even - even"},
    {"conv2d", "conv2d_winograd_weight", NULL, "i >= count", "i + 1 >= count"},
    {"conv2d", "conv2d_winograd_target", "winograd.glsl", "8.0 * far", "4.0 * far"},
    {"conv2d", "conv2d_winograd_target", NULL, "greaterThanEqual(position, size)", "greaterThan(position, size)"},
    {"conv2d", "conv2d_winograd_target", "conv2d_end.glsl", "LOAD(bias, quad)", "LOAD(bias, 0)"},
    {"conv2d", "conv2d_winograd_target", "conv2d_end.glsl", "? positive : result", "? result : result"},
    {"conv2d", "conv2d_subgroup", NULL, "exists ? image * weight_image_step : 0", "0"},
    {"conv2d_backward_input", "conv2d_winograd_weight", NULL, "8 - tap", "tap"},
    {"conv2d_backward_input", "conv2d_winograd_target", "conv2d_end.glsl", "(FLAGS & MASK) != 0u", "false"},
    {"conv2d_backward_input", "conv2d_backward_input", NULL, "keep(sum[p], channels - 4u * quad)", "sum[p]"},
    {"conv2d_backward_input", "conv2d_backward_input", "conv2d.glsl", "any(between) || ", ""},
    {"conv2d_backward_input", "conv2d_grouped_backward_input", NULL, "o < group_filters", "o + 1u < group_filters"},
    {"conv2d_backward_input", "conv2d_subgroup", NULL, "column / STRIDE", "column"},
    {"conv2d_backward_input", "conv2d_subgroup", NULL, "scaled % STRIDE == 0", "true"},
    {"conv2d_backward_input", "conv2d_subgroup", NULL, "w = transpose(w)", "w = w"},
    {"conv2d_backward_input", "conv2d_subgroup", "conv2d_end.glsl", "ivec4(target_channels)",
     "ivec4(target_channels + 1)"},
    {"conv2d_backward_input", "conv2d_subgroup", "conv2d_end.glsl", "LOAD(bias, at), vec4(0.0)",
     "LOAD(bias, at), vec4(0.1)"},
    {"conv2d_backward_input", "conv2d_subgroup", NULL, "!= 0u ? at : 0", "!= 0u ? max(at, 1) - 1 : 0"},
    {"conv2d_backward_input", "conv2d_finish", NULL, "(flags & MASK) != 0u", "false"},
    {"conv2d_backward_input", "conv2d_tile", "conv2d_end.glsl", "greaterThan(LOAD", "greaterThanEqual(LOAD"},
    {"conv2d_backward_input", "conv2d_tile", "conv2d_end.glsl", "ivec4(target_channels)", "ivec4(target_channels + 1)"},
    {"conv2d_backward_input", "conv2d_tile", "conv2d_tile.glsl", "* target_step", ""},
    {"conv2d_backward_input", "conv2d_tile", "conv2d_tile.glsl", "+ target_first", ""},
    {"conv2d_backward_input", "conv2d_tile", "conv2d_tile.glsl", "weight_first + tap", "weight_first - tap"},
    {"conv2d_backward_weight", "conv2d_backward_weight", NULL, "inside ? value", "true ? value"},
    {"conv2d_backward_weight", "conv2d_backward_weight", NULL, "chunk_pixels, pixels)", "chunk_pixels, pixels - 1u)"},
    {"conv2d_backward_weight", "conv2d_backward_weight", NULL, "pixel.x + 1, 0", "pixel.x, 0"},
    {"conv2d_backward_weight", "conv2d_grouped_backward_weight", NULL, "number < last", "number + 1u < last"},
    {"conv2d_backward_weight", "conv2d_sum", NULL, "chunk < chunks", "chunk + 1u < chunks"},
    {"conv2d_backward_weight", "conv2d_subgroup_weight", NULL, "step < steps", "step + 1 < steps"},
    {"conv2d_backward_weight", "conv2d_subgroup_weight", NULL, "image++", "image += 2"},
    {"conv2d_backward_weight", "conv2d_subgroup_weight", NULL, "k * row_dilation", "k"},
    {"conv2d_backward_weight", "conv2d_tile_weight", "conv2d_tile_weight.glsl", "rectangle < last",
     "rectangle + 1 < last"},
    {"conv2d_backward_weight", "conv2d_tile_weight", "conv2d_tile_weight.glsl", "(chunk + 1) *", "chunk *"},
    {"conv2d_backward_weight", "conv2d_tile_weight", "conv2d_tile_weight.glsl", "inside(origin + left_place(i), size)",
     "true"},
    {"conv2d_backward_weight", "conv2d_tile_weight", "conv2d_tile_weight.glsl", "ivec3(corner.x + int(IMAGES), 0, 0)",
     "corner"},
    {"conv2d_backward_weight", "conv2d_tile_weight", "conv2d_tile_weight.glsl", " + first_tap * STEP_COLUMNS", ""},
    {"conv2d_backward_weight", "conv2d_tile_weight", "conv2d_tile_weight.glsl", "chunk * int(SLICES) +", ""},
    {"conv2d_backward_weight", "conv2d_tile_weight_lanes", "conv2d_tile_weight.glsl", "i % LANES", "0u"},
    {"shortcut_pad", "shortcut_pad", "shortcut_pad.glsl", "quad_at(at, quad + 1)", "low"},
    {"shortcut_pad", "shortcut_pad", NULL, "p.z * stride.value", "p.z"},
    {"shortcut_pad_backward", "shortcut_pad_backward", NULL, "taken ? channels", "true ? channels"},
    {"shortcut_pad_backward", "shortcut_pad_backward", NULL, "taken ? channels", "taken ? channels + 1u"},
};

/* Which form shows the mistake, where names tell; NULL: all are to run. */
static const char *form_of(const struct mutant *mutant) {
    if (strstr(mutant->kernel, "_winograd") || strstr(mutant->text, "weight_image_step"))
        return "winograd";
    return strstr(mutant->kernel, "_subgroup") ? "subgroup"
           : strstr(mutant->kernel, "_lanes")  ? "lanes"
           : strstr(mutant->kernel, "_tile")   ? "tile"
                                               : NULL;
}

static bool is_caught(const struct mutant *mutant) {
    struct test_device device;
    struct verify_summary summary;
    test_device_open(&device, &(struct vk_options){.kernel_path = mutant_folder});
    enum status status = verify_ops(
        device.store, &(struct verify_options){.op = mutant->op, .form = form_of(mutant), .kind = -1}, &summary);
    if (status != STATUS_OK && status != STATUS_MISMATCH)
        fail_msg("%s", status_message());
    test_device_close(&device);
    return status == STATUS_MISMATCH;
}

static void planted_mistakes_are_caught(void **state) {
    (void)state;
    int missed = 0;
    for (size_t i = 0; i < sizeof mutants / sizeof *mutants; i++) {
        mutant_plant(&mutants[i]);
        if (!is_caught(&mutants[i])) {
            print_error("not caught in %s: \"%s\" instead of \"%s\"\n", mutants[i].kernel, mutants[i].mistake,
                        mutants[i].text);
            missed++;
        }
        mutant_clean();
    }
    assert_int_equal(missed, 0);
}

/* The shaders as they are pass when they come from a folder: the folder alone makes nothing fail. */
static void copies_without_a_mistake_pass(void **state) {
    (void)state;
    const struct mutant none = {"dense", "dense", NULL, "q < feature_quads", "q < feature_quads"};
    mutant_plant(&none);
    assert_false(is_caught(&none));
    mutant_clean();
}

static void keep_failure(void *user, const struct verify_result *result) {
    if (result->outcome == VERIFY_FAILED)
        *(struct verify_result *)user = *result;
}

/* The sentence names the first wrong element, the other one repeats the case. */
static void a_failure_names_the_place(void **state) {
    (void)state;
    const struct mutant last_left_out = {"add", "add", NULL, "i < quads", "i + 1u < quads"};
    struct test_device device;
    struct verify_summary summary;
    struct verify_result result = {0};
    struct verify_options options = {
        .op = "add", .shape = "a=1x3x3x5 b=1x3x3x5", .kind = DATA_EXACT, .report = keep_failure, .user = &result};
    mutant_plant(&last_left_out);
    test_device_open(&device, &(struct vk_options){.kernel_path = mutant_folder});
    assert_int_equal(verify_ops(device.store, &options, &summary), STATUS_MISMATCH);
    assert_non_null(strstr(result.failure, "y[0,2,2,4] is nan, expected "));
    assert_string_equal(result.repeat, "resnet-vk verify --op add --form plain --shape \"a=1x3x3x5 b=1x3x3x5\" "
                                       "--data exact --seed 1");
    test_device_close(&device);
    mutant_clean();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(planted_mistakes_are_caught),
        cmocka_unit_test(copies_without_a_mistake_pass),
        cmocka_unit_test(a_failure_names_the_place),
    };
    return cmocka_run_group_tests(tests, mutant_setup, mutant_teardown);
}
