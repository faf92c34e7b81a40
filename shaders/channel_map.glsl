// Maps over [n, h, w, c] with coefficients for each channel. An invocation keeps the coefficients of one quad of channels
// and takes PIXELS vec4 of it, `stride` (a multiple of the quads of a pixel) apart. Loads stand outside all control flow:
// software drivers make them several times slower inside; an index past the end is held back and not written.
#extension GL_EXT_control_flow_attributes : require
#include "tensor.glsl"
#include "divide.glsl"

layout(local_size_x = 64, local_size_x_id = 0) in;
layout(constant_id = 1) const uint PIXELS = 1;
layout(push_constant) uniform Push {
    uint count, stride;
    Divisor quads; // vec4 of a pixel
    uint row;      // vec4 of a row of coefficients; 0: there is but one row
};
