// Geometry that the kernels of adaptive pooling share; src/ops/pool_adaptive.c has the formula and writes the push words.
#include "tensor.glsl"
#include "divide.glsl"

layout(local_size_x = 64) in;
layout(push_constant) uniform Push {
    uint count; // vec4 of the tensor that is written
    Divisor quads, columns, rows; // its vec4 of a pixel, its width and height
    Divisor read_columns, read_rows; // of the tensor that is read
};
#include "place.glsl"

// What window `index` covers of `size` pixels.
uvec2 window(uint index, Divisor parts, uint size) {
    uint first = index * size;
    return uvec2(divide(first, parts), divide(first + size + parts.value - 1, parts));
}

uint read_index(Place p, uint row, uint column) {
    return ((p.image * read_rows.value + row) * read_columns.value + column) * quads.value + p.quad;
}
