// Geometry that the kernels of max_pool share; src/ops/pool.c writes the push words.
#include "tensor.glsl"
#include "divide.glsl"

layout(local_size_x = 64) in;

struct Axis {
    uint size, pooled; // pixels of the input and of the output
    uint kernel, before; // window, and padding in front of the image
    Divisor stride;
};

layout(push_constant) uniform Push {
    uint count; // vec4 of the tensor that is written
    Divisor quads, columns, rows; // its vec4 of a pixel, its width and height
    Axis vertical, horizontal;
};
#include "place.glsl"

// Pixels [x, y) of the input in window `index`.
uvec2 window(Axis axis, uint index) {
    int first = int(index * axis.stride.value) - int(axis.before);
    return uvec2(max(first, 0), min(first + int(axis.kernel), int(axis.size)));
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
