// Geometry that the pooling kernels share; src/ops/pool.c writes the push words.
#include "tensor.glsl"
#include "divide.glsl"

layout(local_size_x = 64) in;

struct Axis {
    uint size, pooled; // pixels of the input and of the output
    uint kernel, before, after; // window and padding
    Divisor stride;
};

layout(push_constant) uniform Push {
    uint count; // vec4 of the tensor that is written
    Divisor quads, columns, rows; // its vec4 of a pixel, its width and height
    Axis vertical, horizontal;
    uint include_pad;
};

struct Place { uint quad, column, row, image; };

// Where vec4 number i of the written tensor lies.
Place place(uint i) {
    Place p;
    uint pixel = divide(i, quads), line = divide(pixel, columns);
    p.quad = i - pixel * quads.value;
    p.column = pixel - line * columns.value;
    p.image = divide(line, rows);
    p.row = line - p.image * rows.value;
    return p;
}

// Pixels [x, y) of the input in window `index`; z: its length with padding.
uvec3 window(Axis axis, uint index) {
    int first = int(index * axis.stride.value) - int(axis.before);
    int last = min(first + int(axis.kernel), int(axis.size + axis.after));
    return uvec3(max(first, 0), min(last, int(axis.size)), last - first);
}

// Windows [x, y) that cover a pixel of the input.
uvec2 covering(Axis axis, uint pixel) {
    uint last = pixel + axis.before; // in padded pixels
    uint first = last < axis.kernel ? 0 : divide(last - axis.kernel, axis.stride) + 1;
    return uvec2(first, min(divide(last, axis.stride) + 1, axis.pooled));
}

uint input_index(Place p, uint row, uint column) {
    return ((p.image * vertical.size + row) * horizontal.size + column) * quads.value + p.quad;
}

uint output_index(Place p, uint row, uint column) {
    return ((p.image * vertical.pooled + row) * horizontal.pooled + column) * quads.value + p.quad;
}

float window_divisor(uvec3 r, uvec3 c) {
    return float(include_pad != 0 ? r.z * c.z : (r.y - r.x) * (c.y - c.x));
}
