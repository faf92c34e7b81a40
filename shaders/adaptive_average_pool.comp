#version 450
#extension GL_GOOGLE_include_directive : require
// The mean of each window, one vec4 of the output an invocation.
#include "adaptive_pool.glsl"

INPUT(0, x);
OUTPUT(1, y);

void main() {
    uint i = linear_index();
    if (i >= count)
        return;
    Place p = place(i);
    uvec2 r = window(p.row, rows, read_rows.value), c = window(p.column, columns, read_columns.value);
    vec4 sum = vec4(0);
    for (uint row = r.x; row < r.y; row++)
        for (uint column = c.x; column < c.y; column++)
            sum += LOAD(x, read_index(p, row, column));
    y[i] = sum / float((r.y - r.x) * (c.y - c.x));
}
