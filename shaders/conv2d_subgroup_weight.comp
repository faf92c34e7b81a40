#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
// Weight gradient of a convolution without groups, in the manner of conv2d_subgroup.comp: one subgroup is a workgroup and
// splits into SUBGROUP / LANES teams. A team sums over its own chunk of output rows and writes a part of its own.
//
// A lane holds, for one row of TAPS taps, 4 * QUADS channels of x and its own four filters, the sums
//   dw[t][i][o] += x[c * STRIDE + t * DILATION - padding][i] * dy[c][o]
// in registers. For each COLUMNS output columns the team loads dy once, a vec4 of filters a lane, and x once, a vec4 of
// channels a lane; every lane takes each x from its holder by a shuffle with an index known at compile time.
#include "keep.glsl"
#include "tensor.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const uint SUBGROUP = 8;
layout(constant_id = 1) const uint LANES = 8;
layout(constant_id = 2) const int QUADS = 2;
layout(constant_id = 3) const int COLUMNS = 8;
layout(constant_id = 4) const int TAPS = 3;
layout(constant_id = 5) const int STRIDE = 1;
layout(constant_id = 6) const int DILATION = 1;
layout(constant_id = 7) const bool PADDED = true; // filters are no multiple of four (masking costs the loop its registers)

const int SPAN = ((COLUMNS - 1) * STRIDE + (TAPS - 1) * DILATION + 1) * QUADS; // vec4s of x: [column][quad]
const int REGISTERS = (SPAN + int(LANES) - 1) / int(LANES);
const uint TEAMS = SUBGROUP / LANES;

INPUT(0, x);
INPUT(1, dy);
OUTPUT(2, parts);
layout(push_constant) uniform Push {
    ivec2 size;        // of x; pairs are (rows, columns)
    ivec2 output_size; // of y
    ivec2 padding;
    int row_stride, row_dilation;
    int images;
    int channels, filters;
    int kernel_rows;
    int channel_tiles, filter_tiles; // tiles of 4 * QUADS channels, of 4 * LANES filters
    int chunk_rows;                  // rows of all images that one team sums
};

void main() {
    int input_quads = (channels + 3) / 4, output_quads = (filters + 3) / 4;
    uint team = gl_SubgroupInvocationID / LANES;
    int lane = int(gl_SubgroupInvocationID % LANES);
    int number = int(gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x);
    int filter_tile = number % filter_tiles;
    number /= filter_tiles;
    int channel_tile = number % channel_tiles;
    number /= channel_tiles;
    int k = number % kernel_rows, chunk = number / kernel_rows * int(TEAMS) + int(team);
    int quad = filter_tile * int(LANES) + lane, quad_read = min(quad, output_quads - 1);

    int column[REGISTERS], offset[REGISTERS];
    [[unroll]] for (int r = 0; r < REGISTERS; r++) {
        int element = r * int(LANES) + lane;
        column[r] = element / QUADS - padding.y;
        offset[r] = column[r] * input_quads + min(channel_tile * QUADS + element % QUADS, input_quads - 1);
    }
    float sum[TAPS * QUADS * 16];
    [[unroll]] for (int i = 0; i < TAPS * QUADS * 16; i++)
        sum[i] = 0.0;

    // One loop over rows and columns: every loop around the sums costs a blend of each.
    int image = chunk * chunk_rows / output_size.x, row = chunk * chunk_rows % output_size.x, first = 0;
    int steps = chunk_rows * ((output_size.y + COLUMNS - 1) / COLUMNS);
    for (int step = 0; step < steps; step++) {
        int source_row = row * row_stride + k * row_dilation - padding.x;
        bool exists = image < images, row_inside = exists && source_row >= 0 && source_row < size.x;
        int x_start = ((image * size.x + source_row) * size.y + first * STRIDE) * input_quads;
        int dy_start = ((image * output_size.x + row) * output_size.y + first) * output_quads + quad_read;
        vec4 slope[COLUMNS], value[REGISTERS];
        [[unroll]] for (int c = 0; c < COLUMNS; c++) {
            bool inside = exists && first + c < output_size.y;
            vec4 loaded = LOAD(dy, inside ? dy_start + c * output_quads : 0);
            slope[c] = inside ? loaded : vec4(0.0);
        }
        [[unroll]] for (int r = 0; r < REGISTERS; r++) {
            int source_column = first * STRIDE + column[r];
            bool inside = row_inside && source_column >= 0 && source_column < size.y;
            vec4 loaded = LOAD(x, inside ? x_start + offset[r] : 0);
            value[r] = inside ? loaded : vec4(0.0);
        }
        [[unroll]] for (int t = 0; t < TAPS; t++)
            [[unroll]] for (int i = 0; i < QUADS * 4; i++) {
                float scalar[COLUMNS];
                [[unroll]] for (int c = 0; c < COLUMNS; c++) {
                    int element = (c * STRIDE + t * DILATION) * QUADS + i / 4;
                    scalar[c] = subgroupShuffle(value[element / int(LANES)][i % 4],
                                                team * LANES + uint(element) % LANES);
                }
                [[unroll]] for (int o = 0; o < 4; o++) {
                    float total = 0.0;
                    [[unroll]] for (int c = 0; c < COLUMNS; c++)
                        total += scalar[c] * slope[c][o];
                    sum[(t * QUADS * 4 + i) * 4 + o] += total;
                }
            }
        first += COLUMNS;
        if (first >= output_size.y) {
            first = 0;
            row++;
        }
        if (row == output_size.x) {
            row = 0;
            image++;
        }
    }
    [[unroll]] for (int t = 0; t < TAPS; t++)
        [[unroll]] for (int i = 0; i < QUADS * 4; i++) {
            int channel = channel_tile * QUADS * 4 + i, a = (t * QUADS * 4 + i) * 4;
            if (channel < channels && quad < output_quads)
                parts[(((chunk * kernel_rows + k) * TAPS + t) * channels + channel) * output_quads + quad] =
                    keep(vec4(sum[a], sum[a + 1], sum[a + 2], sum[a + 3]), PADDED ? uint(filters - 4 * quad) : 4u);
        }
}
