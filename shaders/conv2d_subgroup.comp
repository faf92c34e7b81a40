#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
// Convolution without groups, and its input gradient, where bulk reads and subgroup shuffles are cheap and everything else
// is not (software devices): one subgroup is a workgroup; no shared memory, no barriers.
//
// The subgroup splits into SUBGROUP / LANES teams. A lane holds a vec4 of target channels of all ROWS x COLUMNS pixels of
// its team's block in registers. For each row of taps and each four source channels the team loads the source columns that
// the block needs once, one vec4 a lane, and every lane takes each value from its holder by a shuffle with an index known
// at compile time. All loops over registers are unrolled.
//
//   forward   source x, target y:   y[c] += x[c * STRIDE + t * DILATION - PADDING] * w[t][k][o]
//   BACKWARD  source dy, target dx: dx[c] += dy[(c + PADDING - t * DILATION) / STRIDE] * w[t][o][k] where that is whole
//
// Columns are handled so at compile time; for rows the host gives first tap, step and so on, one dispatch for each
// remainder of the row modulo the stride when BACKWARD.
#include "tensor.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const uint SUBGROUP = 8;
layout(constant_id = 1) const uint LANES = 8;
layout(constant_id = 2) const int ROWS = 2;
layout(constant_id = 3) const int COLUMNS = 8;
layout(constant_id = 4) const int TAPS = 3; // in a row
layout(constant_id = 5) const int STRIDE = 1;
layout(constant_id = 6) const int DILATION = 1;
layout(constant_id = 7) const int PADDING = 0;
layout(constant_id = 8) const int WIDTH = 0; // if not 0: the source has so many columns, and a block spans all of them
layout(constant_id = 9) const uint BACKWARD = 0;
layout(constant_id = 10) const uint FLAGS = 0; // what is added and done at the end
layout(constant_id = 11) const int DEPTH = 1; // source vec4s a step; a divisor of their number

// First source column of a block that starts at column 0, and how many it needs. (The division rounds down.)
const int FIRST = WIDTH > 0 ? 0 : BACKWARD != 0u
    ? (PADDING - (TAPS - 1) * DILATION + STRIDE * TAPS * DILATION) / STRIDE - TAPS * DILATION : -PADDING;
const int SPAN = WIDTH > 0 ? WIDTH : BACKWARD != 0u
    ? (COLUMNS - 1 + PADDING) / STRIDE - FIRST + 1 : (COLUMNS - 1) * STRIDE + (TAPS - 1) * DILATION + 1;
const int REGISTERS = (SPAN + int(LANES) - 1) / int(LANES);
const uint TEAMS = SUBGROUP / LANES;

INPUT(0, source);
INPUT(1, weight);
INPUT(2, bias); // or, with MASK, the values that must be positive
INPUT(3, residual);
OUTPUT(4, target);
layout(push_constant) uniform Push {
    ivec2 source_size; // pairs are (rows, columns)
    ivec2 grid;        // rows and columns of the target that this dispatch computes
    ivec2 target_size;
    int target_row_first, target_row_step; // grid row -> target row
    int row_first, row_scale, row_step;    // source row = row_first + grid row * row_scale + number of the tap * row_step
    int row_taps;
    int images;
    int source_channels, target_channels;
    int weight_quads;                                      // of a row of the weights
    int weight_first, weight_row_step, weight_column_step; // first vec4 of a tap's weights
    int tiles;                                             // of target channels
    uint has_residual;                                     // with RESIDUAL: whether there really is one
    int weight_image_step;                                 // vec4s from one image's weights to the next's; 0: the same
};

vec4 load_residual(int at) {
    vec4 loaded = LOAD(residual, has_residual != 0u ? at : 0);
    return has_residual != 0u ? loaded : vec4(0.0);
}
#define LOAD_RESIDUAL(at) load_residual(at)
#include "conv2d_end.glsl"

// Which of the loaded source columns tap `tap` of column `column` of the block reads; -1 if none.
int position(int column, int tap) {
    if (BACKWARD == 0u)
        return column * STRIDE + tap * DILATION - PADDING - FIRST;
    int scaled = column + PADDING - tap * DILATION - FIRST * STRIDE;
    return scaled >= 0 && scaled % STRIDE == 0 ? scaled / STRIDE : -1;
}

