#version 450
#extension GL_GOOGLE_include_directive : require
// y = every stride-th row and column of x, between channels of zeros; one vec4 of y an invocation. Channels of x past its
// last are stored zeros.
#include "tensor.glsl"
INPUT(0, source);
#include "shortcut_pad.glsl"

OUTPUT(1, y);

void main() {
    uint i = linear_index();
    if (i >= count)
        return;
    uvec4 p = place(i);
    uint at = ((p.w * read_rows + p.z * stride.value) * read_columns + p.y * stride.value) * read_quads;
    y[i] = channels_at(at, int(4 * p.x) - int(before));
}
