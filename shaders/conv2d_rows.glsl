// conv2d and its input gradient without shared memory and barriers. A lane holds a vec4 of target channels of ROWS x COLUMNS
// pixels in registers. For each row of taps and each four source channels its team loads the source columns that these need
// once, a vec4 a lane, and each lane its weights once for all of the pixels. All loops over registers are unrolled.
//
//   forward   source x, target y:   y[c] += x[c * STRIDE + t * DILATION - PADDING] * w[t][k][o]
//   BACKWARD  source dy, target dx: dx[c] += dy[(c + PADDING - t * DILATION) / STRIDE] * w[t][o][k] where that is whole
//
// Columns are handled so at compile time; for rows the host gives first tap, step and so on, one dispatch for each
// remainder of the row modulo the stride when BACKWARD. Where there are groups, their channels are multiples of four.
#include "tensor.glsl"
#include "conv2d_share.glsl"

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
layout(constant_id = 12) const int INNER = 0; // columns of the source that exist, from each block's start on; LANES is 1

// First source column of a block that starts at column 0, and how many it needs. (The division rounds down.)
const int FIRST = WIDTH > 0 ? 0 : BACKWARD != 0u
    ? (PADDING - (TAPS - 1) * DILATION + STRIDE * TAPS * DILATION) / STRIDE - TAPS * DILATION : -PADDING;
const int SPAN = WIDTH > 0 ? WIDTH : BACKWARD != 0u
    ? (COLUMNS - 1 + PADDING) / STRIDE - FIRST + 1 : (COLUMNS - 1) * STRIDE + (TAPS - 1) * DILATION + 1;
const int REGISTERS = (SPAN + int(LANES) - 1) / int(LANES);

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
    int source_channels, target_channels;                  // source: that a target channel sees
    int source_quads, group_quads;                         // vec4s of a source pixel, of a group of target channels
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
    int depth_quads = (source_channels + 3) / 4, target_quads = (target_channels + 3) / 4;
    uint team = SELF / LANES;
    int lane = int(SELF % LANES);
    int number = int(TEAM_GROUP), tile = number % tiles;
    int row_blocks = (grid.x + ROWS - 1) / ROWS, column_blocks = (grid.y + COLUMNS - 1) / COLUMNS;
    int block = number / tiles * int(TEAMS) + int(team);
    int image = block / (row_blocks * column_blocks);
    int row = block / column_blocks % row_blocks * ROWS, column = block % column_blocks * COLUMNS;
    bool exists = image < images;
    int quad = tile * int(LANES) + lane, quad_read = min(quad, target_quads - 1);
    int first_quad = quad_read / group_quads * depth_quads; // of the group's source channels

    if (!SHARED && !exists)
        return;
    int k = 0, taps = row_taps;
    if (!SHARED) { // ROWS is 1
        taps = 0;
        for (int tap = row_taps - 1; tap >= 0; tap--) {
            int source_row = row_first + row * row_scale + tap * row_step;
            bool inside = source_row >= 0 && source_row < source_size.x;
            k = inside ? tap : k;
            taps += int(inside);
        }
    }
    int column_start[REGISTERS]; // first vec4 of the column in a row of the source
    bool column_inside[REGISTERS];
    [[unroll]] for (int r = 0; r < REGISTERS; r++) {
        int start = BACKWARD != 0u ? column / STRIDE : column * STRIDE, offset = FIRST + r * int(LANES) + lane;
        int source_column = start + offset;
        bool inner = !SHARED && offset >= 0 && offset < INNER;
        column_inside[r] = exists && (inner || (source_column >= 0 && source_column < source_size.y));
        column_start[r] = source_column * source_quads + first_quad;
    }
    int weight_start[4]; // forward: of the source channels 0 to 3; BACKWARD: of this lane's target channels
    [[unroll]] for (int j = 0; j < 4; j++)
        weight_start[j] = weight_first + (exists ? image * weight_image_step : 0) +
            (BACKWARD != 0u ? min(4 * (quad_read % group_quads) + j, target_channels - 1) * weight_quads + first_quad
                            : quad_read);
    float sum[ROWS * COLUMNS * 4];
    [[unroll]] for (int i = 0; i < ROWS * COLUMNS * 4; i++)
        sum[i] = 0.0;

    // One loop over rows of taps and channels: every loop around the sums costs a blend of each.
    int q = 0, steps = taps * depth_quads / DEPTH;
    for (int step = 0; step < steps; step++) {
        [[unroll]] for (int depth = 0; depth < DEPTH; depth++) {
            vec4 value[ROWS * REGISTERS];
            [[unroll]] for (int i = 0; i < ROWS; i++) {
                int source_row = row_first + (row + i) * row_scale + k * row_step;
                int start = (image * source_size.x + source_row) * source_size.y * source_quads + q;
                bool row_inside = !SHARED || (source_row >= 0 && source_row < source_size.x);
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
                        vec4 s = vec4(HELD_BY(holder, held.x), HELD_BY(holder, held.y), HELD_BY(holder, held.z),
                                      HELD_BY(holder, held.w));
                        [[unroll]] for (int o = 0; o < 4; o++)
                            [[unroll]] for (int j = 0; j < 4; j++)
                                sum[(i * COLUMNS + c) * 4 + o] = fma(s[j], w[j][o], sum[(i * COLUMNS + c) * 4 + o]);
                    }
            }
            q++;
        }
        if (q == depth_quads) {
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
