#version 450
#extension GL_GOOGLE_include_directive : require
// dx = dy where shortcut_pad took the element from, else 0; one vec4 of dx an invocation.
#include "tensor.glsl"
INPUT(0, source);
#include "shortcut_pad.glsl"

OUTPUT(1, dx);

void main() {
    uint i = linear_index();
    if (i >= count)
        return;
    uvec4 p = place(i);
    uint row = divide(p.z, stride), column = divide(p.y, stride);
    uint at = ((p.w * read_rows + row) * read_columns + column) * read_quads;
    vec4 value = channels_at(at, int(4 * p.x + before));
    bool taken = row * stride.value == p.z && column * stride.value == p.y;
    bvec4 own = lessThan(4 * p.x + uvec4(0, 1, 2, 3), uvec4(taken ? channels : 0));
    dx[i] = mix(vec4(0), value, own);
}
