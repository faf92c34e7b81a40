#version 450
#extension GL_GOOGLE_include_directive : require
// dx = sum of this pixel's share of dy over the windows that cover it, one vec4 of dx an invocation.
#include "pool.glsl"

INPUT(0, dy);
OUTPUT(1, dx);

void main() {
    uint i = linear_index();
    if (i >= count)
        return;
    Place p = place(i);
    uvec2 r = covering(vertical, p.row), c = covering(horizontal, p.column);
    vec4 sum = vec4(0);
    for (uint row = r.x; row < r.y; row++)
        for (uint column = c.x; column < c.y; column++)
            sum += LOAD(dy, output_index(p, row, column)) /
                   window_divisor(window(vertical, row), window(horizontal, column));
    dx[i] = sum;
}
