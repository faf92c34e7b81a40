#version 450
#extension GL_GOOGLE_include_directive : require
// p = exp(x - max x) / sum of exp(x - max x), over each row.
#include "softmax.glsl"

OUTPUT(1, p);

void main() {
    uint row = find_row();
    float largest = row_max();
    float sum = row_sum(largest);
    if (row < images)
        for (uint q = lane; q < row_quads; q += LANES)
            p[row_start + q] = exponentials(q, largest) / sum;
}
