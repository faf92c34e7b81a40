// The shared memory of conv2d_tile.glsl: what brings the patch of the source and the weights of all taps there, and what reads
// a block's weights from it. Each invocation (number `self`) finds once which vec4s it brings at depth 0, and where to.
//
// Pixel i of the target and tap j read the source at first + (i * SCALE + j * STEP) * spacing, along rows and columns;
// whatever lies between is not brought. The host sees to it that SCALE and STEP are positive: taps may come from last to
// first.
const uint DEPTH_QUADS = DEPTH / 4u, TAPS = TAP_ROWS * TAP_COLUMNS;
const uint PATCH_ROWS = (TILE_ROWS - 1u) * SCALE_ROWS + (TAP_ROWS - 1u) * STEP_ROWS + 1u;
const uint PATCH_COLUMNS = (TILE_COLUMNS - 1u) * SCALE_COLUMNS + (TAP_COLUMNS - 1u) * STEP_COLUMNS + 1u;
const uint PATCH_PITCH = (PATCH_COLUMNS + 3u) / 4u * 4u, PATCH_CELLS = IMAGES * PATCH_ROWS * PATCH_COLUMNS;
// The planes of the depths are apart by a multiple of four that is none of the banks' number.
const uint LEFT_PITCH = (IMAGES * PATCH_ROWS * PATCH_PITCH + 7u) / 8u * 8u + 4u, RIGHT_PITCH = CHANNELS + 4u;
const uint TAP_CELLS = DEPTH_QUADS * CHANNELS; // vec4s of a tap's weights
const uint LEFT_LOADS = (PATCH_CELLS * DEPTH_QUADS + INVOCATIONS - 1u) / INVOCATIONS;
const uint RIGHT_LOADS = (TAPS * TAP_CELLS + INVOCATIONS - 1u) / INVOCATIONS;
// The last load may bring what nobody reads.
const uint RIGHT_ROWS = (RIGHT_LOADS * INVOCATIONS + TAP_CELLS - 1u) / TAP_CELLS * PLANES;
shared float left[PLANES * LEFT_PITCH];       // [depth][image, row, column]
shared float right[RIGHT_ROWS * RIGHT_PITCH]; // [tap, depth][channel]

const uint COLUMN_BLOCKS = CHANNELS / COLUMNS, ROW_BLOCKS = INVOCATIONS / COLUMN_BLOCKS;
#ifdef SHARE_LANES
const uint LANE_LOADS = (COLUMNS + LANES - 1u) / LANES;
uint self = gl_SubgroupID * LANES + gl_SubgroupInvocationID;
uint row_block = self % ROW_BLOCKS, column_block = self / ROW_BLOCKS;
#else
uint self = gl_LocalInvocationIndex;
uint row_block = self / COLUMN_BLOCKS, column_block = self % COLUMN_BLOCKS;
#endif

// The channel in the tile of column j of this block: fours that lie apart, so that neighbours read neighbouring words.
uint block_column(uint j) {
    return j / 4u * (CHANNELS / (COLUMNS / 4u)) + column_block * 4u + j % 4u;
}

int first_channel, source_quads, end_depth;
int left_at[LEFT_LOADS]; // vec4 of the source at depth 0; negative: outside
uint left_to[LEFT_LOADS];
int right_at[RIGHT_LOADS]; // vec4 of the weights, likewise
vec4 left_next[LEFT_LOADS], right_next[RIGHT_LOADS];

void find_left(ivec3 corner) {
    [[unroll]] for (uint i = 0u; i < LEFT_LOADS; i++) {
        uint quad = self % DEPTH_QUADS, cell = self / DEPTH_QUADS + i * (INVOCATIONS / DEPTH_QUADS);
        uint row = PATCH_CELLS == PATCH_COLUMNS ? 0u : cell / PATCH_COLUMNS, column = cell - row * PATCH_COLUMNS;
        bool beyond = cell >= PATCH_CELLS;
        left_to[i] = quad * 4u * LEFT_PITCH + (beyond ? IMAGES * PATCH_ROWS * PATCH_PITCH : row * PATCH_PITCH + column);
        ivec2 in_grid = corner.yz * ivec2(SCALE_ROWS, SCALE_COLUMNS) + ivec2(row % PATCH_ROWS, column);
        ivec3 at = ivec3(corner.x + int(row / PATCH_ROWS), first + in_grid * spacing);
        bool inside = all(greaterThanEqual(at.yz, ivec2(0))) && all(lessThan(at, ivec3(images, source_size)));
        int pixel = (at.x * source_size.x + at.y) * source_size.y + at.z;
        left_at[i] = inside ? pixel * source_quads + int(quad) : -1;
    }
}

