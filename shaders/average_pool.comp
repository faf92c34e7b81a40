#version 450
#extension GL_GOOGLE_include_directive : require
// The mean of each window, one vec4 of the output an invocation.
#include "pool.glsl"

INPUT(0, x);
OUTPUT(1, y);

void main() {
    uint i = linear_index();
    if (i >= count)
        return;
    Place p = place(i);
    uvec3 r = window(vertical, p.row), c = window(horizontal, p.column);
    vec4 sum = vec4(0);
    for (uint row = r.x; row < r.y; row++)
        for (uint column = c.x; column < c.y; column++)
            sum += LOAD(x, input_index(p, row, column));
    y[i] = sum / window_divisor(r, c);
}
