#version 450
#extension GL_GOOGLE_include_directive : require
// Shift, mean - shift and sum of squared deviations of each chunk. The sums are of x - shift, with shift near the chunk's median: a
// median is within one deviation of the mean, so the squares do not cancel, and |x - median| is no larger on average
// than |x|, so the mean loses nothing. It is estimated as the mean of medians of three pixels, so that an outlier among
// them does not move it.
#include "channel_reduce.glsl"

INPUT(0, x);
OUTPUT(1, partial);
vec4 shift;

void terms(uint i, out vec4 a, out vec4 b) {
    a = LOAD(x, i) - shift;
    b = a * a;
}

vec4 at(Slice s, uint pixel) {
    uint count = s.end - s.first;
    return LOAD(x, (s.first + pixel % count) * quads + s.column);
}

vec4 median_near(Slice s) {
    uint third = (s.end - s.first) / 3;
    vec4 a = at(s, s.pixel), b = at(s, s.pixel + third), c = at(s, s.pixel + 2 * third);
    vec4 median = max(min(a, b), min(max(a, b), c));
    return tree_sum(median, lanes) / float(s.stride);
}

void main() {
    Slice s = slice();
    shift = median_near(s);
    vec4 sum, squares;
    sum_pixels(s, sum, squares);
    sum = tree_sum(sum, lanes);
    squares = tree_sum(squares, lanes);
    if (s.writes) {
        vec4 offset = sum / float(s.end - s.first);
        uint at = gl_WorkGroupID.x * 3 * quads + s.quad;
        partial[at] = shift;
        partial[at + quads] = offset;
        partial[at + 2 * quads] = max(squares - sum * offset, vec4(0));
    }
}
