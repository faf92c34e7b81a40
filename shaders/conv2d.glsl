// The numbers of one convolution as the portable kernels get them; pairs are (rows, columns). See src/ops/conv_geometry.h.
// The kernel defines PUSH_WORDS, its own words at the end.

layout(push_constant) uniform Push {
    ivec2 size;        // of x
    ivec2 output_size; // of y
    ivec2 kernel;
    ivec2 stride;
    ivec2 padding;     // before the first row and column
    ivec2 dilation;
    uint images;
    uint channels;       // of x
    uint filters;        // channels of y
    uint group_channels; // channels of x that one filter sees
    uint group_filters;  // filters that see one channel
    PUSH_WORDS
};

const uint PIXELS = 4; // computed by one invocation

uint quads(uint count) {
    return (count + 3u) / 4u;
}

uint pixel_count(ivec2 area) {
    return images * uint(area.x) * uint(area.y);
}

// (image, row, column) of pixel number i.
ivec3 pixel_at(uint i, ivec2 area) {
    uint row = i / uint(area.y);
    return ivec3(row / uint(area.x), row % uint(area.x), i % uint(area.y));
}

// Number of the pixel, and in `inside` whether there is one; 0, which may always be read, if not.
uint pixel_index(int image, ivec2 position, ivec2 area, out bool inside) {
    inside = all(greaterThanEqual(position, ivec2(0))) && all(lessThan(position, area));
    return inside ? uint((image * area.x + position.x) * area.y + position.y) : 0u;
}

// Where tap `tap` of the output position `position` reads x.
ivec2 source_of(ivec2 position, ivec2 tap) {
    return position * stride + tap * dilation - padding;
}

// Which output position reads x at `position` through tap `tap`; negative if none.
ivec2 reader_of(ivec2 position, ivec2 tap) {
    ivec2 scaled = position + padding - tap * dilation;
    ivec2 reader = scaled / stride;
    bvec2 between = notEqual(reader * stride, scaled);
    return any(between) || any(lessThan(scaled, ivec2(0))) ? ivec2(-1) : reader;
}

// First vec4 of the weights of tap `tap` and channel `channel` (of its group); those of the next channel follow
// quads(filters) later.
uint weight_row(ivec2 tap, uint channel) {
    return (uint(tap.x * kernel.y + tap.y) * group_channels + channel) * quads(filters);
}