void main() {
    int source_quads = (source_channels + 3) / 4, target_quads = (target_channels + 3) / 4;
    uint team = gl_SubgroupInvocationID / LANES;
    int lane = int(gl_SubgroupInvocationID % LANES);
    int number = int(gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x), tile = number % tiles;
    int row_blocks = (grid.x + ROWS - 1) / ROWS, column_blocks = (grid.y + COLUMNS - 1) / COLUMNS;
    int block = number / tiles * int(TEAMS) + int(team);
    int image = block / (row_blocks * column_blocks);
    int row = block / column_blocks % row_blocks * ROWS, column = block % column_blocks * COLUMNS;
    bool exists = image < images;

    int column_start[REGISTERS]; // first vec4 of the column in a row of the source
    bool column_inside[REGISTERS];
    [[unroll]] for (int r = 0; r < REGISTERS; r++) {
        int start = BACKWARD != 0u ? column / STRIDE : column * STRIDE;
        int source_column = start + FIRST + r * int(LANES) + lane;
        column_inside[r] = exists && source_column >= 0 && source_column < source_size.y;
        column_start[r] = source_column * source_quads;
    }
    int quad = tile * int(LANES) + lane;
    int weight_start[4]; // forward: of the source channels 0 to 3; BACKWARD: of this lane's target channels
    [[unroll]] for (int j = 0; j < 4; j++)
        weight_start[j] = weight_first + (exists ? image * weight_image_step : 0) + (BACKWARD != 0u ? min(4 * quad + j, target_channels - 1) * weight_quads
                                                         : min(quad, target_quads - 1));
    float sum[ROWS * COLUMNS * 4];
    [[unroll]] for (int i = 0; i < ROWS * COLUMNS * 4; i++)
        sum[i] = 0.0;

    // One loop over rows of taps and channels: every loop around the sums costs a blend of each.
    int k = 0, q = 0, steps = row_taps * source_quads / DEPTH;
    for (int step = 0; step < steps; step++) {
        [[unroll]] for (int depth = 0; depth < DEPTH; depth++) {
            vec4 value[ROWS * REGISTERS];
            [[unroll]] for (int i = 0; i < ROWS; i++) {
                int source_row = row_first + (row + i) * row_scale + k * row_step;
                int start = (image * source_size.x + source_row) * source_size.y * source_quads + q;
                bool row_inside = source_row >= 0 && source_row < source_size.x;
                [[unroll]] for (int r = 0; r < REGISTERS; r++) {
                    bool inside = row_inside && column_inside[r];
                    vec4 loaded = LOAD(source, inside ? start + column_start[r] : 0);
                    value[i * REGISTERS + r] = inside ? loaded : vec4(0.0);
                }
            }
            [[unroll]] for (int t = 0; t < TAPS; t++) {
                mat4 w; // forward: [source channel][target channel], BACKWARD: transposed
                int tap = k * weight_row_step + t * weight_column_step;
                [[unroll]] for (int j = 0; j < 4; j++) {
                    int at = BACKWARD != 0u ? q : min(4 * q + j, source_channels - 1) * weight_quads;
                    w[j] = LOAD(weight, weight_start[j] + tap + at);
                }
                if (BACKWARD != 0u)
                    w = transpose(w);
                [[unroll]] for (int i = 0; i < ROWS; i++)
                    [[unroll]] for (int c = 0; c < COLUMNS; c++) {
                        int p = position(c, t);
                        if (p < 0 || p >= SPAN)
                            continue;
                        vec4 held = value[i * REGISTERS + p / int(LANES)];
                        uint holder = team * LANES + uint(p) % LANES;
                        vec4 s = vec4(subgroupShuffle(held.x, holder), subgroupShuffle(held.y, holder),
                                      subgroupShuffle(held.z, holder), subgroupShuffle(held.w, holder));
                        [[unroll]] for (int o = 0; o < 4; o++)
                            sum[(i * COLUMNS + c) * 4 + o] +=
                                s.x * w[0][o] + s.y * w[1][o] + s.z * w[2][o] + s.w * w[3][o];
                    }
            }
            q++;
        }
        if (q == source_quads) {
            q = 0;
            k++;
        }
    }
    [[unroll]] for (int i = 0; i < ROWS; i++)
        [[unroll]] for (int c = 0; c < COLUMNS; c++) {
            if (!exists || row + i >= grid.x || column + c >= grid.y || quad >= target_quads)
                continue;
            int target_row = target_row_first + (row + i) * target_row_step;
            int at = ((image * target_size.x + target_row) * target_size.y + column + c) * target_quads + quad;
            int a = (i * COLUMNS + c) * 4;
            target[at] = finish(vec4(sum[a], sum[a + 1], sum[a + 2], sum[a + 3]), at, quad);
        }
}
