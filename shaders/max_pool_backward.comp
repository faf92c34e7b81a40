#version 450
#extension GL_GOOGLE_include_directive : require
// dx = sum of dy over the windows whose first largest element (of NaNs the last) is this pixel, found again in each; one
// vec4 of dx an invocation.
#include "pool.glsl"

INPUT(0, x);
INPUT(1, dy);
OUTPUT(2, dx);

// Pixel number of the largest element in a window.
uvec4 find_largest(Place p, uvec2 r, uvec2 c) {
    vec4 largest = LOAD(x, input_index(p, r.x, c.x));
    uvec4 best = uvec4(r.x * horizontal.size + c.x);
    for (uint row = r.x; row < r.y; row++)
        for (uint column = c.x; column < c.y; column++) {
            vec4 value = LOAD(x, input_index(p, row, column));
            bvec4 larger = greaterThan(value, largest), unordered = isnan(value);
            uvec4 pixel = uvec4(row * horizontal.size + column);
            largest = mix(mix(largest, value, larger), value, unordered);
            best = mix(mix(best, pixel, larger), pixel, unordered);
        }
    return best;
}

void main() {
    uint i = linear_index();
    if (i >= count)
        return;
    Place p = place(i);
    uvec2 r = covering(vertical, p.row), c = covering(horizontal, p.column);
    uvec4 own = uvec4(p.row * horizontal.size + p.column);
    vec4 sum = vec4(0);
    for (uint row = r.x; row < r.y; row++)
        for (uint column = c.x; column < c.y; column++) {
            uvec4 best = find_largest(p, window(vertical, row), window(horizontal, column));
            sum += mix(vec4(0), LOAD(dy, output_index(p, row, column)), equal(best, own));
        }
    dx[i] = sum;
}
