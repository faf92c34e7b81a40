// What the kernels of the zero-padded shortcut share; include it after tensor.glsl and INPUT(0, source).
// src/ops/shortcut_pad.c writes the push words.
#include "divide.glsl"

layout(local_size_x = 64) in;
layout(push_constant) uniform Push {
    uint count;                   // vec4 of the tensor that is written
    Divisor quads, columns, rows; // its vec4 of a pixel, its width and height
    Divisor stride;               // of rows and columns
    uint before;                  // channels of zeros in front
    uint read_quads, read_columns, read_rows; // of the tensor that is read
    uint channels;                // without the zeros
};

// (quad, column, row, image) of vec4 number i of the written tensor.
uvec4 place(uint i) {
    uint pixel = divide(i, quads), line = divide(pixel, columns), image = divide(line, rows);
    return uvec4(i - pixel * quads.value, pixel - line * columns.value, line - image * rows.value, image);
}

// vec4 number `quad` of the pixel whose vec4 start at `at`; zero outside the stored row.
vec4 quad_at(uint at, int quad) {
    vec4 value = LOAD(source, at + uint(clamp(quad, 0, int(read_quads) - 1)));
    return quad < 0 || quad >= int(read_quads) ? vec4(0) : value;
}

// Channels first .. first + 3 of that pixel.
vec4 channels_at(uint at, int first) {
    int quad = first >> 2;
    vec4 low = quad_at(at, quad), high = quad_at(at, quad + 1);
    switch (first & 3) {
    case 1: return vec4(low.yzw, high.x);
    case 2: return vec4(low.zw, high.xy);
    case 3: return vec4(low.w, high.xyz);
    }
    return low;
}
