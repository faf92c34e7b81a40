#version 450
#extension GL_GOOGLE_include_directive : require
// The largest element of each window, one vec4 of the output an invocation. A NaN counts as larger than everything.
#include "pool.glsl"

INPUT(0, x);
OUTPUT(1, y);

void main() {
    uint i = linear_index();
    if (i >= count)
        return;
    Place p = place(i);
    uvec2 r = window(vertical, p.row), c = window(horizontal, p.column);
    vec4 largest = vec4(uintBitsToFloat(0xff800000)); // minus infinity
    for (uint row = r.x; row < r.y; row++)
        for (uint column = c.x; column < c.y; column++) {
            vec4 value = LOAD(x, input_index(p, row, column));
            largest = mix(largest, value, greaterThan(value, largest));
            largest = mix(largest, value, isnan(value));
        }
    y[i] = largest;
}
