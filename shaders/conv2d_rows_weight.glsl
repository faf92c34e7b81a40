// Weight gradient of a convolution in the manner of conv2d_rows.glsl. A team sums over its own chunk of output rows and writes
// a part of its own.
//
// A lane holds, for one row of TAPS taps, 4 * QUADS channels of x and its own four filters, the sums
//   dw[t][i][o] += x[c * STRIDE + t * DILATION - PADDING][i] * dy[c][o]
// in registers. For each COLUMNS output columns every lane loads its filters of dy, and the team loads x once, a vec4 of
// channels a lane.
#include "keep.glsl"
#include "tensor.glsl"

#include "conv2d_share.glsl"

layout(constant_id = 2) const int QUADS = 2;
layout(constant_id = 3) const int COLUMNS = 8;
layout(constant_id = 4) const int TAPS = 3;
layout(constant_id = 5) const int STRIDE = 1;
layout(constant_id = 6) const int DILATION = 1;
layout(constant_id = 7) const bool PADDED = true; // filters are no multiple of four (masking costs the loop its registers)

layout(constant_id = 8) const int PADDING = 0;
layout(constant_id = 9) const int INNER = 0; // columns of x that exist, from each block's start on, and then all of dy

const int SPAN = ((COLUMNS - 1) * STRIDE + (TAPS - 1) * DILATION + 1) * QUADS; // vec4s of x: [column][quad]
const int REGISTERS = (SPAN + int(LANES) - 1) / int(LANES);

INPUT(0, x);
INPUT(1, dy);
OUTPUT(2, parts);
layout(push_constant) uniform Push {
    ivec2 size;        // of x; pairs are (rows, columns)
    ivec2 output_size; // of y
    int row_padding, row_stride, row_dilation;
    int images;
    int channels, filters;           // channels: that a filter sees
    int input_quads, group_quads;    // vec4s of a pixel of x, of the filters of a group
    int kernel_rows;
    int channel_tiles, filter_tiles; // tiles of 4 * QUADS channels, of 4 * LANES filters
    int chunk_rows, chunks;          // rows of all images that one team sums
};

// The first output row that reads row `source_row` of x, or the next one, through row 0 of the taps.
int reader_of(int source_row) {
    return (max(source_row + row_padding, 0) + row_stride - 1) / row_stride;
}

void main() {
    int depth_quads = (channels + 3) / 4, output_quads = (filters + 3) / 4;
    uint team = SELF / LANES;
    int lane = int(SELF % LANES);
    int number = int(TEAM_GROUP);
    int filter_tile = number % filter_tiles;
    number /= filter_tiles;
    int channel_tile = number % channel_tiles;
    number /= channel_tiles;
    int k = number % kernel_rows, chunk = number / kernel_rows * int(TEAMS) + int(team);
    int quad = filter_tile * int(LANES) + lane, quad_read = min(quad, output_quads - 1);
    int first_quad = quad_read / group_quads * depth_quads; // of the group's channels

    int row_first = reader_of(-k * row_dilation); // that reads any row of x through this row of taps
    int rows = max(min(reader_of(size.x - k * row_dilation), output_size.x) - row_first, 0); // from there on

    int column[REGISTERS], offset[REGISTERS];
    [[unroll]] for (int r = 0; r < REGISTERS; r++) {
        int element = r * int(LANES) + lane;
        column[r] = element / QUADS - PADDING;
        offset[r] = column[r] * input_quads + first_quad + min(channel_tile * QUADS + element % QUADS, depth_quads - 1);
    }
    float sum[TAPS * QUADS * 16];
    [[unroll]] for (int i = 0; i < TAPS * QUADS * 16; i++)
        sum[i] = 0.0;

    // One loop over rows and columns: every loop around the sums costs a blend of each.
    int start = chunk * chunk_rows, end = min(start + chunk_rows, rows * images);
    int image = rows > 0 ? start / rows : images, row = row_first + (rows > 0 ? start % rows : 0), first = 0;
    int steps = (SHARED ? chunk_rows : end - start) * ((output_size.y + COLUMNS - 1) / COLUMNS);
    for (int step = 0; step < steps; step++) {
        int source_row = row * row_stride + k * row_dilation - row_padding;
        bool exists = !SHARED || image < images;
        int x_start = ((image * size.x + source_row) * size.y + first * STRIDE) * input_quads;
        int dy_start = ((image * output_size.x + row) * output_size.y + first) * output_quads + quad_read;
        vec4 slope[COLUMNS], value[REGISTERS];
        [[unroll]] for (int c = 0; c < COLUMNS; c++) {
            bool inside = exists && (INNER > 0 || first + c < output_size.y);
            vec4 loaded = LOAD(dy, inside ? dy_start + c * output_quads : 0);
            slope[c] = inside ? loaded : vec4(0.0);
        }
        [[unroll]] for (int r = 0; r < REGISTERS; r++) {
            int source_column = first * STRIDE + column[r];
            bool inner = !SHARED && column[r] >= 0 && column[r] < INNER;
            bool inside = exists && (inner || (source_column >= 0 && source_column < size.y));
            vec4 loaded = LOAD(x, inside ? x_start + offset[r] : 0);
            value[r] = inside ? loaded : vec4(0.0);
        }
        [[unroll]] for (int t = 0; t < TAPS; t++)
            [[unroll]] for (int i = 0; i < QUADS * 4; i++) {
                float scalar[COLUMNS];
                [[unroll]] for (int c = 0; c < COLUMNS; c++) {
                    int element = (c * STRIDE + t * DILATION) * QUADS + i / 4;
                    scalar[c] = HELD_BY(team * LANES + uint(element) % LANES, value[element / int(LANES)][i % 4]);
                }
                [[unroll]] for (int o = 0; o < 4; o++) {
                    [[unroll]] for (int c = 0; c < COLUMNS; c++)
                        sum[(t * QUADS * 4 + i) * 4 + o] = fma(scalar[c], slope[c][o], sum[(t * QUADS * 4 + i) * 4 + o]);
                }
            }
        first += COLUMNS;
        if (first >= output_size.y) {
            first = 0;
            row++;
        }
        if (row == row_first + rows) {
            row = row_first;
            image++;
        }
    }
    [[unroll]] for (int t = 0; t < TAPS; t++)
        [[unroll]] for (int i = 0; i < QUADS * 4; i++) {
            int channel = channel_tile * QUADS * 4 + i, a = (t * QUADS * 4 + i) * 4;
            if (channel < channels && quad < output_quads && chunk < chunks)
                parts[(((chunk * kernel_rows + k) * TAPS + t) * channels + channel) * output_quads + quad] =
                    keep(vec4(sum[a], sum[a + 1], sum[a + 2], sum[a + 3]), PADDED ? uint(filters - 4 * quad) : 4u);
        }
}