// Tap and vec4 of its weights that this invocation brings: (tap, row, vec4 in it). Rows are channels of the source, BACKWARD:
// of the target.
uvec3 cell_of(uint e) {
    uint row_quads = BACKWARD != 0u ? DEPTH_QUADS : CHANNELS / 4u;
    return uvec3(e / TAP_CELLS, e / row_quads % (TAP_CELLS / row_quads), e % row_quads);
}

// As powers of two, the numbers of invocation and load are added without a carry, and the latter's part is a constant.
ivec3 right_cell(uint i) {
    return ivec3(cell_of(self) + cell_of(i * INVOCATIONS));
}

// Where the first word of such a cell is in shared memory.
uint right_word(uint e) {
    uvec3 cell = cell_of(e);
    return BACKWARD != 0u ? (cell.x * PLANES + 4u * cell.z) * RIGHT_PITCH + cell.y
                          : (cell.x * PLANES + cell.y) * RIGHT_PITCH + 4u * cell.z;
}

void find_right() {
    [[unroll]] for (uint i = 0u; i < RIGHT_LOADS; i++) {
        ivec3 cell = right_cell(i);
        int row = cell.y + (BACKWARD != 0u ? first_channel : 0), quad = cell.z + (BACKWARD != 0u ? 0 : first_channel / 4);
        bool inside = cell.x < TAPS && (BACKWARD != 0u ? row < target_channels : quad < weight_quads);
        int tap = cell.x / int(TAP_COLUMNS) * weight_row_step + cell.x % int(TAP_COLUMNS) * weight_column_step;
        right_at[i] = inside ? weight_first + tap + row * weight_quads + quad : -1;
    }
}

// A load must be there for all, and where it is not wanted it reads vec4 0: compilers make branches of anything else.
vec4 load_left(uint i, int depth) {
    bool inside = all(bvec2(left_at[i] >= 0, int(self % DEPTH_QUADS) < source_quads - depth));
    vec4 loaded = LOAD(source, inside ? left_at[i] + depth : 0);
    return inside ? loaded : vec4(0.0);
}

vec4 load_right(uint i, int depth) {
    ivec3 cell = right_cell(i);
    bool there = BACKWARD != 0u ? cell.z < weight_quads - depth : cell.y < source_channels - 4 * depth;
    bool inside = all(bvec2(there, right_at[i] >= 0));
    int at = right_at[i] + (BACKWARD != 0u ? depth : 4 * depth * weight_quads);
    vec4 loaded = LOAD(weight, inside ? at : 0);
    return inside ? loaded : vec4(0.0);
}

// With one tap, what is needed next is on its way while the block multiplies; with more, the registers are worth more.
void load_ahead(int depth) {
    if (TAPS > 1u || depth >= end_depth)
        return;
    [[unroll]] for (uint i = 0u; i < LEFT_LOADS; i++)
        left_next[i] = load_left(i, depth);
    [[unroll]] for (uint i = 0u; i < RIGHT_LOADS; i++)
        right_next[i] = load_right(i, depth);
}

// What lies beyond the last cell or plane goes where nobody reads it, as the end of a row of the weights.
void share(int depth) {
    barrier();
    [[unroll]] for (uint i = 0u; i < RIGHT_LOADS; i++) {
        vec4 loaded = TAPS > 1u ? load_right(i, depth) : right_next[i];
        bool beyond = BACKWARD == 0u && PLANES < DEPTH && right_cell(i).y >= PLANES;
        uint to = beyond ? CHANNELS : right_word(self) + right_word(i * INVOCATIONS);
        [[unroll]] for (uint j = 0u; j < (BACKWARD != 0u ? min(PLANES, 4u) : 4u); j++)
            right[to + j * (BACKWARD != 0u ? RIGHT_PITCH : 1u)] = loaded[j];
    }
    [[unroll]] for (uint i = 0u; i < LEFT_LOADS; i++) {
        vec4 loaded = TAPS > 1u ? load_left(i, depth) : left_next[i];
        [[unroll]] for (uint j = 0u; j < min(PLANES, 4u); j++)
            left[left_to[i] + j * LEFT_PITCH] = loaded[j];
    }
    barrier();
}

// The weights of this block's channels, row `row` of the tile.
void read_right(uint row, out float b[COLUMNS]) {
#ifdef SHARE_LANES
    float mine[LANE_LOADS];
    [[unroll]] for (uint i = 0u; i < LANE_LOADS; i++)
        mine[i] = right[row * RIGHT_PITCH + block_column(min(i * LANES + gl_SubgroupInvocationID, COLUMNS - 1u))];
    [[unroll]] for (uint j = 0u; j < COLUMNS; j++)
        b[j] = subgroupShuffle(mine[j / LANES], j % LANES);
#else
    [[unroll]] for (uint j = 0u; j < COLUMNS; j++)
        b[j] = right[row * RIGHT_PITCH + block_column(j)];
#endif
}
