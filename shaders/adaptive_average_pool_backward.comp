#version 450
#extension GL_GOOGLE_include_directive : require
// dx = sum of this pixel's share of dy over the windows that cover it, one vec4 of dx an invocation.
#include "adaptive_pool.glsl"

INPUT(0, dy);
OUTPUT(1, dx);

uint pixels(uint index, Divisor parts, uint size) {
    uvec2 covered = window(index, parts, size);
    return covered.y - covered.x;
}

void main() {
    uint i = linear_index();
    if (i >= count)
        return;
    Place p = place(i);
    uvec2 r = window(p.row, rows, read_rows.value), c = window(p.column, columns, read_columns.value);
    vec4 sum = vec4(0);
    for (uint row = r.x; row < r.y; row++)
        for (uint column = c.x; column < c.y; column++)
            sum += LOAD(dy, read_index(p, row, column)) /
                   float(pixels(row, read_rows, rows.value) * pixels(column, read_columns, columns.value));
    dx[i] = sum;
}
